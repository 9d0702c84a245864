"""A run beside the one before it: what broke, what is repaired, what came and went, what takes longer."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sergas.core.records import FAILURES, SUCCESSES, RunRecord, TestRecord

SLOWER_RATIO = 1.5
SLOWER_LEAST_S = 0.05  # less interests nobody, and is noise


@dataclass(frozen=True, slots=True)
class Change:
    """A test that both runs have, now and before."""

    now: TestRecord
    before: TestRecord


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs; each list in the order in which the tests ran, those that take longer by what they lost.

    Attributes:
        broke: failed now, and succeeded before.
        repaired: succeeded now, and failed before.
        added: only in this run.
        gone: only in the one before.
        slower: succeeded both times, and took half as long again and at least 50 ms more.
        took_s: seconds that all tests took together now, and before.
    """

    broke: tuple[Change, ...]
    repaired: tuple[Change, ...]
    added: tuple[TestRecord, ...]
    gone: tuple[TestRecord, ...]
    slower: tuple[Change, ...]
    took_s: tuple[float, float]

    @property
    def is_empty(self) -> bool:
        return not (self.broke or self.repaired or self.added or self.gone or self.slower)


def compare(run: RunRecord, before: RunRecord) -> Comparison:
    """Return what differs between ``run`` and the run ``before`` it; tests are told apart by their node ids."""
    earlier = {test.node_id: test for test in before.tests}
    now = {test.node_id for test in run.tests}
    both = [Change(test, earlier[test.node_id]) for test in run.tests if test.node_id in earlier]
    slower = [change for change in both if _is_slower(change)]
    return Comparison(
        tuple(change for change in both if _failed(change.now) and _succeeded(change.before)),
        tuple(change for change in both if _succeeded(change.now) and _failed(change.before)),
        tuple(test for test in run.tests if test.node_id not in earlier),
        tuple(test for test in before.tests if test.node_id not in now),
        tuple(sorted(slower, key=lambda change: change.before.duration_s - change.now.duration_s)),
        (_took_s(run), _took_s(before)),
    )


def _failed(test: TestRecord) -> bool:
    return test.outcome in FAILURES


def _succeeded(test: TestRecord) -> bool:
    return test.outcome in SUCCESSES


def _is_slower(change: Change) -> bool:
    if not (_succeeded(change.now) and _succeeded(change.before)):
        return False
    now_s, before_s = change.now.duration_s, change.before.duration_s
    return now_s >= before_s * SLOWER_RATIO and now_s - before_s >= SLOWER_LEAST_S


def _took_s(run: RunRecord) -> float:
    return sum(test.duration_s for test in run.tests)
