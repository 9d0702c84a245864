"""Whether budgets tell a slow test from a busy machine, and what measuring costs a test.

On a machine kept busy by twice as many spinning processes as it has cores, four kinds of call are made at 80 % of
their budget (every verdict "over" is a false alarm) and at 1.3 times (every other one is a defect that was missed).
Beside the rates stand those of plain wall time: one attempt, judged by the clock. The calls are measured and judged
by what the plugin uses for a test, without pytest round them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from timeit import repeat

import pytest

from pytest_sergas.core.budgets import Budgets, Decision, judge
from pytest_sergas.core.measurement import Measurement
from pytest_sergas.plugin.measuring import Meter
from tests.benchmarks.runs import show

pytestmark = pytest.mark.performance(timeout=1800)

RUNS = int(os.environ.get("BENCH_BUDGET_RUNS", "200"))
WORK_S = 0.012
BOUND_US = 15.0


def compute(seconds: float) -> None:
    end_s = time.thread_time() + seconds
    while time.thread_time() < end_s:
        pass


def wait(seconds: float) -> None:
    time.sleep(seconds)


def awaiting(seconds: float) -> None:
    asyncio.run(asyncio.sleep(seconds))


def compute_then_sleep(seconds: float) -> None:
    compute(seconds / 2)
    time.sleep(seconds / 2)


KINDS: dict[str, Callable[[float], None]] = {
    "computing": compute,
    "sleeping": wait,
    "awaiting": awaiting,
    "computing, then sleeping": compute_then_sleep,
}


def spin() -> None:
    while True:
        pass


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes computing."""
    context = multiprocessing.get_context("fork")
    spinning = [context.Process(target=spin, daemon=True) for _ in range(processes)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.join()


def over(meter: Meter, call: Callable[[float], None], share: float) -> tuple[bool, bool]:
    """Return whether a test is over its budget, and whether the first attempt was by the clock alone."""
    budget_s = WORK_S
    budgets = Budgets(duration_s=budget_s, attempts=3, most=5)
    samples: list[Measurement] = []
    while True:
        meter.start(exact=False)
        call(budget_s * share)
        samples.append(Measurement(*meter.stop()))
        decision = judge(budgets, samples, "performance").decision
        if decision is not Decision.REPEAT:
            return decision is Decision.OVER, samples[0].wall_s > budget_s


def rates(share: float, worker: int) -> dict[str, tuple[int, int]]:
    """Return kind of call → how often it was over the budget, and how often by the clock alone."""
    del worker
    meter = Meter()
    found = {}
    for name, call in KINDS.items():
        verdicts = [over(meter, call, share) for _ in range(RUNS)]
        found[name] = sum(first for first, _ in verdicts), sum(plain for _, plain in verdicts)
    meter.close()
    return found


def in_two_processes(share: float) -> list[dict[str, tuple[int, int]]]:
    """The same as with ``-n 2``."""
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        return pool.starmap(rates, [(share, 0), (share, 1)])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_busy_machine_raises_no_alarm_and_hides_no_defect(workers: int) -> None:
    with busy(2 * (os.cpu_count() or 1)):
        if workers == 1:
            quick, slow = [rates(0.8, 0)], [rates(1.3, 0)]
        else:
            quick, slow = in_two_processes(0.8), in_two_processes(1.3)

    rows: list[tuple[str, ...]] = [("", "over", "by wall time", "caught", "by wall time")]
    for good, bad in zip(quick, slow, strict=True):
        rows += [(name, *map(str, good[name]), *map(str, bad[name])) for name in KINDS]
    show(f"{RUNS} tests each at 80 % and at 130 % of the budget, {workers} at once on a busy machine", *rows)
    for good, bad in zip(quick, slow, strict=True):
        for name in KINDS:
            assert good[name][0] <= RUNS / 200, name
            assert bad[name][0] >= RUNS - RUNS / 200, name


def test_measuring_costs_at_most_15_us_a_test() -> None:
    meter = Meter()

    def measure() -> None:
        meter.start(exact=False)
        meter.stop()

    # Noise only adds: the smallest of many is what it costs.
    cost_us = min(repeat(measure, number=200, repeat=100)) / 200 * 1e6
    meter.close()

    show("measuring a test without a memory budget", ("", "µs", "bound"), (meter.method, f"{cost_us:.1f}", "15"))
    assert cost_us <= BOUND_US
