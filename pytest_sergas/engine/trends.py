"""The trends: what collectors and checks have measured, as it came and in buckets of five minutes.

Each value is taken once, when it was measured. As it came it is in memory, bounded as the history is (`retention`,
`max_age`); a bucket is written to the store when its five minutes are over, and kept for seven days. At most 500
series are known. At that bound the one that was measured last longest ago makes room, if that is an hour ago; otherwise
the new one is refused, and counted.

Trends are worth less than anything else in the store. They are written beside pushes in small pieces, leave a reserve
of a store that is bounded, and are deleted, the oldest first, when there is no room for something else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pytest_sergas.core.clock import Now
from pytest_sergas.core.health import UP, Component, HealthStatus
from pytest_sergas.core.metrics import Family, Sample, with_label
from pytest_sergas.core.series import Labels, Series, canonical
from pytest_sergas.core.trends import HOUR_S, KEPT_S, Bucket, bucket, united
from pytest_sergas.engine import trend_rows
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.collection import Collection
from pytest_sergas.engine.history import History
from pytest_sergas.engine.store import Store
from pytest_sergas.engine.trend_rows import Known
from pytest_sergas.errors import StoreError

SERIES_LIMIT = 500
LABELS_LIMIT = 1_000  # letters of a name with its labels
UP_METRIC, DURATION_METRIC = "sergas_check_up", "sergas_check_duration_seconds"

_TICK_S = 15.0
_VANISHED_S = 3_600.0
_SLICE = 64  # buckets of one transaction; a millisecond
_WAITING_LIMIT = 12 * SERIES_LIMIT  # buckets, an hour of all series, while the store cannot be written
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kept:
    """A series of which trends are kept.

    Attributes:
        raw: its values as they came.
        open: the five minutes that are not over; None before the first value.
    """

    id: int
    raw: Series
    seen_s: float
    open: Bucket | None = None

    @property
    def known(self) -> Known:
        return Known(self.id, self.raw.name, self.raw.labels, self.seen_s)


class Trends:
    """Takes what is measured from its creation on, and writes from `start` to `stop`; `load` makes it.

    Not for more than one thread.

    Args:
        store: where buckets are kept; one in memory keeps none.
        history: whose bounds hold for values as they came.
        clock: reads both clocks.
    """

    def __init__(self, store: Store, history: History, clock: Callable[[], Now]) -> None:
        self.refused = 0
        self._store = store
        self._history = history
        self._clock = clock
        self._keeps = store.path is not None
        self._kept: dict[tuple[str, Labels], _Kept] = {}
        self._full_until_s = -math.inf  # before then no series that is known will have vanished
        self._waiting: list[tuple[_Kept, Bucket]] = []
        self._dropped: set[int] = set()
        self._is_failing = False
        self._looked_at: Callable[[], Sequence[Family]] = tuple
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        if self._keeps:
            store.spare = trend_rows.spare

    async def load(self) -> None:
        """Go on with what is stored.

        Raises:
            StoreError: the store cannot be read.
        """
        stored = await self._store.read(trend_rows.load) if self._keeps else []
        stored.sort(key=lambda known: known.seen_s, reverse=True)
        for known in stored[:SERIES_LIMIT]:
            self._kept[known.name, known.labels] = self._new(known.id, known.name, known.labels, known.seen_s)
        self._dropped.update(known.id for known in stored[SERIES_LIMIT:])

    def follow(self, collection: Collection, checking: Checking) -> None:
        """Take from now on what these measure."""
        collection.on_measured = self._measured
        checking.on_result = self._checked
        self._looked_at = collection.looked_at

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._save_for_ever(), name="save the trends")

    async def stop(self) -> None:
        """Write what there is, the five minutes that are not over included."""
        self._stopping.set()
        if self._task is not None:
            await self._task
        self._close(math.inf)
        await self._save()

    def series(self) -> list[Known]:
        """Return the series that are known, in the order of their names."""
        return sorted((kept.known for kept in self._kept.values()), key=lambda known: (known.name, known.labels))

    def raw(self, known: Known, now: Now) -> list[tuple[float, float]]:
        """Return when (seconds since the epoch) and what was measured, in the order of time."""
        kept = self._kept.get((known.name, known.labels))
        if kept is None:
            return []
        times_s, values = kept.raw.window(now.monotonic_s - self._history.max_age_s, now.monotonic_s)
        return [(now.wall_s - now.monotonic_s + at_s, value) for at_s, value in zip(times_s, values, strict=True)]

    async def buckets(self, wanted: Iterable[Known], now: Now, window_s: float = KEPT_S) -> dict[Known, list[Bucket]]:
        """Return each series → its five minutes of the last ``window_s`` seconds, also those that are not over.

        Raises:
            StoreError: the store cannot be read.
        """
        known = list(wanted)
        if not self._keeps:
            return {one: [] for one in known}
        first_s = now.wall_s - min(window_s, KEPT_S)
        ids = [one.id for one in known]
        stored = await self._store.read(lambda connection: trend_rows.buckets(connection, ids, first_s, now.wall_s))
        return {one: united(stored[one.id], self._unsaved(one)) for one in known}

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return the metrics of trends."""
        del now
        text = "Values of new series of which no trend is kept, because there are as many as allowed."
        return (
            Family("sergas_trend_series", "gauge", "Series of which trends are kept.", (Sample((), len(self._kept)),)),
            Family("sergas_trend_refused_total", "counter", text, (Sample((), self.refused),)),
        )

    # Taking

    def _measured(self, families: Sequence[Family]) -> None:
        """Take what a collector has measured."""
        now = self._clock()
        for name, labels, value in _values(families):
            self._take(name, labels, value, now)

    def _checked(self, component: Component, status: HealthStatus) -> None:
        """Take the result of a check, and what is reported of its component now."""
        latest, now, labels = component.latest, self._clock(), (("check", component.name),)
        if status is not HealthStatus.UNKNOWN:
            self._take(UP_METRIC, labels, float(status in UP), now)
        if latest is not None:
            self._take(DURATION_METRIC, labels, latest.duration_s, now)
            for name, more, value in _values(with_label(latest.figures, "check", component.name)):
                self._take(name, more, value, now)

    def _take(self, name: str, labels: Labels, value: float, now: Now) -> None:
        kept = self._kept.get((name, labels)) or self._admit(name, labels, now)
        if kept is None:
            self.refused += 1
            return
        kept.seen_s = now.wall_s
        kept.raw.keep_s = self._history.max_age_s
        kept.raw.append(now.monotonic_s, value, self._history.limit)
        if not self._keeps or not math.isfinite(value):
            return
        new = bucket(now.wall_s, value)
        if kept.open is not None and kept.open.start_s != new.start_s:
            self._waiting.append((kept, kept.open))
            kept.open = None
        kept.open = new if kept.open is None else kept.open.joined(new)

    def _admit(self, name: str, labels: Labels, now: Now) -> _Kept | None:
        if len(name) + len(json.dumps(labels)) > LABELS_LIMIT or now.wall_s < self._full_until_s:
            return None
        if len(self._kept) >= SERIES_LIMIT:
            key, oldest = min(self._kept.items(), key=lambda item: item[1].seen_s)
            self._full_until_s = oldest.seen_s + _VANISHED_S
            if now.wall_s < self._full_until_s:
                return None
            del self._kept[key]
            self._dropped.add(oldest.id)
        used = {kept.id for kept in self._kept.values()} | self._dropped
        number = next(number for number in range(trend_rows.IDS) if number not in used)
        kept = self._kept[name, labels] = self._new(number, name, labels, now.wall_s)
        return kept

    def _new(self, number: int, name: str, labels: Labels, seen_s: float) -> _Kept:
        return _Kept(number, Series(name, labels, self._history.max_age_s), seen_s)

    def _unsaved(self, known: Known) -> list[Bucket]:
        kept = self._kept.get((known.name, known.labels))
        if kept is None:
            return []
        return [one for owner, one in self._waiting if owner is kept] + ([kept.open] if kept.open is not None else [])

    # Writing

    async def _save_for_ever(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):  # it is not cancelled, or what is being written would be written twice
                async with asyncio.timeout(_TICK_S):
                    await self._stopping.wait()
            self._measured(self._looked_at())
            self._close(self._clock().wall_s)
            await self._save()

    def _close(self, now_s: float) -> None:
        """Let what is over wait for the store."""
        for kept in self._kept.values():
            if kept.open is not None and not kept.open.start_s <= now_s < kept.open.end_s:
                self._waiting.append((kept, kept.open))
                kept.open = None
        del self._waiting[:-_WAITING_LIMIT]

    async def _save(self) -> None:
        """Write what waits, and delete what is too old; what cannot be written is tried again with the next."""
        if not self._keeps:
            return
        try:
            await self._write()
        except (StoreError, sqlite3.Error) as error:
            if not self._is_failing:
                _LOG.error("trends are kept in memory for now: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False

    async def _write(self) -> None:
        now_s = self._clock().wall_s
        first_s, last_s = now_s - KEPT_S - HOUR_S, now_s
        if dropped := frozenset(self._dropped):
            await self._store.write(lambda connection: trend_rows.drop(connection, dropped, first_s, last_s))
            self._dropped -= dropped
        while await self._store.write(lambda connection: trend_rows.expire(connection, now_s - KEPT_S)):
            pass
        while part := self._waiting[:_SLICE]:
            entries = [(kept.known, one) for kept, one in part if self._is_kept(kept)]
            await self._store.write(partial(trend_rows.save, entries=entries))
            del self._waiting[: len(part)]

    def _is_kept(self, kept: _Kept) -> bool:
        return self._kept.get((kept.raw.name, kept.raw.labels)) is kept


def _values(families: Iterable[Family]) -> Iterator[tuple[str, Labels, float]]:
    """Return the series that have a trend: of histograms and summaries sum and count alone."""
    for family in families:
        for sample in family.samples:
            labels: Mapping[str, str] = dict(sample.labels)
            if sample.suffix != "_bucket" and not (family.type == "summary" and "quantile" in labels):
                yield family.name + sample.suffix, canonical(sample.labels), sample.value
