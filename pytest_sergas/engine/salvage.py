"""What can still be read of a store whose file is damaged: its rows go into a new one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

PAGE_BYTES = 4096  # SQLite's default, which stores have
_HEADER_BYTES = 100
_PAGES_AT = 28  # where the header says how many pages there are

Row = tuple[Any, ...]


def salvage(damaged: Path, target: sqlite3.Connection, target_path: Path) -> int:
    """Copy every row of ``damaged`` that can be read into the tables of ``target``; return how many those are.

    A table is read from both its ends up to what cannot be read. Where no table is found, the first page, which says
    where they are, is taken from the new store: the same tables, made in the same order, are in the same places. The
    file itself is not changed.

    Args:
        target: a store with its tables, and no rows.
        target_path: its file, without a log.
    """
    first_page = target_path.read_bytes()[:PAGE_BYTES]
    for kept_bytes in (PAGE_BYTES, _HEADER_BYTES, 0):
        if saved := _attempt(damaged, target, first_page, kept_bytes):
            return saved
    return 0


def _attempt(damaged: Path, target: sqlite3.Connection, first_page: bytes, kept_bytes: int) -> int:
    """Try once, with that much of the file's own first page."""
    work = damaged.with_name(f"{damaged.name}.part")
    try:
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(damaged.with_name(damaged.name + suffix), work.with_name(work.name + suffix))
        with work.open("r+b") as file:
            file.seek(kept_bytes)
            file.write(first_page[kept_bytes:])
            if not kept_bytes:
                pages = work.stat().st_size // PAGE_BYTES
                file.seek(_PAGES_AT)
                file.write(pages.to_bytes(4, "big"))
        _name_tables(work, target)
        source = sqlite3.connect(work, isolation_level=None)
        try:
            source.text_factory = target.text_factory
            return _copy(source, target)
        finally:
            source.close()
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # not even its tables can be found
        return 0
    finally:
        for suffix in ("", "-wal", "-shm"):
            work.with_name(work.name + suffix).unlink(missing_ok=True)


def _name_tables(work: Path, target: sqlite3.Connection) -> None:
    """Write what the tables are called, and which columns they have, where that is damaged: it is known."""
    source = sqlite3.connect(work, isolation_level=None)
    try:
        source.execute("PRAGMA writable_schema = ON")  # so that SQLite opens what it cannot understand
        known = target.execute("SELECT rowid, type, name, tbl_name, sql FROM sqlite_schema").fetchall()
        if source.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] != len(known):
            return  # of another version
        for rowid, *texts in known:
            source.execute(
                "UPDATE sqlite_schema SET type = ?, name = ?, tbl_name = ?, sql = ? WHERE rowid = ?", (*texts, rowid)
            )
    finally:
        source.close()


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> int:
    target.execute("BEGIN IMMEDIATE")
    try:
        return _copy_tables(source, target)
    finally:
        target.execute("COMMIT")


def _copy_tables(source: sqlite3.Connection, target: sqlite3.Connection) -> int:
    saved = 0
    for table in _names(target, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"):
        columns = [name for name in _columns(target, table) if name in _columns(source, table)]
        if not columns:
            continue
        order = ["rowid"] if _has_rowid(target, table) else _names(target, _KEYS, table)
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  of the schema
        if order == ["rowid"] and "rowid" not in columns:
            columns = ["rowid", *columns]
            insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  of the schema
        for row in _readable(source, table, columns, order):
            # A row twice, or one that is none any more: sqlite3 takes no text that is not UTF-8.
            with suppress(sqlite3.IntegrityError, UnicodeEncodeError):
                target.execute(insert, row)
                saved += 1
    return saved


_KEYS = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"


def _names(connection: sqlite3.Connection, query: str, *values: str) -> list[str]:
    return [str(name) for (name,) in connection.execute(query, values)]


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return _names(connection, "SELECT name FROM pragma_table_info(?)", table)


def _has_rowid(connection: sqlite3.Connection, table: str) -> bool:
    ((text,),) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,))
    return "WITHOUT ROWID" not in str(text).upper()


def _readable(source: sqlite3.Connection, table: str, columns: list[str], order: list[str]) -> Iterator[Row]:
    """Yield the rows of a table up to what cannot be read, from its beginning and then from its end."""
    for direction in ("ASC", "DESC"):
        by = ", ".join(f"{column} {direction}" for column in order)
        # Not by an index, which may be what is damaged.
        query = f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED ORDER BY {by}"  # noqa: S608  of the schema
        try:
            yield from source.execute(query)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            continue
        return
