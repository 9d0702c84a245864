"""What alerting still has to write: the latest of each row, whole, and with the next commit when one fails."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.engine import journal as module
from pytest_sergas.engine.journal import Journal, Row
from pytest_sergas.engine.store import Store

pytestmark = pytest.mark.integration

PUT = "INSERT OR REPLACE INTO silences VALUES (?, ?)"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "sergas.db", GroupSettings())
    yield opened
    await opened.close()


async def kept(store: Store) -> list[tuple[str, str]]:
    def read(connection: sqlite3.Connection) -> list[tuple[str, str]]:
        return connection.execute("SELECT id, body FROM silences ORDER BY id").fetchall()

    return await store.read(read)


async def test_of_two_rows_with_one_key_the_later_one_is_written(store: Store) -> None:
    journal = Journal(store)
    journal.put(("a",), Row(PUT, ("a", "earlier")))
    journal.put(("b",), Row(PUT, ("b", "only")))
    journal.put(("a",), Row(PUT, ("a", "later")))

    assert await journal.commit()
    assert await kept(store) == [("a", "later"), ("b", "only")]
    assert journal.is_empty


async def test_later_row_is_written_after_all_that_came_before_it(store: Store) -> None:
    journal = Journal(store)
    journal.put(("first",), Row(PUT, ("a", "1")))
    journal.put(("second",), Row(PUT, ("a", "2")))
    journal.put(("first",), Row(PUT, ("a", "3")))

    assert await journal.commit()
    assert await kept(store) == [("a", "3")]


async def test_rows_are_written_whole_or_not_at_all_and_again_later(store: Store) -> None:
    journal = Journal(store)
    journal.put(("a",), Row(PUT, ("a", "1")))
    journal.put(("b",), Row("INSERT INTO nowhere VALUES (?)", (1,)))

    assert not await journal.commit()
    assert journal.is_failing
    assert await kept(store) == []
    journal.put(("b",), Row(PUT, ("b", "2")))
    assert await journal.commit()
    assert not journal.is_failing
    assert await kept(store) == [("a", "1"), ("b", "2")]


async def test_row_that_comes_during_a_commit_waits_for_the_next(store: Store) -> None:
    journal = Journal(store)
    journal.put(("a",), Row(PUT, ("a", "1")))
    under_way = asyncio.create_task(journal.commit())
    await asyncio.sleep(0)  # the commit has taken its rows
    journal.put(("a",), Row(PUT, ("a", "2")))
    await under_way

    assert await kept(store) == [("a", "1")]
    await journal.commit()
    assert await kept(store) == [("a", "2")]


async def test_history_is_left_out_when_the_store_cannot_be_written_for_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_LIMIT", 2)
    journal = Journal(store)
    for number in range(4):
        journal.put((number,), Row(PUT, (f"{number}", "history"), can_wait=True))
    journal.put(("state",), Row(PUT, ("state", "never left out")))
    await journal.commit()

    assert [row[0] for row in await kept(store)] == ["0", "1", "state"]
