"""The statistics of a benchmark: how long each of many rounds of the same call took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sergas.core.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Statistics:
    """Seconds of a round."""

    rounds: int
    min_s: float
    median_s: float
    mean_s: float
    max_s: float


def summarise(rounds_s: Sequence[float]) -> Statistics:
    """Return the statistics of rounds, of which there is at least one."""
    from statistics import mean, median  # not loaded by every run for the few tests that measure rounds

    return Statistics(len(rounds_s), min(rounds_s), median(rounds_s), mean(rounds_s), max(rounds_s))


def per_round(whole: Measurement, median_s: float) -> Measurement:
    """Return what one round cost, from what the whole call of the test did.

    Waiting and CPU time were measured of the call alone; a round has the same share of them. Memory is that of
    the call.

    Args:
        median_s: wall time of a round.
    """
    share = min(1.0, median_s / whole.wall_s) if whole.wall_s > 0 else 1.0
    return whole._replace(
        method=f"{whole.method}+benchmark",
        wall_s=whole.wall_s * share,
        undisturbed_s=whole.undisturbed_s * share,
        cpu_s=whole.cpu_s * share,
        children_cpu_s=whole.children_cpu_s * share,
        paced_s=None if whole.paced_s is None else whole.paced_s * share,
    )
