"""What alerting still has to write: rows by their key, the latest of each, in one transaction.

Alerting changes its memory first, then writes, and only then lets a notification go. A transaction that fails loses
nothing: what it held is written with the next one, and until then memory is ahead of the store. So a full disk keeps
nobody from being told, not even about the full disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sergas.engine.store import Store
from pytest_sergas.errors import StoreError

ROWS_LIMIT = 100_000  # while the store cannot be written; beyond it, history is what is left out


@dataclass(frozen=True, slots=True)
class Row:
    """One statement; of two with the same key only the later one is written.

    Attributes:
        can_wait: whether it may be left out when the store cannot be written for long.
    """

    sql: str
    values: Sequence[object]
    can_wait: bool = False


class Journal:
    """Rows on their way into the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[tuple[object, ...], Row] = {}
        self._turn = asyncio.Lock()
        self.is_failing = False

    @property
    def is_empty(self) -> bool:
        return not self._rows

    def waits(self, key: tuple[object, ...]) -> bool:
        """Whether the row with that key is not written yet."""
        return key in self._rows

    def put(self, key: tuple[object, ...], row: Row) -> None:
        """Write ``row`` with the next commit, in the place of an earlier one with that key."""
        self._rows.pop(key, None)  # a later one also stands behind all that came before it
        if row.can_wait and len(self._rows) >= ROWS_LIMIT:
            return
        self._rows[key] = row

    async def commit(self) -> bool:
        """Write what waits; return whether it is durable now. What is not waits for the next commit."""
        async with self._turn:
            rows = dict(self._rows)
            if rows:
                try:
                    await self._store.write(lambda connection: _write(connection, list(rows.values())))
                except (StoreError, sqlite3.Error):  # the store has said so in the log
                    self.is_failing = True
                    return False
            for key, row in rows.items():
                if self._rows.get(key) is row:
                    del self._rows[key]
            self.is_failing = False
            return True


def _write(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    for row in rows:
        connection.execute(row.sql, tuple(row.values))
