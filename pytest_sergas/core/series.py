"""Series as rules and pages see them: a name, labels, and samples in the order of time.

Labels are canonical: sorted by name, without the metric's name, and without labels whose value is empty,
because to Prometheus a label without a value is a label that is not there. `seen` says what a Prometheus
that scrapes a page with ``honor_labels: true`` makes of it: the labels of the page stay, those of the target
are added where the page has none of that name. An empty label of the page keeps the target's away, which is
how ``instance=""`` of a Pushgateway ends as no instance at all.

All times are those of the monotonic clock, so that a clock that is set back makes no samples of the future.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # what reads routes alone, as pytest does, needs none
    from pytest_sergas.core.metrics import Family

from pytest_sergas.core.regex import compile_pattern

Labels = tuple[tuple[str, str], ...]

LOOKBACK_S = 300.0  # Prometheus' --query.lookback-delta
NAME = "__name__"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label: ``label op "value"`` of PromQL, of which `NAME` is the metric's name.

    A label that is not there has the value "". A regular expression has to match the whole value, and is RE2.
    """

    label: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str

    def predicate(self) -> Callable[[str], bool]:
        """Return what says whether a label's value fulfils the condition.

        Raises:
            ValueError: the regular expression is none; the text says why.
        """
        value = self.value
        match self.op:
            case "=":
                return lambda given: given == value
            case "!=":
                return lambda given: given != value
            case "=~":
                return _regex(value)
            case "!~":
                matches = _regex(value)
                return lambda given: not matches(given)


def _regex(written: str) -> Callable[[str], bool]:
    compiled = compile_pattern(written)
    return lambda given: compiled.fullmatch(given) is not None


class Series:
    """One series with its samples.

    Attributes:
        name: the metric's name.
        labels: canonical.
        times_s: monotonic times of the samples, ascending, each once. Belongs to whoever fills the series.
        values: the samples' values.
        ends_s: when the series vanished, ascending; it is not there from that moment to its next sample.
        keep_s: samples older than this are dropped.
    """

    __slots__ = ("ends_s", "keep_s", "labels", "name", "times_s", "values")

    def __init__(self, name: str, labels: Labels, keep_s: float = LOOKBACK_S) -> None:
        self.name = name
        self.labels = labels
        self.keep_s = keep_s
        self.times_s = array("d")
        self.values = array("d")
        self.ends_s: Sequence[float] = ()

    def append(self, time_s: float, value: float, limit: int) -> int:
        """Add a sample; one at the time of the last sample replaces it. Return how many more samples there are.

        Args:
            time_s: not before the last sample.
            limit: how many samples there may be at most.
        """
        times = self.times_s
        if self.ends_s and self.ends_s[-1] >= time_s:
            self.ends_s = self.ends_s[:-1]
        if times and times[-1] >= time_s:
            self.values[-1] = value
            return 0
        times.append(time_s)
        self.values.append(value)
        # In larger pieces than one sample: each piece moves all the others.
        if len(times) > limit:
            return 1 - self._cut(max(len(times) - limit, limit // 8))
        if times[0] < time_s - 1.125 * self.keep_s:
            return 1 - self._cut(bisect_left(times, time_s - self.keep_s))
        return 1

    def end(self, time_s: float) -> None:
        """Note that the series is gone from ``time_s`` on."""
        self.ends_s = (*self.ends_s, time_s)

    def at(self, time_s: float, lookback_s: float = LOOKBACK_S) -> float | None:
        """Return the value at ``time_s``: that of the last sample, no older than ``lookback_s``.

        None where there is no such sample, or where the series has ended since.
        """
        index = bisect_right(self.times_s, time_s) - 1
        if index < 0 or self.times_s[index] < time_s - lookback_s:
            return None
        ends = bisect_right(self.ends_s, time_s)
        if ends and self.ends_s[ends - 1] >= self.times_s[index]:
            return None
        return self.values[index]

    def window(self, start_s: float, end_s: float) -> tuple[array[float], array[float]]:
        """Return times and values of the samples from ``start_s`` to ``end_s``, both included.

        An end inside the window is no sample and leaves the samples before it where they are, as in Prometheus.
        """
        first, last = bisect_left(self.times_s, start_s), bisect_right(self.times_s, end_s)
        return self.times_s[first:last], self.values[first:last]

    def _cut(self, count: int) -> int:
        del self.times_s[:count]
        del self.values[:count]
        if self.ends_s:
            oldest = self.times_s[0]
            self.ends_s = tuple(end for end in self.ends_s if end > oldest)
        return count


def canonical(labels: Iterable[tuple[str, str]]) -> Labels:
    """Return ``labels`` sorted, without those whose value is empty."""
    return tuple(sorted(pair for pair in labels if pair[1]))


def honored(labels: Iterable[tuple[str, str]], target: Iterable[tuple[str, str]]) -> Labels:
    """Return canonical ``labels`` of a page with those of its ``target``, as ``honor_labels: true`` adds them."""
    return canonical({**dict(target), **dict(labels)}.items())


def seen(families: Iterable[Family], target: Labels) -> Mapping[str, list[tuple[Labels, float]]]:
    """Return name → its series with their values, as a Prometheus that scrapes ``families`` has them."""
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in families:
        for sample in family.samples:
            series = (honored(sample.labels, target), sample.value)
            found.setdefault(family.name + sample.suffix, []).append(series)
    return found
