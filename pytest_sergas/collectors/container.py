"""What a container may use and what it uses, from the files of cgroup v2.

The kernel's documentation (Control Group v2, "Interface Files") says what is in them: ``memory.max`` is a
number of bytes or ``max``; ``cpu.max`` is ``QUOTA PERIOD`` in microseconds, the quota possibly ``max``;
``cpu.stat`` and ``memory.events`` are lines of a key and a number. A limit of a group above holds as well,
so the lowest one on the way up counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pytest_sergas.collectors import Context, Measured, Source
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.errors import CollectError

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")

T = TypeVar("T")


def create(context: Context) -> Sequence[Source]:
    found = find(ROOT, OWN)
    return [context.source("container", found)] if found else []


def find(root: Path, own: Path) -> Container | None:
    """Return our group, or None where there is no cgroup v2 or we are in no group that accounts for anything.

    Args:
        root: where the hierarchy is mounted.
        own: the file that says in which group we are.
    """
    try:
        group = parse_own(own.read_text("utf-8"))
    except OSError:
        return None
    if group is None:
        return None
    # In a namespace of its own, the group that is named may lie outside of what is mounted.
    for directory in (root / group.lstrip("/"), root):
        if (directory / "memory.current").is_file() or (directory / "cpu.max").is_file():
            return Container(root, directory)
    return None


def parse_own(text: str) -> str | None:
    """Return the group of version 2 in the text of ``/proc/self/cgroup``, or None when there is none."""
    for line in text.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers and ".." not in PurePosixPath(path).parts:
            return path
    return None


def parse_limit(text: str) -> int | None:
    """Return the bytes in the text of ``memory.max``; None for no limit.

    Raises:
        ValueError: the text is neither.
    """
    return None if text.strip() == "max" else int(text)


def parse_cores(text: str) -> float | None:
    """Return the CPUs in the text of ``cpu.max``; None for no limit.

    Raises:
        ValueError: the text is no quota and period.
    """
    quota, _, period = text.strip().partition(" ")
    if quota == "max":
        return None
    period_us = int(period or "100000")  # the kernel's default
    if period_us <= 0:
        raise ValueError(f"a period of {period_us} µs")
    return int(quota) / period_us


def parse_keyed(text: str) -> Mapping[str, int]:
    """Return the numbers in lines of a key and a number, as ``cpu.stat`` has them.

    Raises:
        ValueError: a line is something else.
    """
    pairs = (line.split() for line in text.splitlines())
    return {key: int(number) for key, number in pairs}


@dataclass(frozen=True, slots=True)
class Container:
    """One group and those above it.

    Attributes:
        root: where the hierarchy is mounted.
        directory: the group's.
    """

    root: Path
    directory: Path

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        del remaining_s
        return [*self._memory(), *self._cpu()]

    def _memory(self) -> Iterator[Family]:
        used = self._read("memory.current", int)
        limit = self._lowest("memory.max", parse_limit)
        if used is not None:
            yield _family("container_memory_usage_bytes", "Memory that the container uses, in bytes", used)
        if limit is not None:
            yield _family("container_memory_limit_bytes", "Memory that the container may use, in bytes", limit)
        if used is not None and limit:
            percent = 100 * used / limit
            yield _family("container_memory_usage_percent", "Memory used, in percent of the limit", percent)
        if events := self._read("memory.events", parse_keyed):
            kills = events.get("oom_kill", 0)
            yield _family("container_oom_kills_total", "Processes killed for want of memory", kills, "counter")

    def _cpu(self) -> Iterator[Family]:
        cores = self._lowest("cpu.max", parse_cores)
        if cores is not None:
            yield _family("container_cpu_limit_cores", "CPUs that the container may use", cores)
        stat = self._read("cpu.stat", parse_keyed) or {}
        for key, name, text in (
            ("usage_usec", "container_cpu_usage_seconds_total", "CPU time used, in seconds"),
            ("throttled_usec", "container_cpu_throttled_seconds_total", "Time spent waiting for the quota, in seconds"),
        ):
            if key in stat:
                yield _family(name, text, stat[key] / 1e6, "counter")

    def _lowest(self, name: str, parse: Callable[[str], float | None]) -> float | None:
        limits = []
        directory = self.directory
        while True:
            limits.append(self._read(name, parse, directory))
            if directory == self.root:
                break
            directory = directory.parent
        return min((limit for limit in limits if limit is not None), default=None)

    def _read(self, name: str, parse: Callable[[str], T], directory: Path | None = None) -> T | None:
        """Return what a file says; None where there is none, which says that the controller is off."""
        path = (directory or self.directory) / name
        try:
            return parse(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CollectError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise CollectError(f"{path} is not what cgroup v2 writes there: {error}") from error


def _family(name: str, text: str, value: float, kind: FamilyType = "gauge") -> Family:
    return Family(name, kind, text, (Sample((), value),))
