"""A run at a glance: a `TypeSummary` for each test type that ran, one for all together, and how figures are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nlargest

from pytest_sergas.core.causes import Group, grouped
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.records import FAILURES, SUCCESSES, UNTYPED, Outcome, RunRecord, TestRecord, TestType

TYPE_ORDER = (*(test_type.value for test_type in TestType), UNTYPED)


@dataclass(frozen=True, slots=True)
class TypeSummary:
    """The tests of one type.

    Attributes:
        counts: how many tests had which outcome; every outcome is there, also with 0.
        wall_s: seconds during which at least one of these tests was running, on any worker.
        slowest: longest first, by the duration of the attempt that decided.
    """

    type: str
    tests: tuple[TestRecord, ...]
    counts: dict[Outcome, int]
    wall_s: float
    slowest: tuple[TestRecord, ...]

    @property
    def total(self) -> int:
        return len(self.tests)

    @property
    def failed(self) -> int:
        return sum(self.counts[outcome] for outcome in FAILURES)

    @property
    def succeeded(self) -> int:
        return sum(self.counts[outcome] for outcome in SUCCESSES)

    @property
    def retries(self) -> int:
        return sum(test.retries for test in self.tests if len(test.attempts) > 1)

    @property
    def success_percent(self) -> float | None:
        """Percent of the tests that succeeded or failed; None when none did either (all were skipped)."""
        judged = self.succeeded + self.failed
        return 100.0 * self.succeeded / judged if judged else None


def summarise(run: RunRecord, *, slowest: int = 3) -> tuple[TypeSummary, ...]:
    """Return a summary for each type that has tests in ``run``, in the order of `TestType`, untyped last.

    Args:
        slowest: how many of the slowest tests each summary names.
    """
    by_type: dict[str, list[TestRecord]] = {}
    for test in run.tests:
        by_type.setdefault(test.type, []).append(test)
    known = [name for name in TYPE_ORDER if name in by_type]
    return tuple(_summary(name, by_type[name], slowest) for name in known)


def overall(run: RunRecord, *, slowest: int = 10) -> TypeSummary:
    """Return the summary of all tests of ``run`` together, under the type ``all``."""
    return _summary("all", run.tests, slowest)


def failures(run: RunRecord) -> tuple[TestRecord, ...]:
    """Return the tests that make the run fail, in the order in which they ran."""
    return tuple(test for test in run.tests if test.outcome in FAILURES)


def causes(run: RunRecord) -> tuple[Group, ...]:
    """Return the tests that make the run fail by cause, in the order in which the causes were first met."""
    return grouped(failures(run))


def cause_title(group: Group) -> str:
    """Return what a cause is called: ``200 tests, setup: ConnectionError at tests/conftest.py:12 in db``."""
    cause = group.cause
    tests = f"{len(group.tests)} tests" if len(group.tests) > 1 else "1 test"
    if cause is None:
        return f"{tests}: {group.tests[0].outcome.value}"
    phase = "" if cause.phase == "call" else f", {cause.phase}"
    place = f" at {cause.place}" if cause.file else f" of {cause.function}" if cause.function else ""
    return f"{tests}{phase}: {cause.exception or 'failure'}{place}"


def flaky(run: RunRecord) -> tuple[TestRecord, ...]:
    """Return the tests that passed after a failure, in the order in which they ran."""
    return tuple(test for test in run.tests if test.outcome is Outcome.FLAKY)


def slowest_of(summaries: Sequence[TypeSummary], *, least_s: float) -> tuple[TestRecord, ...]:
    """Return the slowest tests that ``summaries`` name, as many as one of them names, longest first.

    Args:
        least_s: a test that took fewer seconds interests nobody.
    """
    limit = max((len(summary.slowest) for summary in summaries), default=0)
    tests = [test for summary in summaries for test in summary.slowest if test.duration_s >= least_s]
    return tuple(sorted(tests, key=lambda test: test.duration_s, reverse=True)[:limit])


def finer_failures(summary: TypeSummary) -> str:
    """Return how the failed tests failed ("1 failed, 2 timeout"), or "" when all simply failed."""
    kinds = [outcome for outcome in Outcome if outcome in FAILURES and summary.counts[outcome]]
    if kinds in ([], [Outcome.FAILED]):
        return ""
    return ", ".join(f"{summary.counts[outcome]} {outcome.value}" for outcome in kinds)


def succeeded_at_once(summary: TypeSummary) -> int:
    """Return how many tests went as expected at their first attempt; an expected failure is one of them."""
    return summary.succeeded - summary.counts[Outcome.FLAKY]


def seconds(duration_s: float) -> str:
    """Return a duration below 100 days in at most 7 characters, in the unit in which people think of it."""
    if duration_s < 0.0005:
        return "<1 ms"
    if duration_s < 0.9995:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 99.95:
        return f"{duration_s:.1f} s"
    minutes, rest = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours_of_day = divmod(hours, 24)
    if hours >= 100:
        return f"{days}d {hours_of_day:02d}h"
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def percent(summary: TypeSummary) -> str:
    """Return the success rate in at most 5 characters; rounding never makes 100 % of less."""
    share = summary.success_percent
    if share is None:
        return "-"
    return "100%" if share == 100 else f"{min(share, 99.9):.1f}%"


def covered_s(intervals: Iterable[tuple[float, float]]) -> float:
    """Return how many seconds at least one of the (start, stop) ``intervals`` covers."""
    total = 0.0
    reached = float("-inf")
    for start, stop in sorted(intervals):
        if stop > reached:
            total += stop - max(start, reached)
            reached = stop
    return total


def _summary(name: str, tests: Sequence[TestRecord], slowest: int) -> TypeSummary:
    counts = dict.fromkeys(Outcome, 0)
    intervals: list[tuple[float, float]] = []
    durations_s: list[float] = []
    for test in tests:  # once, and each duration once: a suite may have a hundred thousand
        counts[test.outcome] += 1
        duration_s = 0.0
        for attempt in test.attempts:
            start_s, duration_s = attempt.start_s, attempt.duration_s
            if start_s:
                intervals.append((start_s, start_s + duration_s))
        durations_s.append(duration_s)
    ranked = nlargest(slowest, range(len(tests)), key=durations_s.__getitem__)
    return TypeSummary(name, tuple(tests), counts, covered_s(intervals), tuple(tests[index] for index in ranked))
