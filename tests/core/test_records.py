"""How outcomes are folded: phases into an attempt, attempts into a test."""

from __future__ import annotations

import itertools
from functools import reduce
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.records import (
    FAILURES,
    SUCCESSES,
    AttemptRecord,
    Outcome,
    Phase,
    TestRecord,
    final_outcome,
    phase_outcome,
    worse,
)

pytestmark = pytest.mark.unit

# What an attempt may come to; the others are given to whole tests.
OF_ATTEMPTS = [
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.ERROR,
    Outcome.SKIPPED,
    Outcome.XFAILED,
    Outcome.XPASSED,
    Outcome.TIMEOUT,
    Outcome.CRASHED,
]
WORST_FIRST = [Outcome.CRASHED, Outcome.TIMEOUT, Outcome.FAILED, Outcome.ERROR]
ATTEMPTS = st.lists(st.sampled_from(OF_ATTEMPTS), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("phase", "reported", "expected_to_fail", "timed_out", "outcome"),
    [
        pytest.param("call", "passed", False, False, Outcome.PASSED, id="passed"),
        pytest.param("call", "failed", False, False, Outcome.FAILED, id="failed in the call"),
        pytest.param("call", "rerun", False, False, Outcome.FAILED, id="failed and about to be repeated"),
        pytest.param("setup", "failed", False, False, Outcome.ERROR, id="failed in the set-up"),
        pytest.param("setup", "rerun", False, False, Outcome.ERROR, id="set-up about to be repeated"),
        pytest.param("teardown", "failed", False, False, Outcome.ERROR, id="failed in the teardown"),
        pytest.param("setup", "skipped", False, False, Outcome.SKIPPED, id="skipped"),
        pytest.param("call", "skipped", True, False, Outcome.XFAILED, id="failed as expected"),
        pytest.param("call", "passed", True, False, Outcome.XPASSED, id="passed although expected to fail"),
        pytest.param("call", "failed", False, True, Outcome.TIMEOUT, id="timeout in the call"),
        pytest.param("teardown", "failed", False, True, Outcome.TIMEOUT, id="timeout in the teardown"),
        pytest.param("???", "failed", False, False, Outcome.CRASHED, id="crashed"),
        pytest.param("???", "failed", False, True, Outcome.TIMEOUT, id="ended by its timeout"),
    ],
)
def test_report_says_of_its_attempt(
    phase: str,
    reported: str,
    expected_to_fail: bool,  # noqa: FBT001  a column of the table
    timed_out: bool,  # noqa: FBT001  a column of the table
    outcome: Outcome,
) -> None:
    assert phase_outcome(phase, reported, expected_to_fail=expected_to_fail, timed_out=timed_out) is outcome


@given(
    st.sampled_from(list(Phase)),
    st.sampled_from(["passed", "failed", "skipped", "rerun"]),
    st.booleans(),
    st.booleans(),
)
def test_every_report_comes_to_an_outcome_of_an_attempt(
    phase: str,
    reported: str,
    expected_to_fail: bool,  # noqa: FBT001  hypothesis passes by name
    timed_out: bool,  # noqa: FBT001  hypothesis passes by name
) -> None:
    assert phase_outcome(phase, reported, expected_to_fail=expected_to_fail, timed_out=timed_out) in OF_ATTEMPTS


@pytest.mark.parametrize(
    ("better", "worst"),
    [pytest.param(low, high, id=f"{low} then {high}") for high, low in itertools.combinations(WORST_FIRST, 2)],
)
def test_worst_phase_decides_in_either_order(better: Outcome, worst: Outcome) -> None:
    assert worse(better, worst) is worst
    assert worse(worst, better) is worst


@given(st.lists(st.sampled_from(OF_ATTEMPTS), min_size=1), st.randoms())
def test_attempt_with_a_failing_phase_fails_whatever_the_order(phases: list[Outcome], random: Random) -> None:
    shuffled = [*phases]
    random.shuffle(shuffled)
    failing = [outcome for outcome in WORST_FIRST if outcome in phases]

    folded = reduce(worse, shuffled)

    assert folded is failing[0] if failing else folded not in FAILURES


@pytest.mark.parametrize("mild", [Outcome.SKIPPED, Outcome.XFAILED, Outcome.XPASSED])
def test_passing_teardown_does_not_undo_what_the_call_said(mild: Outcome) -> None:
    assert reduce(worse, [Outcome.PASSED, mild, Outcome.PASSED]) is mild


@given(ATTEMPTS)
def test_last_attempt_decides_and_a_pass_after_a_failure_is_flaky(attempts: list[Outcome]) -> None:
    failed_before = bool(FAILURES & set(attempts[:-1]))

    final = final_outcome(attempts)

    assert final is (Outcome.FLAKY if attempts[-1] is Outcome.PASSED and failed_before else attempts[-1])


@given(ATTEMPTS)
def test_test_fails_exactly_when_its_last_attempt_does(attempts: list[Outcome]) -> None:
    assert (final_outcome(attempts) in FAILURES) is (attempts[-1] in FAILURES)


def test_test_without_attempts_has_no_outcome() -> None:
    with pytest.raises(IndexError):
        final_outcome([])


def test_no_outcome_is_a_failure_and_a_success() -> None:
    assert not FAILURES & SUCCESSES
    assert set(Outcome) - FAILURES - SUCCESSES == {Outcome.SKIPPED, Outcome.QUARANTINED}


def test_phases_that_did_not_run_take_no_time() -> None:
    assert AttemptRecord(Outcome.ERROR, setup_s=0.5, teardown_s=0.25).duration_s == 0.75


def test_duration_of_a_test_is_that_of_the_attempt_that_decided() -> None:
    attempts = (
        AttemptRecord(Outcome.FAILED, start_s=10.0, call_s=5.0),
        AttemptRecord(Outcome.PASSED, start_s=20.0, call_s=1.0),
    )
    test = TestRecord("tests/test_a.py::TestA::test_a[1]", "unit", Outcome.FLAKY, attempts)

    assert (test.duration_s, test.retries, test.start_s, test.name) == (1.0, 1, 10.0, "TestA::test_a[1]")


def test_name_of_a_file_that_could_not_be_collected_is_the_file() -> None:
    assert TestRecord("tests/test_a.py", "untyped", Outcome.ERROR, (AttemptRecord(Outcome.ERROR),)).name == (
        "tests/test_a.py"
    )


def test_samples_of_a_time_budget_make_nothing_flaky_and_are_no_retries() -> None:
    attempts = tuple(AttemptRecord(outcome) for outcome in (Outcome.OVER_BUDGET, Outcome.FAILED, Outcome.PASSED))
    sampled = TestRecord("a.py::a", "unit", Outcome.PASSED, (attempts[0], attempts[2]))

    assert final_outcome([one.outcome for one in sampled.attempts]) is Outcome.PASSED
    assert (sampled.retries, sampled.repeated) == (0, True)
    assert final_outcome([one.outcome for one in attempts]) is Outcome.FLAKY


def test_error_in_teardown_is_worse_than_a_budget() -> None:
    assert worse(Outcome.OVER_BUDGET, Outcome.ERROR) is Outcome.ERROR
