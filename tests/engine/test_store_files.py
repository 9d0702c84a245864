"""What happens to the files of an open store: it is noticed, and nothing more is answered as stored."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.engine import room
from pytest_sergas.engine import store as module
from pytest_sergas.engine.store import Store
from pytest_sergas.errors import StoreError

pytestmark = pytest.mark.integration

LIMITS = GroupSettings()


def insert(name: str) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO pushed_groups VALUES (?, 0, 0, 0, NULL, '[]')", (name,))

    return work


def names(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT path FROM pushed_groups ORDER BY path")]


async def kept(path: Path, *rows: str) -> list[str]:
    """Open the store at ``path``, write ``rows``, and return all that it has."""
    store = await Store.open(path, LIMITS)
    for row in rows:
        await store.write(insert(row))
    found = await store.read(names)
    await store.close()
    return found


def delete(suffix: str) -> Callable[[Path], str]:
    def done(path: Path) -> str:
        path.with_name(path.name + suffix).unlink()
        return f"{path.name}{suffix} was deleted or moved away under the running process"

    return done


def delete_all(path: Path) -> str:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    return f"{path.name} was deleted or moved away under the running process"


def replace(path: Path) -> str:
    backup = path.with_name("backup.db")
    backup.replace(path)
    return f"{path.name} was replaced by another file under the running process"


def overwrite(path: Path) -> str:
    shutil.copyfile(path.with_name("backup.db"), path)
    return f"{path.name} was overwritten under the running process"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(delete(""), id="deleted"),
        pytest.param(delete("-wal"), id="log deleted"),
        pytest.param(delete("-shm"), id="index deleted"),
        pytest.param(delete_all, id="all deleted"),
        pytest.param(replace, id="replaced"),
        pytest.param(overwrite, id="overwritten"),
    ],
)
async def test_nothing_more_is_acknowledged_once_a_file_is_not_there(
    damage: Callable[[Path], str], path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.01)
    await kept(path.with_name("backup.db"), "other")
    store = await Store.open(path, LIMITS)
    await store.write(insert("a"))
    fault = damage(path)

    with pytest.raises(StoreError) as caught:
        await store.write(insert("b"))
    assert str(caught.value) == (
        f"the store {path} cannot be written: {fault}; nothing more is taken until it is started again; "
        "nothing of this was stored"
    )
    assert (await store.cannot_take()).startswith(fault)
    assert caplog.records[0].levelno == logging.ERROR
    await store.close()
    if path.exists() and not fault.endswith("moved away under the running process"):
        # What was put there is as it was put: closing has written nothing into it.
        assert await kept(path) == ["other"]


async def test_it_is_said_at_once_also_while_nothing_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.01)
    store = await Store.open(path, LIMITS)
    path.unlink()
    async with asyncio.timeout(60):
        while not caplog.records:  # noqa: ASYNC110  what is awaited is a line of the log
            await asyncio.sleep(0.01)
    await store.close()

    (said,) = caplog.messages
    assert said == (
        f"the store {path}: sergas.db was deleted or moved away under the running process; nothing more is taken: "
        "end the sidecar and look"
    )


async def test_own_checkpoints_and_other_readers_are_no_fault(path: Path) -> None:
    """The log is written into the file again and again, a backup reads it, somebody touches it."""
    store = await Store.open(path, LIMITS)
    for number in range(20):

        def work(connection: sqlite3.Connection, name: str = str(number)) -> None:
            connection.execute("INSERT INTO pushed_groups VALUES (?, 0, 0, 0, NULL, zeroblob(600000))", (name,))

        await store.write(work)
    os.utime(path)
    reader = sqlite3.connect(path)
    assert len(names(reader)) == 20
    reader.close()
    await store.write(insert("last"))

    assert await store.cannot_take() == ""
    await store.close()


# One store under every name


async def test_second_one_through_a_symbolic_link_is_refused(path: Path) -> None:
    store = await Store.open(path, LIMITS)
    (path.parent / "elsewhere").mkdir()
    links = [path.parent / "link.db", path.parent / "elsewhere" / "link.db"]
    for link in links:
        link.symlink_to(path)
        with pytest.raises(StoreError) as caught:
            await Store.open(link, LIMITS)
        assert str(caught.value) == f"another sidecar uses the store {path}; stop it, or give this one another file"
    await store.write(insert("a"))
    await store.close()

    assert await kept(links[1], "b") == ["a", "b"]
    assert await kept(path) == ["a", "b"]


async def test_store_with_hard_links_is_refused_under_each_of_them(path: Path) -> None:
    await kept(path, "a")
    store = await Store.open(path, LIMITS)
    link = path.with_name("link.db")
    link.hardlink_to(path)
    for name in (link, path):
        with pytest.raises(StoreError) as caught:
            await Store.open(name, LIMITS)
        if name == link:
            assert str(caught.value) == (
                f"the store {link} has 2 names (hard links), and what is written under one of them is not seen under "
                "the others; remove the others, or make them symbolic links"
            )
    await store.close()
    link.unlink()

    assert await kept(path) == ["a"]


# What cannot be stored


async def test_what_cannot_be_stored_is_said_before_a_push_comes_and_passes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.0)
    store = await Store.open(path, LIMITS)
    said = [await store.cannot_take()]
    store._writer.execute("PRAGMA query_only = ON")  # noqa: SLF001  what root cannot be denied by the file's mode
    said.append(await store.cannot_take())
    store._writer.execute("PRAGMA query_only = OFF")  # noqa: SLF001
    said.append(await store.cannot_take())
    large = "INSERT INTO pushed_groups VALUES ('large', 0, 0, 0, NULL, zeroblob(100000))"  # no page is free any more
    await store.write(lambda connection: connection.execute(large).rowcount)
    store._writer.execute("PRAGMA max_page_count = 1")  # noqa: SLF001
    said.append((await store.cannot_take()).partition(" than ")[0])
    store._writer.execute("PRAGMA max_page_count = 100000")  # noqa: SLF001
    monkeypatch.setattr(room, "_free_bytes", lambda _: 4096)
    said.append(await store.cannot_take())
    monkeypatch.undo()
    await store.close()

    assert said == [
        "",
        "attempt to write a readonly database",
        "",
        "it would be larger",
        "its disk is full, with 4 KiB left; make room there",
    ]
    assert await kept(path) == ["large"]  # trying has left nothing
