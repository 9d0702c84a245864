"""The index of pushed series: whether a group goes together with the others, at a cost that does not grow with them.

Together go groups in which a name has one type, no series is in two of them, and no name is what a histogram or
summary of another adds to its own (``_bucket``, ``_sum``, ``_count``). The same holds beside the sidecar's own metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_sergas.core.exposition import SUFFIXES, InconsistentError
from pytest_sergas.core.metrics import FamilyType


class Piece(NamedTuple):
    """What one group has of one family.

    Attributes:
        pushed_s: when it was pushed, in seconds since the Unix epoch.
        text: its sample lines.
        series: what tells its series apart.
    """

    name: str
    type: FamilyType
    help: str
    pushed_s: float
    text: bytes
    series: tuple[bytes, ...]


@dataclass(slots=True)
class _Name:
    """A name in use: its type, and series → the group that has it."""

    type: FamilyType
    groups: int = 0
    series: dict[bytes, str] = field(default_factory=dict)


class Index:
    """All names and series in use.

    Attributes:
        own: name → type of the sidecar's own metrics; whoever exposes them sets it.
        series: how many there are.
    """

    def __init__(self) -> None:
        self.own: Mapping[str, FamilyType] = {}
        self.series = 0
        self._names: dict[str, _Name] = {}

    def replace(self, path: str, old: Iterable[Piece], new: Iterable[Piece]) -> None:
        """Put ``new`` in the place of ``old`` for the group at ``path``: all of it, or, when it raises, nothing.

        Raises:
            InconsistentError: ``new`` does not go together with the other groups, with the sidecar's own metrics,
                or in itself.
        """
        for piece in old:
            self._remove(path, piece)
        added: list[Piece] = []
        try:
            for piece in new:
                self._check(piece)
                added.append(piece)
                self._add(path, piece)
        except InconsistentError:
            for piece in added:
                self._remove(path, piece)
            for piece in old:
                self._add(path, piece)
            raise

    def _check(self, piece: Piece) -> None:
        name, kind = piece.name, piece.type
        used = self._names.get(name)
        if used and used.type == kind:
            return  # whoever brought the name was checked, and nothing that collides with it has come since
        present = self._type(name)
        if present and present != kind:
            raise InconsistentError(f"metric {name!r} has the type {present} already, and {kind} in this push")
        for suffix in SUFFIXES.get(kind, ()):
            if other := self._type(name + suffix):
                raise InconsistentError(
                    f"the {kind} {name!r} collides with the {other} {name + suffix!r} that is there"
                )
        base, underscore, word = name.rpartition("_")
        other = self._type(base) if underscore else None
        if other and f"_{word}" in SUFFIXES.get(other, ()):
            raise InconsistentError(f"metric {name!r} collides with the {other} {base!r} that is there")

    def _type(self, name: str) -> FamilyType | None:
        used = self._names.get(name)
        return used.type if used else self.own.get(name)

    def _add(self, path: str, piece: Piece) -> None:
        used = self._names.get(piece.name)
        if used is None:
            used = self._names[piece.name] = _Name(piece.type)
        used.groups += 1
        self.series += piece.text.count(b"\n")
        for labels in piece.series:
            owner = used.series.setdefault(labels, path)
            if owner != path:
                raise InconsistentError(f"the series {piece.name}{labels.decode()} is there already, pushed to {owner}")

    def _remove(self, path: str, piece: Piece) -> None:
        used = self._names[piece.name]
        used.groups -= 1
        self.series -= piece.text.count(b"\n")
        if not used.groups:
            del self._names[piece.name]
            return
        for labels in piece.series:
            if used.series.get(labels) == path:
                del used.series[labels]
