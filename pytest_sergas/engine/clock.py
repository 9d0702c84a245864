"""The clock, read by the outermost shells only."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pytest_sergas.core.clock import Now


def read() -> Now:
    """Return this moment."""
    return Now(time.monotonic(), time.time())


def offset_s(timezone: str, wall_s: float) -> float:
    """Return how many seconds ``timezone`` is ahead of UTC at ``wall_s``.

    Args:
        timezone: a name that the configuration has accepted.
    """
    offset = datetime.fromtimestamp(wall_s, ZoneInfo(timezone)).utcoffset()
    return offset.total_seconds() if offset else 0.0


def moment(seconds: float | None) -> str | None:
    """Return a time as the specification writes it: ``2025-10-20T10:30:00Z``."""
    if seconds is None or not math.isfinite(seconds):
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
