"""Trends: what a series was like in each five minutes, and when what shrinks steadily will be used up.

    values → Bucket (least, mean, greatest, count) of five minutes → an hour of buckets as bytes, always as many

Buckets lie on a grid of the wall clock, so that those of two processes, or from before and after a clock was set back,
are joined: no value counts twice, and none is lost.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

BUCKET_S = 300
HOUR_S = 3_600
KEPT_S = 7 * 24 * HOUR_S
_SLOTS = HOUR_S // BUCKET_S
# count, least, mean, greatest; a slot without values has the count 0.
_SLOT = struct.Struct("<Iddd")
_MOST = 2**32 - 1
HOUR_BYTES = _SLOTS * _SLOT.size
NOTHING = bytes(HOUR_BYTES)

_LEAST_SPAN_S = 3_600.0  # a shorter past says nothing about days to come
_LEAST_POINTS = 12
_LEAST_FIT = 0.5  # share of the variance that a line explains


@dataclass(frozen=True, slots=True)
class Bucket:
    """The values of a stretch of time; there is at least one.

    Attributes:
        start_s: when it begins, in seconds since the epoch.
    """

    start_s: int
    least: float
    mean: float
    greatest: float
    count: int = 1

    @property
    def end_s(self) -> int:
        return self.start_s + BUCKET_S

    def joined(self, other: Bucket) -> Bucket:
        """Return one with the values of both, which begins when this one does."""
        count = self.count + other.count
        least, greatest = min(self.least, other.least), max(self.greatest, other.greatest)
        mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        # Rounded, the mean of equal values would be another one.
        return Bucket(self.start_s, least, min(max(mean, least), greatest), greatest, min(count, _MOST))


def bucket(at_s: float, value: float) -> Bucket:
    """Return the bucket of one value, which is finite."""
    start_s = int(at_s // BUCKET_S) * BUCKET_S
    return Bucket(start_s, value, value, value)


def put(hour: bytes, new: Bucket) -> bytes:
    """Return an ``hour`` of buckets, as `hour_of` reads it, with ``new`` among them."""
    slot = new.start_s % HOUR_S // BUCKET_S
    place = slot * _SLOT.size
    count, least, mean, greatest = _SLOT.unpack_from(hour, place)
    if count:
        new = Bucket(new.start_s, least, mean, greatest, count).joined(new)
    written = _SLOT.pack(new.count, new.least, new.mean, new.greatest)
    return hour[:place] + written + hour[place + _SLOT.size :]


def hour_of(start_s: int, hour: bytes) -> list[Bucket]:
    """Return the buckets of the hour that begins at ``start_s``, in the order of time."""
    return [
        Bucket(start_s + slot * BUCKET_S, least, mean, greatest, count)
        for slot, (count, least, mean, greatest) in enumerate(_SLOT.iter_unpack(hour))
        if count
    ]


def united(stored: Iterable[Bucket], waiting: Iterable[Bucket]) -> list[Bucket]:
    """Return both in the order of time; one that waits and has just been stored is there once."""
    found = {one.start_s: one for one in stored}
    for one in waiting:
        known = found.get(one.start_s)
        if known != one:
            found[one.start_s] = one if known is None else known.joined(one)
    return [found[start_s] for start_s in sorted(found)]


def coarser(buckets: Iterable[Bucket], width_s: int) -> list[Bucket]:
    """Return buckets of ``width_s`` seconds, for a plot that has no room for all of them."""
    found: dict[int, Bucket] = {}
    for one in buckets:
        start_s = one.start_s // width_s * width_s
        known = found.get(start_s)
        found[start_s] = replace(one, start_s=start_s) if known is None else known.joined(one)
    return [found[start_s] for start_s in sorted(found)]


class Outlook(StrEnum):
    """What can be said about when something is used up."""

    SHRINKING = "shrinking"  # at a steady pace: the time is known
    STEADY = "steady"  # it does not become less
    UNSTEADY = "unsteady"  # it becomes less and more; a line says nothing about it
    TOO_SHORT = "too short"  # not enough is known yet


@dataclass(frozen=True, slots=True)
class Forecast:
    """When something is used up; ``left_s`` is None unless it shrinks.

    Attributes:
        span_s: how long the past is that this is read from.
    """

    outlook: Outlook
    span_s: float
    left_s: float | None = None


def until_used_up(points: Sequence[tuple[float, float]]) -> Forecast:
    """Return when what is left reaches 0, if it goes on as a line through its past (least squares).

    Args:
        points: seconds and what was left, in the order of time.
    """
    span_s = points[-1][0] - points[0][0] if points else 0.0
    if len(points) < _LEAST_POINTS or span_s < _LEAST_SPAN_S:
        return Forecast(Outlook.TOO_SHORT, span_s)
    # Between 0 and 1, and at most 1: their squares have a place among numbers, however large they are.
    scale = max(abs(value) for _, value in points) or 1.0
    times = [(at_s - points[0][0]) / span_s for at_s, _ in points]
    values = [value / scale for _, value in points]
    mean_time, mean_value = math.fsum(times) / len(times), math.fsum(values) / len(values)
    spread = math.fsum((time - mean_time) ** 2 for time in times)
    moved = math.fsum((value - mean_value) ** 2 for value in values)
    together = math.fsum((time - mean_time) * (value - mean_value) for time, value in zip(times, values, strict=True))
    slope = together / spread
    if not slope < 0 or not moved:
        return Forecast(Outlook.STEADY, span_s)
    if together**2 / (spread * moved) < _LEAST_FIT:
        return Forecast(Outlook.UNSTEADY, span_s)
    return Forecast(Outlook.SHRINKING, span_s, max(values[-1], 0.0) / -slope * span_s)
