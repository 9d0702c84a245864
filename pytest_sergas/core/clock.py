"""A moment, as decisions take it: they read no clock themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Now:
    """One reading of both clocks.

    Attributes:
        monotonic_s: seconds of the monotonic clock, for intervals: nobody sets it. It means nothing to another process.
        wall_s: seconds since the Unix epoch (UTC), for what people read and for what is stored. It may be set back.
    """

    monotonic_s: float
    wall_s: float


def restored(wall_s: float, now: Now) -> Now:
    """Return a moment of which only the wall clock's reading was kept, as another process at ``now`` has it.

    A wall clock that was set back counts as no time at all: nothing lies in the future.
    """
    return Now(now.monotonic_s - max(0.0, now.wall_s - wall_s), wall_s)
