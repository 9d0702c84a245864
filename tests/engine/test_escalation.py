"""Escalation in a running alerting: by its own timer, and across a restart before it is due."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sergas.core.routes import Escalation
from pytest_sergas.engine.alerting import Planned
from tests.engine.alerted import AT_ONCE, Clock, Receiver, alerting, found, planned

pytestmark = pytest.mark.integration


def escalating(*receivers: Receiver, after_s: float) -> Planned:
    return planned(*receivers, routes=[replace(AT_ONCE, escalations=(Escalation(after_s, ("boss",)),))])


async def test_alert_that_still_fires_is_escalated_without_a_further_evaluation(clock: Clock) -> None:
    chat, boss = Receiver(), Receiver("boss")
    async with alerting(None, escalating(chat, boss, after_s=0.05), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
        clock.pass_by(0.05)
        await boss.until(1)
        await running.took_place([found(clock())])
        await asyncio.gather(chat.until(2), boss.until(2))

    assert chat.told() == boss.told() == ["A fires", "A over"]
    assert [one.note for one in boss.got] == ["still firing, therefore escalated", ""]


async def test_alert_that_is_over_in_time_is_not_escalated(clock: Clock) -> None:
    chat, boss = Receiver(), Receiver("boss")
    async with alerting(None, escalating(chat, boss, after_s=600), clock) as running:
        await running.took_place([found(clock(), "A")])
        clock.pass_by(599)
        await running.took_place([found(clock())])
        clock.pass_by(1)
        await running.took_place([found(clock(), "B", rule="other")])
        await chat.until(3)

    assert boss.got == []


async def test_escalation_is_due_at_its_time_after_a_restart_as_well(tmp_path: Path, clock: Clock) -> None:
    path, chat, boss = tmp_path / "sergas.db", Receiver(), Receiver("boss")
    async with alerting(path, escalating(chat, boss, after_s=600), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
    clock.pass_by(599.95)
    clock.monotonic_s = 5.0  # another boot
    async with alerting(path, escalating(chat, boss, after_s=600), clock) as running:
        await running.took_place([found(clock(), "A")])
        assert boss.attempts == 0
        clock.pass_by(0.05)
        await boss.until(1)

    assert (chat.told(), boss.told()) == (["A fires"], ["A fires"])
