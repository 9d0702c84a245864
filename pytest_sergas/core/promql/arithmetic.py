"""Numbers as Prometheus has them: IEEE 754, where Python raises an exception."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

Operation = Callable[[float, float], float]
Comparison = Callable[[float, float], bool]


def divide(left: float, right: float) -> float:
    """Return ``left / right``; divided by zero it is infinite, or NaN."""
    try:
        return left / right
    except ZeroDivisionError:
        if left == 0 or math.isnan(left):
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1.0, right)


def modulo(left: float, right: float) -> float:
    """Return the rest of a division, which has the sign of ``left``."""
    try:
        return math.fmod(left, right)
    except ValueError:
        return math.nan


def power(left: float, right: float) -> float:
    """Return ``left`` to the power of ``right``."""
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and _is_odd(right) else math.inf
    except ValueError:
        if left == 0:
            return math.copysign(math.inf, left) if _is_odd(right) else math.inf
        return math.nan  # a root of a negative number


def _is_odd(value: float) -> bool:
    return math.fmod(value, 2) in {1, -1}


ARITHMETIC: Mapping[str, Operation] = MappingProxyType(
    {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": divide, "%": modulo, "^": power}
)
COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "==": operator.eq,
        "!=": operator.ne,
        ">": operator.gt,
        "<": operator.lt,
        ">=": operator.ge,
        "<=": operator.le,
    }
)


def larger(one: float, other: float) -> float:
    """Return the larger number; NaN unless both are numbers, or one is infinity."""
    if math.isnan(one) or math.isnan(other):
        return math.inf if math.inf in {one, other} else math.nan
    return max(one, other)


def smaller(one: float, other: float) -> float:
    """Return the smaller number; NaN unless both are numbers, or one is negative infinity."""
    return -larger(-one, -other)


def total(values: Iterable[float]) -> float:
    """Return the sum without the errors of rounding that add up."""
    values = tuple(values)
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # too large, or infinite in both directions
        return sum(values)


def mean(values: Sequence[float]) -> float:
    """Return the mean, also where the sum is too large for a number."""
    result = total(values) / len(values)
    if math.isinf(result) and not any(map(math.isinf, values)):
        return total(value / len(values) for value in values)
    return result


def least(values: Iterable[float]) -> float:
    """Return the smallest of ``values`` that is a number; NaN when none is."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def greatest(values: Iterable[float]) -> float:
    """Return the largest of ``values`` that is a number; NaN when none is."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def variance(values: Sequence[float]) -> float:
    """Return the population variance, in one pass that gives exactly 0 for values that are all the same."""
    average = squares = 0.0
    for count, value in enumerate(values, 1):
        distance = value - average
        average += distance / count
        squares += distance * (value - average)
    return squares / len(values)


def variance_of_group(values: Sequence[float]) -> float:
    """Return the population variance as Prometheus aggregates it: that of a single value is 0, also of NaN."""
    average, squares = values[0], 0.0
    for count, value in enumerate(values[1:], 2):
        distance = value - average
        average += distance / count
        squares += distance * (value - average)
    return squares / len(values)


def quantile(share: float, values: Iterable[float]) -> float:
    """Return the quantile by linear interpolation; NaN sorts below every number."""
    if math.isnan(share):
        return math.nan
    if not 0 <= share <= 1:
        return math.copysign(math.inf, share)
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = share * (len(ordered) - 1)
    lower = math.floor(rank)
    upper = min(len(ordered) - 1, lower + 1)
    weight = rank - lower
    return ordered[lower] * (1 - weight) + ordered[upper] * weight
