"""What the history of alerts says: when, why, to whom, with what result, or why not; and what it counts and forgets."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.core import pacing
from pytest_sergas.engine import alert_history, outbox
from pytest_sergas.engine.alert_history import Asked, Delivery, Event
from pytest_sergas.engine.alerting import Alerting, Planned
from tests.engine.alerted import AT_ONCE, PATIENT_S, Clock, Receiver, alerting, answered, found, labels, planned

pytestmark = pytest.mark.integration


async def delivered(running: Alerting, count: int) -> None:
    """Wait until ``count`` notifications are delivered, as far as the store knows."""
    async with asyncio.timeout(PATIENT_S):
        while sum(map(is_over, await running.history.newest(Asked(100)))) < count:  # noqa: ASYNC110  asked of a store
            await asyncio.sleep(0.01)


def is_over(event: Event) -> bool:
    return finished_s(event) is not None


def finished_s(event: Event) -> float | None:
    return event.delivery.finished_s if event.delivery else None


def delivery(event: Event) -> Delivery:
    assert event.delivery is not None
    return event.delivery


async def test_history_answers_why_to_whom_and_with_what_result(clock: Clock) -> None:
    chat = Receiver()
    async with alerting(None, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
        clock.pass_by(60)
        await running.took_place([found(clock(), gone=[labels("A")])])
        await chat.until(2)
        await running.took_place([found(clock())])
        clock.pass_by(1)
        await running.keep_rules(frozenset())  # whatever is under way is committed now
        events = await running.history.newest(Asked(10))

    assert [(event.event, event.why, event.channel) for event in reversed(events)] == [
        ("firing", "condition_true", ""),
        ("told", "new", "chat"),
        ("resolved", "series_gone", ""),
        ("told", "resolved", "chat"),
    ]
    first = events[-2]
    assert first.delivery is not None
    assert (first.delivery.key, first.delivery.state, first.delivery.result) == (
        chat.got[0].key,
        "delivered",
        "thank you",
    )
    assert {event.source for event in events} == {"tests"}


async def test_every_event_has_its_moment(clock: Clock) -> None:
    chat, start_s = Receiver(), clock.wall_s
    async with alerting(None, planned(chat), clock) as running:
        begun = found(clock(), "A")
        clock.pass_by(1)  # evaluating takes its time
        await running.took_place([begun])
        await delivered(running, 1)
        clock.pass_by(60)
        await running.took_place([found(clock())])
        await delivered(running, 2)
        events = await running.history.newest(Asked(10))

    moments = [(event.event, event.at_s - start_s, finished_s(event)) for event in reversed(events)]
    assert moments == [
        ("firing", 0, None),
        ("told", 1, start_s + 1),
        ("resolved", 61, None),
        ("told", 61, start_s + 61),
    ]


async def test_what_the_cap_held_back_says_so_and_in_which_summary_it_was(clock: Clock) -> None:
    chat, start_s = Receiver(), clock.wall_s
    settings = ChannelSettings("test", "chat", max_alerts_per_minute=1)
    async with alerting(None, Planned(((settings, chat),), (AT_ONCE,)), clock) as running:
        await running.took_place([found(clock(), "A")])
        await answered(running, clock)
        await running.took_place([found(clock(), "B", rule="other")])
        held = (await running.history.newest(Asked(1, name="B", channel="chat")))[0]
        clock.pass_by(60)
        await running.took_place([found(clock(), "B", rule="other")])
        await chat.until(2)
        await answered(running, clock)
        told, _ = await running.history.newest(Asked(10, name="B", channel="chat"))

    assert (held.event, held.why, held.detail, held.at_s) == ("not_told", "rate_cap", "new", start_s)
    assert held.delivery is None
    assert (told.event, told.why, told.at_s) == ("told", "new", start_s + 60)
    assert (delivery(told).state, delivery(told).key, finished_s(told)) == ("delivered", chat.got[1].key, start_s + 60)
    assert chat.got[1].held_back == 1


async def test_what_was_held_back_while_a_channel_was_down_says_so(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BACKLOG", 1)
    monkeypatch.setattr(pacing, "BACKLOG", 1)
    chat = Receiver(gate=asyncio.Event())
    each = replace(AT_ONCE, group_by=("alertname",))
    async with alerting(None, planned(chat, routes=[each]), clock) as running:
        await running.took_place([found(clock(), "A")])
        await running.took_place([found(clock(), "B", rule="other")])
        [told] = await running.history.newest(Asked(10, name="B", channel="chat"))

    assert (told.event, told.why, told.detail) == ("not_told", "channel_is_down", "new")


async def test_trends_count_beginnings_by_day_level_and_source(clock: Clock) -> None:
    async with alerting(None, planned(Receiver()), clock) as running:
        await running.took_place([found(clock(), "A", labels("B", "critical"))])
        clock.pass_by(86_400)
        await running.took_place([found(clock())])
        await running.took_place([found(clock(), "A")])
        trends = await running.history.trends(7, clock.wall_s)

    assert trends == {
        "by_level": {"2023-11-14": {"critical": 1, "warning": 1}, "2023-11-15": {"warning": 1}},
        "by_source": {"2023-11-14": {"tests": 2}, "2023-11-15": {"tests": 1}},
    }


async def test_history_is_bounded(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_history, "EVENTS_LIMIT", 10)
    monkeypatch.setattr(alert_history, "_PRUNE_EVERY", 5)
    chat = Receiver()
    async with alerting(path, planned(chat), clock) as running:
        for number in range(20):
            clock.pass_by(60)
            await running.took_place([found(clock(), "A")])
            await running.took_place([found(clock())])
            await chat.until(2 * number + 2)
    connection = sqlite3.connect(path)
    events = connection.execute("SELECT count(*) FROM alert_history").fetchone()[0]
    notifications = connection.execute("SELECT count(*) FROM notifications").fetchone()[0]
    connection.close()

    assert events <= 15
    assert notifications <= 15
