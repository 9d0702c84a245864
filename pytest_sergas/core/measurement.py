"""What the call of an attempt cost, as it was measured, and how much of its budgets that was."""

from __future__ import annotations

from typing import NamedTuple

MIB = 1024 * 1024


class Use(NamedTuple):
    """How much of a budget was used.

    Attributes:
        budget: the keyword that sets it (``max_duration``).
        used, allowed: seconds, or MiB for ``max_memory_mb``.
    """

    budget: str
    used: float
    allowed: float

    @property
    def ratio(self) -> float:
        return self.used / self.allowed


PACE = "pace"  # in the name of a method: what a slow core has added is taken off


def at_best_pace(undisturbed_s: float, cpu_s: float, slowness: float) -> float:
    """Return what a call would have taken on a core at its best: waiting stays as long, computing does not.

    Args:
        cpu_s: CPU seconds of the call.
        slowness: how many times as long as at its best the core took; at least 1.
    """
    return undisturbed_s - min(undisturbed_s, cpu_s) * (1 - 1 / slowness)


class Measurement(NamedTuple):
    """The call phase of one attempt.

    Attributes:
        method: how time and memory were measured: ``schedstat+VmHWM``, ``wall+sampling``.
        wall_s: seconds on the clock.
        undisturbed_s: `wall_s` without the time that the test's thread stood ready and waited for a CPU;
            the same as `wall_s` where the system does not tell.
        cpu_s: CPU seconds of the process, all its threads together.
        children_cpu_s: CPU seconds of the child processes that ended, and were waited for, meanwhile.
        peak_memory_bytes: what the process held at its peak, above what it held at the start of the call;
            None where it was not measured.
        paced_s: `undisturbed_s` without what a core that was not at its best has added; None where it was not
            measured, because the test has no relative budget.
        uses: the budgets of the test, as far as they were judged.
    """

    method: str
    wall_s: float
    undisturbed_s: float
    cpu_s: float
    children_cpu_s: float = 0.0
    peak_memory_bytes: int | None = None
    paced_s: float | None = None
    uses: tuple[Use, ...] = ()

    @property
    def all_cpu_s(self) -> float:
        return self.cpu_s + self.children_cpu_s

    @property
    def compared_s(self) -> float:
        """Seconds that are compared with those of other runs."""
        return self.undisturbed_s if self.paced_s is None else self.paced_s

    @property
    def waited_s(self) -> float:
        """Seconds of the wall time during which the test waited for a CPU."""
        return self.wall_s - self.undisturbed_s
