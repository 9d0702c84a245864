"""What is shown of a run, on the sidecar's page and in the file that ``sergas report`` writes."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sergas.core import summary
from pytest_sergas.core.causes import Group, grouped
from pytest_sergas.core.comparison import Comparison, compare
from pytest_sergas.core.records import Outcome, RunRecord, TestRecord
from pytest_sergas.core.summary import TypeSummary
from pytest_sergas.core.timeline import Timeline, timeline

FAILURES_SHOWN = 50
TESTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it is shown.

    Attributes:
        state: one word for it: failed, flaky or passed; skipped where nothing was judged.
        types: a summary for each type of test, and the one of all of them.
        failed, flaky, over_budget: the tests, in the order in which they ran.
        causes: the failed tests by cause.
        slowest: longest first.
        comparison: with the run before, or None where there is none.
    """

    run: RunRecord
    state: str
    types: tuple[TypeSummary, ...]
    overall: TypeSummary
    failed: tuple[TestRecord, ...]
    causes: tuple[Group, ...]
    flaky: tuple[TestRecord, ...]
    over_budget: tuple[TestRecord, ...]
    slowest: tuple[TestRecord, ...]
    timeline: Timeline | None
    comparison: Comparison | None


def view(run: RunRecord, before: RunRecord | None = None) -> RunView:
    """Return what is shown of ``run``; ``before`` is the run that it is compared with."""
    overall = summary.overall(run, slowest=10)
    failed = summary.failures(run)
    flaky = summary.flaky(run)
    return RunView(
        run,
        "failed" if failed else "flaky" if flaky else "passed" if overall.succeeded else "skipped",
        summary.summarise(run, slowest=0),
        overall,
        failed,
        grouped(failed),
        flaky,
        tuple(test for test in failed if test.outcome is Outcome.OVER_BUDGET),
        overall.slowest,
        timeline(run),
        None if before is None else compare(run, before),
    )
