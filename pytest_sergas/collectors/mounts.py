"""Which mounted file systems are ours to watch, from ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)).

A bind mount is another name for a part of a disk that is there already. A container has many: volumes, and single files
of its host such as ``/etc/hosts``. So each disk counts once, under its shortest path, and what nobody can fill from
here does not count: files, images that are full by their nature, and in a container what it may only read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

MARKS = ("/.dockerenv", "/run/.containerenv")  # Docker's and Podman's
_LAYERED = frozenset({"overlay", "fuse-overlayfs", "fuse.fuse-overlayfs", "aufs"})
_ALWAYS_FULL = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs"})
_SEPARATOR = "-"


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount.

    Attributes:
        device: its number, as ``254:1``; 0 as the first part is that of no block device.
        root: which directory of the file system is mounted; ``/`` for all of it.
        source: the device, as ``/dev/vda1``, or any word.
    """

    device: str
    root: str
    mountpoint: str
    options: frozenset[str]
    fstype: str
    source: str

    @property
    def disk(self) -> str:
        """What tells its disk from others: the subvolumes of one have numbers of their own, and one source."""
        return self.source if self.source.startswith("/") else self.device


def parse(text: str) -> dict[str, Mount]:
    """Return mount point → what is mounted there; of several on top of each other the last one, which is seen."""
    found = {}
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) < 10 or _SEPARATOR not in fields[6:]:
            continue
        fstype, source = fields[fields.index(_SEPARATOR, 6) + 1 :][:2]
        root, mountpoint = _plain(fields[3]), _plain(fields[4])
        found[mountpoint] = Mount(fields[2], root, mountpoint, frozenset(fields[5].split(",")), fstype, _plain(source))
    return found


def is_container(mounts: Mapping[str, Mount], exists: Callable[[str], bool]) -> bool:
    """Whether this runs in a container."""
    return ("/" in mounts and is_layered(mounts["/"])) or any(map(exists, MARKS))


def is_layered(mount: Mount) -> bool:
    """Whether a file system lies on a directory of another one, whose size it shows."""
    return mount.fstype in _LAYERED


def disks(mounts: Iterable[Mount], is_directory: Callable[[str], bool], *, in_container: bool) -> Sequence[Mount]:
    """Return one mount for each disk that is ours to watch, the root first.

    Args:
        mounts: of file systems on disks, and the root.
    """
    found: dict[str, Mount] = {}
    for mount in sorted(mounts, key=lambda one: (len(one.mountpoint), one.mountpoint)):
        is_root = mount.mountpoint == "/"
        if not is_root and (mount.fstype in _ALWAYS_FULL or (in_container and "ro" in mount.options)):
            continue
        if mount.disk not in found and (is_root or is_directory(mount.mountpoint)):
            found[mount.disk] = mount
    return list(found.values())


def whole_devices(mounts: Iterable[Mount]) -> frozenset[str]:
    """Return the numbers of the devices that are mounted as a whole; of others a container has a part at most."""
    return frozenset(one.device for one in mounts if one.root == "/" and not one.device.startswith("0:"))


def _plain(field: str) -> str:
    r"""Return a field as it is: blanks and backslashes are written as octal numbers (``\040``)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
