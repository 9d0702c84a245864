"""Exclusive tests run while no other test of the run does, whatever scheduler is used: a lock that all workers share.

An ordinary test holds the lock shared, an exclusive one alone. Everybody passes a turnstile first, where an
exclusive test stays until it has the lock: so it waits for the tests that run, and not for those that come after
it. The locks are ``flock``: the kernel releases them when their worker dies. A forked child closes its copies,
because it would keep them for as long as it lives.

Waiting takes place outside of all that counts: before the timer of pytest-timeout is armed and before the test's
first phase. It is shown when it gets long, and it ends after ``exclusive_wait`` with a failed set-up that names who
holds the lock.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_sergas.own import Own, unpatched
from pytest_sergas.plugin.waits import REPORTED

if sys.platform == "win32":
    raise ImportError("there are no POSIX locks")

import fcntl


class _Kernel:
    """As `Own`, for what only POSIX has."""

    flock = fcntl.flock
    pwrite = os.pwrite


_SHOW_AFTER_S = 5.0
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Holder:
    """A test that runs on another worker."""

    worker: str
    node_id: str

    def __str__(self) -> str:
        return f"{self.node_id} on {self.worker}"


class Locks:
    """The files of one worker: two locks, and a file that says which test it runs.

    The latter is locked for as long as its worker lives, so that what a dead one has left there is not believed.
    """

    def __init__(self, shared: Path, worker: str) -> None:
        self._shared = shared
        self._worker = worker
        self._turnstile = _open(shared / "turnstile.lock")
        self._lock = _open(shared / "exclusive.lock")
        self._running = _open(shared / f"{worker}.running")
        self._descriptors = [self._turnstile, self._lock, self._running]
        _flock(self._running, fcntl.LOCK_EX)
        os.register_at_fork(after_in_child=self.close)

    def close(self) -> None:
        """Close the files once, without releasing what another process holds through them.

        A child that is forked when they are closed must not close numbers that belong to something else by then.
        """
        while self._descriptors:
            Own.os_close(self._descriptors.pop())

    def acquire(self, node_id: str, *, exclusive: bool, deadline_s: float) -> Iterator[None]:
        """Acquire the lock; each step is an attempt that failed, after which the caller waits.

        Args:
            deadline_s: when to give up, on the monotonic clock; the lock is then not held.
        """
        for descriptor, mode in ((self._turnstile, fcntl.LOCK_EX), (self._lock, _mode(exclusive=exclusive))):
            while not _try(descriptor, mode):
                if Own.monotonic() >= deadline_s:
                    _flock(self._turnstile, fcntl.LOCK_UN)
                    raise TimeoutError
                yield
        if not exclusive:
            _flock(self._turnstile, fcntl.LOCK_UN)
        _Kernel.pwrite(self._running, Own.fsencode(node_id) + b"\0", 0)

    def release(self) -> None:
        _Kernel.pwrite(self._running, b"\0", 0)
        _flock(self._lock, fcntl.LOCK_UN)
        _flock(self._turnstile, fcntl.LOCK_UN)

    def holders(self) -> tuple[Holder, ...]:
        """Return the tests that run on other workers now."""
        found = []
        with unpatched():
            for path in sorted(self._shared.glob("*.running")):
                node_id = os.fsdecode(path.read_bytes().partition(b"\0")[0])
                if path.stem != self._worker and node_id and _is_alive(path):
                    found.append(Holder(path.stem, node_id))
        return tuple(found)


class Exclusive:
    """Holds the lock round each test of a worker.

    Args:
        exclusive: the node ids of the exclusive tests.
        wait_s: how long a test waits for the lock.
    """

    def __init__(self, config: pytest.Config, locks: Locks, exclusive: frozenset[str], wait_s: float) -> None:
        self._config = config
        self._locks = locks
        self._exclusive = exclusive
        self._wait_s = wait_s
        self._failure = ""
        self._waited_s = 0.0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        with self._held(item.nodeid):
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        if self._failure:
            pytest.fail(self._failure, pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Ahead of pytest-xdist, which sends the report away. What is set on a report travels with it.
        if self._waited_s and report.when == "setup":
            setattr(report, REPORTED, self._waited_s)

    @contextmanager
    def _held(self, node_id: str) -> Iterator[None]:
        exclusive = node_id in self._exclusive
        begun_s = Own.monotonic()
        shown = False
        self._failure, self._waited_s = "", 0.0
        try:
            for _ in self._locks.acquire(node_id, exclusive=exclusive, deadline_s=begun_s + self._wait_s):
                if not shown and Own.monotonic() - begun_s > min(_SHOW_AFTER_S, self._wait_s / 2):
                    self._show(node_id, exclusive=exclusive)
                    shown = True
                Own.sleep(_POLL_S)
                self._waited_s = Own.monotonic() - begun_s
        except TimeoutError:
            self._failure = timed_out(self._wait_s, self._locks.holders(), exclusive=exclusive)
            yield
        else:
            try:
                yield
            finally:
                self._locks.release()

    def _show(self, node_id: str, *, exclusive: bool) -> None:
        """Write to the standard error that all workers share with the controller."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        text = f"\n{node_id} waits until {_these(self._locks.holders(), exclusive=exclusive)} is over\n".encode(
            errors="backslashreplace"
        )
        if capture is None:
            Own.os_write(2, text)
            return
        with capture.global_and_fixture_disabled():
            Own.os_write(2, text)


def timed_out(wait_s: float, holders: Sequence[Holder], *, exclusive: bool) -> str:
    """Return why a test that waited in vain was not run."""
    return (
        f"not run: waited {wait_s:g} s (exclusive_wait) until {_these(holders, exclusive=exclusive)} is over. "
        "Give what runs so long a timeout, or raise exclusive_wait in [tool.sergas]"
    )


def _these(holders: Sequence[Holder], *, exclusive: bool) -> str:
    kind = "another test" if exclusive else "an exclusive test"
    return ", ".join(map(str, holders)) or f"{kind} that has not said its name"


def _open(path: Path) -> int:
    return Own.os_open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _mode(*, exclusive: bool) -> int:
    return fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH


def _flock(descriptor: int, operation: int) -> None:
    if _Kernel.flock is not None:
        _Kernel.flock(descriptor, operation)


def _try(descriptor: int, mode: int) -> bool:
    try:
        _flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(path: Path) -> bool:
    """Whether the worker that writes ``path`` lives: it holds a lock on it."""
    descriptor = _open(path)
    try:
        return not _try(descriptor, fcntl.LOCK_SH)
    finally:
        Own.os_close(descriptor)
