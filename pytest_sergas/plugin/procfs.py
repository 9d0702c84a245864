"""What Linux says about a process of its own: how long a thread waited for a CPU, and the peak of its memory.

The files stay open, because opening costs more than reading. They belong to one thread of one process: a test
that runs in another (a forked child, a worker's second thread) has them opened again.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import threading

_KIB = 1024
_PAGE_KIB = resource.getpagesize() // _KIB
_SLACK_KIB = 512  # the kernel counts pages for each CPU, and adds them up only now and then
_STATUS_BYTES = 4096  # the whole of /proc/self/status is about 1,500


class _Files:
    """Files under /proc, open as long as the same thread reads them."""

    def __init__(self, *paths: tuple[str, int]) -> None:
        self._paths = paths
        self._owner = 0
        self._descriptors: tuple[int, ...] = ()
        self.open()
        os.register_at_fork(after_in_child=self._forget)

    def open(self) -> tuple[int, ...]:
        """Return the descriptors for the calling thread.

        Raises:
            OSError: there is no such file, or it may not be opened.
        """
        owner = threading.get_native_id()  # Python's own identity is given to the next thread as soon as one has ended
        if owner != self._owner:
            self.close()
            for path, mode in self._paths:
                try:
                    self._descriptors += (os.open(path, mode | os.O_CLOEXEC),)
                except OSError:
                    self.close()
                    raise
            self._owner = owner
        return self._descriptors

    def close(self) -> None:
        descriptors = self._descriptors
        self._forget()
        for descriptor in descriptors:
            os.close(descriptor)

    def _forget(self) -> None:
        """Have no files any more; a forked child leaves them open: no number is certain to be ours still."""
        self._descriptors, self._owner = (), 0


class RunDelay:
    """How long the calling thread has been ready and waited for a CPU.

    Raises:
        OSError: this kernel does not say.
    """

    name = "schedstat"

    def __init__(self) -> None:
        self._files = _Files(("/proc/thread-self/schedstat", os.O_RDONLY))
        if self._read()[0] == b"0":  # a thread that runs has run
            self._files.close()
            raise OSError("the kernel keeps no statistics of its scheduler")

    def read_s(self) -> float:
        """Return the seconds since the thread began."""
        return int(self._read()[1]) / 1e9

    def close(self) -> None:
        self._files.close()

    def _read(self) -> list[bytes]:
        (descriptor,) = self._files.open()
        return os.pread(descriptor, 64, 0).split()


class HighWaterMark:
    """The peak of the process's memory, by the kernel's own mark, which is set back at the start.

    ``getrusage`` tells the mark at a tenth of the cost of ``VmHWM``, but never less than the mark of the program
    that this process was before ``exec``. So it is asked only where it says no less than when it was last found to
    agree with what the process holds (``statm``).

    Raises:
        OSError: the mark cannot be read or set back here.
    """

    name = "VmHWM"

    def __init__(self) -> None:
        self._files = _Files(
            ("/proc/self/status", os.O_RDONLY),
            ("/proc/self/clear_refs", os.O_WRONLY),
            ("/proc/self/statm", os.O_RDONLY),
        )
        self._start_kib = 0
        self._by_usage = False
        self._reset()
        self._mark_kib()
        self._trusted_kib = float("inf")

    def start(self, *, exact: bool) -> None:
        """Begin a measurement.

        Args:
            exact: first let go of what earlier tests left: memory that was freed and not given back to the
                system would be used again, unseen. It costs milliseconds.
        """
        if exact:
            gc.collect()
            _give_back()
        self._reset()
        usage_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._by_usage = not exact and (usage_kib >= self._trusted_kib or self._agrees(usage_kib))
        self._start_kib = usage_kib if self._by_usage else self._mark_kib()

    def stop_bytes(self) -> int:
        """Return the peak since `start`, above what was held then."""
        by_usage = self._by_usage
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if by_usage else self._mark_kib()
        return max(0, peak_kib - self._start_kib) * _KIB

    def close(self) -> None:
        self._files.close()

    def _reset(self) -> None:
        os.pwrite(self._files.open()[1], b"5", 0)

    def _agrees(self, usage_kib: int) -> bool:
        """Whether the mark was just now what the process holds, and no less is inherited; then remember it."""
        held_kib = int(os.pread(self._files.open()[2], 64, 0).split()[1]) * _PAGE_KIB
        if usage_kib - held_kib > _SLACK_KIB:
            return False
        self._trusted_kib = usage_kib
        return True

    def _mark_kib(self) -> int:
        status = os.pread(self._files.open()[0], _STATUS_BYTES, 0)
        begin = status.find(b"VmHWM:")
        if begin < 0:
            raise OSError("the kernel does not tell the peak of memory")
        return int(status[begin + 6 : status.index(b"kB", begin)])


def _give_back() -> None:
    """Return free heap to the system, where the C library has a way to do it (glibc)."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
