"""Verdicts on what attempts used, with their reasons and their whole texts."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.budgets import Budget, Budgets, Decision, Reason, decide, judge, numbers
from pytest_sergas.core.measurement import MIB, Measurement, Use, at_best_pace

pytestmark = pytest.mark.unit

FLAGS = st.lists(st.booleans(), min_size=1, max_size=9)
COUNTS = st.integers(1, 99)


def sample(
    wall_s: float,
    undisturbed_s: float | None = None,
    *,
    cpu_s: float = 0.0,
    children_s: float = 0.0,
    peak_mb: float | None = 0.0,
    method: str = "schedstat+VmHWM",
    paced_s: float | None = None,
) -> Measurement:
    undisturbed_s = wall_s if undisturbed_s is None else undisturbed_s
    peak = None if peak_mb is None else int(peak_mb * MIB)
    return Measurement(method, wall_s, undisturbed_s, cpu_s, children_s, peak, paced_s)


TIMED = Budgets(duration_s=2.0, attempts=3, most=5)


def test_wall_time_within_the_budget_passes_at_once() -> None:
    (finding,) = judge(TIMED, [sample(2.0)], "performance").findings

    assert (finding.decision, finding.reason) == (Decision.WITHIN, Reason.AT_ONCE)
    assert finding.use == Use("max_duration", 2.0, 2.0)


def test_wall_time_within_the_budget_passes_after_others_were_over() -> None:
    assert judge(TIMED, [sample(3.0), sample(3.0), sample(1.9)], "performance").decision is Decision.WITHIN


def test_undisturbed_time_within_the_budget_does_not_decide_alone() -> None:
    (finding,) = judge(TIMED, [sample(3.0, 1.0)], "performance").findings

    assert (finding.decision, finding.reason) == (Decision.REPEAT, Reason.TOO_FEW)


@pytest.mark.parametrize(
    ("undisturbed", "decision", "reason"),
    [
        pytest.param((1.0, 1.0, 1.0), Decision.WITHIN, Reason.MEDIAN, id="three within"),
        pytest.param((3.0, 3.0, 3.0), Decision.OVER, Reason.MEDIAN, id="three over"),
        pytest.param((1.0, 3.0, 3.0), Decision.REPEAT, Reason.DISAGREE, id="three disagree"),
        pytest.param((1.0, 3.0, 3.0, 3.0), Decision.OVER, Reason.MEDIAN, id="three of five are over already"),
        pytest.param((1.0, 3.0, 3.0, 1.0), Decision.REPEAT, Reason.DISAGREE, id="two and two"),
        pytest.param((1.0, 3.0, 3.0, 1.0, 1.0), Decision.WITHIN, Reason.MEDIAN, id="three of five within"),
        pytest.param((1.0, 3.0, 3.0, 1.0, 3.0), Decision.OVER, Reason.MEDIAN, id="three of five over"),
    ],
)
def test_median_of_undisturbed_attempts_decides(
    undisturbed: tuple[float, ...], decision: Decision, reason: Reason
) -> None:
    (finding,) = judge(TIMED, [sample(4.0, value) for value in undisturbed], "performance").findings

    assert (finding.decision, finding.reason) == (decision, reason)
    assert finding.use == Use("max_duration", median(undisturbed), 2.0)


def test_memory_is_judged_once() -> None:
    verdict = judge(Budgets(memory_mb=100, attempts=3, most=5), [sample(0.1, peak_mb=100.5)], "load")

    (finding,) = verdict.findings
    assert (finding.budget, finding.decision, finding.reason) == (Budget.MEMORY, Decision.OVER, Reason.ONCE)


def test_memory_over_its_budget_is_not_repeated_for_the_sake_of_time() -> None:
    budgets = Budgets(duration_s=1.0, memory_mb=100, attempts=3, most=5)

    assert judge(budgets, [sample(2.0, peak_mb=101)], "load").decision is Decision.OVER


def test_memory_that_was_not_measured_is_not_judged() -> None:
    verdict = judge(Budgets(memory_mb=100), [sample(0.1, peak_mb=None)], "load")

    assert [finding.reason for finding in verdict.findings] == [Reason.NOT_MEASURED]
    assert (verdict.decision, verdict.uses) == (Decision.WITHIN, ())


def test_cpu_of_children_counts() -> None:
    verdict = judge(Budgets(cpu_s=1.0), [sample(5.0, cpu_s=0.6, children_s=0.6)], "unit")

    assert verdict.decision is Decision.OVER
    assert verdict.uses == (Use("max_cpu", 1.2, 1.0),)


def test_waiting_is_no_cpu_time() -> None:
    assert judge(Budgets(cpu_s=1.0, attempts=3, most=5), [sample(60.0, cpu_s=0.9)], "unit").decision is Decision.WITHIN


@given(FLAGS, COUNTS)
def test_an_odd_number_of_attempts_always_decides_in_the_end(over: list[bool], asked: int) -> None:
    attempts, most = numbers(asked)
    endless = (over * most)[:most]

    decision, _ = decide(endless, attempts, most)

    assert attempts % 2 == most % 2 == 1
    if most == len(endless):
        assert decision is (Decision.OVER if sum(endless) > most // 2 else Decision.WITHIN)


@given(st.lists(st.booleans(), min_size=5, max_size=5))
def test_further_attempts_never_overturn_a_decision(over: list[bool]) -> None:
    decided = [decide(over[:count], 3, 5)[0] for count in (4, 5)]

    if decided[0] is not Decision.REPEAT:
        assert decided[1] is decided[0]


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [
        pytest.param(3, None, (3, 5), id="default"),
        pytest.param(1, None, (1, 1), id="one cannot disagree"),
        pytest.param(4, None, (5, 7), id="even counts as the next odd"),
        pytest.param(3, 4, (3, 3), id="no more than can be made"),
        pytest.param(3, 2, (1, 1), id="two are no majority"),
        pytest.param(3, 0, (1, 1), id="at least one"),
    ],
)
def test_numbers_of_attempts(asked: int, available: int | None, expected: tuple[int, int]) -> None:
    assert numbers(asked, available=available) == expected


def test_text_of_a_duration_says_all_of_it() -> None:
    samples = [sample(2.8, 2.6, cpu_s=2.5), sample(4.0, 2.7, cpu_s=2.5), sample(2.75, 2.65, cpu_s=2.5)]

    assert judge(TIMED, samples, "performance").text == (
        "over budget: max_duration = 2 (seconds), and the median of the attempts took 2.65 s, 650.0 ms or 32% more\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU\n"
        "        1     2.80 s       2.60 s     2.50 s       200.0 ms (7%)\n"
        "        2     4.00 s       2.70 s     2.50 s        1.30 s (32%)\n"
        "        3     2.75 s       2.65 s     2.50 s       100.0 ms (4%)\n"
        "What counts is undisturbed time: wall time without the time that the test was ready and waited for a CPU.\n"
        "Make the call cheaper, or allow it more: max_duration in the test's marker, or in "
        "[tool.sergas.types.performance]."
    )


def test_text_of_an_attempt_that_is_to_be_repeated_says_so() -> None:
    assert judge(TIMED, [sample(2.8, 1.6, cpu_s=1.5)], "performance").text == (
        "over budget: max_duration = 2 (seconds), and the attempt's wall time is more; "
        "the attempt took 1.60 s undisturbed\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU\n"
        "        1     2.80 s       1.60 s     1.50 s        1.20 s (43%)\n"
        "What counts is undisturbed time: wall time without the time that the test was ready and waited for a CPU.\n"
        "Not decided yet, because more attempts have to decide: 1 of 3 are made.\n"
        "Make the call cheaper, or allow it more: max_duration in the test's marker, or in "
        "[tool.sergas.types.performance]."
    )


def test_text_of_wall_time_alone_says_why() -> None:
    text = judge(Budgets(duration_s=0.5), [sample(0.75, method="wall+sampling")], "e2e").text

    assert text == (
        "over budget: max_duration = 0.5 (seconds), and the attempt took 750.0 ms, 250.0 ms or 50% more\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU\n"
        "        1   750.0 ms     750.0 ms     0.0 ms         0.0 ms (0%)\n"
        "Here the system does not say how long a test waits for a CPU: wall time counts.\n"
        "Make the call cheaper, or allow it more: max_duration in the test's marker, or in [tool.sergas.types.e2e]."
    )


def test_text_of_memory_and_cpu_together() -> None:
    budgets = Budgets(cpu_s=1.0, memory_mb=100)

    assert judge(budgets, [sample(2.0, cpu_s=1.5, peak_mb=150)], "load").text == (
        "over budget: max_memory_mb = 100 (MiB), and the call added 150.0 MiB at its peak, 50.0 MiB or 50% more\n"
        "over budget: max_cpu = 1 (seconds), and the attempt used 1.50 s, 500.0 ms or 50% more\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU\n"
        "        1     2.00 s       2.00 s     1.50 s         0.0 ms (0%)\n"
        "Make the call cheaper, or allow it more: max_memory_mb and max_cpu in the test's marker, or in "
        "[tool.sergas.types.load]."
    )


BEFORE_S = (1.0, 1.02, 0.98, 1.01, 0.99, 1.03, 0.97)
RELATIVE = Budgets(regression=0.2, before_s=BEFORE_S, attempts=3, most=5)


@pytest.mark.parametrize(
    ("undisturbed", "decision", "reason"),
    [
        pytest.param((1.2,), Decision.WITHIN, Reason.AT_ONCE, id="at the margin"),
        pytest.param((1.3,), Decision.REPEAT, Reason.TOO_FEW, id="one above"),
        pytest.param((1.3, 1.0), Decision.REPEAT, Reason.TOO_FEW, id="one above, one within"),
        pytest.param((1.3, 1.0, 1.0), Decision.WITHIN, Reason.MEDIAN, id="two within"),
        pytest.param((1.3, 1.3, 1.3), Decision.OVER, Reason.MEDIAN, id="three above"),
        pytest.param((1.3, 1.3, 1.0), Decision.REPEAT, Reason.NOT_SURE, id="two above are not sure"),
        pytest.param((1.3, 1.3, 1.02, 1.3, 1.3), Decision.OVER, Reason.MEDIAN, id="four of five are"),
        pytest.param((1.3, 0.9, 1.3, 0.9, 1.3), Decision.WITHIN, Reason.NOT_SURE, id="five are still not sure"),
    ],
)
def test_median_and_ranks_decide_about_a_relative_budget(
    undisturbed: tuple[float, ...], decision: Decision, reason: Reason
) -> None:
    (finding,) = judge(RELATIVE, [sample(value) for value in undisturbed], "performance").findings

    assert (finding.decision, finding.reason) == (decision, reason)


def test_disturbed_attempts_are_not_slower() -> None:
    verdict = judge(RELATIVE, [sample(5.0, 1.0)] * 3, "performance")

    assert (verdict.decision, verdict.findings[0].reason) == (Decision.WITHIN, Reason.MEDIAN)


@pytest.mark.parametrize(
    "budgets",
    [
        pytest.param(replace(RELATIVE, before_s=BEFORE_S[:6]), id="six runs"),
        pytest.param(replace(RELATIVE, before_s=()), id="none"),
        pytest.param(replace(RELATIVE, attempts=1, most=1), id="one attempt"),
    ],
)
def test_too_little_to_compare_with_is_measured_and_passes(budgets: Budgets) -> None:
    verdict = judge(budgets, [sample(100.0)], "performance")

    assert (verdict.decision, verdict.findings[0].reason) == (Decision.WITHIN, Reason.NO_HISTORY)
    assert verdict.uses == (Use("max_regression", 0.0, 0.2),)
    assert not budgets.compares


def test_text_of_a_slower_call_is_whole() -> None:
    assert judge(RELATIVE, [sample(1.3), sample(1.5, 1.4), sample(1.3)], "performance").text == (
        "over budget: max_regression = 20%, and the median of the attempts took 1.30 s, 30% more than the median of 7 "
        "earlier runs, 1.00 s (by chance once in 120 times)\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU\n"
        "        1     1.30 s       1.30 s     0.0 ms         0.0 ms (0%)\n"
        "        2     1.50 s       1.40 s     0.0 ms       100.0 ms (7%)\n"
        "        3     1.30 s       1.30 s     0.0 ms         0.0 ms (0%)\n"
        "What counts is undisturbed time: wall time without the time that the test was ready and waited for a CPU.\n"
        "Where it is meant to take longer, this run is its new baseline: sergas baseline --set RUN.ctrf.json.\n"
        "Make the call cheaper, or allow it more: max_regression in the test's marker, or in "
        "[tool.sergas.types.performance]."
    )


def test_text_of_a_call_that_may_be_slower_says_what_is_missing() -> None:
    lines = judge(RELATIVE, [sample(1.3), sample(1.3), sample(1.0)], "performance").text.splitlines()

    assert lines[0] == (
        "over budget: max_regression = 20%, and the median of the attempts took 1.30 s, 30% more than the median of 7 "
        "earlier runs, 1.00 s"
    )
    assert lines[6] == ("Not decided yet, because the ranks of the attempts are not clear enough: 3 of 5 are made.")


def test_core_that_was_slow_counts_for_a_duration_and_not_for_a_comparison() -> None:
    budgets = replace(RELATIVE, duration_s=1.2)

    verdict = judge(budgets, [sample(1.3, paced_s=1.0)] * 3, "performance")

    assert [(finding.budget, finding.decision) for finding in verdict.findings] == [
        (Budget.DURATION, Decision.OVER),
        (Budget.REGRESSION, Decision.WITHIN),
    ]
    assert "at best pace" not in verdict.text


def test_text_says_that_a_slow_core_does_not_count() -> None:
    slower = sample(1.6, 1.5, paced_s=1.3)

    assert "\n".join(judge(RELATIVE, [slower] * 3, "performance").text.splitlines()[:6]) == (
        "over budget: max_regression = 20%, and the median of the attempts took 1.30 s, 30% more than the median of 7 "
        "earlier runs, 1.00 s (by chance once in 120 times)\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU  at best pace\n"
        "        1     1.60 s       1.50 s     0.0 ms       100.0 ms (6%)        1.30 s\n"
        "        2     1.60 s       1.50 s     0.0 ms       100.0 ms (6%)        1.30 s\n"
        "        3     1.60 s       1.50 s     0.0 ms       100.0 ms (6%)        1.30 s\n"
        "What counts is undisturbed time: wall time without the time that the test was ready and waited for a CPU, and "
        "without what a core added that was slower than at its best."
    )


def test_text_says_for_which_budget_a_slow_core_does_not_count() -> None:
    slower = sample(1.6, 1.5, paced_s=1.3)

    lines = judge(replace(RELATIVE, duration_s=1.2), [slower] * 3, "performance").text.splitlines()

    assert lines[0] == (
        "over budget: max_duration = 1.2 (seconds), and the median of the attempts took 1.50 s, 300.0 ms or 25% more"
    )
    assert lines[-3] == (
        "What counts is undisturbed time: wall time without the time that the test was ready and waited for a CPU, and "
        "for max_regression without what a core added that was slower than at its best."
    )


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 10))
def test_waiting_takes_as_long_on_a_slow_core_and_computing_does_not(
    waiting_s: float, computing_s: float, slowness: float
) -> None:
    slow_s = computing_s * slowness

    assert at_best_pace(waiting_s + slow_s, slow_s, slowness) == pytest.approx(waiting_s + computing_s)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_core_at_its_best_takes_nothing_off(undisturbed_s: float, cpu_s: float) -> None:
    assert at_best_pace(undisturbed_s, cpu_s, 1.0) == undisturbed_s
