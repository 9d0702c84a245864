"""A run that is cancelled by SIGTERM or SIGHUP, as CI cancels, ends as by Ctrl-C: with its table, record and files.

    the first signal    KeyboardInterrupt, again each second until the session ends; workers are sent it, too
    two seconds later   workers that are still there are killed
    a second signal     ends the process at once, as without us

A signal that the suite, or what started it, handles or ignores stays as it is.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from pytest_sergas.plugin import foreign
from pytest_sergas.plugin.role import is_controller, is_worker

if TYPE_CHECKING:
    import subprocess

# GitHub kills 10 s after it has cancelled, and publishers have their deadline after that.
WORKERS_S = 2.0
PUBLISH_S = 4.0
_AGAIN_S = 1.0
_TIMES = 4

CANCELLING: pytest.StashKey[Cancelling] = pytest.StashKey()
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Cancelling:
    """Turns the first signal into an interruption, in the process of its own pytest alone.

    Attributes:
        name: of the signal that has cancelled the run; "" before.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.name = ""
        self._config = config
        self._is_worker = is_worker(config)
        self._workers = _workers if is_controller(config) else _nobody
        self._process_id = os.getpid()
        self._main = threading.main_thread().ident
        self._is_again = False
        self._ending, self._over = threading.Event(), threading.Event()
        self._installed: list[int] = []
        # Bound now, because a test may patch them.
        self._kill, self._signal, self._own_id = os.kill, signal.signal, os.getpid
        self._thread, self._wake = threading.Thread, getattr(signal, "pthread_kill", None)

    def install(self) -> None:
        """Handle the signals that nobody handles; where pytest runs on another thread than the main one, none."""
        if threading.get_ident() != self._main:
            return
        for number in SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._cancel)
                self._installed.append(number)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        self._ending.set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._ending.set()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self._over.set()
        for number in self._installed:
            if signal.getsignal(number) == self._cancel:
                signal.signal(number, signal.SIG_DFL)

    def _cancel(self, number: int, frame: FrameType | None) -> None:
        del frame
        is_first, is_again = not self.name, self._is_again
        if self._own_id() != self._process_id or not (is_first or is_again or self._is_worker):
            self._signal(number, signal.SIG_DFL)  # a child that a test has forked, or a second signal
            self._kill(self._own_id(), number)
            return
        self._is_again = False
        if not is_first and self._is_worker:
            return  # from the group and from the controller; who waits too long is killed
        self.name = signal.Signals(number).name
        if is_first and not self._is_worker:
            workers = self._workers(self._config)
            for worker in workers:
                worker.terminate()
            self._thread(target=self._insist, args=(number, workers), name="sergas cancelling", daemon=True).start()
        raise KeyboardInterrupt(self.name)

    def _insist(self, number: int, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        """Interrupt a test again that has swallowed the interruption, and kill workers that do not end."""
        for elapsed_s in range(1, _TIMES + 1):
            if not self._ending.wait(_AGAIN_S) and self._wake is not None and self._main is not None:
                self._is_again = True
                self._wake(self._main, number)
            elif elapsed_s < WORKERS_S:
                self._over.wait(WORKERS_S - elapsed_s)  # the workers' time does not depend on us
            if elapsed_s >= WORKERS_S or self._ending.is_set():
                for worker in workers:
                    worker.kill()
            if self._ending.is_set():
                return


def _nobody(config: pytest.Config) -> Sequence[subprocess.Popen[bytes]]:
    del config
    return ()


_workers: Callable[[pytest.Config], Sequence[subprocess.Popen[bytes]]] = foreign.worker_processes
