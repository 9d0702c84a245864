"""How sure a share is that was counted: 1 failure in 3 runs says less than 100 in 300."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

Z_95 = 1.959963984540054  # the 97.5th percentile of the normal distribution: 95 % lie within it on both sides


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a share lies, 0 to 1."""

    low: float
    high: float


def wilson(count: int, total: int, z: float = Z_95) -> Interval:
    """Return the interval in which the true share lies of which ``count`` in ``total`` were seen.

    Wilson's score interval (E. B. Wilson, JASA 22, 1927), which holds for small numbers too and never leaves 0 to 1.
    Where nothing was seen, the share may be anything.

    Args:
        count: 0 to ``total``.
        z: how sure to be, in standard deviations; 95 % unless given.
    """
    if total == 0:
        return Interval(0.0, 1.0)
    share, spread = count / total, z * z / total
    centre = share + spread / 2
    reach = z * sqrt(share * (1 - share) / total + spread / (4 * total))
    # At the ends the two parts are the same number, which floats miss by a rounding.
    low = 0.0 if count == 0 else (centre - reach) / (1 + spread)
    high = 1.0 if count == total else (centre + reach) / (1 + spread)
    return Interval(low, high)
