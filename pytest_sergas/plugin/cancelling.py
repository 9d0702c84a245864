"""A run that is cancelled by SIGTERM or SIGHUP, as CI cancels, ends as by Ctrl-C: with its table, record and files.

    the first signal      KeyboardInterrupt, again each second until the session ends; workers are sent it, too
    two seconds later     workers that are still there are killed
    three seconds later   the run is published from another thread, where a test or a teardown has swallowed all that;
                          a test cannot be got rid of, and ends with the process
    a second signal       ends the process at once, as without us

What is computed in C is interrupted when it comes back to Python, as by Ctrl-C; on a worker it is killed.

A signal that the suite, or what started it, handles or ignores stays as it is. A process that a test forks has the
default again: the signals are blocked while Python forks, because it forgets those that arrive meanwhile.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, ClassVar

import pytest

from pytest_sergas.own import Own
from pytest_sergas.plugin import foreign
from pytest_sergas.plugin.role import is_controller, is_worker

if TYPE_CHECKING:
    import subprocess

    from pytest_sergas.plugin.report import Report
    from pytest_sergas.plugin.session import Run

# Seconds since the signal. GitHub kills 10 s after it has cancelled, and 7.5 s after it has begun to.
WORKERS_S = 2.0
_STUCK_S = 3.0
_PUBLISHED_S = 5.5
_LEAST_S = 1.0
_AGAIN_S = 1.0
_DEFAULT = int(signal.SIG_DFL)  # as `Own.signal` takes it

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
        self._began_s = 0.0

    def install(self) -> None:
        """Handle the signals that nobody handles; where pytest runs on another thread than the main one, none."""
        if threading.get_ident() != self._main:
            return
        for number in SIGNALS:
            if Own.getsignal(number) == _DEFAULT:
                Own.signal(number, self._cancel)
                self._installed.append(number)
        if self._installed:
            _AtFork.follow(self)

    @property
    def publish_s(self) -> float:
        """How many seconds publishers have, so that all is done before CI kills."""
        return max(_PUBLISHED_S - (Own.monotonic() - self._began_s), _LEAST_S)

    def give_back(self) -> None:
        """Let the signals do what they do by default, where they are still ours."""
        for number in self._installed:
            if Own.getsignal(number) == self._cancel:
                Own.signal(number, _DEFAULT)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        self._ending.set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._ending.set()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self._over.set()
        _AtFork.leave(self)
        self.give_back()

    def _cancel(self, number: int, frame: FrameType | None) -> None:
        del frame
        is_first, is_again = not self.name, self._is_again
        if Own.getpid() != self._process_id or not (is_first or is_again or self._is_worker):
            Own.signal(number, _DEFAULT)  # a child that was forked past Python, or a second signal
            Own.kill(Own.getpid(), number)
            return
        self._is_again = False
        if not is_first and self._is_worker:
            return  # from the group and from the controller; who waits too long is killed
        self.name = signal.Signals(number).name
        if is_first and not self._is_worker:
            self._began_s = Own.monotonic()
            session: pytest.Session | None = self._config.pluginmanager.get_plugin("session")
            if session is not None:
                session.shouldstop = self.name  # a test that swallows the interruption is the last one
            workers = self._workers(self._config)
            for worker in workers:
                worker.terminate()
            Own.Thread(target=self._insist, args=(number, workers), name="sergas cancelling", daemon=True).start()
        raise KeyboardInterrupt(self.name)

    def _insist(self, number: int, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        """Interrupt a test again that has swallowed the interruption, and kill workers that do not end."""
        for due_s in (_AGAIN_S, WORKERS_S, _STUCK_S):
            # Workers have their time whether or not the session ends meanwhile.
            if self._over.wait(max(self._began_s + due_s - Own.monotonic(), 0.0)):
                return
            if due_s >= WORKERS_S:
                for worker in workers:
                    worker.kill()
            if not self._ending.is_set() and due_s < _STUCK_S and Own.pthread_kill is not None and self._main:
                self._is_again = True
                Own.pthread_kill(self._main, number)
        if not is_controller(self._config):
            self._finish()

    def _finish(self) -> None:
        """Publish the run from here, while the main thread is in a test or in a teardown.

        A teardown goes on, and the session ends after it if it can. A test that never ends is left behind: what ends
        a session is called without what would tear its fixtures down, and then the process exits.
        """
        manager = self._config.pluginmanager
        run: Run | None = manager.get_plugin("sergas-run")
        report: Report | None = manager.get_plugin("sergas-report")
        session: pytest.Session | None = manager.get_plugin("session")
        reporter: pytest.TerminalReporter | None = manager.get_plugin("terminalreporter")
        if run is None or session is None or run.is_publishing:
            return
        with foreign.uncaptured(self._config):
            if self._ending.is_set():
                run.publish(session, pytest.ExitCode.INTERRUPTED)
                if report is not None and reporter is not None:
                    report.print_once(reporter, self._config)
                _flush()
                return
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            try:
                raise KeyboardInterrupt(self.name)  # noqa: TRY301  raised, because pytest asks for a traceback
            except KeyboardInterrupt:
                self._config.hook.pytest_keyboard_interrupt(excinfo=pytest.ExceptionInfo.from_current())
            teardown = manager.get_plugin("runner")
            finish = manager.subset_hook_caller("pytest_sessionfinish", [teardown])
            finish(session=session, exitstatus=pytest.ExitCode.INTERRUPTED)
            _flush()
            Own.os_exit(int(pytest.ExitCode.INTERRUPTED))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed by a test
            stream.flush()


class _AtFork:
    """Gives the signals back in forked children. What is registered for forks stays so: one for all sessions.

    Attributes:
        running: the session whose handlers stand.
        masks: thread → what it had blocked when it began to fork.
    """

    running: Cancelling | None = None
    masks: ClassVar[dict[int, set[signal.Signals]]] = {}
    is_registered = False

    @classmethod
    def follow(cls, cancelling: Cancelling) -> None:
        cls.running = cancelling
        if sys.platform != "win32" and Own.pthread_sigmask is not None and not cls.is_registered:
            cls.is_registered = True
            os.register_at_fork(before=cls._block, after_in_parent=cls._unblock, after_in_child=cls._leave_child)

    @classmethod
    def leave(cls, cancelling: Cancelling) -> None:
        if cls.running is cancelling:
            cls.running = None

    @classmethod
    def _block(cls) -> None:
        if sys.platform != "win32" and cls.running is not None and Own.pthread_sigmask is not None:
            cls.masks[threading.get_ident()] = Own.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    @classmethod
    def _unblock(cls) -> None:
        mask = cls.masks.pop(threading.get_ident(), None)
        if sys.platform != "win32" and mask is not None and Own.pthread_sigmask is not None:
            Own.pthread_sigmask(signal.SIG_SETMASK, mask)

    @classmethod
    def _leave_child(cls) -> None:
        if cls.running is not None:
            cls.running.give_back()
            cls.running = None
        cls._unblock()


def _nobody(config: pytest.Config) -> Sequence[subprocess.Popen[bytes]]:
    del config
    return ()


_workers: Callable[[pytest.Config], Sequence[subprocess.Popen[bytes]]] = foreign.worker_processes
