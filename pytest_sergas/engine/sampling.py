"""What rules and pages see of this sidecar: what a Prometheus would that scrapes it with ``honor_labels: true``.

Pushed values are there again at every sampling, with the labels of their group; the sidecar's own metrics and
those of its collectors get the labels of the sidecar, as its ``up`` does. (Targets that are scraped feed the
history themselves, see `Collection`.) Only names that somebody selects are looked at.

What a pushed text reads as is not kept beside it, because that would be more than the text: only the labels are, once
for all families of a group, and values are read anew. Histograms and summaries, whose lines have labels of their own,
are kept as they were read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import SUFFIXES, header, parse
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.series import Labels, canonical, seen
from pytest_sergas.engine.groups import Groups
from pytest_sergas.engine.history import History
from pytest_sergas.engine.index import Piece
from pytest_sergas.engine.page import Source

JOB = "sergas"

_PUSHED, _OWN = "pushed", "own"
_SLICE = 64  # groups; about a millisecond

_FEW_LABELS = 1_024

_Values = list[tuple[Labels, float]]
# Name of a sample, and its series.
_Present = dict[str, _Values]


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
        # A series as a piece has it → its labels; tidied when there are twice as many.
        self._labels: dict[bytes, Labels] = {}
        self._labels_bound = _FEW_LABELS
        # Name of a histogram or summary → group → what it has, and what that reads as until it is pushed again.
        self._read: dict[str, dict[str, tuple[Piece, _Present]]] = {}

    async def read(self) -> None:
        """Read what was pushed since the last time, in slices, so that ten thousand groups delay nobody.

        Without it `sample` reads the same at once.
        """
        count = 0
        for name in self._wanted():
            for path, piece in list(self._groups.page.get(name, {}).items()):
                if not self._is_read(path, piece):
                    self._present(path, piece)
                    count += 1
                    if count % _SLICE == 0:
                        await asyncio.sleep(0)

    def sample(self, now: Now) -> None:
        """Take everything that somebody selects; before each evaluation on the interval's grid."""
        self._history.record(_PUSHED, now, self._pushed(self._wanted(), now))
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
            had = self._present(path, old) if old is not None else {}
            has = self._present(path, new) if new is not None else {}
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

    def _pushed(self, names: Sequence[str], now: Now) -> _Present:
        due = self._groups.due(now)
        found: _Present = {}
        for name in names:
            for path, piece in self._groups.page[name].items():
                present = self._present(path, piece)
                if path not in due:
                    for sample_name, values in present.items():
                        found.setdefault(sample_name, []).extend(values)
        self._forget(names)
        return found

    def _forget(self, names: Sequence[str]) -> None:
        """Keep what was read of ``names`` as far as it is there still."""
        page = self._groups.page
        self._read = {
            name: {path: self._read[name][path] for path in page[name] if path in self._read[name]}
            for name in names
            if name in self._read
        }
        if len(self._labels) > self._labels_bound:
            there = {series for name in names for piece in page[name].values() for series in piece.series}
            self._labels = {series: labels for series, labels in self._labels.items() if series in there}
            self._labels_bound = 2 * len(self._labels) + _FEW_LABELS

    def _is_read(self, path: str, piece: Piece) -> bool:
        if piece.type not in SUFFIXES:
            return all(map(self._labels.__contains__, piece.series))
        known = self._read.get(piece.name, {}).get(path)
        return known is not None and known[0] is piece

    def _present(self, path: str, piece: Piece) -> _Present:
        """Return what a piece of the group at ``path`` reads as."""
        if piece.type not in SUFFIXES:
            return {piece.name: self._values(piece)}
        read = self._read.setdefault(piece.name, {})
        known = read.get(path)
        if known is None or known[0] is not piece:
            families = parse(header(piece.name, piece.type, "").encode() + piece.text)
            present = {
                name: [(self._history.shared(labels), value) for labels, value in values]
                for name, values in seen(families, ()).items()
            }
            known = read[path] = (piece, present)
        return known[1]

    def _values(self, piece: Piece) -> _Values:
        """Return the series of a piece with a line for each, and their values."""
        known, start = self._labels, len(piece.name)
        if not all(map(known.__contains__, piece.series)):
            for series in piece.series:
                ((sample,),) = (family.samples for family in parse(b"series" + series + b" 0\n"))
                known.setdefault(series, self._history.shared(canonical(sample.labels)))
        # Not splitlines(): a label may have a carriage return.
        lines = piece.text.split(b"\n")[:-1]
        return [
            (known[series], float(line[start + len(series) :]))
            for series, line in zip(piece.series, lines, strict=True)
        ]
