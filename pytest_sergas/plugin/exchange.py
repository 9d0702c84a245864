"""What a worker tells the controller before the first test runs: the types of the tests, and the faults.

pytest-xdist has no event for it, and an unknown one takes the worker down. So the controller names a
directory in ``workerinput``, the first worker that has collected leaves its plan there, and the controller
reads it when the first list of node ids arrives. Workers on another machine have no such directory: their
tests are recorded without a type, and the run says so.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_INPUT = "sergas_exchange"
_PLAN = "plan.json"


class Exchange:
    """The controller's end; `close` removes the directory."""

    def __init__(self) -> None:
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._read = False
        self.remote_workers = False

    def invite(self, node: Any) -> None:
        """Tell a worker that is about to start where to leave its plan."""
        if not node.gateway.spec.popen:
            self.remote_workers = True
            return
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="sergas-")
        node.workerinput[_INPUT] = self._directory.name

    def read(self) -> tuple[Mapping[str, str], Sequence[str], Sequence[str]]:
        """Return node id → type, the faults and the notes, the first time; nothing on later calls."""
        if self._read or self._directory is None:
            return {}, (), ()
        self._read = True
        path = Path(self._directory.name, _PLAN)
        if not path.exists():
            return {}, (), ()
        plan = json.loads(path.read_text(encoding="ascii"))
        return plan["types"], plan["faults"], plan["notes"]

    def close(self) -> None:
        """Remove the directory."""
        if self._directory is not None:
            self._directory.cleanup()


def leave_plan(
    workerinput: Mapping[str, Any], types: Mapping[str, str], faults: Sequence[str], notes: Sequence[str]
) -> bool:
    """Leave the plan of this worker unless another one has; return whether the controller will see it."""
    directory = workerinput.get(_INPUT)
    if directory is None:
        return False
    path = Path(directory, _PLAN)
    if not path.exists():
        own = path.with_suffix(f".{os.getpid()}")
        # ASCII, because a node id may carry bytes that are not UTF-8.
        own.write_text(json.dumps({"types": types, "faults": faults, "notes": notes}), encoding="ascii")
        own.replace(path)
    return True
