"""What the schedule is worth, as ratios to the lower bound and to pytest-xdist's own, and what making it costs."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from pytest_sergas.core.plan import Collected, Tie
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
    assert median(found["ours, nothing recorded"]) <= 1.02 * median(found["load"])


@pytest.mark.parametrize(
    "tied",
    [
        pytest.param("test_a.py::test_{}", id="under one module fixture"),
        pytest.param("test_a.py::TestA::test_{}", id="in one class with a fixture"),
    ],
)
def test_sixty_tests_that_share_a_fixture_of_unknown_cost(tied: str) -> None:
    tie = Tie("shared", fixture="shared", held=False)
    collected = [Collected(tied.format(place), "unit", (tie,)) for place in range(60)]
    suites = [Suite(collected, log_normal(seed).seconds) for seed in range(LISTS)] + [Suite(collected, [0.2] * 60)]
    *found, same = [
        makespan_s(ours(suite, WORKERS, recorded=False), suite, WORKERS) / makespan_s(theirs("load"), suite, WORKERS)
        for suite in suites
    ]

    show(
        f"60 tests that share a fixture, nothing recorded, {WORKERS} workers: ours / load",
        ("", "median", "worst"),
        (f"{LISTS} log-normal lists", f"{median(found):.2f}", f"{max(found):.2f}"),
        ("0.2 s each", f"{same:.2f}", f"{same:.2f}"),
    )
    assert median(found) <= 1.02
    assert same <= 1.02


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


# A module of a suite in which every test shares a fixture with its module.
SHARING = """
import pytest

pytestmark = pytest.mark.unit

@pytest.fixture(scope="module")
def shared():
    pass

@pytest.mark.parametrize("n", range(100))
def test_n(shared, n):
    pass
"""
# What lies between the collected tests and the plan, step by step: the first two on a worker, the others on the
# controller.
STEPS = """
import json, pathlib, time
from types import SimpleNamespace

from pytest_sergas.core.plan import History, Rules, plan
from pytest_sergas.plugin.exchange import Exchange, Left, directory, leave
from pytest_sergas.plugin.units import Ties

def pytest_collection_finish(session):
    node_ids = [item.nodeid for item in session.items]
    history = History(dict.fromkeys(node_ids, 0.1), dict.fromkeys(node_ids, 0.001))
    exchange = Exchange()
    node = SimpleNamespace(gateway=SimpleNamespace(spec=SimpleNamespace(popen=True)), workerinput={})
    exchange.invite(node)
    took = {}

    def timed(name, step):
        started = time.process_time()
        result = step()
        took[name] = time.process_time() - started
        return result

    def all_ties():
        ties = Ties()
        return [ties.of(item) for item in session.items]

    left = Left(types=dict.fromkeys(node_ids, "unit"), ties=timed("ties found", all_ties))
    timed("file written", lambda: leave(directory(node.workerinput), left))
    read = timed("file read", exchange.read)
    tests = timed("joined with the node ids", lambda: read.collected(node_ids))
    made = timed("plan", lambda: plan(tests, Rules(), history, workers=4))
    exchange.close()
    assert sum(len(unit.tests) for unit in made.units) == 10_000
    pathlib.Path(__file__).with_name("took.json").write_text(json.dumps(took))
"""


@pytest.mark.timeout(600)  # on a machine with other things to do
def test_ten_thousand_tests_are_planned_in_half_a_second(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "suite", tests=100, modules=100)
    (suite / "conftest.py").write_text(STEPS)
    for module in suite.glob("test_*.py"):
        module.write_text(SHARING)

    run(suite, "--collect-only", *plugins())

    took = json.loads((suite / "took.json").read_text())
    show(
        "from 10,000 collected tests to their plan, seconds of the CPU; the bound is 0.5 for all",
        ("", "seconds"),
        *((name, f"{seconds:.3f}") for name, seconds in took.items()),
        ("all", f"{sum(took.values()):.3f}"),
    )
    assert sum(took.values()) <= 0.5


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
