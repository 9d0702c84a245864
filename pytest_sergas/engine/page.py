"""The page of metrics: what was pushed and what the sidecar says of itself, each family once.

What a group has of a family is rendered when it is pushed; a page only joins. The parts are gathered at once, so that
a page shows each group as it was at one moment, and joined in slices, so that a large page delays no push.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import OPENMETRICS_END, header, openmetrics, openmetrics_lines, sample_lines
from pytest_sergas.core.metrics import Family
from pytest_sergas.engine.groups import Groups
from pytest_sergas.engine.index import Piece

_SLICE = 4_096  # parts; about half a millisecond


class Source(Protocol):
    """Something that has metrics of its own."""

    def families(self, now: Now) -> Sequence[Family]:
        """Return them; called on the event loop for every page, so it does not wait, and is cheap."""


class Page:
    """The page of metrics of ``groups`` and ``sources``."""

    def __init__(self, groups: Groups, sources: Sequence[Source], now: Now) -> None:
        self._groups = groups
        self._sources = sources
        # The text of a piece → whether it may keep its type in OpenMetrics, as the last page found.
        self._strict: dict[bytes, bool] = {}
        self._own(now)

    async def text(self, now: Now) -> bytes:
        """Return the page in the text format."""
        parts: list[bytes] = []
        for name, families, pieces in self._present(now):
            first: Family | Piece = families[0] if families else pieces[0]
            kinds = {first.type, *(family.type for family in families), *(piece.type for piece in pieces[:1])}
            # A source may have begun with a name after it was pushed with another type; both are shown, as neither.
            kind = kinds.pop() if len(kinds) == 1 else "untyped"
            parts.append(header(name, kind, first.help).encode())
            parts += (sample_lines(family).encode() for family in families)
            parts += (piece.text for piece in pieces)
        return await _joined(parts)

    def own_text(self, now: Now) -> bytes:
        """Return the part of the page that is this process's own, in the text format."""
        parts = []
        for name, families in sorted(self._own(now).items()):
            if len({family.type for family in families}) == 1:
                parts.append(header(name, families[0].type, families[0].help))
                parts += (sample_lines(_timeless(family)) for family in families)
        return "".join(parts).encode()

    async def openmetrics(self, now: Now) -> bytes:
        """Return the page in OpenMetrics."""
        present = list(self._present(now))
        known, self._strict = self._strict, {}
        kept = openmetrics.typed(
            {name: (families[0] if families else pieces[0]).type for name, families, pieces in present}
        )
        parts: list[bytes] = []
        for name, families, pieces in present:
            first = families[0] if families else pieces[0]
            fragments = [(family.type, openmetrics_lines(family).encode()) for family in families]
            fragments += [(piece.type, piece.text) for piece in pieces]
            kind = "unknown" if first.type == "untyped" else first.type
            strict = [*map(_is_strict, families), *(self._is_strict(piece, known) for piece in pieces)]
            if name in kept and all(strict) and {each for each, _ in fragments} == {first.type}:
                parts += (openmetrics.header(kept[name], kind, first.help), *(text for _, text in fragments))
                continue
            for each, text in openmetrics.split(name, fragments).items():
                parts += (openmetrics.header(each, "unknown", first.help), text)
        return await _joined([*parts, OPENMETRICS_END])

    def _is_strict(self, piece: Piece, known: Mapping[bytes, bool]) -> bool:
        """Whether a piece may keep its type; what the last page found out of the same text is not found out again."""
        if piece.type in {"gauge", "untyped"}:
            return True
        found = known.get(piece.text)
        if found is None:
            found = openmetrics.is_strict(piece.type, piece.text)
        self._strict[piece.text] = found
        return found

    def _present(self, now: Now) -> Iterator[tuple[str, list[Family], list[Piece]]]:
        """Return each name in order, with the sidecar's own families and the groups' pieces of that name."""
        own, pushed, due = self._own(now), self._groups.page, self._groups.due(now)
        for name in sorted(own.keys() | pushed.keys()):
            families = own.get(name, [])
            pieces = [piece for path, piece in pushed.get(name, {}).items() if path not in due]
            if families or pieces:
                yield name, families, pieces

    def _own(self, now: Now) -> dict[str, list[Family]]:
        """Return name → the families of that name; what is pushed from now on has to go together with them."""
        own: dict[str, list[Family]] = {}
        for source in self._sources:
            for family in source.families(now):
                if family.samples:
                    own.setdefault(family.name, []).append(family)
        self._groups.index.own = {name: families[0].type for name, families in own.items()}
        return own


def _is_strict(family: Family) -> bool:
    return openmetrics.is_strict(family.type, sample_lines(_timeless(family)).encode())


def _timeless(family: Family) -> Family:
    """Return ``family`` without timestamps, which a gateway does not take."""
    return replace(family, samples=tuple(replace(sample, timestamp_ms=None) for sample in family.samples))


async def _joined(parts: Sequence[bytes]) -> bytes:
    slices = []
    for start in range(0, len(parts), _SLICE):
        slices.append(b"".join(parts[start : start + _SLICE]))
        await asyncio.sleep(0)
    return b"".join(slices)
