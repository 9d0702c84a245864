"""The page of metrics: what was pushed and what the sidecar says of itself, each family once.

What a group has of a family is rendered when it is pushed; a page only joins. The parts are gathered at once, so that
a page shows each group as it was at one moment, and joined in slices, so that a large page delays no push.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import OPENMETRICS_END, header, openmetrics_header, sample_lines
from pytest_sergas.core.metrics import Family, FamilyType
from pytest_sergas.engine.groups import Groups

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
        self._own(now)

    async def text(self, now: Now) -> bytes:
        """Return the page in the text format."""
        return await _joined(self._parts(now, header))

    async def openmetrics(self, now: Now) -> bytes:
        """Return the page in OpenMetrics."""
        own = self._own(now)

        def taken(name: str) -> bool:
            return name in own or name in self._groups.page

        def head(name: str, kind: FamilyType, text: str) -> str:
            return openmetrics_header(name, kind, text, taken=taken)

        return await _joined([*self._parts(now, head), OPENMETRICS_END])

    def _own(self, now: Now) -> dict[str, list[Family]]:
        """Return name → the families of that name; what is pushed from now on has to go together with them."""
        own: dict[str, list[Family]] = {}
        for source in self._sources:
            for family in source.families(now):
                if family.samples:
                    own.setdefault(family.name, []).append(family)
        self._groups.index.own = {name: families[0].type for name, families in own.items()}
        return own

    def _parts(self, now: Now, head: Callable[[str, FamilyType, str], str]) -> list[bytes]:
        own = self._own(now)
        pushed = self._groups.page
        due = self._groups.due(now)
        parts: list[bytes] = []
        for name in sorted(own.keys() | pushed.keys()):
            pieces = pushed.get(name, {})
            texts = [piece.text for path, piece in pieces.items() if path not in due]
            families = own.get(name, [])
            if not texts and not families:
                continue
            first = families[0] if families else next(iter(pieces.values()))
            types = {family.type for family in families} | {piece.type for piece in islice(pieces.values(), 1)}
            # A source may have begun with a name after it was pushed with another type; both are shown, as neither.
            kind = first.type if len(types) == 1 else "untyped"
            parts.append(head(name, kind, first.help).encode())
            parts += (sample_lines(family).encode() for family in families)
            parts += texts
        return parts


async def _joined(parts: Sequence[bytes]) -> bytes:
    slices = []
    for start in range(0, len(parts), _SLICE):
        slices.append(b"".join(parts[start : start + _SLICE]))
        await asyncio.sleep(0)
    return b"".join(slices)
