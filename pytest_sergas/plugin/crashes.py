"""Why a worker died: its exit status, the signal, or the timeout that ended it.

pytest-xdist says in which test, and not why. The controller is the parent of its workers, so it knows how they
ended. What only the worker knew was that pytest-timeout's thread method was about to end it, which is an exit
with status 1 like many others: so the worker notes it in a file, right before (`note_timeout`).
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.own import Own
from pytest_sergas.plugin.exchange import Exchange
from pytest_sergas.plugin.foreign import reruns_of_tests, worker_process
from pytest_sergas.plugin.rerun_counts import OnController
from pytest_sergas.plugin.timers import MARK

_INTERRUPTED = "its session was ended by pytest.exit() or Ctrl-C"  # its process waits for the controller
_REAP_S = 10.0  # a process whose pipe has closed may still be writing its core


class Crashes:
    """Adds the cause to pytest-xdist's report, and notes workers that died between two tests."""

    def __init__(self, config: pytest.Config, exchange: Exchange) -> None:
        self._config = config
        self._exchange = exchange
        self._counts: OnController | None = None
        self._died: dict[str, str] = {}
        self._collected: set[str] = set()
        self._timed_out: set[str] = set()

    @property
    def notes(self) -> list[str]:
        """What to say about workers that died while they ran no test."""
        return [f"worker {worker} died {self._when(worker)}: {cause}" for worker, cause in self._died.items()]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        self._collected.add(node.gateway.id)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error:
            self._died[node.gateway.id] = _INTERRUPTED if error == "keyboard-interrupt" else self._cause(node)

    @pytest.hookimpl(optionalhook=True, wrapper=True, tryfirst=True)
    def pytest_handlecrashitem(self, report: Any) -> Generator[None, object, object]:
        shared = self._exchange.directory
        # Not earlier: its plugin has no counts yet when this one is made.
        if self._counts is None and (count := reruns_of_tests(self._config)) is not None:
            self._counts = OnController(self._config, count)
        if self._counts is not None and shared is not None:
            self._counts.note_death(shared, report.node.gateway.id)
        cause = self._died.pop(report.node.gateway.id, "")
        if cause:
            report.longrepr = f"{report.longrepr}: {cause}"
        if report.node.gateway.id in self._timed_out:
            setattr(report, MARK, True)
        report.sergas_crash = True
        return (yield)

    def _when(self, worker: str) -> str:
        return "between two tests" if worker in self._collected else "while it collected"

    def _cause(self, node: Any) -> str:
        if not node.gateway.spec.popen:
            return "on another machine, its end is not known here"
        process = worker_process(node.config, node)
        if process is None:
            return "nobody knows how"
        try:
            status: int = process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            return "its connection ended, and its process has not"
        timeout_s = self._timeout_s(node.gateway.id)
        if timeout_s is not None:
            self._timed_out.add(node.gateway.id)
            return f"ended by its timeout of {timeout_s:g} s (thread method)"
        return describe(status)

    def _timeout_s(self, worker: str) -> float | None:
        """Return the timeout that ended a worker, if it noted one."""
        shared = self._exchange.directory
        path = None if shared is None else _note(shared, worker)
        return float(path.read_text(encoding="ascii")) if path is not None and path.exists() else None


def note_timeout(shared: Path, worker: str, timeout_s: float) -> None:
    """Note that a timeout is about to end this worker, for the controller that shares a directory with it."""
    Own.write_at_once(_note(shared, worker), f"{timeout_s!r}")


def _note(shared: Path, worker: str) -> Path:
    return shared / f"{worker}.timeout"


def is_crash(report: pytest.TestReport) -> bool:
    """Whether pytest-xdist reports that a worker died in a test."""
    return hasattr(report, "sergas_crash")


def describe(status: int) -> str:
    """Return in words how a process ended.

    Args:
        status: as `subprocess.Popen.returncode` has it: negative for a signal.
    """
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"
