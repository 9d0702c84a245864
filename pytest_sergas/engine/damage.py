"""Rows that are not what was written: each is moved out of the store and named, and the rest is served.

They are looked for once, when the store is opened: SQLite's own check sees what holds the rows together, and not what
they say. What is moved is appended to a file beside the store, as JSON, with what is not text as base64.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sergas.core.clock import Now
from pytest_sergas.core.health import HealthStatus
from pytest_sergas.core.messages import decode
from pytest_sergas.core.text import one_line
from pytest_sergas.engine import alert_rows, groups, runs
from pytest_sergas.engine.sealing import DamagedError, text_of
from pytest_sergas.engine.store import Store

LOG = logging.getLogger(__name__)

_THEN = Now(0.0, 0.0)
_SHOWN = 200
_WRONG = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, zlib.error)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A row that cannot be used.

    Attributes:
        keys: the columns that name it, with their values.
    """

    table: str
    keys: tuple[tuple[str, Any], ...]
    row: tuple[tuple[str, Any], ...]
    reason: str

    @property
    def name(self) -> str:
        return one_line(", ".join(f"{column} {_shown(value)}" for column, value in self.keys), _SHOWN)


async def sift(store: Store) -> list[Damaged]:
    """Move the damaged rows of ``store`` out of it; return them.

    Raises:
        StoreError: the store cannot be read or written.
    """
    if store.path is None:
        return []
    found = await store.read(lambda connection: list(damaged_rows(connection)))
    if not found:
        return []
    aside = store.path.with_name(f"{store.path.name}.damaged-rows")
    _append(aside, found)
    await store.write(lambda connection: _delete(connection, found))
    for one in found:
        LOG.error(
            "the store %s: a row of %s is damaged (%s) and was moved to %s: %s; everything else is there",
            store.path,
            one.table,
            one.reason,
            aside,
            one.name,
        )
    return found


def damaged_rows(connection: sqlite3.Connection) -> Iterator[Damaged]:
    """Yield the rows that cannot be used."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    for table in _tables(connection):
        check = _CHECKS.get(table, _nothing_more)
        keys = _keys(connection, table)
        for row in cursor.execute(f"SELECT * FROM {table}"):  # noqa: S608  of the schema
            try:
                _is_text(row)
                check(row)
            except _WRONG as error:
                pairs = tuple(zip(row.keys(), tuple(row), strict=True))
                named = tuple(pair for pair in pairs if pair[0] in keys)
                yield Damaged(table, named, pairs, one_line(str(error) or type(error).__name__, _SHOWN))


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [str(name) for (name,) in rows]


def _keys(connection: sqlite3.Connection, table: str) -> list[str]:
    columns = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
    return [str(name) for (name,) in columns]


def _delete(connection: sqlite3.Connection, found: Sequence[Damaged]) -> None:
    for one in found:
        # As bytes, because text that is not UTF-8 cannot be asked for; and by no index, which may be wrong as well.
        where = " AND ".join(f"CAST({column} AS BLOB) IS CAST(? AS BLOB)" for column, _ in one.keys)
        values = [_raw(value) if isinstance(value, str) else value for _, value in one.keys]
        connection.execute(f"DELETE FROM {one.table} WHERE {where}", values)  # noqa: S608  of the schema


def _append(path: Path, found: Sequence[Damaged]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        for one in found:
            row = {column: _plain(value) for column, value in one.row}
            file.write(json.dumps({"table": one.table, "reason": one.reason, "row": row}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            value = _raw(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shown(value: Any) -> str:
    return repr(_raw(value).decode("utf-8", "backslashreplace") if isinstance(value, str) else value)


# What a row of each table has to be; its readers rely on no more.


def _nothing_more(row: sqlite3.Row) -> None:
    del row


def _is_text(row: sqlite3.Row) -> None:
    for column in row.keys():  # noqa: SIM118  a row is not a mapping
        if isinstance(row[column], str):
            try:
                row[column].encode()
            except UnicodeEncodeError:
                raise DamagedError(f"{column} is not UTF-8 text") from None


def _numbers(row: sqlite3.Row, *columns: str) -> None:
    for column in columns:
        value = row[column]
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise DamagedError(f"{column} is not a number")


def _texts(row: sqlite3.Row, *columns: str) -> None:
    for column in columns:
        if not isinstance(row[column], str):
            raise DamagedError(f"{column} is not text")


def _group(row: sqlite3.Row) -> None:
    _numbers(row, "pushed_s", "failed_s", "renewed_s", "ttl_s")
    _texts(row, "path")
    groups.check_row(tuple(row))


def _health_span(row: sqlite3.Row) -> None:
    _numbers(row, "from_s", "until_s")
    _texts(row, "name", "cause", "due_to")
    HealthStatus(row["status"])


def _run(row: sqlite3.Row) -> None:
    _numbers(row, "received_s", "started_s", "finished_s", "flaky")
    _texts(row, "run_id", "project", "branch", "commit_id", "build_url", "shard", "split")
    for name, count in json.loads(row["by_status"]).items():
        if not isinstance(name, str) or not isinstance(count, int):
            raise DamagedError("by_status does not count tests")
    for figures in json.loads(text_of(row["types"])).values():
        float(figures["seconds"]), int(figures["flaky"])
    runs.check_row(tuple(row))


def _alert(row: sqlite3.Row) -> None:
    alert_rows.read_alert(tuple(row), _THEN)


def _alert_entry(row: sqlite3.Row) -> None:
    alert_rows.read_entry(tuple(row), _THEN)


def _alert_pace(row: sqlite3.Row) -> None:
    _texts(row, "id")
    _numbers(row, "flushed_s")


def _notification(row: sqlite3.Row) -> None:
    _numbers(row, "id", "made_s", "finished_s", "attempts")
    _texts(row, "key", "channel", "state", "result", "body")
    if row["state"] == "waiting":
        decode(row["body"])


def _event(row: sqlite3.Row) -> None:
    _numbers(row, "at_s", "value")
    _texts(row, "event", "why", "detail", "source", "name", "level", "channel", "key")
    _pairs(row["labels"])


def _silence(row: sqlite3.Row) -> None:
    alert_rows.read_silence(tuple(row))


def _trend_series(row: sqlite3.Row) -> None:
    _numbers(row, "id", "seen_s")
    _texts(row, "name")
    _pairs(row["labels"])


def _pairs(written: str) -> None:
    for name, value in json.loads(written):
        if not isinstance(name, str) or not isinstance(value, str):
            raise DamagedError("labels are not pairs of texts")


_CHECKS: dict[str, Callable[[sqlite3.Row], None]] = {
    "pushed_groups": _group,
    "health_spans": _health_span,
    "runs": _run,
    "alerts": _alert,
    "alert_entries": _alert_entry,
    "alert_pace": _alert_pace,
    "notifications": _notification,
    "alert_history": _event,
    "silences": _silence,
    "trend_series": _trend_series,
}
