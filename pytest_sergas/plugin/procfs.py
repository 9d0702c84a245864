"""What Linux says about a process of its own: how long a thread waited for a CPU, and the peak of its memory.

The files stay open, because opening costs more than reading; their numbers are high, where a test that closes and opens
files does not meet them. A forked child has them opened again, and so has a second thread that runs tests.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import ClassVar

from pytest_sergas.own import Own

if sys.platform == "win32":
    raise ImportError("there is no /proc")

import fcntl
import resource

_KIB = 1024
_PAGE_KIB = resource.getpagesize() // _KIB
_SLACK_KIB = 512  # the kernel counts pages for each CPU, and adds them up only now and then
_STATUS_BYTES = 4096  # the whole of /proc/self/status is about 1,500
_LEAST_DESCRIPTOR = 900  # below the usual limit of 1,024, above what a test uses


class _Kernel:
    """As `Own`, for what only Linux has."""

    pread = os.pread
    pwrite = os.pwrite
    getrusage = resource.getrusage
    fcntl = fcntl.fcntl


class _Files:
    """Files under /proc, which stay open.

    Raises:
        OSError: there is no such file, or it may not be opened.
    """

    def __init__(self, *paths: tuple[str, int]) -> None:
        self._paths = paths
        self.descriptors: tuple[int, ...] = ()
        self.open()
        os.register_at_fork(after_in_child=self._forget)

    def open(self) -> tuple[int, ...]:
        """Open the files, which are not open or not ours, and return their descriptors."""
        self.descriptors = ()
        for path, mode in self._paths:
            try:
                self.descriptors += (_high(Own.os_open(path, mode | os.O_CLOEXEC)),)
            except OSError:
                self.close()
                raise
        return self.descriptors

    def read(self, place: int, size: int) -> bytes:
        """Return what one of the files says now; they are opened in a forked child, and after a test closed them."""
        try:
            return _Kernel.pread(self.descriptors[place], size, 0)
        except (IndexError, OSError):
            return _Kernel.pread(self.open()[place], size, 0)

    def write(self, place: int, data: bytes) -> None:
        """Write to one of the files; likewise."""
        try:
            _Kernel.pwrite(self.descriptors[place], data, 0)
        except (IndexError, OSError):
            _Kernel.pwrite(self.open()[place], data, 0)

    def close(self) -> None:
        descriptors = self.descriptors
        self._forget()
        for descriptor in descriptors:
            with suppress(OSError):  # a test has closed it
                Own.os_close(descriptor)

    def _forget(self) -> None:
        """Have no files any more; a forked child leaves them open: no number is certain to be ours still."""
        self.descriptors = ()


def _high(descriptor: int) -> int:
    """Return a copy of ``descriptor`` with a high number, and close it; or itself, where numbers end below."""
    try:
        high: int = _Kernel.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LEAST_DESCRIPTOR)
    except OSError:
        return descriptor
    Own.os_close(descriptor)
    return high


class RunDelay:
    """How long the calling thread has been ready and waited for a CPU.

    Raises:
        OSError: this kernel does not say.
    """

    name = "schedstat"

    def __init__(self) -> None:
        self._files = _Files(("/proc/thread-self/schedstat", os.O_RDONLY))
        self._thread = Own.native_id()
        if self._files.read(0, 64).split()[0] == b"0":  # a thread that runs has run
            self._files.close()
            raise OSError("the kernel keeps no statistics of its scheduler")

    def begin_s(self) -> float:
        """Return the seconds since the calling thread began."""
        # Python's own identity of a thread is given to the next one as soon as one has ended.
        thread = Own.native_id()
        if thread != self._thread:
            self._files.close()
            self._thread = thread
        return self.read_s()

    def read_s(self) -> float:
        """Return the same, in the thread that began."""
        return int(self._files.read(0, 64).split()[1]) / 1e9

    def close(self) -> None:
        self._files.close()


class HighWaterMark:
    """The peak of the process's memory, by the kernel's own mark, which is set back at the start.

    ``getrusage`` tells the mark at a tenth of the cost of ``VmHWM``, but never less than the mark of the program
    that this process was before ``exec``. So it is asked only where it says no less than when it was last found to
    agree with what the process holds (``statm``).

    Measurements may be nested, as where a test runs pytest in its own process: what is set back for the inner one is
    noted for the outer ones before.

    Attributes:
        noted_kib: the mark as it was when another measurement began within this one.

    Raises:
        OSError: the mark cannot be read or set back here.
    """

    name = "VmHWM"
    _going_on: ClassVar[list[HighWaterMark]] = []  # of the process, which has one mark

    def __init__(self) -> None:
        self._files = _Files(
            ("/proc/self/status", os.O_RDONLY),
            ("/proc/self/clear_refs", os.O_WRONLY),
            ("/proc/self/statm", os.O_RDONLY),
        )
        self._usage = _Kernel.getrusage
        self._start_kib = 0
        self.noted_kib = 0
        self._by_usage = False
        self._trusted_kib = float("inf")
        if not self._going_on:
            self._reset()
        self._mark_kib()

    def start(self, *, exact: bool) -> float:
        """Begin a measurement; return the CPU seconds of the process until now.

        Args:
            exact: first let go of what earlier tests left: memory that was freed and not given back to the
                system would be used again, unseen. It costs milliseconds.
        """
        if exact:
            from pytest_sergas.plugin.allocator import give_back

            give_back()
        if not self._files.descriptors:  # in a child, which has a mark of its own
            self._going_on.clear()
            self._files.open()
        if self._going_on:
            mark_kib = self._mark_kib()
            for outer in self._going_on:
                outer.noted_kib = max(outer.noted_kib, mark_kib)
        self._reset()
        usage = self._usage(resource.RUSAGE_SELF)
        usage_kib = usage.ru_maxrss
        self._by_usage = not exact and (usage_kib >= self._trusted_kib or self._agrees(usage_kib))
        self._start_kib = usage_kib if self._by_usage else self._mark_kib()
        self.noted_kib = 0
        self._going_on.append(self)
        return float(usage.ru_utime + usage.ru_stime)

    def stop(self) -> tuple[int, float]:
        """Return the peak since `start`, in bytes above what was held then, and the CPU seconds of the process."""
        usage = self._usage(resource.RUSAGE_SELF)
        peak_kib = usage.ru_maxrss if self._by_usage else self._mark_kib()
        self._going_on.remove(self)
        peak_kib = max(peak_kib, self.noted_kib, self._start_kib)
        return (peak_kib - self._start_kib) * _KIB, usage.ru_utime + usage.ru_stime

    def close(self) -> None:
        self._files.close()

    def _reset(self) -> None:
        self._files.write(1, b"5")

    def _agrees(self, usage_kib: int) -> bool:
        """Whether the mark was just now what the process holds, and no less is inherited; then remember it."""
        held_kib = int(self._files.read(2, 64).split()[1]) * _PAGE_KIB
        if usage_kib - held_kib > _SLACK_KIB:
            return False
        self._trusted_kib = usage_kib
        return True

    def _mark_kib(self) -> int:
        status = self._files.read(0, _STATUS_BYTES)
        begin = status.find(b"VmHWM:")
        if begin < 0:
            raise OSError("the kernel does not tell the peak of memory")
        return int(status[begin + 6 : status.index(b"kB", begin)])
