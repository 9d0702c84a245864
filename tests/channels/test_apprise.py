"""Apprise, with a service of its own that is real here: JSON to any address."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from pytest_sergas.channels import Channel, wording
from pytest_sergas.core.messages import Status
from pytest_sergas.errors import ConfigurationError, TemporaryError
from tests.channels.conftest import IMPATIENT_S, alert, make, notification, send
from tests.servers import gateways
from tests.servers.gateways import Answer, Received

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # used by Apprise
]


def service(url: str) -> str:
    return url.replace("http://", "json://")


@pytest.mark.parametrize(
    ("level", "status", "kind"),
    [
        ("critical", "firing", "failure"),
        ("error", "firing", "failure"),
        ("warning", "firing", "warning"),
        ("info", "firing", "info"),
        ("critical", "resolved", "success"),
    ],
)
async def test_message_arrives_with_its_kind(level: str, status: Status, kind: str, tmp_path: Path) -> None:
    told = notification(alert(level=level, status=status))
    with gateways.answering() as server:
        await send(make("apprise", tmp_path, url=service(server.url)), told)

    (received,) = server.received
    document = json.loads(received.body)
    assert (document["title"], document["type"]) == (wording.headline(told), kind)
    assert document["message"].strip() == wording.plain(told).strip()


async def test_refusal_is_temporary(tmp_path: Path) -> None:
    with gateways.answering(lambda _: Answer(500)) as server:
        channel = make("apprise", tmp_path, url=service(server.url))
        with pytest.raises(TemporaryError) as raised:
            await send(channel, notification())

    assert str(raised.value) == "Apprise could not hand it over; its own log lines say why"


async def test_attempt_that_hangs_is_the_only_one_until_it_has_ended(tmp_path: Path) -> None:
    go_on, arrived = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(request: Received) -> Answer:
        del request
        loop.call_soon_threadsafe(arrived.set)
        go_on.wait()
        return Answer()

    with gateways.answering(answer) as server:
        channel = make("apprise", tmp_path, url=f"{service(server.url)}/?rto=60&cto=60")
        with pytest.raises(TemporaryError, match="no answer within"):
            await send(channel, notification(), IMPATIENT_S)
        await arrived.wait()
        with pytest.raises(TemporaryError, match=r"^the last attempt has not ended yet$"):
            await send(channel, notification())
        go_on.set()
        await until_sent(channel)

    assert len(server.received) == 2


async def until_sent(channel: Channel) -> None:
    """Send as soon as the attempt before has ended."""
    while True:
        try:
            await send(channel, notification())
        except TemporaryError:
            await asyncio.sleep(0.02)  # a thread that ends sends no event
        else:
            return


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        pytest.param({}, 'url is missing; such as url = "tgram://TOKEN/CHAT"', id="nothing"),
        pytest.param({"url": "pigeon://hunter2"}, "url = '***': no address that Apprise knows", id="no service"),
        pytest.param(
            {"url_file": "file"}, "url_file = 'file': no address that Apprise knows", id="no service in a file"
        ),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, str], fault: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("pigeon://hunter2", encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        make("apprise", tmp_path, **options)

    assert raised.value.faults == (f"channels.team: {fault}",)
