"""The check of a SQLite database: against real files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pytest_sergas.core.health import HealthStatus
from tests.checks.conftest import IMPATIENT_S, make, run

pytestmark = pytest.mark.integration


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database ``shop.db`` with a table of 100 rows, which has been closed once."""
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE stock (article TEXT)")
        connection.executemany("INSERT INTO stock VALUES (?)", [("tea" * 100,)] * 100)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield connection


def figures(result: object) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in result.figures}  # type: ignore[attr-defined]


@pytest.mark.usefixtures("database")
def test_readable_database_is_healthy(tmp_path: Path) -> None:
    result = run(make("sqlite", tmp_path, path="shop.db", integrity=True))

    size_bytes = (tmp_path / "shop.db").stat().st_size
    assert result.status is HealthStatus.HEALTHY
    assert result.message == f"shop.db: 1 tables and indexes, {size_bytes} bytes"


def test_figures_are_those_of_the_files(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("DELETE FROM stock WHERE rowid < 90")
    expected = figures(run(make("sqlite", tmp_path, path="shop.db")))

    assert expected["database_sqlite_size_bytes"] == (tmp_path / "shop.db").stat().st_size
    assert expected["database_sqlite_wal_bytes"] == (tmp_path / "shop.db-wal").stat().st_size > 0
    assert expected["database_sqlite_free_bytes"] == 4096 * database.execute("PRAGMA freelist_count").fetchone()[0] > 0


def test_missing_file_is_unhealthy_and_not_made(tmp_path: Path) -> None:
    result = run(make("sqlite", tmp_path, path="shop.db"))

    assert (result.status, result.message) == (HealthStatus.UNHEALTHY, "shop.db: unable to open database file")
    assert not (tmp_path / "shop.db").exists()


def test_file_that_is_no_database_is_unhealthy(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("tea " * 1000, encoding="utf-8")
    result = run(make("sqlite", tmp_path, path="shop.db"))

    assert (result.status, result.message) == (HealthStatus.UNHEALTHY, "shop.db: file is not a database")


def test_locked_database_costs_the_timeout_and_no_more(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE stock (article TEXT)")
        connection.execute("BEGIN EXCLUSIVE")
        result = make("sqlite", tmp_path, path="shop.db").run(IMPATIENT_S)

    assert (result.status, result.message) == (HealthStatus.UNHEALTHY, "shop.db: database is locked")


def damage(path: Path) -> None:
    """Overwrite the root page of the table."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


@pytest.mark.usefixtures("database")
def test_damage_is_found_where_it_is_looked_for(tmp_path: Path) -> None:
    damage(tmp_path / "shop.db")

    plain = run(make("sqlite", tmp_path, path="shop.db"))
    thorough = run(make("sqlite", tmp_path, path="shop.db", integrity=True))

    assert plain.status is HealthStatus.HEALTHY
    assert thorough.status is HealthStatus.UNHEALTHY
    assert thorough.message.startswith("shop.db: ")
    assert thorough.figures


def test_path_with_the_characters_of_a_uri_is_a_path(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a?b#c%20.db").close()
    (tmp_path / "a?b#c%20.db").touch()

    assert run(make("sqlite", tmp_path, path="a?b#c%20.db")).status is HealthStatus.HEALTHY
