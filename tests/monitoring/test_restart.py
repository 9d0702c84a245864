"""A program that starts again with the store that it had: its alerts go on, and nobody is told twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pytest_sergas import AlertRule, ComprehensiveMonitoringSystem, Notification, TemporaryError
from pytest_sergas.engine.alert_history import Asked
from tests.monitoring.test_system import FEW, Receiver, orders

pytestmark = pytest.mark.integration


def restarted(root: Path, receiver: Receiver, values: list[float], *rules: AlertRule) -> ComprehensiveMonitoringSystem:
    """Return a new system on the store in ``root``."""
    system = ComprehensiveMonitoringSystem({"root": root, "store": "sergas.db", "monitoring_interval": 0.1})
    system.alert_manager.add_notification_channel(receiver)
    for rule in rules:
        system.add_custom_alert_rule(rule)
    system.add_custom_metric_collector(orders(values))
    return system


async def test_alert_is_told_once_across_restarts_and_so_is_its_end(tmp_path: Path) -> None:
    receiver, values = Receiver(), [3.0]
    async with asyncio.timeout(60):
        async with restarted(tmp_path, receiver, values, FEW).lifespan():
            first = await receiver.told.get()
        async with restarted(tmp_path, receiver, values, FEW).lifespan():
            values[0] = 9.0
            last = await receiver.told.get()

    assert [first.status, last.status] == ["firing", "resolved"]
    assert receiver.told.empty()


class Down(Receiver):
    """A channel that takes nothing, and says when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del notification, timeout_s
        self.asked.set()
        raise TemporaryError("down", 3600)


async def test_what_waits_for_a_channel_of_the_program_is_delivered_by_the_next_process(tmp_path: Path) -> None:
    down, receiver = Down(), Receiver()
    async with asyncio.timeout(60):
        async with restarted(tmp_path, down, [3.0], FEW).lifespan():
            await down.asked.wait()
        async with restarted(tmp_path, receiver, [3.0], FEW).lifespan():
            told = await receiver.told.get()

    assert told.status == "firing"


async def test_alert_of_a_rule_that_the_next_process_does_not_add_ends(tmp_path: Path) -> None:
    receiver = Receiver()
    async with asyncio.timeout(60):
        async with restarted(tmp_path, receiver, [3.0], FEW).lifespan():
            await receiver.told.get()
        system = restarted(tmp_path, receiver, [3.0])
        async with system.lifespan():
            last = await receiver.told.get()
            events = await system.engine.alerting.history.newest(Asked(100, name=FEW.name))

    assert (last.status, last.alerts[0].reason) == ("resolved", "rule_gone")
    assert [event.why for event in events if event.event == "resolved"] == ["rule_gone"]
