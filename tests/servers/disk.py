"""A file system of its own, in memory: small, and it may become read-only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.tools import find

PACKAGE = "apt-get install mount"

_CAP_SYS_ADMIN = 21


def may_mount() -> bool:
    """Whether this process may mount: as root, and, in a container, with that right."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    status = Path("/proc/self/status").read_text("ascii")
    (effective,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted file system."""

    path: Path

    def remount(self, options: str) -> None:
        """Change how it is mounted; read-only (``ro``) needs that no file is open for writing."""
        subprocess.run([find("mount", PACKAGE), "-o", f"remount,{options}", self.path], check=True, timeout=60)


@contextmanager
def disk(path: Path, size_kib: int) -> Iterator[Disk]:
    """Mount a file system of ``size_kib`` at the new directory ``path``."""
    path.mkdir()
    subprocess.run(
        [find("mount", PACKAGE), "-t", "tmpfs", "-o", f"size={size_kib}k", "none", path], check=True, timeout=60
    )
    try:
        yield Disk(path)
    finally:
        subprocess.run([find("umount", PACKAGE), path], check=True, timeout=60)
