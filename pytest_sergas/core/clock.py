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
