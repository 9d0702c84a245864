"""The store: one transaction for all who wait, durable or undone; and the files that it is given."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pytest_sergas.config.groups import MIB, GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.engine import schema
from pytest_sergas.engine.store import Change, Store
from pytest_sergas.errors import StoreError

pytestmark = pytest.mark.integration

NOW = Now(0.0, 0.0)
LIMITS = GroupSettings()


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "sergas.db" if request.param == "file" else None, LIMITS)
    yield opened
    await opened.close()


def insert(name: str) -> Callable[[sqlite3.Connection], int]:
    """Return work that writes one row, and returns how many there are."""

    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO pushed_groups VALUES (?, 0, 0, 0, NULL, '[]')", (name,))
        return len(names(connection))

    return work


def names(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT path FROM pushed_groups ORDER BY path")]


def commits(store: Store) -> float:
    (family,) = (family for family in store.families(NOW) if family.name == "sergas_store_commits_total")
    return family.samples[0].value


# One transaction


async def test_what_is_written_can_be_read(store: Store) -> None:
    assert await store.write(insert("a")) == 1

    assert await store.read(names) == ["a"]


async def test_all_who_wait_share_a_transaction_in_their_order(store: Store) -> None:
    await store.write(insert("first"))
    before = commits(store)

    counts = await asyncio.gather(*(store.write(insert(str(number))) for number in range(100)))

    assert counts == list(range(2, 102))
    assert commits(store) - before == 1


async def test_work_that_raises_is_undone_alone(store: Store) -> None:
    def work(connection: sqlite3.Connection) -> None:
        insert("bad")(connection)
        raise LookupError("of its own")

    results = await asyncio.gather(
        store.write(insert("a")), store.write(work), store.write(insert("b")), return_exceptions=True
    )

    assert [str(result) for result in results] == ["1", "of its own", "2"]
    assert await store.read(names) == ["a", "b"]


async def test_change_is_published_after_it_is_committed(store: Store) -> None:
    seen: list[str] = []

    def work(connection: sqlite3.Connection) -> str:
        seen.append("work")
        insert("a")(connection)
        return "answer"

    def stage() -> Change[str]:
        seen.append("stage")
        return Change(work, lambda: seen.append("publish"), lambda: seen.append("undo"))

    assert await store.change(stage) == "answer"
    assert seen == ["stage", "work", "publish"]


async def test_transaction_that_fails_is_undone_whole_and_backwards(store: Store) -> None:
    undone: list[str] = []

    def stage(name: str) -> Callable[[], Change[int]]:
        return lambda: Change(insert(name), lambda: undone.append("never"), lambda: undone.append(name))

    results = await asyncio.gather(
        store.change(stage("a")),
        store.change(stage("b")),
        store.change(stage("a")),  # the row is there: the transaction fails half way
        return_exceptions=True,
    )

    where = str(store.path) if store.path else "in memory"
    text = (
        f"the store {where} cannot be written: UNIQUE constraint failed: pushed_groups.path; nothing of this was stored"
    )
    assert [(type(result), str(result)) for result in results] == [(StoreError, text)] * 3
    assert undone == ["a", "b", "a"]
    assert await store.read(names) == []
    assert await store.write(insert("a")) == 1


async def test_stage_that_raises_is_told_and_costs_the_others_nothing(store: Store) -> None:
    def stage() -> Change[int]:
        raise LookupError("of its own")

    results = await asyncio.gather(store.change(stage), store.write(insert("a")), return_exceptions=True)

    assert [str(result) for result in results] == ["of its own", "1"]


async def test_reader_sees_nothing_of_a_transaction_in_progress(path: Path) -> None:
    store = await Store.open(path, LIMITS)
    loop = asyncio.get_running_loop()
    written, looked = asyncio.Event(), asyncio.Event()

    def slow(connection: sqlite3.Connection) -> None:
        insert("a")(connection)
        loop.call_soon_threadsafe(written.set)
        asyncio.run_coroutine_threadsafe(looked.wait(), loop).result(60)

    writing = asyncio.create_task(store.write(slow))
    await written.wait()
    assert await store.read(names) == []
    looked.set()
    await writing
    assert await store.read(names) == ["a"]
    await store.close()


async def test_who_no_longer_waits_is_not_written(store: Store) -> None:
    waiting = asyncio.create_task(store.write(insert("a")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    await store.write(insert("b"))

    assert await store.read(names) == ["b"]


async def test_closing_commits_what_waits(path: Path) -> None:
    store = await Store.open(path, LIMITS)
    writing = asyncio.create_task(store.write(insert("a")))
    await asyncio.sleep(0)

    await store.close()

    assert await writing == 1
    with pytest.raises(StoreError, match=f"^the store {path} is closed$"):
        await store.write(insert("b"))
    assert not store.is_alive


async def test_store_that_is_full_says_so_and_goes_on_when_there_is_room(path: Path) -> None:
    store = await Store.open(path, GroupSettings(max_store_mib=1))

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO pushed_groups VALUES ('big', 0, 0, 0, NULL, zeroblob(?))", (2 * MIB,))

    with pytest.raises(StoreError) as caught:
        await store.change(lambda: Change(fill))

    assert str(caught.value) == (
        f"the store {path} cannot be written: it would be larger than 1 MiB, which max_store_mib allows; delete "
        "groups, give them a time to live, keep fewer runs, or raise it and start again; nothing of this was stored"
    )
    assert await store.write(insert("small")) == 1
    await store.close()


async def test_store_that_becomes_read_only_says_so_and_goes_on_afterwards(path: Path) -> None:
    store = await Store.open(path, LIMITS)
    store._writer.execute("PRAGMA query_only = ON")  # noqa: SLF001  what root cannot be denied by the file's mode

    with pytest.raises(StoreError) as caught:
        await store.change(lambda: Change(insert("a")))

    assert str(caught.value) == (
        f"the store {path} cannot be written: attempt to write a readonly database; nothing of this was stored"
    )
    store._writer.execute("PRAGMA query_only = OFF")  # noqa: SLF001
    assert await store.write(insert("a")) == 1
    await store.close()


async def test_store_says_how_large_it_is(path: Path) -> None:
    store = await Store.open(path, LIMITS)
    await store.write(insert("a"))

    values = {family.name: family.samples[0].value for family in store.families(NOW)}

    assert values == {
        "sergas_store_size_bytes": path.stat().st_size,
        "sergas_store_wal_size_bytes": path.with_name("sergas.db-wal").stat().st_size,
        "sergas_store_commits_total": 1,
        "sergas_store_failed_commits_total": 0,
    }
    await store.close()


# Files


async def reopened(path: Path) -> list[str]:
    store = await Store.open(path, LIMITS)
    try:
        return await store.read(names)
    finally:
        await store.close()


async def written(path: Path, *rows: str) -> None:
    store = await Store.open(path, LIMITS)
    for row in rows:
        await store.write(insert(row))
    await store.close()


async def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    await written(path, "a", "b")

    assert await reopened(path) == ["a", "b"]


async def test_every_file_of_the_store_is_its_owners_alone(path: Path) -> None:
    path.touch(0o644)
    store = await Store.open(path, LIMITS)
    await store.write(insert("a"))

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == dict.fromkeys(["sergas.db", "sergas.db-wal", "sergas.db-shm", "sergas.db.lock"], 0o600)
    await store.close()


async def test_second_one_on_the_same_store_is_refused(path: Path) -> None:
    store = await Store.open(path, LIMITS)

    with pytest.raises(StoreError) as caught:
        await Store.open(path, LIMITS)

    assert str(caught.value) == f"another sidecar uses the store {path}; stop it, or give this one another file"
    assert await store.write(insert("a")) == 1
    await store.close()
    assert await reopened(path) == ["a"]


async def test_store_of_a_newer_version_is_refused_untouched(path: Path) -> None:
    await written(path, "a")
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.LATEST + 1}")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreError) as caught:
        await Store.open(path, LIMITS)

    assert str(caught.value) == (
        f"the store {path} has version {schema.LATEST + 1} of the tables, and this pytest-sergas knows them up to "
        f"{schema.LATEST}: install a newer one, or give another file"
    )
    assert path.read_bytes() == before


async def test_older_store_is_copied_and_migrated(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await written(path, "a")
    newer = schema.LATEST + 1
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (newer, ("CREATE TABLE added (x)",))))
    monkeypatch.setattr(schema, "LATEST", newer)

    assert await reopened(path) == ["a"]

    copy = path.with_name(f"sergas.db.version-{newer - 1}")
    assert caplog.messages == [
        f"the store {path} had version {newer - 1} of the tables; it is migrated, and {copy} has the copy"
    ]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (tables(path), tables(copy)) == (tables(copy) | {"added"}, tables(path) - {"added"})


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    finally:
        connection.close()


async def test_migration_that_fails_leaves_the_store_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await written(path, "a")
    before = tables(path)
    newer = schema.LATEST + 1
    steps = (newer, ("CREATE TABLE added (x)", "CREATE TABLE pushed_groups (x)"))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, steps))
    monkeypatch.setattr(schema, "LATEST", newer)

    with pytest.raises(StoreError) as caught:
        await Store.open(path, LIMITS)

    assert str(caught.value) == (
        f"the store {path} cannot be opened: table pushed_groups already exists; give a file that can be written"
    )
    assert tables(path) == before


@pytest.mark.parametrize("damage", ["not SQLite", "a page overwritten"])
async def test_damaged_store_is_moved_aside_loudly(damage: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await written(path, *(f"{number:04}" for number in range(2_000)))
    content = path.read_bytes()
    torn = b"\xff" * len(content) if damage == "not SQLite" else content[:8192] + b"\xff" * 8192 + content[16384:]
    path.write_bytes(torn)

    kept = await reopened(path)

    aside = path.with_name("sergas.db.damaged")
    assert aside.read_bytes() == torn
    (message,) = caplog.messages
    assert message.startswith(f"the store {path} is damaged (")
    assert message.endswith(
        f") and was moved to {aside}; {len(kept)} of its rows could be read and are kept, what else was in it is lost: "
        "pushed groups are missing until they are pushed again, and histories begin anew"
    )
    assert (len(kept) > 1_000) is (damage != "not SQLite")


async def test_second_damaged_store_does_not_overwrite_the_first(path: Path) -> None:
    for content in (b"first" * 1000, b"second" * 1000):
        path.write_bytes(content)
        assert await reopened(path) == []

    assert path.with_name("sergas.db.damaged").read_bytes().startswith(b"first")
    assert path.with_name("sergas.db.damaged-2").read_bytes().startswith(b"second")


async def test_another_programs_file_is_refused_untouched(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreError) as caught:
        await Store.open(path, LIMITS)

    assert str(caught.value) == f"the store {path} is another program's SQLite file; give another one"
    assert path.read_bytes() == before


async def test_directory_that_is_missing_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "sergas.db"

    with pytest.raises(StoreError) as caught:
        await Store.open(path, LIMITS)

    assert str(caught.value) == (
        f"the store {path} cannot be opened: No such file or directory; give a file that can be written"
    )


# Loads what it needs as root, whose interpreter others may not even read.
OPENED_BY_NOBODY = """\
import asyncio, os, sys
from pathlib import Path
from pytest_sergas.engine.store import Store
from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.errors import StoreError
os.setuid(65534)
try:
    asyncio.run(Store.open(Path(sys.argv[1]), GroupSettings()))
except StoreError as error:
    print(error, end="")
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
async def test_store_that_may_only_be_read_is_a_clear_error(path: Path) -> None:
    await written(path, "a")
    for file in path.parent.iterdir():
        file.chmod(0o444)
    for directory in (path.parent, *path.parent.parents[:2]):
        directory.chmod(0o755)

    command = [sys.executable, "-c", OPENED_BY_NOBODY, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: ASYNC221  as above

    assert done.stdout == f"the store {path} cannot be opened: Permission denied; give a file that can be written"
