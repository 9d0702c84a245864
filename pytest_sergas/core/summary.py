"""A run at a glance: one `TypeSummary` for each test type that ran, and one for all together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest

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
        return sum(test.retries for test in self.tests)

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
    for test in tests:
        counts[test.outcome] += 1
    intervals = [
        (attempt.start_s, attempt.start_s + attempt.duration_s)
        for test in tests
        for attempt in test.attempts
        if attempt.start_s
    ]
    ranked = nlargest(slowest, tests, key=lambda test: test.duration_s)
    return TypeSummary(name, tuple(tests), counts, covered_s(intervals), tuple(ranked))
