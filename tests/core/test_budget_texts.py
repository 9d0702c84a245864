"""The whole text of a verdict that fails, beyond the plain cases: attempts that disagree, CPU time, memory alone."""

from __future__ import annotations

import pytest

from pytest_sergas.core.budgets import Budgets, judge
from tests.core.test_budgets import TIMED, sample

pytestmark = pytest.mark.unit

WHAT_COUNTS = (
    "What counts is undisturbed time: wall time without the time that the test was ready and waited for a CPU.\n"
)


def test_text_of_attempts_that_disagree_says_how_many_decide() -> None:
    samples = [sample(3.0), sample(3.0, 1.0), sample(3.0, 1.0)]

    assert judge(TIMED, samples, "load").text == (
        "over budget: max_duration = 2 (seconds), and the attempt's wall time is more; the median of the attempts took "
        "1.00 s undisturbed\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU\n"
        "        1     3.00 s       3.00 s     0.0 ms         0.0 ms (0%)\n"
        "        2     3.00 s       1.00 s     0.0 ms        2.00 s (67%)\n"
        "        3     3.00 s       1.00 s     0.0 ms        2.00 s (67%)\n"
        f"{WHAT_COUNTS}"
        "Not decided yet, because the attempts disagree, two more decide: 3 of 5 are made.\n"
        "Make the call cheaper, or allow it more: max_duration in the test's marker, or in [tool.sergas.types.load]."
    )


def test_text_of_cpu_time_is_that_of_the_median() -> None:
    budgets = Budgets(cpu_s=1.0, attempts=3, most=5)
    samples = [sample(4.0, cpu_s=1.5), sample(4.0, cpu_s=2.0), sample(4.0, cpu_s=1.25, children_s=0.5)]

    assert judge(budgets, samples, "load").text == (
        "over budget: max_cpu = 1 (seconds), and the median of the attempts used 1.75 s, 750.0 ms or 75% more\n"
        "  attempt       wall  undisturbed        CPU    waited for a CPU\n"
        "        1     4.00 s       4.00 s     1.50 s         0.0 ms (0%)\n"
        "        2     4.00 s       4.00 s     2.00 s         0.0 ms (0%)\n"
        "        3     4.00 s       4.00 s     1.75 s         0.0 ms (0%)\n"
        "Make the call cheaper, or allow it more: max_cpu in the test's marker, or in [tool.sergas.types.load]."
    )


def test_text_of_cpu_time_that_only_the_last_attempt_exceeds_speaks_of_no_wall_time() -> None:
    # Attempts within max_cpu are repeated for the sake of another budget.
    budgets = Budgets(duration_s=2.0, cpu_s=1.0, attempts=3, most=5)
    samples = [sample(3.0, cpu_s=0.5), sample(3.0, 1.0, cpu_s=0.5), sample(1.5, cpu_s=1.5)]

    assert judge(budgets, samples, "load").text.splitlines()[0] == (
        "over budget: max_cpu = 1 (seconds), and the attempt used more; the median of the attempts used 500.0 ms"
    )


def test_text_of_memory_alone_has_no_attempts() -> None:
    assert judge(Budgets(memory_mb=100), [sample(2.0, peak_mb=150)], "load").text == (
        "over budget: max_memory_mb = 100 (MiB), and the call added 150.0 MiB at its peak, 50.0 MiB or 50% more\n"
        "Make the call cheaper, or allow it more: max_memory_mb in the test's marker, or in [tool.sergas.types.load]."
    )
