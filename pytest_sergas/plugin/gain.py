"""What workers compute, told to the controller at their end: `pytest_sergas.core.gain` judges by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_sergas.core.gain import WorkerTimes, no_gain
from pytest_sergas.core.records import TestRecord
from pytest_sergas.own import Own

_OUTPUT = "sergas_times"


class TellTimes:
    """The worker's end; made when it has collected.

    CPU time, because the workers collect at the same time and wait for each other's cores meanwhile.
    """

    def __init__(self) -> None:
        self._collecting_s = Own.process_time()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        running_s = Own.process_time() - self._collecting_s
        session.config.workeroutput[_OUTPUT] = (self._collecting_s, running_s)  # type: ignore[attr-defined]  # pytest-xdist's


class Gain:
    """The controller's end.

    Args:
        each: whether every worker runs every test, which is no attempt to be faster.
    """

    def __init__(self, *, each: bool) -> None:
        self._each = each
        self._workers: list[WorkerTimes] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        told = getattr(node, "workeroutput", {}).get(_OUTPUT)  # missing where the worker died
        if told is not None:
            self._workers.append(WorkerTimes(*told))

    def notes(self, tests: Sequence[TestRecord], wall_s: float) -> list[str]:
        """Return what there is to say about a run that has come to its end."""
        note = "" if self._each else no_gain(tests, self._workers, wall_s)
        return [note] if note else []
