"""Why SQLite found no room for a transaction: the bound of the store, or the disk; it says the same for both."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path

_MIB = 1024 * 1024
_LEAST_BYTES = 64 * 1024  # with less, a push of usual size may not fit


def is_full(error: Exception) -> bool:
    """Whether ``error`` says that there was no room."""
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL


def why_full(connection: sqlite3.Connection, path: Path | None) -> str:
    """Return why there was no room, and what to do about it: what has less room left is full.

    Args:
        connection: to the store, with the transaction that failed undone.
        path: the store's file; None for one in memory.
    """
    page_bytes, pages, most_pages = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "max_page_count")
    )
    free_bytes = None if path is None else _free_bytes(path)
    if free_bytes is not None and free_bytes < (most_pages - pages) * page_bytes:
        return _disk_full(free_bytes)
    return (
        f"it would be larger than {most_pages * page_bytes // _MIB} MiB, which max_store_mib allows; "
        "delete groups, give them a time to live, keep fewer runs, or raise it and start again"
    )


def why_disk_full(path: Path) -> str:
    """Return what says that the disk of the store at ``path`` has no room for a push, or ""."""
    free_bytes = _free_bytes(path)
    return _disk_full(free_bytes) if free_bytes < _LEAST_BYTES else ""


def _disk_full(free_bytes: int) -> str:
    return f"its disk is full, with {free_bytes // 1024} KiB left; make room there"


def _free_bytes(path: Path) -> int:
    if sys.platform == "win32":
        return shutil.disk_usage(path.parent).free
    disk = os.statvfs(path.parent)
    return disk.f_frsize * (disk.f_bavail if os.geteuid() else disk.f_bfree)  # root may use what is reserved
