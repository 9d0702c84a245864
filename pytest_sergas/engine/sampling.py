"""What rules and pages see of this sidecar: what a Prometheus would that scrapes it with ``honor_labels: true``.

Pushed values are there again at every sampling, with the labels of their group; the sidecar's own metrics and
those of its collectors get the labels of the sidecar, as its ``up`` does. (Targets that are scraped feed the
history themselves, see `Collection`.) Only names that somebody selects are looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import header, parse
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.series import Labels, canonical, seen
from pytest_sergas.engine.groups import Groups
from pytest_sergas.engine.history import History
from pytest_sergas.engine.index import Piece
from pytest_sergas.engine.page import Source

JOB = "sergas"

_PUSHED, _OWN = "pushed", "own"
_SLICE = 64  # groups; about a millisecond

# Name of a sample, and its series.
_Present = dict[str, list[tuple[Labels, float]]]


class Sampling:
    """Brings the present values of this sidecar into the history.

    Args:
        sources: what is exposed beside the pushed series, such as the store and the collection.
        instance: HOST:PORT of the sidecar.
    """

    def __init__(self, history: History, groups: Groups, sources: Sequence[Source], *, instance: str) -> None:
        self._history = history
        self._groups = groups
        self._sources = sources
        self._target = canonical((("job", JOB), ("instance", instance)))
        # Name of a family → group → what it has, and what that reads as: the same until it is pushed again.
        self._read: dict[str, dict[str, tuple[Piece, _Present]]] = {}

    async def read(self) -> None:
        """Read what was pushed since the last time, in slices, so that ten thousand groups delay nobody.

        Without it `sample` reads the same at once.
        """
        count = 0
        for name in self._wanted():
            read = self._read.setdefault(name, {})
            for path, piece in list(self._groups.page.get(name, {}).items()):
                if (known := read.get(path)) is None or known[0] is not piece:
                    read[path] = (piece, self._series(piece))
                    count += 1
                    if count % _SLICE == 0:
                        await asyncio.sleep(0)

    def sample(self, now: Now) -> None:
        """Take everything that somebody selects; before each evaluation on the interval's grid."""
        wanted = self._wanted()
        self._read = {name: self._read[name] for name in wanted if name in self._read}
        self._history.record(_PUSHED, now, self._pushed(wanted, now))
        up = Family("up", "gauge", "Whether the sidecar answers.", (Sample((), 1.0),))
        own = (up, *(family for source in self._sources for family in source.families(now)))
        selected = (family for family in own if self._history.wants_any_of(family.name, family.type))
        self._history.record(_OWN, now, seen(selected, self._target))

    def sample_group(
        self, now: Now, path: str, before: Mapping[str, Piece], after: Mapping[str, Piece]
    ) -> list[tuple[str, Labels]]:
        """Take what a push, a DELETE or an expiry has changed of one group; return its series, gone or not.

        It costs what has changed, however many groups there are.

        Args:
            before, after: name → what the group had of the family, and has.
        """
        touched: list[tuple[str, Labels]] = []
        for name in {**before, **after}:
            old, new = before.get(name), after.get(name)
            if old is new or not (self._is_wanted(old) or self._is_wanted(new)):
                continue
            had, has = (self._series(piece) if piece is not None else {} for piece in (old, new))
            if new is not None:
                self._read.setdefault(name, {})[path] = (new, has)
            for sample_name in {**had, **has}:
                samples = has.get(sample_name, [])
                gone = {labels for labels, _ in had.get(sample_name, ())} - {labels for labels, _ in samples}
                self._history.update(_PUSHED, now, sample_name, samples, gone)
                touched += [(sample_name, labels) for labels in (*gone, *(labels for labels, _ in samples))]
        return touched

    def _wanted(self) -> list[str]:
        return [name for name, pieces in self._groups.page.items() if self._wants(pieces)]

    def _wants(self, pieces: Mapping[str, Piece]) -> bool:
        """Whether a series of these, which are all of one name, may be selected: all of them have the same type."""
        return self._is_wanted(next(iter(pieces.values()), None))

    def _is_wanted(self, piece: Piece | None) -> bool:
        return piece is not None and self._history.wants_any_of(piece.name, piece.type)

    def _pushed(self, names: Iterable[str], now: Now) -> _Present:
        due = self._groups.due(now)
        found: _Present = {}
        for name in names:
            pieces = self._groups.page.get(name, {})
            if not self._wants(pieces):
                continue
            before = self._read.get(name, {})
            after = {}
            for path, piece in pieces.items():
                known = before.get(path)
                after[path] = known if known is not None and known[0] is piece else (piece, self._series(piece))
                if path not in due:
                    for sample_name, series in after[path][1].items():
                        found.setdefault(sample_name, []).extend(series)
            self._read[name] = after
        return found

    def _series(self, piece: Piece) -> _Present:
        page = header(piece.name, piece.type, "").encode() + piece.text
        found = seen(parse(page), ())
        return {name: [(self._history.shared(labels), value) for labels, value in has] for name, has in found.items()}
