"""Counts, rates, wall time and the slowest tests, for each type and for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.records import FAILURES, Outcome, TestType
from pytest_sergas.core.summary import (
    covered_s,
    failures,
    finer_failures,
    flaky,
    overall,
    percent,
    seconds,
    slowest_of,
    succeeded_at_once,
    summarise,
)
from tests.publishers.conftest import attempt, record, run_of

pytestmark = pytest.mark.unit


def test_types_come_in_their_order_and_untyped_last() -> None:
    run = run_of(record("a", type="untyped"), record("b", type="e2e"), record("c", type="unit"))

    assert [summary.type for summary in summarise(run)] == ["unit", "e2e", "untyped"]


def test_every_outcome_is_counted_also_with_zero() -> None:
    (summary,) = summarise(run_of(record("a"), record("b", Outcome.SKIPPED)))

    assert summary.counts == {**dict.fromkeys(Outcome, 0), Outcome.PASSED: 1, Outcome.SKIPPED: 1}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        pytest.param([Outcome.PASSED, Outcome.FAILED], "50.0%", id="half"),
        pytest.param([Outcome.PASSED, Outcome.SKIPPED], "100%", id="skipped ones are not judged"),
        pytest.param([Outcome.SKIPPED], "-", id="nothing was judged"),
        pytest.param([Outcome.XFAILED, Outcome.XPASSED, Outcome.PASSED], "100%", id="expected failures are successes"),
        pytest.param([*[Outcome.PASSED] * 4_000, Outcome.ERROR], "99.9%", id="never rounded up to all"),
    ],
)
def test_success_rate(outcomes: list[Outcome], expected: str) -> None:
    assert (
        percent(overall(run_of(*(record(str(index), outcome) for index, outcome in enumerate(outcomes))))) == expected
    )


def test_flaky_test_is_a_success_but_not_one_at_once() -> None:
    total = overall(run_of(record("a", Outcome.FAILED, Outcome.PASSED), record("b")))

    assert (total.succeeded, succeeded_at_once(total), total.retries) == (2, 1, 1)


def test_wall_time_counts_a_second_once_however_many_workers_ran() -> None:
    first = record("a", attempt(start_s=100.0, setup_s=0, call_s=10.0, teardown_s=0, worker="gw0"))
    second = record("b", attempt(start_s=105.0, setup_s=0, call_s=10.0, teardown_s=0, worker="gw1"))

    assert overall(run_of(first, second)).wall_s == 15.0


def test_attempt_without_a_start_has_no_wall_time() -> None:
    assert overall(run_of(record("a", attempt(Outcome.CRASHED, start_s=0.0)))).wall_s == 0.0


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6))))
def test_covered_time_is_at_most_the_sum_and_at_least_the_longest(intervals: list[tuple[float, float]]) -> None:
    ordered = [(min(pair), max(pair)) for pair in intervals]
    lengths = [stop - start for start, stop in ordered]

    covered = covered_s(ordered)

    assert covered <= sum(lengths) + 1e-6
    assert covered >= max(lengths, default=0.0) - 1e-6


def test_slowest_are_longest_first_over_all_types() -> None:
    tests = [
        record(name, attempt(call_s=call_s), type=test_type)
        for name, call_s, test_type in (("a", 1.0, "unit"), ("b", 3.0, "e2e"), ("c", 2.0, "unit"))
    ]
    summaries = summarise(run_of(*tests), slowest=2)

    assert [test.node_id for test in slowest_of(summaries, least_s=0.0)] == ["b", "c"]


def test_quick_tests_are_not_among_the_slowest() -> None:
    quick = record("a", attempt(setup_s=0.0, call_s=0.05, teardown_s=0.0))

    assert slowest_of(summarise(run_of(quick)), least_s=0.1) == ()


def test_same_node_id_twice_is_two_slow_tests() -> None:
    summaries = summarise(run_of(record("a"), record("a")), slowest=3)

    assert len(slowest_of(summaries, least_s=0.1)) == 2


def test_failed_and_flaky_tests_stay_in_the_order_in_which_they_ran() -> None:
    tests = [record(f"f{index}", outcome) for index, outcome in enumerate(sorted(FAILURES))]
    shaky = [record(f"s{index}", Outcome.FAILED, Outcome.PASSED) for index in range(2)]
    run = run_of(*tests, *shaky)

    assert failures(run) == tuple(tests)
    assert flaky(run) == tuple(shaky)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        pytest.param([], "", id="none"),
        pytest.param([Outcome.FAILED, Outcome.FAILED], "", id="simply failed"),
        pytest.param([Outcome.TIMEOUT], "1 timeout", id="one kind that says more"),
        pytest.param([Outcome.ERROR, Outcome.FAILED, Outcome.FAILED], "2 failed, 1 error", id="several"),
    ],
)
def test_finer_kinds_of_failure(outcomes: list[Outcome], expected: str) -> None:
    tests = (record(str(index), outcome) for index, outcome in enumerate(outcomes))

    assert finer_failures(overall(run_of(*tests))) == expected


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (0.0, "<1 ms"),
        (0.0004, "<1 ms"),
        (0.012, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (99.9, "99.9 s"),
        (99.96, "1m 40s"),
        (3_599.4, "59m 59s"),
        (3_600.0, "1h 00m"),
        (359_999.0, "99h 59m"),
        (360_000.0, "4d 04h"),
    ],
)
def test_duration_is_written_in_the_unit_people_think_of(duration_s: float, expected: str) -> None:
    assert seconds(duration_s) == expected


@given(st.floats(0, 86_400 * 99))
def test_duration_takes_at_most_seven_characters(duration_s: float) -> None:
    assert len(seconds(duration_s)) <= 7


def test_every_type_has_a_place_in_the_order() -> None:
    run = run_of(*(record(kind.value, type=kind.value) for kind in reversed(TestType)))

    assert [summary.type for summary in summarise(run)] == [kind.value for kind in TestType]
