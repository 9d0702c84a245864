"""The CPU quota of the container that we run in, which neither pytest-xdist nor psutil looks at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pytest_sergas.core.quota import Group, parse_cfs, parse_groups, parse_max, workers

_MOUNTS = {2: ("sys/fs/cgroup", "sys/fs/cgroup/unified"), 1: ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")}


def quota_workers(root: Path = Path("/")) -> int | None:
    """Return how many workers the quota keeps busy, or None where there is none.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    groups = parse_groups(_read(root / "proc/self/cgroup"))
    return workers(limit for group in groups for limit in _limits(root, group))


def _limits(root: Path, group: Group) -> Iterator[float | None]:
    parts = PurePosixPath(group.path).parts[1:]
    # In a namespace of its own, the group that is named may lie outside of what is mounted: its root is looked at.
    inside = () if ".." in parts else parts
    for mount in _MOUNTS[group.version]:
        for depth in range(len(inside), -1, -1):
            directory = root.joinpath(mount, *inside[:depth])
            if group.version == 2:
                yield parse_max(_read(directory / "cpu.max"))
            else:
                yield parse_cfs(_read(directory / "cpu.cfs_quota_us"), _read(directory / "cpu.cfs_period_us"))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # no such hierarchy, or not for us to read: no limit that we know of
