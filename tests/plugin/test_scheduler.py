"""Which worker gets which test: the scheduler beside a model of xdist's workers, and then with real ones.

The model does what a worker of pytest-xdist does: it takes the next test from its queue before it runs the
current one, runs what is queued before a shutdown, and ends then. hypothesis chooses who does the next step, and
who dies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_sergas.core.durations import Duration, to_json
from pytest_sergas.core.plan import Collected, History, Plan, Rules, Tie, Unit, plan
from pytest_sergas.plugin.scheduler import Assignment, PlannedScheduling
from tests.plugin.conftest import Ran, Run

pytestmark = pytest.mark.integration

TYPES = ("unit", "unit", "smoke", "security", "e2e", "load")
RULES = Rules(gates={"smoke": 0, "security": 1}, caps={"e2e": 2})


class ModelNode:
    """A worker of pytest-xdist, with the attributes that a scheduler uses.

    One that is broken has died, and nobody has been told yet: what it said before is still heard.
    """

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.queue: list[int] = []
        self.running: int | None = None
        self.shutting_down = False
        self.ended = False
        self.broken = False
        self.received: list[int] = []
        self.batches: list[int] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        if self.broken:
            raise OSError("cannot send (already closed?)")
        assert indices, "an empty batch"
        assert not self.shutting_down, "a batch after the shutdown"
        self.queue.extend(indices)
        self.received.extend(indices)
        self.batches.append(len(indices))

    def shutdown(self) -> None:
        self.shutting_down = True  # as xdist's, which takes it that the worker was told

    @property
    def can_begin(self) -> bool:
        return self.running is None and (len(self.queue) > 1 or (self.shutting_down and bool(self.queue)))

    @property
    def can_end(self) -> bool:
        return self.running is None and not self.queue and self.shutting_down and not self.broken


class Model:
    """A session of pytest-xdist: workers, a scheduler, and what the session does after each event."""

    def __init__(self, tests: list[Collected], workers: int, random: Random, history: History | None = None) -> None:
        self.tests = tests
        self.ids = [test.node_id for test in tests]
        self.random = random
        self.made: Plan = plan(tests, RULES, history or History(), workers=workers)
        self.units = {place: unit for unit in self.made.units for place in unit.tests}
        self.gate: int | None = None
        self.fails: set[str] = set()
        self.repeats: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.over: list[str] = []
        self.refused: list[str] = []
        self.deaths = 0
        self.test_s = 0.01
        self.shutting_down = False
        seconds = [(history or History()).durations.get(node_id) for node_id in self.ids]
        self.scheduler = PlannedScheduling(
            SimpleNamespace(),  # type: ignore[arg-type]  # only reports of different collections need a real one
            workers=workers,
            assign=lambda _: Assignment(self.made, seconds),
            failed_gate=lambda: self.gate,
            differs=lambda one, other, _, __: None if one == other else "they differ",
        )
        self.nodes: list[ModelNode] = []
        self.starting: list[ModelNode] = []
        for _ in range(workers):
            self.start_worker()

    def start_worker(self) -> None:
        node = ModelNode(f"gw{len(self.nodes) + len(self.starting)}")
        self.starting.append(node)

    @property
    def running(self) -> list[tuple[ModelNode, int]]:
        return [(node, node.running) for node in self.nodes if node.running is not None and not node.ended]

    def arrive(self) -> None:
        node = self.starting.pop(0)
        self.nodes.append(node)
        if self.shutting_down:
            node.shutdown()
            return
        self.scheduler.add_node(node)
        self.scheduler.add_node_collection(node, self.ids)
        if self.scheduler.collection_is_completed:
            self.scheduler.schedule()

    def begin(self, node: ModelNode) -> None:
        index = node.queue[0]
        gate = self.unit(index).gate
        if self.gate is not None and (gate is None or gate > self.gate):
            self.refused.append(self.ids[index])
            node.queue.clear()
            node.shutdown()
            return
        node.running = index
        self.scheduler.begun(self.ids[index])
        self.check_begun(index)

    def check_begun(self, index: int) -> None:
        others = [other for _, other in self.running if other != index]
        alone = self.unit(index).exclusive
        assert not (alone and others), "something runs beside an exclusive test"
        assert not any(self.unit(other).exclusive for other in others)
        stage = self.unit(index).stage
        open_before = [
            place
            for place in range(len(self.tests))
            if self.unit(place).stage < stage and self.ids[place] not in self.over
        ]
        assert not open_before, "a stage begins before the one before it is over"

    def unit(self, index: int) -> Unit:
        return self.units[index]

    def finish(self, node: ModelNode) -> None:
        index = node.running
        assert index is not None
        node.running = None
        node.queue.pop(0)
        self.over.append(self.ids[index])
        if self.ids[index] in self.fails and self.gate is None:
            self.gate = RULES.gates.get(self.tests[index].type)
        self.scheduler.mark_test_complete(node, index, self.test_s)

    def die(self, node: ModelNode) -> None:
        node.ended = True
        node.shutting_down = True
        was = None if node.running is None else self.ids[node.running]
        # One that came after the shutdown was never told to the scheduler.
        crashed = self.scheduler.remove_node(node) if node in self.scheduler.nodes else None
        assert crashed == was
        if crashed is not None:
            if self.repeats[crashed]:
                self.repeats[crashed] -= 1
                self.scheduler.mark_test_pending(crashed)
            else:
                self.over.append(crashed)
                self.crashes[crashed] += 1
                if self.gate is None:
                    self.gate = RULES.gates.get(self.tests[self.ids.index(crashed)].type)
            self.scheduler.resume()
        self.shutting_down = False
        self.start_worker()

    def end(self, node: ModelNode) -> None:
        node.ended = True
        if node in self.scheduler.nodes:
            assert self.scheduler.remove_node(node) is None

    def step(self) -> bool:
        alive = [node for node in self.nodes if not node.ended]
        steps: list[Any] = [self.arrive] if self.starting else []
        steps += [lambda node=node: self.begin(node) for node in alive if node.can_begin]
        steps += [lambda node=node: self.finish(node) for node in alive if node.running is not None]
        steps += [lambda node=node: self.end(node) for node in alive if node.can_end]
        steps += [lambda node=node: self.die(node) for node in alive if node.broken]
        if not steps:
            return False
        unbroken = [node for node in alive if not node.broken]
        if self.deaths and unbroken and self.random.random() < 0.1:
            self.deaths -= 1
            self.random.choice(unbroken).broken = True
        else:
            self.random.choice(steps)()
        self.check_caps()
        if self.scheduler.tests_finished and not self.shutting_down:
            self.shutting_down = True
            for node in self.scheduler.nodes:
                node.shutdown()
        return True

    def check_caps(self) -> None:
        for name, most in RULES.caps.items():
            with_it = {
                node.gateway.id
                for node in self.nodes
                if not node.ended and any(self.tests[index].type == name for index in node.received)
            }
            assert len(with_it) <= most

    def run(self, deaths: int = 0) -> None:
        self.deaths = deaths
        while self.step():
            pass


@st.composite
def suites(draw: st.DrawFn) -> list[Collected]:
    ties = [Tie("class A", firm=True), Tie("class B", firm=True), Tie("module", firm=False)]
    names = draw(st.lists(st.sampled_from(TYPES), max_size=20))
    names.sort(key=lambda name: RULES.gates.get(name, 9))  # as collecting does
    return [
        Collected(
            f"test_{place}",
            name,
            (draw(st.sampled_from(ties)),) if draw(st.integers(0, 3)) == 0 else (),
            exclusive=name == "load",
        )
        for place, name in enumerate(names)
    ]


@given(suites(), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_test_runs_once_whatever_the_order_of_events(
    tests: list[Collected], workers: int, random: Random
) -> None:
    model = Model(tests, workers, random)

    model.run()

    assert sorted(model.over) == sorted(model.ids)
    assert all(node.ended for node in model.nodes)


@st.composite
def files(draw: st.DrawFn) -> tuple[list[Collected], History]:
    """Return tests in files, where nothing but the plan decides who runs which, and what they are recorded with."""
    names = sorted(draw(st.lists(st.sampled_from(("unit", "smoke", "load")), max_size=24)), key="smoke".__ne__)
    places = [place // draw(st.integers(1, 9)) for place in range(len(names))]
    tests = [
        Collected(f"test_{file}.py::test_{place}", name, exclusive=name == "load")
        for (place, name), file in zip(enumerate(names), sorted(places), strict=True)
    ]
    known = st.none() | st.just(History({test.node_id: draw(st.floats(0.0, 9.0)) for test in tests}))
    return tests, draw(known) or History()


@given(files(), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_worker_runs_the_tests_of_a_file_in_the_order_of_collection(
    suite: tuple[list[Collected], History], workers: int, random: Random
) -> None:
    tests, history = suite
    model = Model(tests, workers, random, history)

    model.run()

    assert sorted(model.over) == sorted(model.ids)
    for node in model.nodes:
        kept: dict[tuple[object, str], list[int]] = {}
        for place in node.received:
            kept.setdefault((model.unit(place).stage, tests[place].file), []).append(place)
        for places in kept.values():
            assert places == sorted(places), node.gateway.id


@given(suites(), st.integers(1, 4), st.randoms(use_true_random=False), st.sets(st.integers(0, 19), max_size=3))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_workers_that_die_cost_at_most_the_test_they_ran(
    tests: list[Collected], workers: int, random: Random, repeated: set[int]
) -> None:
    model = Model(tests, workers, random)
    model.repeats = Counter(f"test_{place}" for place in repeated)

    model.run(deaths=6)

    assert all(count == 1 for count in Counter(model.over).values())
    failed = RULES.gates and model.gate is not None
    assert failed or sorted(model.over) == sorted(model.ids)
    assert all(node.ended for node in model.nodes)


@given(suites(), st.integers(1, 4), st.randoms(use_true_random=False), st.integers(0, 19))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_failed_gate_is_run_to_its_end_and_nothing_behind_it_begins(
    tests: list[Collected], workers: int, random: Random, fails: int
) -> None:
    model = Model(tests, workers, random)
    model.fails = {f"test_{fails}"}

    model.run(deaths=0)

    assert all(node.ended for node in model.nodes)
    if model.gate is None:
        assert sorted(model.over) == sorted(model.ids)
        return
    up_to_it = {
        model.ids[place]
        for unit in model.made.units
        if unit.gate is not None and unit.gate <= model.gate
        for place in unit.tests
    }
    assert set(model.over) == up_to_it


def simple(tests: int, workers: int) -> Model:
    """Return a session whose workers have collected and been sent their first tests."""
    model = Model([Collected(f"test_{place}", "unit") for place in range(tests)], workers, Random(0))  # noqa: S311  the same run every time
    while model.starting:
        model.arrive()
    return model


@pytest.mark.parametrize("recorded", [pytest.param(True, id="recorded"), pytest.param(False, id="as collected")])
def test_longest_tests_begin_at_once_and_the_next_ones_wait_behind_the_shortest_of_them(
    recorded: bool,  # noqa: FBT001
) -> None:
    seconds = [10.0, 9.0, 8.0, 7.0, 6.0, 1.7, 1.6, 1.5, 1.4, 1.3]
    tests = [Collected(f"test_{place}", "unit") for place in range(len(seconds))]
    history = History({test.node_id: test_s for test, test_s in zip(tests, seconds, strict=True)})
    model = Model(tests, 4, Random(0), history if recorded else None)  # noqa: S311  the same run every time
    while model.starting:
        model.arrive()

    # Recorded, each has a share of its own, in the order of collection; else what comes next goes to the last ones.
    waiting = [8, 6, 5, 4] if recorded else [7, 6, 5, 4]
    assert [node.received for node in model.nodes] == [[place, behind] for place, behind in enumerate(waiting)]


@pytest.mark.parametrize(
    ("test_s", "most"),
    [pytest.param(0.013, 8, id="short"), pytest.param(0.04, 3, id="longer"), pytest.param(1.0, 1, id="long")],
)
def test_unrecorded_tests_are_sent_in_batches_by_what_the_finished_ones_took(test_s: float, most: int) -> None:
    model = Model([Collected(f"test_{place}", "unit") for place in range(100)], 2, Random(0))  # noqa: S311  the same run every time
    model.test_s = test_s

    model.run()

    # Before the first one is over nothing is known, and the first batches are what a worker needs to begin.
    assert max(size for node in model.nodes for size in node.batches[2:]) == most


def test_test_that_is_completed_twice_counts_once() -> None:
    model = simple(8, 2)
    node = model.nodes[0]
    model.begin(node)
    index = node.running
    assert index is not None
    # A process that the test has forked says so first, and then the worker itself.
    model.scheduler.mark_test_complete(node, index, 0.01)

    model.finish(node)
    model.run()

    assert model.scheduler.repeated == [(f"test_{index}", "gw0")]
    assert sorted(model.over) == sorted(model.ids)
    assert all(node.ended for node in model.nodes)


def test_tests_that_a_forked_child_runs_ahead_of_its_worker_count_once() -> None:
    model = simple(8, 1)
    node = model.nodes[0]
    model.begin(node)
    ahead = list(node.queue)
    for index in ahead:
        model.scheduler.mark_test_complete(node, index, 0.01)

    model.run()

    assert model.scheduler.repeated == [(f"test_{index}", "gw0") for index in ahead]
    assert Counter(model.over) == Counter(model.ids)
    assert node.ended


def test_worker_whose_death_is_not_known_yet_can_be_sent_tests() -> None:
    model = simple(8, 2)
    node, other = model.nodes
    model.begin(node)
    node.broken = True
    model.finish(node)  # said before it died, heard after
    assert len(model.scheduler.nodes) == 2

    model.die(node)
    model.run()

    assert Counter(model.over) == Counter(model.ids)
    assert other.ended


MIXED = """
import time, pytest

@pytest.mark.unit
@pytest.mark.parametrize("n", range(12))
def test_unit(n): time.sleep(0.01)

@pytest.mark.e2e
@pytest.mark.parametrize("n", range(8))
def test_e2e(n): time.sleep(0.01)

@pytest.mark.load
@pytest.mark.parametrize("n", range(3))
def test_load(n): pass

@pytest.mark.smoke
@pytest.mark.parametrize("n", range(4))
def test_smoke(n): assert {smoke}
"""
GATE = "[types.smoke]\ngate = true\n"


def workers_of(ran: Ran, name: str) -> set[str]:
    return {test["threadId"] for test in ran.tests.values() if test["name"].startswith(name)}


def names_in_order(ran: Ran) -> list[str]:
    """Return the functions of the tests in the order in which they began."""
    return [name.partition("[")[0] for name in ran.outcomes]


def test_mixed_suite_runs_in_one_go(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(MIXED.format(smoke=True))

    ran = run("-n3")

    order = names_in_order(ran)
    assert Counter(order) == {"test_smoke": 4, "test_unit": 12, "test_e2e": 8, "test_load": 3}
    assert order[:4] == ["test_smoke"] * 4
    assert order[-3:] == ["test_load"] * 3
    assert len(workers_of(ran, "test_e2e")) <= 2
    assert len(workers_of(ran, "test_load")) == 1


@pytest.mark.parametrize("key", ["parallel = false", "max_workers = 1"])
def test_type_that_is_not_parallel_runs_on_one_worker(pytester: pytest.Pytester, run: Run, key: str) -> None:
    pytester.makefile(".toml", sergas=f"[types.unit]\n{key}\n")
    pytester.makepyfile(MIXED.format(smoke=True))

    assert len(workers_of(run("-n3"), "test_unit")) == 1


def test_failed_gate_stops_all_workers_and_the_run_fails(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    path = pytester.makepyfile(MIXED.format(smoke="n != 2"))

    ran = run("-n3")

    assert Counter(ran.outcomes.values()) == {"failed": 1, "passed": 3}
    assert set(names_in_order(ran)) == {"test_smoke"}
    reason = f"gate 'smoke' failed ({path.name}::test_smoke[2]); the rest was not started"
    assert reason in ran.text
    assert ran.document is not None
    assert ran.document["results"]["extra"]["stopped"] == reason
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED


def test_gate_whose_test_kills_its_worker_has_failed(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(MIXED.format(smoke="n != 2 or __import__('os')._exit(1)"))

    ran = run("-n3")

    assert Counter(ran.outcomes.values()) == {"crashed": 1, "passed": 3}
    assert set(names_in_order(ran)) == {"test_smoke"}


def test_failed_gate_stops_the_run_under_another_scheduler_too(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(MIXED.format(smoke=False))

    ran = run("-n1", "--dist=load")

    assert set(names_in_order(ran)) == {"test_smoke"}
    assert ran.document is not None
    assert ran.document["results"]["extra"]["stopped"].startswith("gate 'smoke' failed")


@pytest.mark.parametrize(
    ("arguments", "scheduler"),
    [
        pytest.param(("-n2",), "PlannedScheduling", id="-n"),
        pytest.param(("-n2", "--dist=load"), "LoadScheduling", id="--dist load"),
        pytest.param(("-n2", "--dist", "worksteal"), "WorkStealingScheduling", id="--dist worksteal"),
        pytest.param(("-n2", "-d"), "LoadScheduling", id="-d"),
        pytest.param(("-n2", "-o", "addopts=--dist=load"), "LoadScheduling", id="addopts"),
        pytest.param(("-n2", "--no-sergas"), "LoadScheduling", id="--no-sergas"),
    ],
)
def test_distribution_that_the_user_gives_wins(
    pytester: pytest.Pytester, run: Run, arguments: tuple[str, ...], scheduler: str
) -> None:
    pytester.makepyfile("def test_a(): pass\ndef test_b(): pass")

    ran = run("-v", *arguments, record="--no-sergas" not in arguments)

    assert f"scheduling tests via {scheduler}" in ran.text
    ran.result.assert_outcomes(passed=2)


def test_distribution_from_the_environment_wins(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_a(): pass\ndef test_b(): pass")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--dist=loadfile")

    assert "scheduling tests via LoadFileScheduling" in run("-v", "-n2").text


def test_scheduler_of_another_plugin_wins(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_a(): pass\ndef test_b(): pass")
    pytester.makeconftest(
        """
        from xdist.scheduler import LoadScheduling

        class Theirs(LoadScheduling): pass

        def pytest_xdist_make_scheduler(config, log):
            return Theirs(config, log)
        """
    )

    assert "scheduling tests via Theirs" in run("-v", "-n2").text


def test_verbose_run_tells_how_the_plan_was_made(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(MIXED.format(smoke=True))

    ran = run("-n2", "-v")

    ran.result.stdout.fnmatch_lines(
        [
            "sergas: 27 tests in * units, in collection order, no durations recorded yet, 4 first because of a gate, *",
        ]
    )
    assert "sergas: " not in run("-n2").text
    assert "sergas: e2e on at most 2 of the workers" in run("-n3", "-v").text


@pytest.mark.parametrize("switched_off", ["no:terminal", "no:timeout", "no:rerunfailures", "no:asyncio"])
def test_plugin_that_is_switched_off_is_not_missed(pytester: pytest.Pytester, run: Run, switched_off: str) -> None:
    pytester.makefile(".toml", sergas=GATE)
    pytester.makepyfile(MIXED.format(smoke=True))

    ran = run("-n2", "-p", switched_off)

    assert Counter(ran.outcomes.values()) == {"passed": 27}
    assert names_in_order(ran)[:4] == ["test_smoke"] * 4
    assert names_in_order(ran)[-3:] == ["test_load"] * 3


def test_group_stays_on_one_worker(pytester: pytest.Pytester, run: Run) -> None:
    text = """
        import time, pytest

        @pytest.mark.xdist_group("db")
        @pytest.mark.parametrize("n", range(6))
        def test_db(n): time.sleep(0.02)

        @pytest.mark.xdist_group(name="port")
        @pytest.mark.parametrize("n", range(6))
        def test_port(n): time.sleep(0.02)

        @pytest.mark.parametrize("n", range(6))
        def test_free(n): time.sleep(0.02)
        """
    pytester.makepyfile(test_a=text, test_b=text)

    ran = run("-n3")

    assert ran.document is not None
    tests = ran.document["results"]["tests"]
    assert len(tests) == 36
    for group in ("test_db", "test_port"):
        assert len({test["threadId"] for test in tests if test["name"].startswith(group)}) == 1
    assert len({test["threadId"] for test in tests}) > 1


@pytest.mark.parametrize("scope", ["class", "module", "package"])
def test_expensive_shared_fixture_is_set_up_once_with_workers(pytester: pytest.Pytester, run: Run, scope: str) -> None:
    package = pytester.mkpydir("shop")
    (package / "conftest.py").write_text(
        f"import pytest\n@pytest.fixture(scope='{scope}')\ndef shared():\n    open('set-ups', 'a').write('x')\n",
        "utf-8",
    )
    (package / "test_shop.py").write_text(
        "import pytest\nclass TestShop:\n    @pytest.mark.parametrize('n', range(8))\n"
        "    def test_one(self, shared, n): pass\n",
        "utf-8",
    )
    known = {f"shop/test_shop.py::TestShop::test_one[{n}]": Duration(2.0, 0.0) for n in range(1, 8)}
    known["shop/test_shop.py::TestShop::test_one[0]"] = Duration(9.0, 7.0)
    (pytester.path / "known.json").write_bytes(to_json(known))

    ran = run("-n3", "--sergas-durations=known.json")

    assert len(ran.outcomes) == 8
    assert Path(pytester.path, "set-ups").read_text("utf-8") == "x"


def test_classes_that_hold_one_lock_do_not_wait_for_each_other_for_ever(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(
        """
        import fcntl, pytest

        @pytest.fixture(scope="class")
        def lock():
            with open("lock", "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        """
    )
    pytester.makepyfile(
        "\n".join(
            f"class Test{name}:\n"
            "    def test_1(self, lock): pass\n"
            "    def test_2(self, lock): pass\n"
            "    def test_3(self, lock): pass\n"
            for name in "ABCD"
        )
    )

    assert Counter(run("-n3").outcomes.values()) == {"passed": 12}


@pytest.mark.parametrize("kind", ["unit", "load"])
def test_maxfail_ends_the_run_and_repeats_nothing(pytester: pytest.Pytester, run: Run, kind: str) -> None:
    pytester.makepyfile(
        f"""
        import time, pytest

        @pytest.mark.{kind}
        @pytest.mark.parametrize("n", range(60))
        def test_one(n):
            time.sleep(0.05)
            assert n != 3
        """
    )

    ran = run("-n2", "--maxfail=1")

    outcomes = Counter(ran.outcomes.values())
    assert outcomes["failed"] == 1
    assert outcomes["passed"] < 59
    assert ran.document is not None
    assert ran.document["results"]["extra"]["stopped"] == "stopping after 1 failures"


def test_workers_that_collect_different_tests_are_an_error(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.parametrize("worker", [os.environ.get("PYTEST_XDIST_WORKER", "")])
        def test_one(worker): pass
        """
    )

    ran = run("-n2")

    assert "Different tests were collected between gw0 and gw1" in ran.text.replace("gw1 and gw0", "gw0 and gw1")
    assert ran.result.ret != pytest.ExitCode.OK


def test_run_without_tests_ends(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("")

    assert run("-n2", record=False).result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
