"""The one history of samples: in memory, bounded by count and age, and only of series that somebody selects.

Rules and pages say beforehand what they will look at (`History.select`) and how far back. What is recorded
is compared with that: a series that nobody selects costs one entry of a dictionary and keeps no sample.

    selection = history.select((Matcher("__name__", "=", "up"), Matcher("job", "=", "shop")), window_s=600)
    history.record("http://shop:8080/metrics", now, seen(families, target))      # a whole page
    for series in history.find(selection): series.at(now.monotonic_s), series.window(start_s, end_s)

Sources own their series. Whatever a source does not bring again has vanished, and ends at once; its earlier
samples stay for the windows that reach back to them. A series that another source has is not taken from it.

The index is of selections, not of series: there are a thousand of those and a hundred thousand of these. A
selection lies under one pair of a label and its value, the one that fewest others lie under, and a new series
asks only for its own pairs. So 10,000 series of one name and 1,000 rules cost a few look-ups for each series,
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import SUFFIXES
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.series import LOOKBACK_S, NAME, Labels, Matcher, Series

SERIES_LIMIT = 500_000
_EXPIRY_INTERVAL_S = 30.0
_NEW = Series("", ())  # stands for a series that was not there before
_FEW_PAIRS = 1_000

Pair = tuple[str, str]


class HistoryError(ValueError):
    """What somebody wants to look at cannot be kept; the text says why."""


class Selection:
    """What somebody looks at; made by `History.select`, and the same for everybody who asks for the same.

    Attributes:
        matchers: all of which a series fulfils.
        window_s: how far back somebody looks.
    """

    __slots__ = ("_tests", "matchers", "name", "pairs", "series", "users", "window_s")

    def __init__(self, matchers: frozenset[Matcher]) -> None:
        self.matchers = matchers
        self.window_s = 0.0
        self.users = 0
        self.series: list[Series] = []
        names = [matcher.value for matcher in matchers if matcher.label == NAME and matcher.op == "="]
        self.name = names[0] if names else ""
        # An empty value selects series without the label, which have no such pair.
        self.pairs = sorted((m.label, m.value) for m in matchers if m.op == "=" and m.label != NAME and m.value)
        self._tests = tuple((matcher.label, matcher.predicate()) for matcher in matchers)

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        return all(test(name if label == NAME else labels.get(label, "")) for label, test in self._tests)


class _Router:
    """Which selections a series belongs to, found by one pair of each selection."""

    def __init__(self) -> None:
        # Name of the metric, "" for any → pair, None for no pair → selections.
        self._buckets: dict[str, dict[Pair | None, list[Selection]]] = {}

    def add(self, selection: Selection) -> None:
        buckets = self._buckets.setdefault(selection.name, {})
        pair = min(selection.pairs, key=lambda pair: len(buckets.get(pair, ())), default=None)
        buckets.setdefault(pair, []).append(selection)

    def remove(self, selection: Selection) -> None:
        buckets = self._buckets[selection.name]
        for pair in (*selection.pairs, None):
            if selection in (bucket := buckets.get(pair, [])):
                bucket.remove(selection)
                if not bucket:
                    del buckets[pair]
        if not buckets:
            del self._buckets[selection.name]

    def wants(self, name: str) -> bool:
        """Whether a series of this name may be selected."""
        return name in self._buckets or "" in self._buckets

    def route(self, name: str, labels: Labels) -> list[Selection]:
        by_label = dict(labels)
        return [selection for selection in self._candidates(name, labels) if selection.matches(name, by_label)]

    def _candidates(self, name: str, labels: Labels) -> Iterator[Selection]:
        for key in dict.fromkeys((name, "")):
            if buckets := self._buckets.get(key):
                for pair in labels:
                    yield from buckets.get(pair, ())
                yield from buckets.get(None, ())


class History:
    """The samples of the selected series. Not for more than one thread.

    Args:
        limit: how many samples a series keeps at most.
        max_age_s: how far back anybody may look.
        series_limit: how many series are kept at most; at the bound those that have vanished make room,
            and when there are none, new ones are refused and counted.
    """

    def __init__(self, *, limit: int, max_age_s: float, series_limit: int = SERIES_LIMIT) -> None:
        self.limit = limit
        self.max_age_s = max_age_s
        self.series_limit = series_limit
        self.refused = 0
        self._router = _Router()
        self._selections: dict[frozenset[Matcher], Selection] = {}
        self._pending: list[Selection] = []
        # Source → name → labels → the series, or None when nobody selects it.
        self._live: dict[str, dict[str, dict[Labels, Series | None]]] = {}
        self._ended: dict[tuple[str, Labels], Series] = {}
        self._kept = 0
        self._samples = 0
        self._next_expiry_s = 0.0
        # Each pair of a label and its value, once for all series; tidied when it has become twice as many.
        self._pairs: dict[Pair, Pair] = {}
        self._pairs_bound = _FEW_PAIRS

    def select(self, matchers: Iterable[Matcher], *, window_s: float = LOOKBACK_S) -> Selection:
        """Keep from now on what ``matchers`` select, ``window_s`` back; until `release`.

        Args:
            window_s: includes offsets and subqueries; it is at least the look-back of an instant value.

        Raises:
            HistoryError: the window is longer than ``max_age_s``.
            ValueError: a regular expression cannot be used.
        """
        if window_s > self.max_age_s:
            raise HistoryError(
                f"a window of {window_s:g} s is longer than the history, {self.max_age_s:g} s; "
                "shorten it, or make max_age of [collect] longer"
            )
        key = frozenset(matchers)
        selection = self._selections.get(key)
        if selection is None:
            selection = self._selections[key] = Selection(key)
            self._router.add(selection)
            self._pending.append(selection)
        selection.users += 1
        if window_s > selection.window_s:
            selection.window_s = window_s
            for series in selection.series:
                series.keep_s = max(series.keep_s, window_s)
        return selection

    def release(self, selection: Selection) -> None:
        """Give back what `select` returned; what nobody else selects is forgotten."""
        selection.users -= 1
        if selection.users:
            return
        self._adopt()
        del self._selections[selection.matchers]
        self._router.remove(selection)
        for series in selection.series:
            others = self._router.route(series.name, series.labels)
            if others:
                series.keep_s = max(LOOKBACK_S, *(other.window_s for other in others))
            else:
                self._forget(series)
        selection.series = []

    def wants(self, name: str) -> bool:
        """Whether a series of this name may be selected; others need not be recorded."""
        return self._router.wants(name)

    def wants_any_of(self, name: str, kind: FamilyType) -> bool:
        """Whether a series of the family ``name`` may be selected."""
        # Asked for each family of each push: without a loop for most.
        return self.wants(name) or (kind in SUFFIXES and any(self.wants(name + suffix) for suffix in SUFFIXES[kind]))

    def find(self, selection: Selection) -> Sequence[Series]:
        """Return the series of ``selection``, also those that have ended and still have samples."""
        self._adopt()
        return selection.series

    def record(
        self, source: str, now: Now, present: Mapping[str, Iterable[tuple[Labels, float]]], *, partial: bool = False
    ) -> None:
        """Take what ``source`` has at ``now``; what it had before and has no more ends.

        Args:
            source: who owns these series.
            present: name → *all* series of that name with their values.
            partial: whether names that are not in ``present`` were not looked at, and stay as they are.
        """
        self._adopt()
        known = self._live.setdefault(source, {})
        for name in () if partial else [name for name in known if name not in present]:
            self._end(name, known.pop(name), now)
        for name, samples in present.items():
            if self._router.wants(name):
                self._record_name(source, name, samples, now)
            elif name in known:
                self._end(name, known.pop(name), now)
        if now.monotonic_s >= self._next_expiry_s:
            self._next_expiry_s = now.monotonic_s + _EXPIRY_INTERVAL_S
            self._expire(now)

    def update(
        self, source: str, now: Now, name: str, samples: Sequence[tuple[Labels, float]], vanished: Iterable[Labels]
    ) -> None:
        """Take what has changed among the series of ``name``; what else ``source`` has of them stays as it is.

        It costs what has changed, however many there are.

        Args:
            vanished: series that ``source`` has no more.
        """
        self._adopt()
        if not self._router.wants(name):
            return
        names = self._live.setdefault(source, {})
        others = names.pop(name, {})
        changed = dict.fromkeys((*vanished, *(labels for labels, _ in samples)))
        names[name] = {labels: others.pop(labels) for labels in changed if labels in others}
        self._record_name(source, name, samples, now)
        others.update(names.pop(name, {}))
        if others:
            names[name] = others

    def selecting(self, name: str, labels: Labels) -> Sequence[Selection]:
        """Return the selections that a series belongs to."""
        return self._router.route(name, labels)

    def shared(self, labels: Labels) -> Labels:
        """Return the same labels, in pairs that all series have in common: most of what many series cost in memory."""
        return tuple([self._pairs.setdefault(pair, pair) for pair in labels])

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return the history's own metrics."""
        del now
        return (
            Family("sergas_history_series", "gauge", "Series of which samples are kept.", (Sample((), self._kept),)),
            Family("sergas_history_samples", "gauge", "Samples that are kept.", (Sample((), self._samples),)),
            Family(
                "sergas_history_refused_total",
                "counter",
                "Samples of new series that were refused, because as many series as allowed are kept.",
                (Sample((), self.refused),),
            ),
        )

    def _record_name(self, source: str, name: str, samples: Iterable[tuple[Labels, float]], now: Now) -> None:
        before = self._live[source].get(name, {})
        after: dict[Labels, Series | None] = {}
        time_s, limit = now.monotonic_s, self.limit
        for labels, value in samples:
            series = before.pop(labels, _NEW)
            if series is _NEW:
                if labels in after or self._is_taken(source, name, labels):
                    continue
                selections = self._router.route(name, labels)
                if selections and not self._has_room():
                    self.refused += 1
                    continue
                series = self._born(name, labels, selections) if selections else None
            if series is not None:
                labels = series.labels  # noqa: PLW2901  whose pairs are shared
                self._samples += series.append(time_s, value, limit)
            after[labels] = series
        self._end(name, before, now)
        if after:
            self._live[source][name] = after
        else:
            self._live[source].pop(name, None)

    def _born(self, name: str, labels: Labels, selections: list[Selection]) -> Series:
        if (ended := self._ended.pop((name, labels), None)) is not None:
            return ended
        self._kept += 1
        series = Series(name, self.shared(labels), max(LOOKBACK_S, *(selection.window_s for selection in selections)))
        for selection in selections:
            selection.series.append(series)
        return series

    def _is_taken(self, source: str, name: str, labels: Labels) -> bool:
        return any(labels in names.get(name, ()) for other, names in self._live.items() if other != source)

    def _has_room(self) -> bool:
        if self._kept >= self.series_limit and self._ended:
            self._drop(list(self._ended.values()))
        return self._kept < self.series_limit

    def _end(self, name: str, vanished: Mapping[Labels, Series | None], now: Now) -> None:
        for labels, series in vanished.items():
            if series is not None:
                series.end(now.monotonic_s)
                self._ended[name, labels] = series

    def _expire(self, now: Now) -> None:
        """Drop what has ended so long ago that nobody looks there, and the pairs of labels that went with it."""
        now_s = now.monotonic_s
        self._drop([series for series in self._ended.values() if series.times_s[-1] < now_s - series.keep_s])

    def _drop(self, gone: list[Series]) -> None:
        if not gone:
            return
        touched: dict[int, Selection] = {}
        for series in gone:
            self._kept -= 1
            self._samples -= len(series.times_s)
            del self._ended[series.name, series.labels]
            for selection in self._router.route(series.name, series.labels):
                touched[id(selection)] = selection
        dead = set(map(id, gone))
        for selection in touched.values():
            selection.series = [series for series in selection.series if id(series) not in dead]
        if len(self._pairs) > self._pairs_bound:
            self._pairs = {pair: pair for series in self._all() for pair in series.labels}
            self._pairs_bound = 2 * len(self._pairs) + _FEW_PAIRS

    def _forget(self, series: Series) -> None:
        """Keep no sample of a series that nobody selects any more."""
        self._kept -= 1
        self._samples -= len(series.times_s)
        if self._ended.pop((series.name, series.labels), None) is not None:
            return
        for names in self._live.values():
            known = names.get(series.name, {})
            if known.get(series.labels) is series:
                known[series.labels] = None

    def _adopt(self) -> None:
        """Give new selections the series that are there already, all of them at once."""
        if not self._pending:
            return
        router = _Router()
        for selection in self._pending:
            router.add(selection)
        self._pending = []
        for series in self._all():
            for selection in router.route(series.name, series.labels):
                selection.series.append(series)
                series.keep_s = max(series.keep_s, selection.window_s)
        for names in self._live.values():
            for name, known in names.items():
                if router.wants(name):
                    # Nobody wanted these until now: the next record asks again.
                    for labels in [labels for labels, series in known.items() if series is None]:
                        del known[labels]

    def _all(self) -> Iterator[Series]:
        for names in self._live.values():
            for known in names.values():
                yield from (series for series in known.values() if series is not None)
        yield from self._ended.values()
