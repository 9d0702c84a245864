"""The clock, read by the outermost shells only."""

from __future__ import annotations

import time

from pytest_sergas.core.clock import Now


def read() -> Now:
    """Return this moment."""
    return Now(time.monotonic(), time.time())
