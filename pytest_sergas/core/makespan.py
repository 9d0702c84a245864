"""How long a plan takes with so many workers, had every test its recorded duration: list scheduling, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from pytest_sergas.core.plan import Plan, Unit


def makespan_s(plan: Plan, caps: Mapping[str, int], workers: int) -> float:
    """Return the seconds from the first test to the end of the last; starting workers is not counted.

    Args:
        caps: type → how many workers may run it.
        workers: at least 1.
    """
    return sum(_stage_s(units, caps, workers) for units in plan.stages)


def _stage_s(units: Sequence[Unit], caps: Mapping[str, int], workers: int) -> float:
    if units[0].exclusive:
        return sum(unit.seconds for unit in units)
    free = [(0.0, number) for number in range(workers)]
    heapify(free)
    holders: dict[str, set[int]] = {name: set() for name in caps}
    ends_s = [0.0]
    for unit in units:
        # The first worker that is free and may run it; those that may not keep their place.
        passed = []
        while True:
            begins_s, number = heappop(free)
            if all(number in holders[name] or len(holders[name]) < caps[name] for name in unit.capped):
                break
            passed.append((begins_s, number))
        for name in unit.capped:
            holders[name].add(number)
        ends_s.append(begins_s + unit.seconds)
        for entry in (*passed, (ends_s[-1], number)):
            heappush(free, entry)
    return max(ends_s)
