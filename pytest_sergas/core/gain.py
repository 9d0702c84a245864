"""Whether it was of use to run with workers: what the run took, beside what its tests take in one process.

The estimate of the latter is the start and the collecting of one worker, and the larger of two figures for the tests:
what they say that they took, which knows of waiting, and what the workers computed, which knows of what pytest itself
does round each test. Tests slow each other down, and each worker sets up its own session-scoped fixtures: so it is
rather too high, and what is said is seldom wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_sergas.core.records import Outcome, TestRecord
from pytest_sergas.core.summary import seconds

# What is lost must be worth a line: some time, and a share of what the tests would take.
LOSS_S = 10.0
LOSS_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class WorkerTimes:
    """What a worker computed, in seconds of CPU time.

    Attributes:
        collecting_s: from its start until it had collected.
        running_s: from then to its end.
    """

    collecting_s: float
    running_s: float


def no_gain(tests: Iterable[TestRecord], workers: Sequence[WorkerTimes], wall_s: float) -> str:
    """Return what the summary says about a run with workers that took longer than without, or "".

    Args:
        workers: those that reached their end; without any, or with a test whose end is not known, nothing is said.
        wall_s: seconds of the whole run.
    """
    records = tuple(tests)
    if not workers or any(attempt.outcome is Outcome.CRASHED for test in records for attempt in test.attempts):
        return ""
    collecting_s = max(times.collecting_s for times in workers)
    tests_s = max(sum(map(_took_s, records)), sum(times.running_s for times in workers))
    alone_s = collecting_s + tests_s
    if wall_s - alone_s < max(LOSS_S, LOSS_SHARE * alone_s):
        return ""
    return (
        f"parallel was no gain: {seconds(wall_s)} with workers, about {seconds(alone_s)} without "
        f"({seconds(collecting_s)} to collect, {seconds(tests_s)} for the tests)"
    )


def _took_s(test: TestRecord) -> float:
    """Return what a test took, the delays between its attempts included, which nobody is spared."""
    first, last = test.attempts[0], test.last
    return max(sum(attempt.duration_s for attempt in test.attempts), last.start_s + last.duration_s - first.start_s)
