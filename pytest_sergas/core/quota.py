"""How many CPUs a control group lets its processes use, from the kernel's files.

Version 2 (kernel documentation, "Control Group v2", ``cpu.max``): ``QUOTA PERIOD`` in microseconds, the quota
possibly ``max``. Version 1 ("CFS Bandwidth Control"): ``cpu.cfs_quota_us``, -1 for no limit, and
``cpu.cfs_period_us``. A limit of a group above holds as well, so the lowest on the way up counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """The group of a process in one hierarchy; ``version`` is 1 or 2, ``path`` begins with a slash."""

    version: int
    path: str


def parse_groups(text: str) -> list[Group]:
    """Return the groups that can limit CPU time in the text of ``/proc/self/cgroup``."""
    found = []
    for line in text.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/"):
            continue
        if hierarchy == "0" and not controllers:
            found.append(Group(2, path))
        elif "cpu" in controllers.split(","):
            found.append(Group(1, path))
    return found


def parse_max(text: str) -> float | None:
    """Return the CPUs in the text of ``cpu.max``; None for no limit, or a text that says nothing."""
    quota, _, period = text.strip().partition(" ")
    return None if quota == "max" else _cpus(quota, period or "100000")  # the kernel's default


def parse_cfs(quota: str, period: str) -> float | None:
    """Return the CPUs in the texts of ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us``; None for no limit."""
    return _cpus(quota, period)


def workers(limits: Iterable[float | None]) -> int | None:
    """Return how many workers the lowest limit keeps busy, at least one; None without a limit.

    A part of a CPU counts as one: what it can do would otherwise be lost.
    """
    lowest = min((limit for limit in limits if limit is not None), default=None)
    return None if lowest is None else max(1, math.ceil(lowest))


def _cpus(quota: str, period: str) -> float | None:
    try:
        quota_us, period_us = int(quota), int(period)
    except ValueError:
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None
