"""The process itself, under the names that every Prometheus client uses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pytest_sergas.collectors import Context, Measured, Source
from pytest_sergas.core.metrics import Family, FamilyType, Sample


def create(context: Context) -> Sequence[Source]:
    return [context.source("process", Process())]


@dataclass(slots=True)
class Process:
    """CPU time, memory, threads and open files of the process that runs it."""

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        import psutil

        del remaining_s
        process = psutil.Process()
        with process.oneshot():
            cpu, memory = process.cpu_times(), process.memory_info()
            families = [
                _family("process_cpu_seconds_total", "CPU time used, in seconds", cpu.user + cpu.system, "counter"),
                _family("process_resident_memory_bytes", "Memory that is really there, in bytes", memory.rss),
                _family("process_virtual_memory_bytes", "Size of the address space, in bytes", memory.vms),
                _family("process_start_time_seconds", "When it began, in seconds since 1970", process.create_time()),
                _family("process_threads", "Threads", process.num_threads()),
            ]
            if sys.platform != "win32":
                families.append(_family("process_open_fds", "Open file descriptors", process.num_fds()))
        return families


def _family(name: str, text: str, value: float, kind: FamilyType = "gauge") -> Family:
    return Family(name, kind, text, (Sample((), value),))
