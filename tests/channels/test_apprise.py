"""Apprise, with a service of its own that is real here: JSON to any address."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sergas.channels import Channel, wording
from pytest_sergas.core.messages import Status
from pytest_sergas.errors import ConfigurationError, FinalError, TemporaryError
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


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        pytest.param(500, TemporaryError, "the service of Apprise: answered 500", id="fault of the server"),
        pytest.param(429, TemporaryError, "the service of Apprise: answered 429", id="too many"),
        pytest.param(401, FinalError, "the service of Apprise: answered 401", id="wrong credentials"),
        pytest.param(404, FinalError, "the service of Apprise: answered 404", id="nobody there"),
    ],
)
@pytest.mark.parametrize("level", [logging.NOTSET, logging.CRITICAL])
async def test_refusal_is_told_from_a_fault_by_what_the_service_logs(
    status: int, kind: type[Exception], text: str, level: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("apprise").setLevel(level)
    try:
        with gateways.answering(lambda _: Answer(status)) as server, pytest.raises(kind) as raised:
            await send(make("apprise", tmp_path, url=service(server.url)), notification())
    finally:
        logging.getLogger("apprise").setLevel(logging.NOTSET)

    assert (type(raised.value), str(raised.value)) == (kind, text)
    assert any(f"error={status}" in line for line in caplog.messages) is (level == logging.NOTSET)


async def test_service_that_cannot_be_reached_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError) as raised:
        await send(make("apprise", tmp_path, url="json://127.0.0.1:1"), notification())

    assert str(raised.value) == "Apprise could not hand it over; its own log lines say why"


async def test_up_to_four_attempts_run_at_once_and_one_of_each_notification(tmp_path: Path) -> None:
    go_on, arrived = threading.Event(), asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    told = [replace(notification(), key=f"k{number}") for number in range(5)]

    def answer(request: Received) -> Answer:
        loop.call_soon_threadsafe(arrived.release)
        go_on.wait()
        return Answer(404 if wording.headline(told[0]) in request.body.decode() else 200)

    with gateways.answering(answer) as server:
        channel = make("apprise", tmp_path, url=f"{service(server.url)}/?rto=60&cto=60")
        hanging = [asyncio.create_task(send(channel, one, IMPATIENT_S)) for one in told[:4]]
        for _ in hanging:
            await arrived.acquire()
        ended = await asyncio.gather(*hanging, return_exceptions=True)
        with pytest.raises(TemporaryError, match=r"^the last attempt has not ended yet$"):
            await send(channel, told[0])
        with pytest.raises(TemporaryError, match=r"^4 earlier attempts have not ended yet$"):
            await send(channel, told[4])
        go_on.set()
        with pytest.raises(FinalError):
            await until_sent(channel)

    assert {str(one).split(" within")[0] for one in ended} == {"no answer"}
    assert len(server.received) == 5


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
