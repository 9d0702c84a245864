"""What the schedule is worth, as ratios to the lower bound and to pytest-xdist's own, and what making it costs."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from pytest_sergas.core.plan import Collected, Rules, Tie, plan
from tests.benchmarks.runs import plugins, run, show, write_suite
from tests.benchmarks.workers import Suite, lower_bound_s, makespan_s, ours, theirs

pytestmark = pytest.mark.performance

WORKERS = 4
LISTS = 25


def log_normal(seed: int) -> Suite:
    chance = random.Random(seed)  # noqa: S311  the same lists every time
    seconds = [chance.lognormvariate(-1.5, 1.0) for _ in range(60)]
    return Suite([Collected(f"test_a.py::test_{place}", "unit") for place in range(60)], seconds)


def ratios(scheduler: Callable[[Suite], Any]) -> list[float]:
    suites = [log_normal(seed) for seed in range(LISTS)]
    return [makespan_s(scheduler(suite), suite, WORKERS) / lower_bound_s(suite, WORKERS) for suite in suites]


def test_sixty_tests_of_very_different_length() -> None:
    found = {
        "load": ratios(lambda _: theirs("load")),
        "worksteal": ratios(lambda _: theirs("worksteal")),
        "ours, nothing recorded": ratios(lambda suite: ours(suite, WORKERS, recorded=False)),
        "ours, durations recorded": ratios(lambda suite: ours(suite, WORKERS, recorded=True)),
    }

    show(
        f"60 log-normal tests, {WORKERS} workers, {LISTS} lists: time / lower bound",
        ("", "median", "worst"),
        *((name, f"{median(values):.2f}", f"{max(values):.2f}") for name, values in found.items()),
    )
    assert median(found["ours, durations recorded"]) <= 1.10
    assert median(found["ours, nothing recorded"]) <= 1.35


def modules(count: int, tests: int, *, seconds: float, setup_s: float) -> Suite:
    names = [f"test_{number}.py" for number in range(count)]
    collected = [
        Collected(f"{name}::test_{place}", "unit", (Tie(f"module {name}", firm=False),))
        for name in names
        for place in range(tests)
    ]
    return Suite(collected, [seconds] * len(collected), dict.fromkeys(names, setup_s))


@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(modules(12, 10, seconds=0.1, setup_s=2.0), id="expensive module fixtures"),
        pytest.param(modules(3, 300, seconds=0.02, setup_s=0.001), id="three large modules, a fixture of 1 ms"),
    ],
)
def test_modules_with_fixtures(suite: Suite, request: pytest.FixtureRequest) -> None:
    found = {name: makespan_s(theirs(name), suite, WORKERS) for name in ("load", "loadfile")}
    found["ours"] = makespan_s(ours(suite, WORKERS, recorded=True), suite, WORKERS)

    show(
        f"{request.node.callspec.id}, {WORKERS} workers, seconds",
        ("", "seconds"),
        *((name, f"{seconds:.2f}") for name, seconds in found.items()),
    )
    assert found["ours"] <= 1.05 * min(found["load"], found["loadfile"])


def many() -> Suite:
    return Suite([Collected(f"test_{n // 100}.py::test_{n}", "unit") for n in range(10_000)], [0.001] * 10_000)


def test_plan_of_ten_thousand_tests_is_made_in_half_a_second() -> None:
    suite = modules(100, 100, seconds=0.1, setup_s=0.001)
    history = suite.history
    started_s = time.process_time()
    plan(suite.tests, Rules(), history, workers=WORKERS)
    took_s = time.process_time() - started_s

    show("a plan of 10,000 tests", ("", "seconds", "bound"), ("plan", f"{took_s:.3f}", "0.5"))
    assert took_s <= 0.5


def test_scheduling_costs_no_more_than_load() -> None:
    suite = many()
    costs: dict[str, list[float]] = {"load": [], "ours": []}
    for _ in range(5):
        for name, scheduler in (("load", theirs("load")), ("ours", ours(suite, WORKERS, recorded=False))):
            started_s = time.process_time()
            makespan_s(scheduler, suite, WORKERS)
            costs[name].append(time.process_time() - started_s)

    load_s, ours_s = min(costs["load"]), min(costs["ours"])
    show(
        "scheduling 10,000 tests of 1 ms by a plan, the model of the workers included",
        ("", "µs a test"),
        ("load", f"{load_s * 100:.1f}"),
        ("ours", f"{ours_s * 100:.1f}"),
    )
    assert ours_s <= load_s


PEAK = """
import pathlib

def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        # Not from getrusage, which never reads less than what the parent held when it forked.
        status = pathlib.Path("/proc/self/status").read_text()
        pathlib.Path(__file__).with_name("peak").write_text(status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.timeout(900)  # on a machine with other things to do
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own peak is read from /proc")
def test_controller_holds_at_most_40_mib_more_than_under_load(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "suite", tests=100, modules=100)
    (suite / "conftest.py").write_text(PEAK)
    for module in suite.glob("test_*.py"):
        module.write_text(
            f"{module.read_text()}\n\n@pytest.mark.parametrize('n', range(99))\ndef test_n(n):\n    pass\n"
        )
    (suite / "sergas.toml").write_text("publish_deadline = 600\n")  # measuring, which adds to what is recorded
    peaks = {}
    for name, arguments in (("load", ("--no-sergas",)), ("ours", ())):
        run(suite, "-n2", *arguments, *plugins())
        peaks[name] = int((suite / "peak").read_text()) / 1024

    show("the controller of 10,000 tests on two workers", ("", "MiB at most"), *_rows(peaks))
    assert peaks["ours"] <= peaks["load"] + 40


def _rows(peaks: dict[str, float]) -> list[tuple[str, str]]:
    return [(name, f"{peak:.1f}") for name, peak in peaks.items()]
