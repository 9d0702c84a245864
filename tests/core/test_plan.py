"""What is a unit, where it may be cut, and in which order units are handed out."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.plan import CUT_SHARE, Collected, History, Plan, Rules, Tie, Unit, plan

pytestmark = pytest.mark.unit

TYPES = ("unit", "smoke", "e2e", "load", "untyped")
FIRM = [Tie(f"class {name}", firm=True) for name in "AB"]
LOOSE = [Tie(f"module {name}", firm=False) for name in "MN"]
SECONDS = st.one_of(st.floats(), st.floats(0, 1e12), st.just(0.0))


@st.composite
def suites(draw: st.DrawFn) -> tuple[list[Collected], Rules, History, int]:
    tests = [
        Collected(
            f"test_{place}",
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


def made(suite: tuple[list[Collected], Rules, History, int]) -> Plan:
    tests, rules, history, workers = suite
    return plan(tests, rules, history, workers=workers)


def unit_of(units: tuple[Unit, ...]) -> dict[int, Unit]:
    return {place: unit for unit in units for place in unit.tests}


@given(suites())
def test_every_test_is_in_exactly_one_unit(suite: tuple[list[Collected], Rules, History, int]) -> None:
    places = [place for unit in made(suite).units for place in unit.tests]

    assert sorted(places) == list(range(len(suite[0])))


@given(suites())
def test_same_input_gives_the_same_plan(suite: tuple[list[Collected], Rules, History, int]) -> None:
    assert made(suite) == made(suite)


@given(suites())
def test_tests_of_one_class_or_group_are_in_one_unit(suite: tuple[list[Collected], Rules, History, int]) -> None:
    of = unit_of(made(suite).units)

    for tie in FIRM:
        tied = [place for place, test in enumerate(suite[0]) if tie in test.ties]
        assert len({id(of[place]) for place in tied}) <= 1


@given(suites())
def test_without_recorded_set_ups_no_unit_is_cut(suite: tuple[list[Collected], Rules, History, int]) -> None:
    tests, rules, history, workers = suite
    of = unit_of(plan(tests, rules, History(history.durations), workers=workers).units)

    for tie in LOOSE:
        tied = [place for place, test in enumerate(tests) if tie in test.ties]
        assert len({id(of[place]) for place in tied}) <= 1


@given(suites())
def test_tests_without_a_tie_in_common_are_apart(suite: tuple[list[Collected], Rules, History, int]) -> None:
    for unit in made(suite).units:
        reached, grown = {unit.tests[0]}, True
        while grown:
            names = {tie for place in reached for tie in suite[0][place].ties}
            more = {place for place in range(len(suite[0])) if names & set(suite[0][place].ties)} - reached
            reached |= more
            grown = bool(more)
        assert set(unit.tests) <= reached


@given(suites())
def test_gates_come_first_in_their_order_and_exclusive_tests_last(
    suite: tuple[list[Collected], Rules, History, int],
) -> None:
    tests, rules, _, _ = suite

    for earlier, later in pairwise(made(suite).units):
        gates = [
            min((rules.gates[tests[place].type] for place in unit.tests if tests[place].type in rules.gates), default=9)
            for unit in (earlier, later)
        ]
        alone = [any(tests[place].exclusive for place in unit.tests) for unit in (earlier, later)]
        assert (gates[0], alone[0]) <= (gates[1], alone[1])
        assert [earlier.exclusive, later.exclusive] == alone


@given(suites())
def test_longest_unit_of_a_stage_comes_first(suite: tuple[list[Collected], Rules, History, int]) -> None:
    for stage in made(suite).stages:
        assert [unit.seconds for unit in stage] == sorted((unit.seconds for unit in stage), reverse=True)


@given(suites())
def test_unit_is_limited_as_the_types_in_it_are(suite: tuple[list[Collected], Rules, History, int]) -> None:
    tests, rules, _, _ = suite

    for unit in made(suite).units:
        assert unit.capped == {tests[place].type for place in unit.tests} & rules.caps.keys()


@given(suites())
def test_expected_seconds_can_always_be_compared(suite: tuple[list[Collected], Rules, History, int]) -> None:
    assert all(math.isfinite(unit.seconds) and unit.seconds >= 0 for unit in made(suite).units)


@given(st.integers(2, 200), st.floats(0, 1), st.integers(1, 16))
def test_cutting_costs_at_most_its_share(tests: int, setup_s: float, workers: int) -> None:
    module = Tie("module", firm=False)
    collected = [Collected(f"test_{place}", "unit", (module,)) for place in range(tests)]
    durations = {test.node_id: 0.125 for test in collected}  # a sum of these is exact

    chunks = len(plan(collected, Rules(), History(durations, {"test_0": setup_s}), workers=workers).units)

    total_s = 0.125 * tests
    assert (chunks - 1) * setup_s <= CUT_SHARE * total_s * (1 + 1e-9)
    if setup_s >= CUT_SHARE * total_s:
        assert chunks == 1


def module(tests: int, *, exclusive: int = -1) -> list[Collected]:
    tie = Tie("module", firm=False)
    return [Collected(f"test_{place}", "unit", (tie,), place == exclusive) for place in range(tests)]


def cheap(tests: int) -> History:
    return History({f"test_{place}": 1.0 for place in range(tests)}, {"test_0": 0.001})


def test_module_with_a_cheap_fixture_is_cut_into_contiguous_chunks_of_about_the_same_length() -> None:
    units = plan(module(100), Rules(), cheap(100), workers=2).units

    assert len(units) > 8
    assert all(list(unit.tests) == list(range(unit.tests[0], unit.tests[-1] + 1)) for unit in units)
    assert max(unit.seconds for unit in units) <= 2 * min(unit.seconds for unit in units)


def test_classes_in_a_module_that_is_cut_stay_whole() -> None:
    tie = Tie("module", firm=False)
    classes = [Tie(f"class {name}", firm=True) for name in "AB"]
    tests = [Collected(f"test_{place}", "unit", (tie, classes[place // 10])) for place in range(20)]

    units = plan(tests, Rules(), cheap(20), workers=4).units

    assert sorted(unit.tests for unit in units) == [tuple(range(10)), tuple(range(10, 20))]


def test_unit_with_an_exclusive_test_is_exclusive_as_a_whole() -> None:
    units = plan(module(50, exclusive=7), Rules(), cheap(50), workers=4).units

    assert [(len(unit.tests), unit.exclusive) for unit in units] == [(50, True)]


def test_test_without_a_record_counts_as_the_median_of_the_others() -> None:
    tests = [Collected(name, "unit") for name in ("short", "new", "usual", "long")]

    units = plan(tests, Rules(), History({"short": 1.0, "usual": 2.0, "long": 30.0}), workers=2).units

    assert [(tests[unit.tests[0]].node_id, unit.seconds) for unit in units] == [
        ("long", 30.0),
        ("new", 2.0),
        ("usual", 2.0),
        ("short", 1.0),
    ]


@pytest.mark.parametrize(
    ("history", "rules", "expected"),
    [
        pytest.param(History(), Rules(), "2 tests in 2 units, no durations recorded yet", id="nothing recorded"),
        pytest.param(
            History({"a": 1.0}),
            Rules({"smoke": 0}),
            "2 tests in 2 units, longest first by 1 recorded durations, 1 first because of a gate, "
            "1 exclusive, by one worker alone",
            id="everything",
        ),
    ],
)
def test_plan_says_how_it_was_made(history: History, rules: Rules, expected: str) -> None:
    tests = [Collected("a", "smoke"), Collected("b", "load", exclusive=bool(rules.gates))]

    assert plan(tests, rules, history, workers=2).reason == expected
