"""From an evaluation to receivers that are real: webhooks that fail in every way, and an Alertmanager that was down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.channels import Channel
from pytest_sergas.core.routes import Route
from pytest_sergas.engine import outbox
from pytest_sergas.engine.alert_history import Asked
from pytest_sergas.engine.alerting import Alerting
from tests.channels.conftest import make
from tests.engine.alerted import AT_ONCE, Clock, alerting, found, labels, planned
from tests.servers import gateways
from tests.servers.alertmanager import alertmanager
from tests.servers.gateways import Answer, Answering, Received, answering
from tests.servers.process import until

pytestmark = pytest.mark.integration

TEAM = replace(AT_ONCE, channels=("team",))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts are not what is tested here."""
    monkeypatch.setattr(outbox, "retry_s", lambda *_: 0.01)


@contextmanager
def webhook(*answers: Answer) -> Iterator[Answering]:
    """Give these answers in their order, and then nothing but 200."""
    left = list(answers)
    with answering(lambda _: left.pop(0) if left else Answer()) as server:
        yield server


async def when(holds: Callable[[], Any]) -> None:
    """Wait until ``holds()``; the event loop goes on meanwhile."""
    await asyncio.to_thread(until, holds, "it arrives", deadline_s=60)


async def result(running: Alerting, name: str) -> tuple[str, int, str]:
    """Return what became of the notification that says that ``name`` fires: state, attempts, text."""
    events = await running.history.newest(Asked(100, name=name))
    [told] = [event for event in events if event.event == "told" and event.delivery is not None]
    assert told.delivery is not None
    return told.delivery.state, told.delivery.attempts, told.delivery.result


def team(channel: Channel, *others: Channel, route: Route = TEAM) -> Any:
    return planned(channel, *others, routes=[route])


async def test_500_twice_is_one_delivery_with_one_key(clock: Clock, tmp_path: Path) -> None:
    with webhook(Answer(500), Answer(500)) as server:
        async with alerting(None, team(make("webhook", tmp_path, url=server.url)), clock) as running:
            await running.took_place([found(clock(), "A")])
            await when(lambda: len(server.received) == 3)
            await running.took_place([found(clock(), "A")])
            await running.took_place([found(clock(), "A", "B")])
            await when(lambda: len(server.received) == 4)
            assert await result(running, "A") == ("delivered", 3, "answered 200")

    *same, last = (request.headers["Idempotency-Key"] for request in server.received)
    assert len(set(same)) == 1
    assert last != same[0]
    assert [names(request) for request in server.received] == [["A"], ["A"], ["A"], ["A", "B"]]


async def test_400_is_not_tried_again(clock: Clock, tmp_path: Path) -> None:
    with webhook(Answer(400, "no such room")) as server:
        async with alerting(None, team(make("webhook", tmp_path, url=server.url)), clock) as running:
            await running.took_place([found(clock(), "A")])
            await when(lambda: server.received)
            await running.took_place([found(clock(), "A", "B")])
            await when(lambda: len(server.received) == 2)
            assert await result(running, "A") == ("failed", 1, f"{server.url}: answered 400: no such room")


async def test_redirect_is_refused(clock: Clock, tmp_path: Path) -> None:
    with webhook() as other, webhook(Answer(302, "", {"Location": other.url})) as server:
        async with alerting(None, team(make("webhook", tmp_path, url=server.url)), clock) as running:
            await running.took_place([found(clock(), "A")])
            await until_state(running, "A", "failed")
            assert await result(running, "A") == (
                "failed",
                1,
                f"{server.url}: answered 302 and names {other.url}, which is not followed",
            )

    assert other.received == []


@pytest.mark.parametrize("wrong", [gateways.hanging, gateways.resetting], ids=["hangs", "resets"])
async def test_receiver_that_fails_delays_no_other(wrong: Callable[[], Any], clock: Clock, tmp_path: Path) -> None:
    with wrong() as url, webhook() as server:
        broken = Renamed(make("webhook", tmp_path, url=url), "broken")
        good = make("webhook", tmp_path, url=server.url)
        both = replace(TEAM, channels=("broken", "team"))
        async with alerting(None, team(broken, good, route=both), clock) as running:
            await running.took_place([found(clock(), "A")])
            await when(lambda: server.received)
            await running.took_place([found(clock())])
            await when(lambda: len(server.received) == 2)

            assert running.counts()["total_active"] == 0
            waiting = dict(values(running, clock, "sergas_notifications_waiting"))

    assert waiting == {"broken": 1.0, "team": 0.0}  # the end waits until it is known whether anybody knows


async def test_wrong_secret_fails_and_the_history_says_why(clock: Clock, tmp_path: Path) -> None:
    with webhook(Answer(401, "who are you?")) as server:
        async with alerting(None, team(make("webhook", tmp_path, url=server.url)), clock) as running:
            await running.took_place([found(clock(), "A")])
            await until_state(running, "A", "failed")
            assert await result(running, "A") == ("failed", 1, f"{server.url}: answered 401: who are you?")


async def test_alertmanager_that_was_down_is_told_once_and_learns_the_end(clock: Clock, tmp_path: Path) -> None:
    with answering() as told, alertmanager(tmp_path, told.url) as server:
        server.kill()
        channel = make("alertmanager", tmp_path, url=server.url)
        async with alerting(None, team(channel), clock) as running:
            await running.took_place([found(clock(), "Down")])
            for _ in range(4):
                clock.pass_by(30)
                await running.took_place([found(clock(), "Down")])
            server.start()
            await when(lambda: told.received)
            assert [names(request) for request in told.received] == [["Down"]]
            assert [one["labels"] for one in server.alerts()] == [dict(labels("Down"))]

            await running.took_place([found(clock())])
            await when(lambda: len(told.received) == 2)

    first, last = (json.loads(request.body) for request in told.received)
    assert (first["status"], last["status"]) == ("firing", "resolved")


async def test_alertmanager_that_forgot_is_told_again(clock: Clock, tmp_path: Path) -> None:
    with answering() as told, alertmanager(tmp_path, told.url) as server:
        channel = make("alertmanager", tmp_path, url=server.url)
        async with alerting(None, team(channel), clock) as running:
            await running.took_place([found(clock(), "Kept")])
            await when(server.alerts)
            server.kill()
            server.start()
            assert server.alerts() == []
            clock.pass_by(61)
            await running.took_place([found(clock(), "Kept")])
            await when(server.alerts)

    assert len(told.received) >= 1


def names(request: Received) -> list[str]:
    return [alert["labels"]["alertname"] for alert in json.loads(request.body)["alerts"]]


def values(running: Alerting, clock: Clock, name: str) -> list[tuple[str, float]]:
    [family] = [family for family in running.families(clock()) if family.name == name]
    return [(dict(sample.labels)["channel"], sample.value) for sample in family.samples]


async def until_state(running: Alerting, name: str, state: str) -> None:
    async with asyncio.timeout(60):
        while (await result(running, name))[0] != state:  # noqa: ASYNC110  it is asked of a store
            await asyncio.sleep(0.01)


class Renamed:
    """A channel under another name."""

    def __init__(self, channel: Channel, name: str) -> None:
        self.name = name
        self.secrets = channel.secrets
        self.resend_s = channel.resend_s
        self.send = channel.send
