"""Whether budgets tell a slow test from a busy machine, and what measuring costs a test.

On a machine kept busy by twice as many spinning processes as it has cores, four kinds of call are made at 80 % of
their budget (every verdict "over" is a false alarm) and at 1.3 times (every other one is a defect that was missed).
Beside the rates stand those of plain wall time: one attempt, judged by the clock. The calls are measured and judged
by what the plugin uses for a test, without pytest round them; fewer of them once more, as tests of a real run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from timeit import repeat

import pytest

from pytest_sergas.core.budgets import Budgets, Decision, judge
from pytest_sergas.core.ctrf_reading import from_json
from pytest_sergas.core.measurement import Measurement
from pytest_sergas.core.records import Outcome
from pytest_sergas.plugin.measuring import Meter
from pytest_sergas.plugin.pace import Pace
from tests.benchmarks.runs import environment, plugins, show

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


def cost_us() -> float:
    """Return what measuring a test without a memory budget costs this process."""
    meter = Meter()

    def measure() -> None:
        meter.start(exact=False)
        meter.stop()

    # Noise only adds: the smallest of many is what it costs.
    least_s = min(repeat(measure, number=200, repeat=100)) / 200
    meter.close()
    return least_s * 1e6


def cost_under_a_large_parent_us() -> float:
    """The same where getrusage() tells the parent's peak for ever, and the kernel's mark is read from its file."""
    child = "from tests.benchmarks.bench_budgets import cost_us; print(cost_us())"
    parent = f"import subprocess, sys; held = bytearray(300 << 20); subprocess.run([sys.executable, '-c', {child!r}])"
    done = subprocess.run(
        [sys.executable, "-c", parent], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_measuring_costs_at_most_15_us_a_test() -> None:
    pace = Pace()

    def compare() -> None:
        pace.start()
        pace.slowness()

    plain_us, child_us = cost_us(), cost_under_a_large_parent_us()
    pace_us = min(repeat(compare, number=5, repeat=20)) / 5 * 1e6

    show(
        "measuring a test without a memory budget",
        ("", "µs", "bound"),
        ("as it is", f"{plain_us:.1f}", f"{BOUND_US:.0f}"),
        ("under a parent of 300 MiB", f"{child_us:.1f}", "-"),
        ("with max_regression, beside it", f"{pace_us:.1f}", "-"),
    )
    # Under a large parent the kernel's mark has to be read from its file, which costs it more than all else together.
    assert plain_us <= BOUND_US


SUITE_TESTS = 50
SUITE = f"""
import pytest
from tests.benchmarks.bench_budgets import KINDS, WORK_S

@pytest.mark.unit(max_duration=WORK_S)
@pytest.mark.parametrize("share", [0.8, 1.3])
@pytest.mark.parametrize("number", range({SUITE_TESTS}))
@pytest.mark.parametrize("kind", KINDS)
def test_one(kind, number, share):
    KINDS[kind](WORK_S * share)
"""


def test_real_runs_with_workers_raise_no_alarm_and_hide_no_defect(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    here = {**environment(), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *plugins()]
    with busy(2 * (os.cpu_count() or 1)):
        subprocess.run(
            [*command, "--sergas-ctrf=run.json"], cwd=tmp_path, env=here, stdout=subprocess.DEVNULL, check=False
        )

    tests = from_json((tmp_path / "run.json").read_bytes()).tests
    rows: list[tuple[str, ...]] = [("", "over", "by wall time", "caught", "by wall time")]
    wrong = []
    for kind in KINDS:
        counts = []
        for share in ("0.8", "1.3"):
            mine = [test for test in tests if f"[{kind}-" in test.node_id and test.node_id.endswith(f"-{share}]")]
            assert len(mine) == SUITE_TESTS
            costs = [test.attempts[0].measured for test in mine]
            counts += [
                sum(test.outcome is Outcome.OVER_BUDGET for test in mine),
                sum(cost is not None and cost.wall_s > WORK_S for cost in costs),
            ]
        rows.append((kind, *map(str, counts)))
        # One in two hundred may be wrong; of fifty, one where it falls.
        wrong += [kind] * (counts[0] > 1 or counts[2] < SUITE_TESTS - 1)
    show(f"{SUITE_TESTS} real tests each at 80 % and at 130 % of the budget, -n 2 on a busy machine", *rows)
    assert not wrong
