"""Functions over ranges of samples, and over vectors.

    https://prometheus.io/docs/prometheus/latest/querying/functions/

A range function gets the samples of one series, at least one, and returns None where it has no result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from operator import lt
from types import MappingProxyType
from typing import NamedTuple

from pytest_sergas.core.promql import arithmetic
from pytest_sergas.core.promql.syntax import PromqlError
from pytest_sergas.core.promql.vectors import Element, EvaluationError, Key, Vector, nameless
from pytest_sergas.core.regex import compile_pattern, expanded
from pytest_sergas.core.series import NAME, Labels, Matcher, canonical

LE = "le"
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)

# Floating-point numbers as Go's strconv reads them in a label, without underscores and hexadecimal digits.
_FLOAT = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.IGNORECASE | re.ASCII)


class Samples(NamedTuple):
    """The samples of one series in a range; made for every series at every evaluation, hence no dataclass.

    Attributes:
        times_s, values: ascending, at least one; none before ``start_s`` or after ``end_s``.
        range_s: how long the range is.
        now_s: the moment of the evaluation, which an offset puts behind ``end_s``.
    """

    times_s: Sequence[float]
    values: Sequence[float]
    start_s: float
    end_s: float
    range_s: float
    now_s: float


def seconds(earlier_s: float, later_s: float) -> float:
    """Return the time between, to the microsecond: what decimal fractions leave in the last binary digits goes."""
    return round(later_s - earlier_s, 6)


def _extrapolated(samples: Samples, *, is_counter: bool, per_s: float = 1.0) -> float | None:
    """Return the difference over the whole range, as far as the samples allow to say what it was outside of them.

    The rules are those of `extrapolatedRate` in Prometheus' promql/functions.go, and so is the order of the operations,
    to the last digit.

    Args:
        per_s: what the difference is divided by.
    """
    times_s, values = samples.times_s, samples.values
    if len(values) < 2:
        return None
    first, last = values[0], values[-1]
    difference = last - first
    if is_counter and any(map(lt, values[1:], values)):  # what is rare is found out fast
        difference += sum(before for before, after in pairwise(values) if after < before)
    sampled_s = seconds(times_s[0], times_s[-1])
    average_s = sampled_s / (len(values) - 1)
    before_s, after_s = seconds(samples.start_s, times_s[0]), seconds(times_s[-1], samples.end_s)
    if is_counter and difference > 0 and first >= 0:
        # A counter was never below zero.
        before_s = min(before_s, sampled_s * (first / difference))
    near_s = average_s * 1.1
    covered_s = sampled_s
    for gap_s in (before_s, after_s):
        covered_s += gap_s if gap_s < near_s else average_s / 2
    return difference * (covered_s / sampled_s / per_s)


def _rate(samples: Samples) -> float | None:
    return _extrapolated(samples, is_counter=True, per_s=samples.range_s)


def _increase(samples: Samples) -> float | None:
    return _extrapolated(samples, is_counter=True)


def _delta(samples: Samples) -> float | None:
    return _extrapolated(samples, is_counter=False)


def _irate(samples: Samples) -> float | None:
    if len(samples.values) < 2:
        return None
    before, last = samples.values[-2:]
    # After a reset the counter began at zero.
    return (last if last < before else last - before) / seconds(samples.times_s[-2], samples.times_s[-1])


def _idelta(samples: Samples) -> float | None:
    values = samples.values
    return values[-1] - values[-2] if len(values) > 1 else None


def _resets(samples: Samples) -> float:
    return float(sum(1 for before, after in pairwise(samples.values) if after < before))


def _changes(samples: Samples) -> float:
    pairs = pairwise(samples.values)
    return float(sum(1 for one, other in pairs if one != other and not (math.isnan(one) and math.isnan(other))))


RANGE_FUNCTIONS: Mapping[str, Callable[[Samples], float | None]] = MappingProxyType(
    {
        "rate": _rate,
        "increase": _increase,
        "delta": _delta,
        "irate": _irate,
        "idelta": _idelta,
        "deriv": lambda samples: (found := _line(samples, samples.times_s[0])) and found[0],
        "changes": _changes,
        "resets": _resets,
        "avg_over_time": lambda samples: arithmetic.mean(samples.values),
        "min_over_time": lambda samples: arithmetic.least(samples.values),
        "max_over_time": lambda samples: arithmetic.greatest(samples.values),
        "sum_over_time": lambda samples: arithmetic.total(samples.values),
        "count_over_time": lambda samples: float(len(samples.values)),
        "stddev_over_time": lambda samples: math.sqrt(arithmetic.variance(samples.values)),
        "stdvar_over_time": lambda samples: arithmetic.variance(samples.values),
        "last_over_time": lambda samples: samples.values[-1],
        "present_over_time": lambda _samples: 1.0,
    }
)


def quantile_over_time(samples: Samples, share: float) -> float:
    return arithmetic.quantile(share, samples.values)


def _line(samples: Samples, origin_s: float) -> tuple[float, float] | None:
    """Return the line through the samples (least squares): its slope for each second, and its value at ``origin_s``."""
    values = samples.values
    if len(values) < 2:
        return None
    if all(value == values[0] for value in values):
        return (math.nan, math.nan) if math.isinf(values[0]) else (0.0, values[0])
    distances_s = [seconds(origin_s, time_s) for time_s in samples.times_s]
    count = len(values)
    sum_x, sum_y = arithmetic.total(distances_s), arithmetic.total(values)
    covariance = arithmetic.total(x * y for x, y in zip(distances_s, values, strict=True)) - sum_x * sum_y / count
    spread = arithmetic.total(x * x for x in distances_s) - sum_x * sum_x / count
    slope = covariance / spread
    return slope, sum_y / count - slope * sum_x / count


def predict_linear(samples: Samples, ahead_s: float) -> float | None:
    """Return the value ``ahead_s`` from now on the line through the samples."""
    line = _line(samples, samples.now_s)
    return None if line is None else line[0] * ahead_s + line[1]


def whole(value: float) -> int:
    """Return a number of elements.

    Raises:
        EvaluationError: it is none that Go has.
    """
    if not -(2.0**63) <= value <= 2.0**63:
        raise EvaluationError(f"{value:g} is not a number of series")
    return int(value)


def topk(elements: Vector, count: int) -> Vector:
    """Return the ``count`` elements with the largest values, the largest first, NaN last."""
    return sorted(elements, key=lambda element: (math.isnan(element[2]), -element[2]))[: max(0, count)]


def bottomk(elements: Vector, count: int) -> Vector:
    """Return the ``count`` elements with the smallest values, the smallest first, NaN last."""
    return sorted(elements, key=lambda element: (math.isnan(element[2]), element[2]))[: max(0, count)]


def with_label(element: Element, label: str, text: str) -> Element:
    """Return an element whose ``label`` is ``text``; "" for none."""
    name, labels, value = element
    if label == NAME:
        return text, labels, value
    return name, canonical({**dict(labels), label: text}.items()), value


def plain(value: float) -> str:
    """Return a number as Go writes it without an exponent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def label_replace(label: str, template: str, source: str, pattern: str) -> Callable[[Element], Element]:
    """Return what sets ``label`` where the label ``source`` matches ``pattern``, from a template such as ``$1``.

    Raises:
        PromqlError: an operand cannot be used.
    """
    if not LABEL.fullmatch(label):
        raise PromqlError(f"{label!r} is not the name of a label")
    try:
        compiled = compile_pattern(pattern)
    except ValueError as error:
        raise PromqlError(str(error)) from error

    def replace(element: Element) -> Element:
        found = compiled.fullmatch(_label_of(element, source))
        return element if found is None else with_label(element, label, expanded(template, found))

    return replace


def label_join(label: str, separator: str, sources: Sequence[str]) -> Callable[[Element], Element]:
    """Return what sets ``label`` to the values of the labels ``sources``.

    Raises:
        PromqlError: an operand cannot be used.
    """
    for name in (label, *sources):
        if not LABEL.fullmatch(name):
            raise PromqlError(f"{name!r} is not the name of a label")

    def join(element: Element) -> Element:
        return with_label(element, label, separator.join(_label_of(element, source) for source in sources))

    return join


def _label_of(element: Element, label: str) -> str:
    return element[0] if label == NAME else dict(element[1]).get(label, "")


def _with_infinities(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: float(function(value)) if math.isfinite(value) else value


def _sign(value: float) -> float:
    return value if value == 0 or math.isnan(value) else math.copysign(1.0, value)


def _root(value: float) -> float:
    return math.nan if value < 0 else math.sqrt(value)


def _exponential(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    def apply(value: float) -> float:
        if value == 0:
            return -math.inf
        return math.nan if value < 0 else function(value)

    return apply


VALUE_FUNCTIONS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "abs": abs,
        "ceil": _with_infinities(math.ceil),
        "exp": _exponential,
        "floor": _with_infinities(math.floor),
        "ln": _logarithm(math.log),
        "log10": _logarithm(math.log10),
        "log2": _logarithm(math.log2),
        "sgn": _sign,
        "sqrt": _root,
    }
)


def rounded(value: float, nearest: float) -> float:
    """Return ``value`` rounded to a multiple of ``nearest``, halves up."""
    inverse = arithmetic.divide(1.0, nearest)
    scaled = value * inverse + 0.5
    return arithmetic.divide(math.floor(scaled) if math.isfinite(scaled) else scaled, inverse)


def clamped(elements: Vector, lowest: float, highest: float) -> Vector:
    """Return ``elements`` with values no less than ``lowest`` and no more than ``highest``, if any can be."""
    if lowest > highest:
        return []
    return nameless(
        (name, labels, arithmetic.larger(lowest, arithmetic.smaller(highest, value)))
        for name, labels, value in elements
    )


def absent_labels(matchers: Iterable[Matcher]) -> Labels:
    """Return the labels of a series that is missing: those that its matchers name by their one value."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.label == NAME:
            continue
        if matcher.op == "=" and matcher.label not in seen:
            found[matcher.label] = matcher.value
            seen.add(matcher.label)
        else:
            found.pop(matcher.label, None)
    return tuple(sorted(pair for pair in found.items() if pair[1]))


def histogram_quantile(share: float, elements: Vector) -> Vector:
    """Return the quantile of each histogram whose buckets ``elements`` are."""
    histograms: dict[Key, list[tuple[float, float]]] = {}
    for name, labels, count in elements:
        bound = next((value for label, value in labels if label == LE), "")
        if _FLOAT.fullmatch(bound):
            others = tuple([pair for pair in labels if pair[0] != LE])
            histograms.setdefault((name, others), []).append((float(bound), count))
    if not 0 <= share <= 1:
        beyond = share if math.isnan(share) else math.copysign(math.inf, share)
        return nameless((*which, beyond) for which in histograms)
    return nameless((*which, _bucket_quantile(share, buckets)) for which, buckets in histograms.items())


def _bucket_quantile(share: float, buckets: Iterable[tuple[float, float]]) -> float:
    """Return the quantile, taking values inside a bucket as evenly spread."""
    bounds, counts = _cumulative(buckets)
    if bounds[-1] != math.inf or len(bounds) < 2 or counts[-1] == 0:
        return math.nan
    rank = share * counts[-1]
    index = next((index for index, count in enumerate(counts[:-1]) if count >= rank), len(bounds) - 1)
    if index == len(bounds) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    # The first bucket begins at 0.
    start, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    return start + (bounds[index] - start) * arithmetic.divide(rank - below, counts[index] - below)


def _cumulative(buckets: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return bounds, ascending and each once, and counts that never fall, as scrapes at different times make them."""
    at_bound: dict[float, float] = {}
    for bound, count in sorted(buckets, key=lambda bucket: bucket[0]):
        at_bound[bound] = at_bound.get(bound, 0.0) + count
    counts: list[float] = []
    for count in at_bound.values():
        counts.append(max(count, counts[-1]) if counts else count)
    return list(at_bound), counts
