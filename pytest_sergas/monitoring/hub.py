"""The one engine that the classes of a program are views of: on a thread and an event loop of its own.

It is opened when it is first needed, and then does what it is asked; `begin` starts what happens at intervals. Plain
code, a coroutine, and code that runs one event loop after another all reach the same engine: their calls go to its
loop. A system shares one hub among its parts; a class alone has one.

What a program adds (rules, channels, checks, collectors) is kept here and given to each engine of this hub. A forked
child has no thread of its parent's: its hub opens an engine of its own, with what was added, and delivers nothing of
what its parent has to deliver.

When the program ends, all engines together have `EXIT_S` seconds to deliver what is in their outboxes. The threads are
daemons, so that a channel that hangs holds up the end no longer than that.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from pytest_sergas.channels import Channel
from pytest_sergas.engine.alerting import Added
from pytest_sergas.engine.engine import Engine, EngineSettings

LOG = logging.getLogger(__name__)

EXIT_S = 5.0
_CLOSE_S = 1.0

T = TypeVar("T")
Action = Callable[[Engine], object]


class Hub:
    """An engine for those who ask. Every method may be called from any thread, and in any event loop.

    Args:
        settings: of the engine.
        delivers: whether its alerts are notified here; otherwise a sidecar does that.
    """

    def __init__(self, settings: EngineSettings, *, delivers: bool = True) -> None:
        self.settings = settings
        self.delivers = delivers
        self._lock = threading.RLock()
        self._actions: list[Action] = []
        self._channels: list[Added] = []
        self._opening: _Worker | None = None
        self._worker: _Worker | None = None
        self._has_begun = False
        _HUBS.add(self)

    @property
    def engine(self) -> Engine | None:
        """The engine that is open, or None."""
        worker = self._worker
        return None if worker is None else worker.engine

    @property
    def has_begun(self) -> bool:
        """Whether the engine does what happens at intervals."""
        return self._has_begun

    @property
    def added_channels(self) -> tuple[Channel, ...]:
        """The channels that a program has added."""
        return tuple(channel for _, channel in self._channels)

    def add(self, action: Action) -> None:
        """Do something to the engine, and to each that this hub opens later."""
        if self._worker is not None:
            self.ask(action)
        with self._lock:
            self._actions.append(action)

    def add_channel(self, channel: Added) -> None:
        """Deliver to one more channel."""
        if self._worker is not None:
            self.ask(lambda engine: engine.add_channel(channel))
        with self._lock:
            self._channels.append(channel)

    def ask(self, question: Callable[[Engine], T]) -> T:
        """Return what ``question`` returns when it is asked in the engine's loop."""
        worker = self._opened()
        if worker.is_here:
            return question(worker.engine)

        async def answer() -> T:
            return question(worker.engine)

        return worker.call(answer())

    def wait(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Return what ``work`` returns in the engine's loop; the calling thread waits.

        Raises:
            RuntimeError: it is called in the engine's loop, which would wait for itself.
        """
        worker = self._opened()
        if worker.is_here:
            raise RuntimeError("called in the engine's own event loop, such as in a channel; call it on another thread")
        return worker.call(work(worker.engine))

    async def within(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Await what ``work`` returns in the engine's loop."""
        worker = self._worker
        if worker is None:
            worker = await asyncio.to_thread(self._opened)
        if worker.is_here:
            return await work(worker.engine)
        return await asyncio.wrap_future(worker.submit(work(worker.engine)))

    async def begin(self, interval_s: float | None) -> None:
        """Start what happens at intervals; see `Engine.begin`."""
        await self.within(lambda engine: engine.begin(interval_s))
        self._has_begun = True

    async def close(self) -> None:
        """Deliver what is there, within `EXIT_S`, and close the engine; the next question opens another one."""
        with self._lock:
            worker, self._worker, self._has_begun = self._worker, None, False
        if worker is not None:
            await asyncio.to_thread(worker.end, time.monotonic() + EXIT_S)

    def forked(self) -> None:
        """Forget, in the child of a fork, the engine of its parent."""
        self._lock = threading.RLock()
        self._worker, self._opening, self._has_begun = None, None, False

    def _opened(self) -> _Worker:
        worker = self._worker or self._opening
        if worker is not None and (worker is self._worker or worker.is_here):
            return worker
        with self._lock:
            if self._worker is None:
                self._opening = _Worker(Engine(self.settings, channels=self._channels))
                try:
                    self._opening.open(self._actions)
                    self._worker = self._opening
                finally:
                    self._opening = None
                # A program may forget a class of ours at any time; what it has to deliver is delivered all the same.
                weakref.finalize(self, _let_go, weakref.ref(self._worker)).atexit = False
            return self._worker


class _Worker:
    """An engine, its thread and its loop."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sergas engine", daemon=True)
        self._lock = threading.Lock()
        self._stopping: concurrent.futures.Future[int] | None = None

    @property
    def is_here(self) -> bool:
        """Whether the caller runs in the engine's loop."""
        return threading.current_thread() is self._thread

    def open(self, actions: Iterable[Action]) -> None:
        """Start the thread, open the engine, and do the ``actions`` to it.

        Raises:
            ConfigurationError, StoreError: the engine cannot be opened.
        """

        async def opened() -> None:
            await self.engine.open()
            for action in actions:
                action(self.engine)

        self._thread.start()
        try:
            self.call(opened())
        except BaseException:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise
        _register()
        _OPEN.add(self)

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return self.submit(work).result()

    def end(self, end_s: float) -> None:
        """Deliver, close the engine and end the thread, until about ``end_s`` on the monotonic clock.

        A second caller waits for what the first one has begun.
        """
        with self._lock:
            if self not in _OPEN:
                return
            if self._stopping is None:
                self._stopping = self.submit(self.engine.stop(max(0.01, end_s - time.monotonic())))
        left = 0
        # Closing what has been delivered takes a moment more.
        with contextlib.suppress(TimeoutError, concurrent.futures.CancelledError):
            left = self._stopping.result(max(0.0, end_s - time.monotonic()) + _CLOSE_S)
        if left:
            LOG.warning("%d notifications were not delivered in the %g s that there are at the end", left, EXIT_S)
        with self._lock:
            if self in _OPEN:
                _OPEN.discard(self)
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


_HUBS: weakref.WeakSet[Hub] = weakref.WeakSet()
_OPEN: set[_Worker] = set()
_of_parent: list[_Worker] = []
_registered: list[bool] = []


def _let_go(found: weakref.ref[_Worker]) -> None:
    """End a worker that nobody asks any more, on a thread of its own: garbage is collected anywhere."""
    worker = found()
    if worker is not None and worker in _OPEN:
        thread = threading.Thread(target=worker.end, args=(time.monotonic() + EXIT_S,), name="sergas ends", daemon=True)
        with contextlib.suppress(RuntimeError):  # the program ends, and `_end_all` ends this
            thread.start()


def _register() -> None:
    """Have `_end_all` called when the program ends, before the executors end that engines use."""
    if not _registered:
        _registered.append(True)
        # atexit alone is called after concurrent.futures has ended its threads, without which nothing is sent.
        getattr(threading, "_register_atexit", atexit.register)(_end_all)


def _end_all() -> None:
    end_s = time.monotonic() + EXIT_S
    threads = [threading.Thread(target=worker.end, args=(end_s,), daemon=True) for worker in list(_OPEN)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()) + 2 * _CLOSE_S)


def _forked() -> None:
    _of_parent.extend(_OPEN)  # kept: nothing of it may be closed here
    _OPEN.clear()
    for hub in list(_HUBS):
        hub.forked()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forked)
