"""Why SQLite found no room for a transaction: the bound of the store, or the disk; it says the same for both."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

_MIB = 1024 * 1024


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
    free_bytes = None if path is None else shutil.disk_usage(path.parent).free
    if free_bytes is not None and free_bytes < (most_pages - pages) * page_bytes:
        return f"its disk is full, with {free_bytes // 1024} KiB left; make room there"
    return (
        f"it would be larger than {most_pages * page_bytes // _MIB} MiB, which max_store_mib allows; "
        "delete groups, give them a time to live, keep fewer runs, or raise it and start again"
    )
