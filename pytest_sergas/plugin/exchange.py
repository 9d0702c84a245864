"""What workers and controller tell each other beside pytest-xdist's own events.

pytest-xdist has no event for it, and an unknown one takes the worker down. So the controller names a
directory in ``workerinput``. The first worker that has collected leaves there what it knows of the tests, and the
controller reads it when the first list of node ids arrives; the locks and the word that a gate failed are files
beside it. Workers on another machine have no such directory: their tests are recorded without a type, and the
run says so.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.plan import Collected, Rules, Tie
from pytest_sergas.core.records import UNTYPED
from pytest_sergas.own import Own

_INPUT = "sergas_exchange"
_LEFT = "collected.json"
_KEPT = "kept.json"


@dataclass(frozen=True, slots=True)
class Left:
    """What a worker knows of the tests that it has collected.

    Attributes:
        types: node id → type.
        faults: what ends the run.
        notes: what the run's summary says.
        rules: what the types ask of the plan.
        ties: for each test, in the order of collection, what ties it to others.
        exclusive: the places of the exclusive tests.
        unmatched: what is in quarantine and was not collected.
        needs: the checks that tests need: name, seconds to wait, types.
        needed_by: node id → the checks that it needs.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    faults: Sequence[str] = ()
    notes: Sequence[str] = ()
    rules: Rules = field(default_factory=Rules)
    ties: Sequence[tuple[Tie, ...]] = ()
    exclusive: frozenset[int] = frozenset()
    unmatched: Sequence[str] = ()
    needs: Sequence[tuple[str, float, Sequence[str]]] = ()
    needed_by: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def collected(self, node_ids: Sequence[str]) -> list[Collected]:
        """Return the tests as the plan sees them; without ties where no worker left any."""
        ties = self.ties if len(self.ties) == len(node_ids) else [()] * len(node_ids)
        return [
            Collected(node_id, self.types.get(node_id, UNTYPED), ties[place], place in self.exclusive)
            for place, node_id in enumerate(node_ids)
        ]


class Exchange:
    """The controller's end; `close` removes the directory.

    The controller only thinks of a name, which nobody can guess; the first worker with something to leave makes the
    directory. A run without types has none.
    """

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._read = False
        self.left = Left()
        self.remote_workers = False

    @property
    def directory(self) -> Path | None:
        return self._directory

    def invite(self, node: Any) -> None:
        """Tell a worker that is about to start where the directory is."""
        if not node.gateway.spec.popen:
            self.remote_workers = True
            return
        if self._directory is None:
            self._directory = Path(tempfile.gettempdir(), f"sergas-{os.urandom(16).hex()}")
        node.workerinput[_INPUT] = str(self._directory)

    def is_left(self) -> bool:
        """Whether a worker has left what it knows of the tests."""
        return self._directory is not None and (self._directory / _LEFT).exists()

    def kept(self) -> Sequence[str]:
        """Return the markers that are the suite's own, where a worker met no type."""
        if self._directory is None or not (path := self._directory / _KEPT).exists():
            return ()
        found: list[str] = json.loads(path.read_text(encoding="ascii"))
        return found

    def read(self) -> Left | None:
        """Return what a worker left, the first time; None on later calls, and when no worker left anything."""
        if self._read or self._directory is None:
            return None
        self._read = True
        path = self._directory / _LEFT
        if not path.exists():
            return None
        self.left = _load(path.read_text(encoding="ascii"))
        return self.left

    def close(self) -> None:
        """Remove the directory."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


# On a controller that had invited workers before its parts were there.
INVITED = pytest.StashKey[Exchange]()


def directory(workerinput: Mapping[str, Any]) -> Path | None:
    """Return the directory that this worker shares with the controller, or None on another machine."""
    name = workerinput.get(_INPUT)
    if name is None:
        return None
    shared = Path(name)
    shared.mkdir(mode=0o700, exist_ok=True)
    return shared


def leave(shared: Path, left: Left) -> None:
    """Leave what this worker knows, unless another one has."""
    _leave(shared / _LEFT, lambda: _dump(left))


def leave_kept(shared: Path, names: Sequence[str]) -> None:
    """Leave which markers are the suite's own, where no test has a type."""
    _leave(shared / _KEPT, lambda: json.dumps(names))


def _leave(path: Path, dump: Callable[[], str]) -> None:
    if not path.exists():
        # ASCII, because a node id may carry bytes that are not UTF-8.
        Own.write_at_once(path, dump())


def _dump(left: Left) -> str:
    numbers: dict[Tie, int] = {}
    ties = [[numbers.setdefault(tie, len(numbers)) for tie in own] for own in left.ties]
    return Own.dumps(
        {
            "types": left.types,
            "faults": left.faults,
            "notes": left.notes,
            "gates": left.rules.gates,
            "caps": left.rules.caps,
            "names": [[tie.name, tie.firm, tie.fixture, tie.held] for tie in numbers],
            "ties": ties,
            "exclusive": sorted(left.exclusive),
            "unmatched": left.unmatched,
            "needs": left.needs,
            "needed_by": left.needed_by,
        }
    )


def _load(text: str) -> Left:
    raw = json.loads(text)
    names = [Tie(*entry) for entry in raw["names"]]
    return Left(
        types=raw["types"],
        faults=raw["faults"],
        notes=raw["notes"],
        rules=Rules(raw["gates"], raw["caps"]),
        ties=[tuple(names[number] for number in own) for own in raw["ties"]],
        exclusive=frozenset(raw["exclusive"]),
        unmatched=raw["unmatched"],
        needs=[(name, wait_s, types) for name, wait_s, types in raw["needs"]],
        needed_by=raw["needed_by"],
    )
