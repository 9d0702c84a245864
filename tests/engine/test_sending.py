"""How a channel sends: four at once, one for each group and in order within it; what hangs or fails delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pytest_sergas.channels import Channel
from pytest_sergas.core.messages import Notification
from pytest_sergas.engine import outbox
from pytest_sergas.engine.alert_history import Asked
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.errors import FinalError, TemporaryError
from tests.engine.alerted import AT_ONCE, PATIENT_S, Clock, Receiver, alerting, answered, found, labels, planned

pytestmark = pytest.mark.integration

EACH = replace(AT_ONCE, group_by=("alertname",))


@dataclass
class Doors:
    """A channel whose messages wait, each behind the door of its first alert, until a test opens it.

    Attributes:
        inside: what is in the receiver's hands, in the order in which it came.
        answers: name of an alert → the exceptions of its first messages.
    """

    name: str = "chat"
    secrets: tuple[str, ...] = ()
    resend_s: float | None = None
    inside: list[str] = field(default_factory=list)
    most: int = 0
    got: list[Notification] = field(default_factory=list)
    answers: dict[str, list[Exception]] = field(default_factory=dict)
    _doors: dict[str, asyncio.Event] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self, *names: str) -> None:
        for name in names:
            self._doors.setdefault(name, asyncio.Event()).set()

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del timeout_s
        name = notification.alerts[0].name
        self.inside.append(name)
        self.most = max(self.most, len(self.inside))
        self._changed.set()
        try:
            await self._doors.setdefault(name, asyncio.Event()).wait()
            if self.answers.get(name):
                raise self.answers[name].pop(0)
            self.got.append(notification)
        finally:
            self.inside.remove(name)
            self._changed.set()
        return ""

    async def when(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENT_S):
            while not holds():
                await self._changed.wait()
                self._changed.clear()

    def told(self) -> list[str]:
        return [f"{one.alerts[0].name} {one.status}" for one in self.got]


@asynccontextmanager
async def sending(chat: Channel, clock: Clock, path: Path | None = None) -> AsyncIterator[Alerting]:
    async with alerting(path, planned(chat, routes=[EACH]), clock) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts are not what is tested here, but those that a receiver asks for are."""
    monkeypatch.setattr(outbox, "retry_s", lambda _attempts, _jitter, after_s: after_s or 0.01)


async def test_four_are_sent_at_once_and_no_more(clock: Clock) -> None:
    chat = Doors()
    async with sending(chat, clock) as running:
        await running.took_place([found(clock(), *"ABCDEF")])
        await chat.when(lambda: len(chat.inside) == 4)
        chat.open("B")
        await chat.when(lambda: len(chat.inside) == 4 and "E" in chat.inside)
        assert sorted(chat.inside) == ["A", "C", "D", "E"]
        chat.open(*"ACDEF")
        await answered(running, clock)

    assert chat.most == 4
    assert sorted(chat.told()) == [f"{name} firing" for name in "ABCDEF"]


async def test_message_that_hangs_delays_no_other_group(clock: Clock) -> None:
    chat = Doors()
    chat.open(*"BCDEFGHIJ")
    async with sending(chat, clock) as running:
        await running.took_place([found(clock(), *"ABCDEFGHIJ")])
        await chat.when(lambda: len(chat.got) == 9)

        assert chat.inside == ["A"]


@pytest.mark.usefixtures("impatient")
async def test_message_that_fails_again_and_again_delays_no_other_group(clock: Clock) -> None:
    chat = Doors(answers={"A": [TemporaryError("500")] * 1_000})
    chat.open(*"ABC")
    async with sending(chat, clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.when(lambda: len(chat.answers["A"]) < 990)
        await running.took_place([found(clock(), *"ABC")])
        await chat.when(lambda: len(chat.got) == 2)

        assert sorted(chat.told()) == ["B firing", "C firing"]


async def test_end_of_an_alert_waits_for_its_beginning(clock: Clock) -> None:
    chat = Doors()
    async with sending(chat, clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.when(lambda: chat.inside == ["A"])
        await running.took_place([found(clock())])
        assert chat.inside == ["A"]
        chat.open("A")
        await answered(running, clock)

    assert chat.told() == ["A firing", "A resolved"]


async def test_what_is_critical_goes_first(clock: Clock) -> None:
    chat = Doors()
    async with sending(chat, clock) as running:
        await running.took_place([found(clock(), *"ABCDEFG")])
        await chat.when(lambda: len(chat.inside) == 4)
        await running.took_place([found(clock(), labels("Fire", "critical"), rule="other")])
        chat.open("A", "Fire")
        await chat.when(lambda: len(chat.got) == 2)
        chat.open(*"BCDEFG")
        await answered(running, clock)

    assert chat.told()[:2] == ["A firing", "Fire firing"]


@pytest.mark.usefixtures("impatient")
async def test_retry_after_pauses_the_whole_channel(clock: Clock) -> None:
    chat = Doors(answers={"A": [TemporaryError("429", 3_600)]})
    chat.open(*"AB")
    async with sending(chat, clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.when(lambda: not chat.answers["A"] and not chat.inside)
        await running.took_place([found(clock(), *"AB")])
        line = running._outbox._lines["chat"]  # noqa: SLF001  that nothing happens for an hour
        await asyncio.sleep(0)
        assert line.paused_s > asyncio.get_running_loop().time() + 3_000
        assert (chat.told(), line.sending) == ([], {})
        running.follow(planned(chat, routes=[EACH]))
        await answered(running, clock)

    assert sorted(chat.told()) == ["A firing", "B firing"]


@pytest.mark.usefixtures("impatient")
async def test_summary_keeps_every_group_in_it_waiting(clock: Clock) -> None:
    chat = Doors()
    chat.open("First")
    channel = replace(planned(chat, routes=[EACH]).channels[0][0], max_alerts_per_minute=1)
    plan = replace(planned(chat, routes=[EACH]), channels=((channel, chat),))
    async with alerting(None, plan, clock) as running:
        await running.took_place([found(clock(), "First")])
        await answered(running, clock)
        await running.took_place([found(clock(), "First", *"AB")])
        clock.pass_by(60)
        await running.took_place([found(clock(), "First", *"AB")])
        await chat.when(lambda: chat.inside == ["A"])
        clock.pass_by(60)
        await running.took_place([found(clock(), "First")])
        assert chat.inside == ["A"]
        chat.open("A", "B")
        await chat.when(lambda: len(chat.got) >= 3)
        clock.pass_by(60)
        await running.took_place([found(clock(), "First")])
        await answered(running, clock)

    assert [sorted((one.name, one.status) for one in got.alerts) for got in chat.got[:2]] == [
        [("First", "firing")],
        [("A", "firing"), ("B", "firing")],
    ]
    assert chat.got[1].held_back == 2
    assert {(one.name, one.status) for got in chat.got[2:] for one in got.alerts} == {
        ("A", "resolved"),
        ("B", "resolved"),
    }


# Refusals, on a store


async def test_refused_alert_is_told_at_the_next_interval(path: Path, clock: Clock) -> None:
    chat = Receiver(answers=[FinalError("401: who are you?")])
    route = replace(AT_ONCE, group_interval_s=30)
    async with alerting(path, planned(chat, routes=[route]), clock) as running:
        await running.took_place([found(clock(), "A")])
        await answered(running, clock)
        clock.pass_by(29)
        await running.took_place([found(clock(), "A")])
        assert chat.attempts == 1
        clock.pass_by(1)
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
        await answered(running, clock)
        events = await running.history.newest(Asked(10, channel="chat"))

    assert chat.told() == ["A fires"]
    assert [(event.why, event.delivery.state if event.delivery else "") for event in events] == [
        ("after_refusal", "delivered"),
        ("new", "failed"),
    ]


@pytest.mark.parametrize("how", ["reload", "restart"])
async def test_refused_alert_is_told_after_a_reload_and_a_restart(how: str, path: Path, clock: Clock) -> None:
    wrong, right = Receiver(answers=[FinalError("401")] * 10), Receiver()
    route = replace(AT_ONCE, group_interval_s=3_000)
    async with alerting(path, planned(wrong, routes=[route]), clock) as running:
        await running.took_place([found(clock(), "A")])
        await answered(running, clock)
        if how == "reload":
            running.follow(planned(right, routes=[route]))
            await right.until(1)
    if how == "restart":
        async with alerting(path, planned(right, routes=[route]), clock):
            await right.until(1)

    assert (wrong.attempts, right.told()) == (1, ["A fires"])


@pytest.mark.parametrize("restarts", [False, True], ids=["one process", "two processes"])
async def test_refused_alert_that_ended_is_not_told(restarts: bool, path: Path, clock: Clock) -> None:  # noqa: FBT001
    chat = Receiver(answers=[FinalError("401")])
    async with alerting(path, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A")])
        await answered(running, clock)
        if not restarts:
            await running.took_place([found(clock())])
            await answered(running, clock)
    if restarts:
        waits = planned(chat, routes=[replace(AT_ONCE, group_wait_s=60)])
        async with alerting(path, waits, clock) as running:
            await running.took_place([found(clock())])
            clock.pass_by(60)
            await running.took_place([found(clock())])

    assert (chat.attempts, chat.told()) == (1, [])


async def test_refused_end_is_told_by_the_next_process(path: Path, clock: Clock) -> None:
    chat, after = Receiver(), Receiver()
    async with alerting(path, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A")])
        await answered(running, clock)
        chat.answers.append(FinalError("401"))
        await running.took_place([found(clock())])
        await answered(running, clock)
    async with alerting(path, planned(after), clock) as running:
        await after.until(1)
        await answered(running, clock)
    async with alerting(path, planned(last := Receiver()), clock) as running:
        await running.took_place([found(clock())])

    assert (chat.told(), after.told(), last.told()) == (["A fires"], ["A over"], [])


async def test_message_that_waits_is_not_sent_where_no_route_leads_any_more(path: Path, clock: Clock) -> None:
    team, pager = Receiver("team", answers=[TemporaryError("down", 3_600)]), Receiver("pager")
    before = replace(AT_ONCE, channels=("team",))
    async with alerting(path, planned(team, pager, routes=[before]), clock) as running:
        await running.took_place([found(clock(), "A")])
        await team.when(lambda: team.attempts == 1)
        running.follow(planned(team, pager, routes=[replace(AT_ONCE, channels=("pager",))]))
        await pager.until(1)
        await answered(running, clock)
        events = await running.history.newest(Asked(10, channel="team"))

    assert (team.told(), pager.told()) == ([], ["A fires"])
    assert [(one.delivery.state, one.delivery.result) for one in events if one.delivery] == [
        ("dropped", "no route leads to this channel any more")
    ]
