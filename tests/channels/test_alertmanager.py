"""A real Alertmanager: it shows what fires, tells its own webhook once, also after it was down, and refuses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.channels import Channel, alertmanager
from pytest_sergas.channels.alertmanager import LASTS_S, RESEND_S
from pytest_sergas.core.messages import Notification
from pytest_sergas.errors import ConfigurationError, TemporaryError
from tests.channels.conftest import IMPATIENT_S, STARTED_S, alert, make, notification, send
from tests.servers.alertmanager import Alertmanager
from tests.servers.alertmanager import alertmanager as running
from tests.servers.gateways import Answering, answering
from tests.servers.process import until

pytestmark = pytest.mark.integration

NOW_S = STARTED_S + 1_000


@pytest.fixture(scope="module")
def receiver() -> Iterator[Answering]:
    """What the Alertmanager tells."""
    with answering() as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receiver: Answering) -> Iterator[Alertmanager]:
    with running(tmp_path_factory.mktemp("alertmanager"), f"{receiver.url}/own") as server:
        yield server


@pytest.fixture
def channel(server: Alertmanager, tmp_path: Path) -> Channel:
    return make("alertmanager", tmp_path, url=f"{server.url}/")


def shown(server: Alertmanager, name: str) -> list[dict[str, Any]]:
    return [one for one in server.alerts() if one["labels"]["alertname"] == name]


def told(receiver: Answering, name: str) -> list[dict[str, Any]]:
    documents = [json.loads(request.body) for request in receiver.received]
    return [document for document in documents if document["groupLabels"] == {"alertname": name}]


async def test_alertmanager_shows_the_alert_tells_its_webhook_and_ends_it(
    channel: Channel, server: Alertmanager, receiver: Answering
) -> None:
    firing = alert("Shown", type="smoke", team='a\nb 🔥 "c"')
    assert await send(channel, notification(firing)) == "answered 200"

    (seen,) = shown(server, "Shown")
    assert seen["labels"] == dict(firing.labels)
    assert seen["annotations"] == dict(firing.annotations)
    assert seen["fingerprint"] == firing.fingerprint
    (document,) = until(lambda: told(receiver, "Shown"), "the webhook of the Alertmanager fires")
    assert document["status"] == "firing"

    await send(channel, notification(alert("Shown", type="smoke", team='a\nb 🔥 "c"', status="resolved")))
    assert shown(server, "Shown") == []
    until(lambda: len(told(receiver, "Shown")) == 2, "it tells the end")
    assert told(receiver, "Shown")[1]["status"] == "resolved"


async def test_alertmanager_that_was_down_is_told_later_and_tells_once(
    channel: Channel, server: Alertmanager, receiver: Answering
) -> None:
    server.kill()
    with pytest.raises(TemporaryError, match="All connection attempts failed"):
        await send(channel, notification(alert("Down")))
    server.start()
    for _ in range(3):  # also when a second attempt follows one that had arrived
        await send(channel, notification(alert("Down")))

    until(lambda: told(receiver, "Down"), "the webhook of the Alertmanager fires")
    await send(channel, notification(alert("After")))
    until(lambda: told(receiver, "After"), "it has told everything that came before")
    assert len(told(receiver, "Down")) == 1


async def test_alertmanager_that_hangs_is_temporary(channel: Channel, server: Alertmanager) -> None:
    server.freeze()
    try:
        with pytest.raises(TemporaryError):
            await send(channel, notification(), IMPATIENT_S)
    finally:
        server.thaw()


async def test_payload_of_our_webhook_has_what_its_own_has(
    channel: Channel, receiver: Answering, tmp_path: Path
) -> None:
    one = notification(alert("Same", type="smoke"))
    await send(channel, one)
    (theirs,) = until(lambda: told(receiver, "Same"), "the webhook of the Alertmanager fires")
    with answering() as own:
        await send(make("webhook", tmp_path, url=own.url), one)
    ours = json.loads(own.received[0].body)

    assert ours.keys() == theirs.keys()
    assert ours["alerts"][0].keys() == theirs["alerts"][0].keys()
    same = ("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint")
    endless = {**theirs["alerts"][0], "startsAt": "2026-05-28T20:26:40.000Z"}
    assert {key: ours["alerts"][0][key] for key in same} == {key: endless[key] for key in same}
    assert {
        key: ours[key] for key in ("commonLabels", "commonAnnotations", "version", "status", "truncatedAlerts")
    } == {key: theirs[key] for key in ("commonLabels", "commonAnnotations", "version", "status", "truncatedAlerts")}


async def test_no_label_makes_it_refuse_the_others(channel: Channel, server: Alertmanager) -> None:
    odd = (("1", "y"), ("a-b", "x"), ("alertname", "Odd"), ("c", "\ud800"), ("ä", "z"))
    await send(channel, notification(replace(alert(), labels=odd), alert("Odd", annotations={"a b": "\udcff"})))

    assert sorted((one["labels"] for one in shown(server, "Odd")), key=len) == [
        {"alertname": "Odd", "severity": "critical"},
        {"alertname": "Odd", "a_b": "x", "_1": "y", "_": "z", "c": "?"},
    ]


async def test_summary_of_what_was_held_back_is_an_alert(channel: Channel, server: Alertmanager) -> None:
    await send(channel, Notification((), (), "team", "firing", "key", "group", held_back=12, note="So it is."))

    (seen,) = shown(server, "SergasNotice")
    assert seen["labels"] == {"alertname": "SergasNotice", "receiver": "team", "severity": "info"}
    assert seen["annotations"] == {
        "summary": "So it is. 12 notifications held back in the last minute: the cap of this channel"
    }


# What is sent, without a server


def sent(told: Notification) -> list[dict[str, Any]]:
    return alertmanager.alerts(told, wall_s=NOW_S)


def test_alert_that_fires_lasts_until_it_has_been_sent_again_a_few_times() -> None:
    (one,) = sent(notification(alert(), external_url="https://ci.example"))

    assert (one["startsAt"], one["endsAt"]) == ("2026-05-28T20:26:40.000Z", "2026-05-28T20:47:20.000Z")
    assert one["generatorURL"] == "https://ci.example"
    assert LASTS_S >= 3 * RESEND_S


def test_alert_that_is_over_ends_when_it_ended() -> None:
    (one,) = sent(notification(alert(status="resolved")))

    assert (one["startsAt"], one["endsAt"]) == ("2026-05-28T20:26:40.000Z", "2026-05-28T20:28:20.000Z")


def test_clock_that_was_set_back_lets_no_alert_end_before_it_began_or_in_the_future() -> None:
    (one,) = alertmanager.alerts(notification(alert(status="resolved")), wall_s=STARTED_S - 5)

    assert (one["startsAt"], one["endsAt"]) == ("2026-05-28T20:26:35.000Z", "2026-05-28T20:26:35.000Z")


def test_address_with_a_query_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make("alertmanager", tmp_path, url="http://alertmanager?a=b")

    assert raised.value.faults == ("channels.team: url = '***': a query or a fragment is of no use here; remove it",)


def test_alertmanager_is_asked_to_be_told_again(tmp_path: Path) -> None:
    assert make("alertmanager", tmp_path, url="http://alertmanager").resend_s == RESEND_S
