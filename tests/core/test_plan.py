"""What is a unit, where it may be cut, which worker runs it, and in which order."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.plan import (
    CUT_SHARE,
    SHORT_S,
    Collected,
    History,
    Plan,
    Rules,
    Tie,
    Unit,
    gates_of_tests,
    plan,
)

pytestmark = pytest.mark.unit

TYPES = ("unit", "smoke", "e2e", "load", "untyped")
FIRM = [Tie(f"group {name}", firm=True) for name in "AB"]
LOOSE = [Tie(f"module {name}", fixture="db", held=name == "M") for name in "MN"]
SECONDS = st.one_of(st.floats(), st.floats(0, 1e12), st.just(0.0))
Suite = tuple[list[Collected], Rules, History, int]


@st.composite
def suites(draw: st.DrawFn) -> Suite:
    tests = [
        Collected(
            f"test_{draw(st.sampled_from('ab'))}.py::test_{place}",
            draw(st.sampled_from(TYPES)),
            tuple(draw(st.lists(st.sampled_from([*FIRM, *LOOSE]), max_size=2, unique=True))),
            draw(st.booleans()),
        )
        for place in range(draw(st.integers(0, 25)))
    ]
    names = st.sampled_from([test.node_id for test in tests] or ["gone"])
    rules = Rules(
        gates=draw(st.dictionaries(st.sampled_from(TYPES[:2]), st.integers(0, 1))),
        caps=draw(st.dictionaries(st.sampled_from(TYPES), st.integers(1, 3))),
    )
    history = History(draw(st.dictionaries(names, SECONDS)), draw(st.dictionaries(names, SECONDS)))
    return tests, rules, history, draw(st.integers(1, 8))


def made(suite: Suite, *, in_order: bool = False) -> Plan:
    tests, rules, history, workers = suite
    return plan(tests, rules, history, workers=workers, in_order=in_order)


def unit_of(units: tuple[Unit, ...]) -> dict[int, Unit]:
    return {place: unit for unit in units for place in unit.tests}


@given(suites(), st.booleans())
def test_every_test_is_in_exactly_one_unit(suite: Suite, in_order: bool) -> None:  # noqa: FBT001
    places = [place for unit in made(suite, in_order=in_order).units for place in unit.tests]

    assert sorted(places) == list(range(len(suite[0])))


@given(suites())
def test_same_input_gives_the_same_plan(suite: Suite) -> None:
    assert made(suite) == made(suite)


@given(suites())
def test_tests_of_one_group_are_in_one_unit(suite: Suite) -> None:
    of = unit_of(made(suite).units)

    for tie in FIRM:
        tied = [place for place, test in enumerate(suite[0]) if tie in test.ties]
        assert suite[3] == 1 or len({id(of[place]) for place in tied}) <= 1


@given(suites())
def test_order_of_collection_is_kept_within_units_and_from_unit_to_unit(suite: Suite) -> None:
    for units in made(suite).stages:
        assert all(list(unit.tests) == sorted(unit.tests) for unit in units)
        assert [unit.tests[0] for unit in units] == sorted(unit.tests[0] for unit in units)


@given(suites())
def test_gates_come_first_in_their_order_and_exclusive_tests_last(suite: Suite) -> None:
    tests, rules, _, workers = suite

    for earlier, later in pairwise(made(suite).units):
        gates = [
            min((rules.gates[tests[place].type] for place in unit.tests if tests[place].type in rules.gates), default=9)
            for unit in (earlier, later)
        ]
        alone = [workers > 1 and any(tests[place].exclusive for place in unit.tests) for unit in (earlier, later)]
        assert (gates[0], alone[0]) <= (gates[1], alone[1])
        assert [earlier.exclusive, later.exclusive] == alone


@given(suites())
def test_gate_of_a_test_is_that_of_its_unit(suite: Suite) -> None:
    tests, rules, _, workers = suite
    of = unit_of(made(suite).units)

    assert gates_of_tests(tests, rules, workers=workers) == [of[place].gate for place in range(len(tests))]


@given(suites(), st.booleans())
def test_types_with_a_cap_are_given_to_no_more_workers(suite: Suite, in_order: bool) -> None:  # noqa: FBT001
    tests, rules, _, workers = suite
    allowed: dict[str, set[int]] = {}

    for unit in made(suite, in_order=in_order).units:
        types = {tests[place].type for place in unit.tests}
        for name in types & rules.caps.keys():
            allowed.setdefault(name, set()).update(unit.workers or range(workers))
        assert unit.worker is None or unit.worker in (unit.workers or range(workers))

    assert all(len(found) <= max(rules.caps[name], 1) for name, found in allowed.items())


@given(suites())
def test_one_worker_runs_in_the_order_of_collection_with_gates_first(suite: Suite) -> None:
    tests, rules, history, _ = suite

    order = [place for unit in plan(tests, rules, history, workers=1).units for place in unit.tests]

    assert order == sorted(range(len(tests)), key=lambda place: rules.gates.get(tests[place].type, 9))


@given(suites())
def test_every_unit_has_its_worker_where_most_durations_are_recorded(suite: Suite) -> None:
    tests, rules, history, workers = suite
    durations = {test.node_id: 1.0 for test in tests}

    units = plan(tests, rules, History(durations, history.setups), workers=workers).units
    assert all((unit.worker is None) == (unit.exclusive or workers == 1) for unit in units)
    units = plan(tests, rules, History(durations, history.setups), workers=workers, in_order=True).units
    assert all(unit.worker is None for unit in units)


@given(suites())
def test_expected_seconds_can_always_be_compared(suite: Suite) -> None:
    assert all(math.isfinite(unit.seconds) and unit.seconds >= 0 for unit in made(suite).units)


@given(st.integers(2, 200), st.floats(0, 1), st.integers(2, 16), st.sampled_from([0.125, 0.0078125, 8.0]))
def test_cutting_costs_at_most_its_share(tests: int, setup_s: float, workers: int, test_s: float) -> None:
    collected = module(tests)
    durations = {test.node_id: test_s for test in collected}  # a sum of these is exact

    chunks = len(plan(collected, Rules(), History(durations, {"test_0": setup_s}), workers=workers).units)

    total_s = test_s * tests
    assert (chunks - 1) * setup_s <= CUT_SHARE * total_s * (1 + 1e-9)


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.integers(2, 6))
def test_share_of_a_worker_is_at_most_the_longest_unit_above_the_mean(seconds: list[float], workers: int) -> None:
    tests = [Collected(f"test_a.py::test_{place}", "unit") for place in range(len(seconds))]
    history = History({test.node_id: test_s for test, test_s in zip(tests, seconds, strict=True)})

    units = plan(tests, Rules(), history, workers=workers).units

    loads = [sum(unit.seconds for unit in units if unit.worker == number) for number in range(workers)]
    assert max(loads) <= sum(seconds) / workers + max(unit.seconds for unit in units) + 1e-9


@given(st.lists(st.floats(0.001, 2), min_size=1, max_size=60), st.integers(2, 6))
def test_neighbours_that_are_short_are_not_separated(seconds: list[float], workers: int) -> None:
    tests = [Collected(f"test_a.py::test_{place}", "unit") for place in range(len(seconds))]
    history = History({test.node_id: test_s for test, test_s in zip(tests, seconds, strict=True)})

    units = plan(tests, Rules(), history, workers=workers).units

    short_s = min(SHORT_S, sum(seconds) / workers)
    for earlier, later in pairwise(units):
        assert earlier.seconds + seconds[later.tests[0]] > short_s


def module(tests: int, *, exclusive: int = -1, held: bool = True) -> list[Collected]:
    tie = Tie("module", held=held)
    return [Collected(f"test_{place}", "unit", (tie,), place == exclusive) for place in range(tests)]


def history(tests: int, **setups: float) -> History:
    return History({f"test_{place}": 1.0 for place in range(tests)}, setups)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(History(), id="nothing recorded"),
        pytest.param(history(60), id="set-ups not recorded"),
        pytest.param(history(60, test_0=0.001), id="cheap"),
        pytest.param(history(60, test_0=0.0), id="free"),
    ],
)
def test_shared_fixture_that_is_cheap_or_unknown_costs_no_parallelism(known: History) -> None:
    tied = plan(module(60), Rules(), known, workers=4)
    untied = plan([Collected(f"test_{place}", "unit") for place in range(60)], Rules(), known, workers=4)

    assert tied == untied
    assert len(tied.units) >= 16


@pytest.mark.parametrize("setup_s", [pytest.param(3.0, id="exactly the share"), pytest.param(20.0, id="much")])
def test_shared_fixture_that_is_expensive_is_set_up_once(setup_s: float) -> None:
    assert [len(unit.tests) for unit in plan(module(60), Rules(), history(60, test_0=setup_s), workers=4).units] == [60]


def test_set_up_that_a_second_worker_paid_too_counts_once() -> None:
    units = plan(module(60), Rules(), history(60, test_0=2.0, test_30=2.0), workers=4).units

    assert len(units) > 1


def test_cheap_fixture_of_a_package_does_not_join_modules_with_expensive_ones() -> None:
    package = Tie("package", fixture="name")
    tests = [
        Collected(f"test_{place}", "unit", (package, Tie(f"module {place // 10}", fixture="server")))
        for place in range(40)
    ]
    setups = {f"test_{place}": 4.0 for place in range(0, 40, 10)}

    units = plan(tests, Rules(), history(40, **setups), workers=4).units

    assert [unit.tests for unit in units] == [tuple(range(first, first + 10)) for first in range(0, 40, 10)]


def test_expensive_fixture_of_a_package_joins_modules_with_cheap_ones() -> None:
    package = Tie("package", fixture="server")
    tests = [
        Collected(f"test_{place}", "unit", (package, Tie(f"module {place // 10}", fixture="name")))
        for place in range(40)
    ]
    setups = {"test_0": 20.01, "test_10": 0.01, "test_20": 0.01, "test_30": 0.01}

    assert len(plan(tests, Rules(), history(40, **setups), workers=4).units) == 1


@pytest.mark.parametrize(
    ("held", "ordinary"),
    [
        pytest.param(True, 1, id="that may hold a lock"),
        pytest.param(False, 45, id="that holds nothing"),
    ],
)
def test_exclusive_test_leaves_the_others_of_its_module_ordinary(held: bool, ordinary: int) -> None:  # noqa: FBT001
    units = plan(module(50, exclusive=7, held=held), Rules(), history(50), workers=4).units

    assert [unit.tests for unit in units if unit.exclusive] == [(7,)]
    assert sum(not unit.exclusive for unit in units) >= ordinary
    assert not held or ordinary == sum(not unit.exclusive for unit in units)


def test_tests_behind_a_gate_are_shared_out_although_their_fixture_is_needed_before() -> None:
    tie = Tie("module")
    tests = [Collected(f"test_{place}", "smoke" if place < 2 else "unit", (tie,)) for place in range(42)]

    units = plan(tests, Rules(gates={"smoke": 0}), history(42), workers=4).units

    assert [unit.tests for unit in units if unit.gate == 0] == [(0, 1)]
    assert len(units) > 16


def test_test_without_a_record_counts_as_the_median_of_the_others() -> None:
    tests = [Collected(name, "unit") for name in ("short", "new", "usual", "long")]

    units = plan(tests, Rules(), History({"short": 1.0, "usual": 2.0, "long": 30.0}), workers=2).units

    assert [(tests[unit.tests[0]].node_id, unit.seconds, unit.worker) for unit in units] == [
        ("short", 1.0, 1),
        ("new", 2.0, 1),
        ("usual", 2.0, 1),
        ("long", 30.0, 0),
    ]


def test_neighbours_without_records_make_ever_smaller_units_within_their_file() -> None:
    tests = [Collected(f"test_{place // 40}.py::test_{place}", "unit") for place in range(60)]

    sizes = [len(unit.tests) for unit in plan(tests, Rules(), History(), workers=2).units]

    assert sizes[:2] == [15, 11]
    assert sum(sizes[:4]) == 40
    assert sizes[-1] == 1


def test_last_tests_of_a_file_go_with_those_before_them() -> None:
    tests = [Collected(f"test_{place // 6}.py::test_{place}", "unit") for place in range(60)]
    history = History({test.node_id: 0.02 for test in tests})

    assert {len(unit.tests) for unit in plan(tests, Rules(), history, workers=2).units} == {6}


def test_types_that_meet_in_one_unit_have_a_worker_in_common() -> None:
    tests = [
        Collected("a", "e2e"),
        Collected("b", "unit"),
        Collected("c", "e2e", (FIRM[0],)),
        Collected("d", "unit", (FIRM[0],)),
    ]

    units = plan(tests, Rules(caps={"e2e": 1, "unit": 1}), history(0), workers=4).units

    assert {unit.workers for unit in units} == {frozenset({0})}


@pytest.mark.parametrize(
    ("known", "rules", "workers", "expected"),
    [
        pytest.param(
            History(), Rules(), 2, "2 tests in 2 units, in collection order, no durations recorded yet", id="nothing"
        ),
        pytest.param(History({"a": 1.0}), Rules(), 1, "2 tests in 1 unit, in collection order", id="one worker"),
        pytest.param(
            History({"a": 1.0}),
            Rules({"smoke": 0}),
            2,
            "2 tests in 2 units, shared out by 1 recorded duration, 1 first because of a gate, "
            "1 exclusive, by one worker alone",
            id="everything",
        ),
    ],
)
def test_plan_says_how_it_was_made(known: History, rules: Rules, workers: int, expected: str) -> None:
    tests = [Collected("a", "smoke"), Collected("b", "load", exclusive=bool(rules.gates))]

    assert plan(tests, rules, known, workers=workers).reason == expected


def test_plan_in_the_order_of_collection_says_so_whatever_is_recorded() -> None:
    made = plan([Collected("a", "unit"), Collected("b", "unit")], Rules(), history(0, a=1.0), workers=2)
    kept = plan(
        [Collected("a", "unit"), Collected("b", "unit")],
        Rules(),
        History({"a": 1.0, "b": 2.0}),
        workers=2,
        in_order=True,
    )

    assert made.reason.endswith("in collection order, no durations recorded yet")
    assert kept.reason == "2 tests in 2 units, in collection order"
