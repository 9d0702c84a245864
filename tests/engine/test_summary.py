"""The summary of what the cap of a channel held back: it says what is true when it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.core.series import Labels
from pytest_sergas.engine.alerting import Alerting, Planned
from tests.engine.alerted import AT_ONCE, Clock, Receiver, alerting, answered, found, labels, planned

pytestmark = pytest.mark.integration

BAD = labels("Bad", "critical")
STEPS = st.lists(st.tuples(st.sampled_from([0, 10, 61]), st.sets(st.sampled_from(["A", "B", BAD]))), max_size=12)


def one_a_minute(chat: Receiver) -> Planned:
    """Return a plan in which ``chat`` is told everything together, once a minute at most."""
    channel = ChannelSettings("test", chat.name, max_alerts_per_minute=1)
    return replace(planned(chat, routes=[replace(AT_ONCE, repeat_interval_s=1e6)]), channels=((channel, chat),))


def is_done(running: Alerting, clock: Clock) -> bool:
    """Return whether nothing waits for a channel, and nothing is held back."""
    names = {"sergas_notifications_waiting", "sergas_notifications_held"}
    found = [sample.value for family in running.families(clock()) if family.name in names for sample in family.samples]
    return found == [0, 0]


async def test_alert_that_ended_while_it_was_held_back_is_not_sent(tmp_path: Path) -> None:
    path, clock, chat, after = tmp_path / "sergas.db", Clock(), Receiver(), Receiver()
    async with alerting(path, one_a_minute(chat), clock) as running:
        for names in (["First"], ["First", "A"], ["First", BAD]):
            await running.took_place([found(clock(), *names)])
            await answered(running, clock)
        await chat.until(2)
    clock.pass_by(60)
    async with alerting(path, one_a_minute(after), clock) as running:
        await answered(running, clock)

    assert chat.told() == ["First fires", "Bad fires, First fires"]
    assert after.told() == []


async def test_message_with_what_was_held_back_leaves_nothing_for_a_summary() -> None:
    clock, chat, done = Clock(), Receiver(), []
    async with alerting(None, one_a_minute(chat), clock) as running:
        for names in (["First"], ["First", "A"], ["First", "A", BAD]):
            await running.took_place([found(clock(), *names)])
            await answered(running, clock)
            done.append(is_done(running, clock))
        await chat.until(2)

    assert chat.told() == ["First fires", "Bad fires, A fires, First fires"]
    assert done == [True, False, True]  # A is held back, until the critical alert takes it along


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_whatever_is_held_back_the_channel_knows_in_the_end_what_fires(
    steps: Sequence[tuple[int, set[str | Labels]]],
) -> None:
    firing = {labels(one) if isinstance(one, str) else one for one in (steps[-1][1] if steps else ())}

    async def main() -> set[Labels]:
        clock, chat = Clock(), Receiver()
        async with alerting(None, one_a_minute(chat), clock) as running:
            for seconds, names in steps:
                clock.pass_by(seconds)
                await running.took_place([found(clock(), *names)])
            clock.pass_by(61)
            await running.took_place([found(clock(), *firing)])
            while not is_done(running, clock):
                await answered(running, clock)
                clock.pass_by(61)
                await running.took_place([found(clock(), *firing)])
        known: set[Labels] = set()
        for alert in (alert for one in chat.got for alert in one.alerts):
            (known.add if alert.status == "firing" else known.discard)(alert.labels)
        return known

    assert asyncio.run(main()) == firing
