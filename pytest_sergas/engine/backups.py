"""Copies of a store: one is made while a sidecar uses the store, and put back while none does."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from pytest_sergas.engine import schema
from pytest_sergas.engine.store import connect, copy_to, create_private, free_name, take_lock
from pytest_sergas.errors import StoreError


def back_up(path: Path, copy: Path) -> int:
    """Copy the store at ``path`` to the new file ``copy``, also while a sidecar uses it; return the copy's bytes.

    Raises:
        StoreError: there is no such store, ``copy`` exists, or one of them cannot be used; then there is no copy.
    """
    if not path.is_file():
        raise StoreError(f"there is no store {path}; give its file with --store")
    if copy.exists():
        raise StoreError(f"{copy} exists; give a file that does not exist yet")
    part = copy.with_name(f"{copy.name}.part")
    try:
        create_private(part)
        connection = connect(path)
        try:
            if not schema.is_ours(connection):
                raise StoreError(f"{path} is another program's SQLite file; give the store's file with --store")
            copy_to(connection, part)
        finally:
            connection.close()
        part.rename(copy)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"the store {path} cannot be copied to {copy}: {reason}") from error
    finally:
        part.unlink(missing_ok=True)
    return copy.stat().st_size


def restore(copy: Path, path: Path) -> Path | None:
    """Put ``copy``, as `back_up` made it, in the place of the store at ``path``.

    What was there is kept beside it, complete: its log is written into it first, so that no log is left that could
    bring it back.

    Returns:
        Where the store that was there is now; None when there was none.

    Raises:
        StoreError: a sidecar uses the store, the copy is missing, damaged, another program's or a newer version's, or
            a file cannot be written; then the store is as it was.
    """
    path = path.resolve()
    part = path.with_name(f"{path.name}.part")
    try:
        lock = take_lock(path)
        try:
            create_private(part)
            _read_copy(copy, part)
            aside = _put_aside(path)
            part.replace(path)
            _sync_directory(path.parent)
        finally:
            part.unlink(missing_ok=True)
            lock.close()
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"the copy {copy} cannot be restored to {path}: {reason}") from error
    return aside


def _read_copy(copy: Path, part: Path) -> None:
    """Write into ``part`` what ``copy`` has, with the log beside it where there is one.

    Raises:
        StoreError: it is not a store that can be used here.
    """
    if not copy.is_file():
        raise StoreError(f"there is no copy {copy}; name the file that `sergas backup` has written")
    has_log = copy.with_name(f"{copy.name}-wal").exists()
    # A copy may lie where nothing can be written, and without a log it needs no files beside it.
    source = sqlite3.connect(f"{copy.resolve().as_uri()}?{'mode=ro' if has_log else 'immutable=1'}", uri=True)
    try:
        if not schema.is_ours(source):
            raise StoreError(f"{copy} is another program's SQLite file; name one that `sergas backup` has written")
        if (version := schema.version(source)) > schema.LATEST:
            raise StoreError(
                f"{copy} has version {version} of the tables, and this pytest-sergas knows them up to {schema.LATEST}"
            )
        if (found := source.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise StoreError(f"{copy} is damaged: {found}; name another copy")
        copy_to(source, part)
    finally:
        source.close()
    with part.open("rb") as written:
        os.fsync(written.fileno())


def _put_aside(path: Path) -> Path | None:
    """Keep what is at ``path`` under another name as well, with its log written into it; return that name."""
    if not path.exists():
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)  # of a store that is gone
        return None
    with suppress(sqlite3.DatabaseError):  # damaged: it is kept as it is, with its log
        connection = connect(path)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
    aside = free_name(path, "replaced")
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    os.link(path, aside)
    return aside


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
