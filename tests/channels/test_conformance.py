"""What holds for every channel, whoever wrote it: found through the entry points, as a stranger's would be."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.channels import GROUP
from pytest_sergas.config.channels import COMMON
from pytest_sergas.core.messages import Notification
from pytest_sergas.errors import ConfigurationError, TemporaryError
from tests.channels.conftest import IMPATIENT_S, alert, make, notification, send
from tests.servers import gateways
from tests.servers.mail import mail
from tests.servers.process import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # used by Apprise
]

KINDS = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
SECRET = "s3cr3t-p4ssw0rd"  # noqa: S105  no server knows it

# Options of each kind; PORT is that of its receiver.
OPTIONS: dict[str, dict[str, Any]] = {
    "alertmanager": {"url": f"http://sergas:{SECRET}@127.0.0.1:PORT"},
    "apprise": {"url": f"json://sergas:{SECRET}@127.0.0.1:PORT/{SECRET}"},
    "email": {
        "host": "127.0.0.1",
        "port": 0,
        "tls": "none",
        "from": "alerts@shop.example",
        "to": "team@shop.example",
    },
    "log": {},
    "slack": {"webhook_url": f"http://127.0.0.1:PORT/services/T/B/{SECRET}"},
    "webhook": {"url": f"http://sergas:{SECRET}@127.0.0.1:PORT/alerts?token={SECRET}"},
}
LOGIN = {"username": "alerts@shop.example", "password": SECRET}
# Those that wait for somebody.
REMOTE = [entry for entry in KINDS if entry.name != "log"]

HOSTILE = "\r\nBcc: everybody@shop.example\r\n\r\n<!channel> <b>\x00\x1b[31m\ud800 {{ x }} %s " + "x" * 100_000

every_kind = pytest.mark.parametrize("entry", KINDS, ids=lambda entry: entry.name)
every_remote_kind = pytest.mark.parametrize("entry", REMOTE, ids=lambda entry: entry.name)


def options(kind: str, port: int) -> dict[str, Any]:
    written = {
        key: value.replace("PORT", str(port)) if isinstance(value, str) else value
        for key, value in OPTIONS[kind].items()
    }
    return {**written, "port": port} if "port" in written else written


@asynccontextmanager
async def receiver(kind: str) -> AsyncIterator[int]:
    """Yield the port of a receiver that takes everything."""
    if kind == "email":
        async with mail() as server:
            yield server.port
    else:
        with gateways.answering() as web:
            yield web.server_port


@pytest.fixture
def refused() -> Iterator[int]:
    """A port at which every connection is refused."""
    with gateways.refusing() as url:
        yield int(url.rpartition(":")[2])


def open_files() -> set[str]:
    return {f"{entry.name}={entry.readlink()}" for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}


def test_built_in_channels_come_through_the_entry_points() -> None:
    assert [entry.name for entry in KINDS] == sorted(OPTIONS)


@every_kind
def test_channel_has_its_name_and_says_whether_it_forgets(entry: EntryPoint, refused: int, tmp_path: Path) -> None:
    channel = make(entry.name, tmp_path, **options(entry.name, refused))

    assert channel.name == "team"
    assert channel.resend_s is None or channel.resend_s > 0


@every_kind
async def test_notification_is_handed_over(entry: EntryPoint, tmp_path: Path) -> None:
    async with receiver(entry.name) as port:
        said = await send(make(entry.name, tmp_path, **options(entry.name, port)), notification())

    assert "\n" not in said


@every_kind
async def test_anything_that_a_label_may_hold_is_handed_over(entry: EntryPoint, tmp_path: Path) -> None:
    odd = replace(alert(HOSTILE, team=HOSTILE, annotations={"summary": HOSTILE, HOSTILE: HOSTILE}), value=math.nan)
    async with receiver(entry.name) as port:
        channel = make(entry.name, tmp_path, **options(entry.name, port))
        await send(channel, notification(odd, note=HOSTILE, key="key", group_key=HOSTILE))


@every_kind
async def test_summary_without_alerts_is_handed_over(entry: EntryPoint, tmp_path: Path) -> None:
    async with receiver(entry.name) as port:
        channel = make(entry.name, tmp_path, **options(entry.name, port))
        await send(channel, Notification((), (), "team", "firing", "key", "group", held_back=12))


@every_kind
async def test_nothing_is_left_open_and_the_same_can_be_sent_again(entry: EntryPoint, tmp_path: Path) -> None:
    async with receiver(entry.name) as port:
        channel = make(entry.name, tmp_path, **options(entry.name, port))
        await send(channel, notification())  # libraries open files of their own once
        before = open_files()
        await send(channel, notification())
        # The ends of the receiver, too, which lives in this process.
        await asyncio.to_thread(until, lambda: not open_files() - before, "everything is closed")


@every_remote_kind
async def test_receiver_that_is_not_there_is_temporary_and_no_secret_is_told(
    entry: EntryPoint, refused: int, tmp_path: Path
) -> None:
    login = LOGIN if entry.name == "email" else {}
    channel = make(entry.name, tmp_path, **{**options(entry.name, refused), **login})
    with pytest.raises(TemporaryError) as raised:
        await send(channel, notification())

    assert str(raised.value)
    assert "\n" not in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "the channel raised" not in str(raised.value)


@every_kind
async def test_nothing_secret_is_logged(entry: EntryPoint, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # Apprise itself logs addresses where somebody asks for its debug log.
    caplog.set_level(logging.INFO if entry.name == "apprise" else logging.DEBUG)
    async with receiver(entry.name) as port:
        await send(make(entry.name, tmp_path, **options(entry.name, port)), notification())

    assert SECRET not in caplog.text


@every_remote_kind
async def test_receiver_that_never_answers_costs_the_time_and_no_more(entry: EntryPoint, tmp_path: Path) -> None:
    with gateways.hanging() as url:
        channel = make(entry.name, tmp_path, **options(entry.name, int(url.rpartition(":")[2])))
        with pytest.raises(TemporaryError):
            await send(channel, notification(), IMPATIENT_S)


@every_kind
def test_channel_shows_no_secret_when_it_is_printed(entry: EntryPoint, refused: int, tmp_path: Path) -> None:
    login = LOGIN if entry.name == "email" else {}

    assert SECRET not in repr(make(entry.name, tmp_path, **{**options(entry.name, refused), **login}))


@every_kind
def test_unknown_option_is_a_fault_that_names_the_nearest(entry: EntryPoint, refused: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make(entry.name, tmp_path, **options(entry.name, refused), timeot=5)

    assert raised.value.faults == ("channels.team: timeot = '...': unknown key; did you mean 'timeout'?",)


@every_kind
def test_options_of_every_kind_are_explained_and_hide_none_of_the_common_ones(entry: EntryPoint) -> None:
    keys = importlib.import_module(entry.module).KEYS

    assert all(key.help and key.example for key in keys.values())
    assert not keys.keys() & COMMON.keys()
