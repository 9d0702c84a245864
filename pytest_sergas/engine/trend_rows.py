"""Trends in the store: one row for each series and hour, of fixed size.

Its key is the number of the hour, and in the lower bits the number of the series. So rows are added at the end of the
table, where they are packed; the oldest are at its beginning; and one series is read by its keys. As every row has the
same size, what all of them take is bounded by how many there are: 500 series, 169 hours and 372 bytes are 30 MiB.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_sergas.core.series import Labels
from pytest_sergas.core.trends import HOUR_S, NOTHING, Bucket, hour_of, put
from pytest_sergas.errors import StoreError

_ID_BITS = 16
IDS = 1 << _ID_BITS
_AT_ONCE = 512  # rows that one transaction deletes, so that no push waits long
_RESERVE = 16  # the part of a store that trends leave to others is one of so many


@dataclass(frozen=True, slots=True)
class Known:
    """A series as it is stored; ``seen_s`` is when it was measured last, in seconds since the epoch."""

    id: int
    name: str
    labels: Labels
    seen_s: float


def load(connection: sqlite3.Connection) -> list[Known]:
    """Return the series that are stored."""
    rows = connection.execute("SELECT id, name, labels, seen_s FROM trend_series")
    return [Known(number, name, tuple(map(tuple, json.loads(labels))), seen_s) for number, name, labels, seen_s in rows]


def save(connection: sqlite3.Connection, entries: Sequence[tuple[Known, Bucket]]) -> None:
    """Store a bucket of each of some series.

    Raises:
        StoreError: there is no room for them beside what the store is for.
    """
    while _is_full(connection):
        if not spare(connection):
            raise StoreError("the store is full but for a reserve; make max_store_mib larger, or keep fewer runs")
    for known, bucket in entries:
        values = (known.id, known.name, json.dumps(known.labels), known.seen_s)
        connection.execute("INSERT OR REPLACE INTO trend_series VALUES (?, ?, ?, ?)", values)
        key = _key(bucket.start_s, known.id)
        row = connection.execute("SELECT buckets FROM trend_hours WHERE key = ?", (key,)).fetchone()
        hour = put(row[0] if row else NOTHING, bucket)
        connection.execute("INSERT OR REPLACE INTO trend_hours VALUES (?, ?)", (key, hour))


def drop(connection: sqlite3.Connection, ids: Iterable[int], first_s: float, last_s: float) -> None:
    """Delete series with what is stored of them between two moments."""
    for number in ids:
        keys = [(_key(start_s, number),) for start_s in _hours(first_s, last_s)]
        connection.executemany("DELETE FROM trend_hours WHERE key = ?", keys)
        connection.execute("DELETE FROM trend_series WHERE id = ?", (number,))


def expire(connection: sqlite3.Connection, oldest_s: float) -> bool:
    """Delete some hours that ended before ``oldest_s``; return whether there may be more."""
    bound = _key(oldest_s, 0)
    query = "DELETE FROM trend_hours WHERE key IN (SELECT key FROM trend_hours WHERE key < ? ORDER BY key LIMIT ?)"
    return connection.execute(query, (bound, _AT_ONCE)).rowcount == _AT_ONCE


def spare(connection: sqlite3.Connection) -> bool:
    """Delete some of the oldest rows; return whether there were any."""
    query = "DELETE FROM trend_hours WHERE key IN (SELECT key FROM trend_hours ORDER BY key LIMIT ?)"
    return connection.execute(query, (_AT_ONCE,)).rowcount > 0


def buckets(
    connection: sqlite3.Connection, ids: Iterable[int], first_s: float, last_s: float
) -> dict[int, list[Bucket]]:
    """Return number of each series → its buckets between two moments, in the order of time."""
    found: dict[int, list[Bucket]] = {}
    for number in ids:
        entries = found[number] = []
        for start_s in _hours(first_s, last_s):
            key = _key(start_s, number)
            row = connection.execute("SELECT buckets FROM trend_hours WHERE key = ?", (key,)).fetchone()
            entries += [one for one in hour_of(start_s, row[0]) if one.start_s >= first_s] if row else []
    return found


def _key(at_s: float, number: int) -> int:
    return int(at_s // HOUR_S) << _ID_BITS | number


def _hours(first_s: float, last_s: float) -> range:
    return range(int(first_s // HOUR_S) * HOUR_S, int(last_s) + 1, HOUR_S)


def _is_full(connection: sqlite3.Connection) -> bool:
    used, most, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "max_page_count", "freelist_count")
    )
    return used - free > most - most // _RESERVE
