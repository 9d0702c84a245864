"""How often tests are repeated, kept where a test that passes needs no message to the controller.

pytest-rerunfailures has its counts on the controller: a worker asks there, over a socket, before every test that may be
repeated, how often a worker has died in it, and says how often it may be. Nearly always the answers are 0 and the same
number as before. So a worker asks only once a worker has died, and notes the number in a file when it changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.own import Own
from pytest_sergas.plugin.foreign import replace_reruns_of_run

_DIED = "died"


class OnWorker:
    """Stands between pytest-rerunfailures and its connection to the controller.

    Args:
        shared: the directory of the controller and its workers.
    """

    def __init__(self, config: pytest.Config, count: Any, shared: Path, worker: str) -> None:
        self._count = count
        self._died = shared / _DIED
        self._file = _file(shared, worker)
        self._noted: int | None = None
        replace_reruns_of_run(config, self)

    def get_test_failures(self, node_id: str) -> int:
        return int(self._count.get_test_failures(node_id)) if Own.exists(self._died) else 0

    def set_test_reruns(self, node_id: str, reruns: int) -> None:
        del node_id
        if reruns != self._noted:
            Own.write_at_once(self._file, str(reruns))
            self._noted = reruns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._count, name)


class OnController:
    """Stands between pytest-rerunfailures and its counts, and knows what the worker that has just died had noted."""

    def __init__(self, config: pytest.Config, count: Any) -> None:
        self._count = count
        self._file: Path | None = None
        replace_reruns_of_run(config, self)

    def note_death(self, shared: Path, worker: str) -> None:
        """Let workers ask from now on, and answer for the test of this one."""
        Own.write_at_once(shared / _DIED, worker)
        self._file = _file(shared, worker)

    def get_test_reruns(self, node_id: str) -> int:
        if self._file is not None and Own.exists(self._file):
            return int(Own.read(self._file))
        return int(self._count.get_test_reruns(node_id))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._count, name)


def _file(shared: Path, worker: str) -> Path:
    return shared / f"{worker}.reruns"
