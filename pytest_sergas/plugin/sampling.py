"""Memory by looking again and again, with psutil: where the kernel keeps no mark, and for child processes.

A peak that comes and goes between two looks is not seen, so a record that was made this way says so.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_sergas.own import Own

if TYPE_CHECKING:
    import psutil

INTERVAL_S = 0.01


class Sampling:
    """The largest of many looks at the memory of a process, and of its children where that is asked for.

    A thread looks while a measurement is going on, and sleeps otherwise.
    """

    name = "sampling"

    def __init__(self, *, own: bool = True, children: bool = False) -> None:
        import psutil

        self._error: type[Exception] = psutil.Error
        self._process: psutil.Process = psutil.Process()
        self._own = own
        self._children = children
        self._start_bytes = 0
        self._peak_bytes = 0
        self._going_on = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self, *, exact: bool) -> float:
        """Begin a measurement; ``exact`` makes no difference here. Return the CPU seconds of the process."""
        del exact
        if self._thread is None:
            self._thread = Own.Thread(target=self._look, name="sergas-memory", daemon=True)
            self._thread.start()
        with self._lock:
            self._start_bytes = self._peak_bytes = self._held_bytes()
        self._going_on.set()
        return Own.process_time()

    def stop(self) -> tuple[int, float]:
        """Return the peak since `start`, in bytes above what was held then, and the CPU seconds of the process."""
        self._going_on.clear()
        with self._lock:
            return max(self._peak_bytes, self._held_bytes()) - self._start_bytes, Own.process_time()

    def close(self) -> None:
        self._closed = True
        self._going_on.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        pause = threading.Event()
        while True:
            self._going_on.wait()
            if self._closed:
                return
            with self._lock:
                self._peak_bytes = max(self._peak_bytes, self._held_bytes())
            pause.wait(INTERVAL_S)

    def _held_bytes(self) -> int:
        held = int(self._process.memory_info().rss) if self._own else 0
        for child in self._process.children(recursive=True) if self._children else ():
            try:
                held += int(child.memory_info().rss)
            except self._error:  # it has ended meanwhile
                continue
        return held
