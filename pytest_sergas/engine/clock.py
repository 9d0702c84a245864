"""The clock, read by the outermost shells only."""

from __future__ import annotations

import time
from datetime import datetime
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
