"""What a storm costs: ten thousand alerts at once, until they are all in the outbox, durable."""

from __future__ import annotations

import gc
import time
import tracemalloc
from pathlib import Path

import pytest

from tests.benchmarks.runs import show
from tests.engine.alerted import Clock, Receiver, alerting, found, labels, planned

pytestmark = pytest.mark.performance

ALERTS = 10_000
HEAD = ("", "measured", "bound")
IN_OUTBOX_S = 10.0
RATIO = 3
# All that is alive at the worst moment: states, groups, rows to write, notifications.
ALERT_BOUND_BYTES = 10 * 1024


async def storm(path: Path, alerts: int) -> float:
    """Return the seconds from an evaluation that finds so many alerts until they are durable."""
    clock, chat = Clock(), Receiver()
    async with alerting(path, planned(chat), clock) as running:
        many = [labels("DiskFull", disk=f"{number:05}") for number in range(alerts)]
        evaluation = found(clock(), *many)
        gc.collect()
        begin = time.perf_counter()
        await running.took_place([evaluation])
        took_s = time.perf_counter() - begin
        await chat.until(alerts // 1_000)
    assert sum(len(notification.alerts) for notification in chat.got) == alerts
    return took_s


async def test_ten_thousand_alerts_are_in_the_outbox_within_ten_seconds(tmp_path: Path) -> None:
    took_s = await storm(tmp_path / "sergas.db", ALERTS)
    show("10,000 alerts", HEAD, ("until they are in the outbox", f"{took_s:.2f} s", f"{IN_OUTBOX_S:g} s"))

    assert took_s <= IN_OUTBOX_S


async def test_cost_of_an_alert_does_not_grow_with_their_number(tmp_path: Path) -> None:
    few_s = min([await storm(tmp_path / f"{number}.db", ALERTS // 10) for number in range(3)])
    many_s = await storm(tmp_path / "many.db", ALERTS)
    ratio = many_s / few_s / 10
    show("10,000 alerts", HEAD, ("each, as times of one of 1,000", f"{ratio:.2f}", f"{RATIO}"))

    assert ratio <= RATIO


async def test_memory_of_a_storm_is_bounded(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        await storm(tmp_path / "sergas.db", ALERTS)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    row = ("bytes for each at the worst moment", f"{peak_bytes / ALERTS:.0f}", f"{ALERT_BOUND_BYTES}")
    show("10,000 alerts", HEAD, row)

    assert peak_bytes / ALERTS <= ALERT_BOUND_BYTES
