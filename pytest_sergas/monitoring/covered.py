"""What tests covered, by file: so that several runs can be counted together, each line and branch once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_Parts = frozenset[object]


@dataclass(frozen=True, slots=True)
class Covered:
    """Lines and branches: (file, line), and (file, (from, to)).

    Attributes:
        there: those that can be run.
        ran: those that were.
    """

    there: _Parts
    ran: _Parts

    @property
    def percent(self) -> float:
        """Percent that ran; all of nothing is 100, as coverage.py has it."""
        return 100.0 * len(self.ran) / len(self.there) if self.there else 100.0


def union(several: Iterable[Covered | None]) -> Covered | None:
    """Return what any of ``several`` covered; None where none measured it."""
    known = [one for one in several if one is not None]
    if not known:
        return None
    return Covered(
        frozenset[object]().union(*(one.there for one in known)), frozenset[object]().union(*(one.ran for one in known))
    )


def read(file: Path) -> Covered | None:
    """Return what coverage.py's JSON report says; None where there is none, or half of one."""
    try:
        files: Mapping[str, Mapping[str, Any]] = json.loads(file.read_text("utf-8"))["files"]
        ran = {part for name, found in files.items() for part in _parts(name, found, "executed")}
        missed = {part for name, found in files.items() for part in _parts(name, found, "missing")}
    except (FileNotFoundError, ValueError, KeyError):  # not measured, or cut off with the process
        return None
    return Covered(frozenset(ran | missed), frozenset(ran))


def _parts(name: str, found: Mapping[str, Any], which: str) -> Iterable[object]:
    yield from ((name, line) for line in found[f"{which}_lines"])
    yield from ((name, tuple(branch)) for branch in found.get(f"{which}_branches", ()))
