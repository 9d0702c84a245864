"""Memory that was freed is given back to the system, so that the next test is seen to use it again.

What the C library keeps for later is used again without a trace in the process's size. glibc keeps it in arenas, one
for the main thread and others for the rest; `malloc_trim` cleans all of them but for the free end of the others, which
is given back only as memory is freed, and when it is larger than a threshold that grows with what the program frees.
So the threshold is fixed at its first value, and ends that have grown before are cleaned once, by threads that take the
arenas over. Whether all that has an effect here is tried out: another allocator may be loaded.

Only a process whose tests have memory budgets does any of this.
"""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable
from contextlib import suppress

from pytest_sergas.own import Own

_M_TRIM_THRESHOLD = -1  # of malloc.h
_THRESHOLD_BYTES = 128 * 1024
_TRIED_BYTES = 4 * 1024 * 1024


class _Library:
    """As `Own`: the C library of this process."""

    library = ctypes.CDLL(None)
    collect_garbage = gc.collect


def give_back() -> None:
    """Collect garbage, and return free memory to the system where the C library has a way to do it (glibc)."""
    _Library.collect_garbage()
    with suppress(AttributeError):
        _Library.library.malloc_trim(0)


def prepare(measured_bytes: Callable[[Callable[[], None]], int]) -> str:
    """Make memory that is freed in a thread seen when it is used again; return why that cannot be done here, or "".

    Args:
        measured_bytes: calls a function, and returns the peak of memory meanwhile.
    """
    with suppress(AttributeError):
        _Library.library.mallopt(_M_TRIM_THRESHOLD, _THRESHOLD_BYTES)
        _clean(_arenas())
    seen = [measured_bytes(lambda: _in_threads(1, _TRIED_BYTES)) for _ in range(3)]
    if min(seen) < _TRIED_BYTES * 0.9:
        return "memory that was freed is kept by this process's allocator, and using it again is not seen"
    return ""


def _arenas() -> int:
    """Return how many arenas there are beside the main one.

    Raises:
        AttributeError: the C library does not say.
    """
    library = _Library.library
    open_stream, describe, close_stream = library.open_memstream, library.malloc_info, library.fclose
    open_stream.restype = ctypes.c_void_p
    text, size = ctypes.c_char_p(), ctypes.c_size_t()
    stream = ctypes.c_void_p(open_stream(ctypes.byref(text), ctypes.byref(size)))
    describe(0, stream)
    close_stream(stream)
    arenas = (text.value or b"").count(b"<heap nr=") - 1
    library.free(text)
    return arenas


def _clean(arenas: int) -> None:
    """Let threads take over the arenas that have none, all at the same time, and free something there."""
    _in_threads(max(arenas, 0), _THRESHOLD_BYTES * 3 // 4)


def _in_threads(number: int, size_bytes: int) -> None:
    together = threading.Barrier(number) if number else None

    def allocate() -> None:
        held = bytearray(size_bytes)
        if together is not None:
            together.wait()
        del held

    threads = [Own.Thread(target=allocate, name="sergas allocator") for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
