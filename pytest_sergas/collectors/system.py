"""The machine: CPU, memory, swap, load, network; and its disks, which may hang by themselves.

Percentages are of the machine as psutil sees it. In a container that is the host; what the container may
use says the collector ``container``. Of disks, `mounts` says which are ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sergas.collectors import Context, Measured, Source
from pytest_sergas.collectors.mounts import Mount, disks, is_container, is_layered, parse, whole_devices
from pytest_sergas.core.monitoring import Machine, MonitoringMetric, MonitorType

if TYPE_CHECKING:
    from collections.abc import Iterable

# Below this much CPU time a share of it says nothing: the kernel counts in hundredths of a second.
_ENOUGH_CPU_S = 0.1
# What may be written between two looks at one disk.
_BETWEEN_TWO_LOOKS_BYTES = 16 * 1024 * 1024
# The kernel counts these a second time, in user and in nice.
_COUNTED_TWICE = ("guest", "guest_nice")
_IDLE = ("idle", "iowait")
# What a metric is about, by the first word of its name.
_TYPES = {
    "cpu": MonitorType.CPU,
    "load1": MonitorType.CPU,
    "load5": MonitorType.CPU,
    "load15": MonitorType.CPU,
    "memory": MonitorType.MEMORY,
    "swap": MonitorType.MEMORY,
    "network": MonitorType.NETWORK,
}


def create(context: Context) -> Sequence[Source]:
    return [context.source("system", System()), context.source("disk", Disk())]


def busy_percent(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """Return how much of the CPU time between two readings was not idle; None when it was too little to say.

    Args:
        before, after: seconds by what the CPUs did, as psutil's ``cpu_times``.
    """
    spent = {name: max(0.0, after[name] - before.get(name, 0.0)) for name in after if name not in _COUNTED_TWICE}
    total = sum(spent.values())
    if total < _ENOUGH_CPU_S:
        return None
    idle = sum(spent.get(name, 0.0) for name in _IDLE)
    return min(100 * (total - idle) / total, 100.0)  # a rounded quotient may be a little more


def _cpu_times() -> Mapping[str, float]:
    import psutil

    times: Mapping[str, float] = psutil.cpu_times()._asdict()
    return times


@dataclass(slots=True)
class System:
    """CPU use is that since the last time, and the first time that since it was made."""

    before: Mapping[str, float] = field(default_factory=_cpu_times, compare=False)

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        del remaining_s
        return [*self._cpu(), *_memory(), *_network()]

    def _cpu(self) -> Iterator[MonitoringMetric]:
        import psutil

        after = _cpu_times()
        percent = busy_percent(self.before, after)
        if percent is None:
            percent = psutil.cpu_percent(interval=_ENOUGH_CPU_S)
        self.before = after
        yield _metric("cpu_usage_percent", percent, "Current CPU usage percentage", unit="percent")
        yield _metric("cpu_cores", psutil.cpu_count() or 1, "Logical CPUs")
        for minutes, load in zip((1, 5, 15), psutil.getloadavg(), strict=True):
            yield _metric(f"load{minutes}", load, f"Load average over {minutes} min")


def _memory() -> Iterator[MonitoringMetric]:
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    yield _metric("memory_usage_percent", memory.percent, "Memory that is not available, in percent", unit="percent")
    yield _metric("memory_total_bytes", memory.total, "Memory of the machine", unit="bytes")
    yield _metric("memory_available_bytes", memory.available, "Memory that programs can still get", unit="bytes")
    yield _metric("swap_usage_percent", swap.percent, "Swap space in use, in percent", unit="percent")
    yield _metric("swap_total_bytes", swap.total, "Swap space", unit="bytes")
    yield _metric("swap_used_bytes", swap.used, "Swap space in use", unit="bytes")


def _network() -> Iterator[MonitoringMetric]:
    import psutil

    for name, nic in psutil.net_io_counters(pernic=True).items():
        labels = {"interface": name}
        yield _metric("network_receive_bytes_total", nic.bytes_recv, "Bytes received", labels)
        yield _metric("network_transmit_bytes_total", nic.bytes_sent, "Bytes sent", labels)
        yield _metric("network_receive_errors_total", nic.errin, "Errors when receiving", labels)
        yield _metric("network_transmit_errors_total", nic.errout, "Errors when sending", labels)


@dataclass(slots=True)
class Disk:
    """The mounted file systems on disks; a source of its own, because a dead disk blocks whoever asks for its size."""

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        del remaining_s
        mounts = _mounts()
        in_container = is_container(mounts, os.path.exists)
        return [*_space(_own_disks(mounts, in_container=in_container)), *_transfer(mounts, in_container=in_container)]


def _mounts() -> dict[str, Mount]:
    """Return what is mounted, by mount point; empty where the system does not say it as Linux does."""
    try:
        return parse(Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape"))
    except OSError:
        return {}


def _own_disks(mounts: Mapping[str, Mount], *, in_container: bool) -> Iterable[str]:
    """Return the mount points whose space is shown."""
    import psutil

    names = {partition.mountpoint for partition in psutil.disk_partitions()} | {"/"}
    if not mounts:
        return sorted(names)
    on_disks = [mount for name, mount in mounts.items() if name in names]
    found = disks(on_disks, os.path.isdir, in_container=in_container)
    layered = next((mount for mount in found if mount.mountpoint == "/" and is_layered(mount)), None)
    return [one.mountpoint for one in found if one is layered or layered is None or not _is_below(one.mountpoint)]


def _is_below(mountpoint: str) -> bool:
    """Whether the root, which is layered, lies on the disk at ``mountpoint``: it has the same size and what is free."""
    if sys.platform == "win32":
        return False
    try:
        root, other = os.statvfs("/"), os.statvfs(mountpoint)
    except OSError:
        return False
    same = (root.f_blocks * root.f_frsize, root.f_files) == (other.f_blocks * other.f_frsize, other.f_files)
    return same and abs(root.f_bfree * root.f_frsize - other.f_bfree * other.f_frsize) <= _BETWEEN_TWO_LOOKS_BYTES


def _space(mountpoints: Iterable[str]) -> Iterator[MonitoringMetric]:
    import psutil

    for mountpoint in mountpoints:
        try:
            usage = psutil.disk_usage(mountpoint)
        except OSError:
            continue  # unmounted meanwhile, or not for us to see: there is nothing to say about it
        labels = {"mountpoint": mountpoint}
        yield _metric("disk_usage_percent", usage.percent, "Disk space in use, in percent", labels, unit="percent")
        yield _metric("disk_total_bytes", usage.total, "Disk space", labels, unit="bytes")
        yield _metric("disk_free_bytes", usage.free, "Disk space that is free", labels, unit="bytes")


def _transfer(mounts: Mapping[str, Mount], *, in_container: bool) -> Iterator[MonitoringMetric]:
    import psutil

    # The kernel counts for the whole host; in a container only what it has for itself is its own.
    own = {Path(f"/sys/dev/block/{number}").resolve().name for number in whole_devices(mounts.values())}
    for name, disk in psutil.disk_io_counters(perdisk=True).items():
        if (in_container and name not in own) or (not disk.read_bytes and not disk.write_bytes):
            continue  # the host's, or a loop device that nobody uses; there are many
        labels = {"device": name}
        yield _metric("disk_read_bytes_total", disk.read_bytes, "Bytes read", labels)
        yield _metric("disk_written_bytes_total", disk.write_bytes, "Bytes written", labels)


def _metric(
    name: str, value: float, description: str, labels: Mapping[str, str] | None = None, *, unit: str = ""
) -> MonitoringMetric:
    return Machine(
        name, value, None, _TYPES.get(name.partition("_")[0], MonitorType.SYSTEM), labels or {}, unit, description
    )
