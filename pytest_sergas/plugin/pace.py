"""How much slower the core is right now than at its best, for budgets that compare with other runs.

A core whose other half is busy, or that is clocked down, computes up to twice as long for the same work, and the kernel
books that as CPU time of the test. A loop of known work, timed by the thread's CPU clock right before and after the
call, tells how slow the core was round it; the fastest loop that this process has seen is its best.
"""

from __future__ import annotations

from pytest_sergas.own import Own

_STEPS = 30_000
_AT_FIRST = 50


class Pace:
    """One call at a time: `start`, then `slowness`."""

    def __init__(self) -> None:
        self._best_s = min(_loop_s() for _ in range(_AT_FIRST))
        self._before_s = self._best_s

    def start(self) -> None:
        self._before_s = self._seen()

    def slowness(self) -> float:
        """Return how many times as long as at its best the core took round the call; at least 1."""
        return max(1.0, (self._before_s + self._seen()) / 2 / self._best_s)

    def _seen(self) -> float:
        seconds = _loop_s()
        self._best_s = min(self._best_s, seconds)
        return seconds


def _loop_s() -> float:
    start_s = Own.thread_time()
    for _ in range(_STEPS):
        pass
    return Own.thread_time() - start_s
