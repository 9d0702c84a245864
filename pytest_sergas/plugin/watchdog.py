"""Names the tests that run when nothing has been heard for a while: what a run that seems to hang is busy with.

It looks at the record from a thread of its own now and then, so that a test costs nothing more for it, and writes
to a copy of the standard error, because a test's own output may be captured meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence

import pytest

from pytest_sergas.core.summary import seconds
from pytest_sergas.core.text import one_line
from pytest_sergas.own import Own
from pytest_sergas.plugin.recorder import Running

_SHOWN = 8
_NAME_LIMIT = 200
_LOOKS = 10  # in the time after which it speaks
_LOOK_AT_MOST_S = 5.0
# To the line below, which may hold somebody's status: it is cleared.
_FRESH_LINE = "\n\x1b[2K"


class Watchdog:
    """Watches while tests run; registered only where it is wanted.

    Args:
        silence_s: seconds after which it speaks, once for each silence.
        running: how many tests have reported something, and what runs now.
        workers: node id → worker, for tests that have not reported anything yet.
        spoken: called, in the thread, after it has written.
    """

    def __init__(
        self,
        silence_s: float,
        running: Callable[[], tuple[int, tuple[Running, ...]]],
        workers: Callable[[], Mapping[str, str]],
        spoken: Callable[[], None] = lambda: None,
    ) -> None:
        self._silence_s = silence_s
        self._running = running
        self._workers = workers
        self._spoken = spoken
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._descriptor = -1

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        self._descriptor = os.dup(2)  # now nothing is captured
        os.set_inheritable(self._descriptor, False)  # noqa: FBT003  the function takes nothing else
        self._thread = threading.Thread(
            target=self._watch, args=(self._descriptor,), daemon=True, name="sergas watchdog"
        )
        self._thread.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None
            Own.os_close(self._descriptor)

    def _watch(self, descriptor: int) -> None:
        heard: object = None
        since_s, spoken = Own.monotonic(), False
        while not self._over.wait(min(self._silence_s / _LOOKS, _LOOK_AT_MOST_S)):
            now = self._running()
            running = now[1]
            if now != heard:
                heard, since_s, spoken = now, Own.monotonic(), False
            elif running and not spoken and Own.monotonic() - since_s >= self._silence_s:
                spoken = True
                fresh = _FRESH_LINE if Own.isatty(descriptor) else "\n"
                text = f"{fresh}{message(self._silence_s, self._placed(running), Own.wall_s())}\n"
                Own.os_write(descriptor, text.encode(errors="backslashreplace"))
                self._spoken()

    def _placed(self, running: Sequence[Running]) -> list[Running]:
        workers = self._workers()
        return [test if test.worker else test._replace(worker=workers.get(test.node_id, "")) for test in running]


def message(silence_s: float, running: Sequence[Running], now_s: float) -> str:
    """Return the line that names the tests that run.

    Args:
        now_s: seconds since the Unix epoch.
    """
    names = [_name(test, now_s) for test in running[:_SHOWN]]
    more = [f"and {len(running) - _SHOWN} more"] if len(running) > _SHOWN else []
    return f"sergas: nothing heard for {seconds(silence_s)}; running: {', '.join((*names, *more))}"


def _name(test: Running, now_s: float) -> str:
    where = f" on {test.worker}" if test.worker else ""
    since = f" for {seconds(max(now_s - test.start_s, 0.0))}" if test.start_s else ""
    return f"{one_line(test.node_id, _NAME_LIMIT)}{where}{since}"
