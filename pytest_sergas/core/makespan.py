"""How long a plan takes with so many workers, had every test its recorded duration, stage by stage.

A worker does its share. What no worker is named for goes to the first one that is free (list scheduling).
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from pytest_sergas.core.plan import Plan, Unit


def makespan_s(plan: Plan, workers: int) -> float:
    """Return the seconds from the first test to the end of the last; starting workers is not counted.

    Args:
        workers: as many as the plan was made for.
    """
    return sum(_stage_s(units, workers) for units in plan.stages)


def _stage_s(units: Sequence[Unit], workers: int) -> float:
    if units[0].exclusive:
        return sum(unit.seconds for unit in units)
    ends_s = [0.0] * workers
    for unit in units:
        if unit.worker is not None:
            ends_s[unit.worker] += unit.seconds
    free = [(end_s, number) for number, end_s in enumerate(ends_s)]
    heapify(free)
    for unit in units:
        if unit.worker is not None:
            continue
        # The first worker that is free and may run it; those that may not keep their place.
        passed = []
        begins_s, number = heappop(free)
        while unit.workers and number not in unit.workers:
            passed.append((begins_s, number))
            begins_s, number = heappop(free)
        for entry in (*passed, (begins_s + unit.seconds, number)):
            heappush(free, entry)
    return max(end_s for end_s, _ in free)
