"""Whether a call became slower than it was: by how much at the median, and how sure that is by its ranks.

Neither alone decides. The median of a few samples may be high by chance; and ranks alone are sure of differences that
nobody minds. A mean would be moved by a single sample, so there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from statistics import median

# How often unchanged code may be called slower by its ranks.
ALPHA = 0.01
# With fewer earlier runs not even the clearest order of three attempts is as rare as ALPHA: 1 / comb(3 + 7, 3).
LEAST_HISTORY = 7


@dataclass(frozen=True, slots=True)
class Comparison:
    """Samples beside those of earlier runs.

    Attributes:
        before_s, now_s: the medians.
        chance: how likely ranks like these are where nothing has changed.
    """

    before_s: float
    now_s: float
    chance: float

    @property
    def slower_by(self) -> float:
        """How much longer it takes, as a share; 0 when it does not, or where it took no time before."""
        return max(0.0, self.now_s / self.before_s - 1) if self.before_s else 0.0

    @property
    def is_sure(self) -> bool:
        return self.chance <= ALPHA


def compare(before_s: Sequence[float], now_s: Sequence[float]) -> Comparison:
    """Return how ``now_s`` stands to ``before_s``; there is at least one of each."""
    return Comparison(median(before_s), median(now_s), chance(before_s, now_s))


def chance(before: Sequence[float], now: Sequence[float]) -> float:
    """Return how likely it is that ``now`` ranks as high as it does, or higher, where both are alike.

    The exact one-sided test of Mann and Whitney (Annals of Mathematical Statistics 18, 1947). Equal values count as not
    slower, so that with ties it errs to the side of unchanged code.
    """
    greater = sum(one > other for one in now for other in before)
    orders = _orders(len(now), len(before))
    return sum(orders[greater:]) / comb(len(now) + len(before), len(now))


@lru_cache(maxsize=64)
def _orders(one: int, other: int) -> tuple[int, ...]:
    """Return for each number of pairs in which the first is greater how many orders of all values have it."""
    if one == 0 or other == 0:
        return (1,)
    counts = [0] * (one * other + 1)
    # The greatest of all values is one of the first, and greater than all others; or it is one of the others.
    for pairs, count in enumerate(_orders(one - 1, other)):
        counts[pairs + other] += count
    for pairs, count in enumerate(_orders(one, other - 1)):
        counts[pairs] += count
    return tuple(counts)
