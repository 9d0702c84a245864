"""The store: SQLite behind one committer.

Whatever is written waits in one queue. The committer takes the whole queue, stages what has a part in memory (on the
event loop, in order), writes everything in one transaction in a thread, and answers all: one fsync for as many as
came while the one before was under way. What was answered survives a kill and a power failure (WAL, synchronous=FULL).
A transaction that fails is undone whole, in memory too, and everybody in it is told.

    queue → stage() → work(connection), ... → COMMIT → publish() → answers
                                            → failed → undo()   → StoreError

A lock file beside the store, itself an SQLite file that is held exclusively, keeps a second process away; it works
everywhere and ends with the process. A store is the same under every symbolic link to it, and has no hard links: SQLite
keeps its log by name. The files are watched (store_files.py): once one of them was deleted or replaced, nothing more is
answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.text import one_line
from pytest_sergas.engine import room, schema
from pytest_sergas.engine.salvage import salvage
from pytest_sergas.engine.store_files import StoreFiles
from pytest_sergas.errors import StoreError

LOG = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_WAL_LIMIT_BYTES = 16 * 1024 * 1024  # what a checkpoint leaves of a WAL that had to grow
_MODE = 0o600
_LOOK_S = 1.0  # from one look at the files to the next, where nothing is written
_PROBE_BYTES = 16 * 1024  # more than a usual push


def _nothing() -> None:
    return


def _nothing_to_spare(connection: sqlite3.Connection) -> bool:
    del connection
    return False


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A write that has a part in memory.

    Attributes:
        work: writes it, in the committer's thread; what it raises fails the whole transaction.
        publish: makes the part in memory visible, on the event loop, after the commit.
        undo: takes it back, on the event loop, when the transaction failed; the last staged is the first undone.
    """

    work: Work[T]
    publish: Callable[[], None] = _nothing
    undo: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class _Job:
    """What waits in the queue."""

    stage: Callable[[], Change[Any]]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Failed:
    """What a write on its own raised."""

    error: Exception


class Store:
    """An open store; `open` makes one."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection, lock: sqlite3.Connection | None) -> None:
        self.path = path
        self.fault = ""  # why the last transaction failed, or what has happened to the files
        self._probed_s = -_LOOK_S
        self._is_committing = False
        self._name = str(path) if path else "in memory"
        self._writer = connection
        self._lock = lock
        self._threads = [ThreadPoolExecutor(1, "sergas-store-write")]
        if path is None:
            # There is only this connection; its thread does the reading, too, between two transactions.
            self._reader = connection
        else:
            self._reader = connect(path)
            self._reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # opens the log and its index
            self._threads.append(ThreadPoolExecutor(1, "sergas-store-read"))
        self._queue: list[_Job] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._commits = 0
        self._failures = 0
        # Deletes some of what is worth least, and returns whether there was any; asked when the store is full.
        self.spare: Work[bool] = _nothing_to_spare
        self._files = None if path is None else StoreFiles(path)
        self._committer = asyncio.create_task(self._commit_for_ever(), name="sergas-store-committer")
        self._watcher = asyncio.create_task(self._watch_for_ever(), name="sergas-store-watcher")

    @classmethod
    async def open(cls, path: Path | None, limits: GroupSettings) -> Store:
        """Open the store at ``path``, which is made where it does not exist; None keeps everything in memory.

        A damaged store is moved aside, which the log says, and a new one is made, with what can still be read. One
        whose indexes alone are damaged gets new ones. One of an earlier version is
        copied beside itself and migrated.

        Raises:
            StoreError: another process uses it, a newer version wrote it, it is another program's file, or it
                cannot be written.
        """
        real = None if path is None else await asyncio.to_thread(path.resolve)
        return cls(real, *await asyncio.to_thread(_open, real, limits))

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in the committer's next transaction and return what it returns, durable by then.

        What ``work`` raises is raised here; its statements, and only those, are undone.

        Raises:
            StoreError: the transaction could not be committed; nothing of it is there.
        """

        def alone(connection: sqlite3.Connection) -> T | _Failed:
            connection.execute("SAVEPOINT work")
            try:
                result = work(connection)
            except Exception as error:  # whoever wrote the work is told below
                if not connection.in_transaction:
                    raise  # SQLite has undone the whole transaction
                connection.execute("ROLLBACK TO work")
                connection.execute("RELEASE work")
                return _Failed(error)
            connection.execute("RELEASE work")
            return result

        result = await self.change(lambda: Change(alone))
        while isinstance(result, _Failed) and room.is_full(result.error) and await self._make_room():
            result = await self.change(lambda: Change(alone))
        if isinstance(result, _Failed):
            raise result.error
        return result

    async def _make_room(self) -> bool:
        """Delete some of what is worth least; return whether there was any."""
        spare = self.spare
        return await self.change(lambda: Change(spare))

    async def change(self, stage: Callable[[], Change[T]]) -> T:
        """Stage a change when its transaction begins, commit it, publish it, and return what its work returned.

        Args:
            stage: called on the event loop, in the order of the calls of this method; what it raises is raised here,
                and then there is nothing to commit.

        Raises:
            StoreError: the transaction could not be committed; the change is undone.
        """
        if self._closing:
            raise StoreError(f"the store {self._name} is closed")
        job = _Job(stage, asyncio.get_running_loop().create_future())
        self._queue.append(job)
        self._arrived.set()
        result: T = await job.answer
        return result

    async def read(self, work: Work[T]) -> T:
        """Run ``work``, which only reads, off the event loop; it sees what has been committed.

        Raises:
            StoreError: the store cannot be read.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[-1], work, self._reader)
        except sqlite3.Error as error:
            raise StoreError(f"the store {self._name} cannot be read: {error}") from error

    async def close(self) -> None:
        """Commit what waits, and let the file go."""
        self._closing = True
        self._arrived.set()
        await self._committer
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)
        if self._files is not None and self._files.fault():
            self._files.forget_log()
        for thread in self._threads:
            await asyncio.to_thread(thread.shutdown)
        for connection in (self._reader, self._writer):
            connection.close()
        if self._files is not None:
            self._files.close()
        if self._lock is not None:
            self._lock.close()

    async def cannot_take(self) -> str:
        """Return why a push cannot be stored now, or "": something is written to find out, once in a second."""
        if self._closing or not self.is_alive:
            return "the store is closed"
        now_s = asyncio.get_running_loop().time()
        if now_s - self._probed_s >= _LOOK_S:
            self._probed_s = now_s
            with suppress(StoreError):  # what it says is in `fault`
                await self.change(lambda: Change(_probe))
        if not self.fault and self.path is not None and (reason := room.why_disk_full(self.path)):
            return reason  # a small transaction still finds room in the log
        return self.fault

    @property
    def is_alive(self) -> bool:
        """Whether the committer runs; without it nothing is answered."""
        return not self._committer.done()

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return the store's own metrics."""
        del now
        return (
            _single("sergas_store_size_bytes", "gauge", "Size of the store's file.", _size(self.path, "")),
            _single("sergas_store_wal_size_bytes", "gauge", "Size of its write-ahead log.", _size(self.path, "-wal")),
            _single("sergas_store_commits_total", "counter", "Transactions committed since the start.", self._commits),
            _single(
                "sergas_store_failed_commits_total",
                "counter",
                "Transactions that failed and were undone.",
                self._failures,
            ),
        )

    async def _commit_for_ever(self) -> None:
        while not self._closing or self._queue:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._queue = self._queue, []
            await self._commit(batch)

    async def _watch_for_ever(self) -> None:
        """Notice at once what happens to the files, also while nothing is written."""
        while self._files is not None:
            await asyncio.sleep(_LOOK_S)
            if self._is_committing or self.fault:
                continue  # a checkpoint of ours may be changing the file; or it has been said
            if fault := self._files.fault():
                self.fault = fault
                LOG.error("the store %s: %s; nothing more is taken: end the sidecar and look", self._name, fault)

    async def _commit(self, batch: list[_Job]) -> None:
        staged: list[tuple[_Job, Change[Any]]] = []
        for job in batch:
            if job.answer.cancelled():
                continue  # nobody waits, and nothing has been promised
            try:
                staged.append((job, job.stage()))
            except Exception as error:  # noqa: BLE001  whoever asked is told
                job.answer.set_exception(error)
        if not staged:
            return
        works = [change.work for _, change in staged]
        loop = asyncio.get_running_loop()
        self._is_committing = True
        try:
            results = await loop.run_in_executor(
                self._threads[0], _transact, self._writer, works, self.spare, self._files
            )
        except Exception as error:  # noqa: BLE001  whatever it is, everybody in the transaction is told
            self._undo(staged, error)
            return
        finally:
            self._is_committing = False
        self._commits += 1
        self.fault = ""
        for _, change in staged:
            change.publish()
        for (job, _), result in zip(staged, results, strict=True):
            if not job.answer.done():  # it may have been cancelled meanwhile
                job.answer.set_result(result)

    def _undo(self, staged: list[tuple[_Job, Change[Any]]], error: Exception) -> None:
        self._failures += 1
        for _, change in reversed(staged):
            change.undo()
        reason = room.why_full(self._writer, self.path) if room.is_full(error) else str(error)
        self.fault = reason
        text = f"the store {self._name} cannot be written: {reason}; nothing of this was stored"
        LOG.error("%s", text)
        for job, _ in staged:
            if not job.answer.done():
                refusal = StoreError(text)
                refusal.__cause__ = error
                job.answer.set_exception(refusal)


class _FilesError(Exception):
    """The files are not those that were opened; the text says what happened."""


def _transact(
    connection: sqlite3.Connection, works: list[Work[Any]], spare: Work[bool], files: StoreFiles | None
) -> list[Any]:
    """Do ``works`` in one transaction; when there is no room, after making some, again and again."""
    _refuse_fault(files)
    results = None
    while results is None:
        try:
            results = _together(connection, works)
        except sqlite3.Error as error:
            if not room.is_full(error) or not _can_spare(connection, spare):
                raise
        if files is not None:
            files.settle()  # a checkpoint of ours may have been part of it
    _refuse_fault(files)
    return results


def _can_spare(connection: sqlite3.Connection, spare: Work[bool]) -> bool:
    try:
        return bool(_together(connection, [spare])[0])
    except sqlite3.Error:  # on a full disk there is no room for a deletion either
        return False


def _together(connection: sqlite3.Connection, works: list[Work[Any]]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [work(connection) for work in works]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def _refuse_fault(files: StoreFiles | None) -> None:
    if files is not None and (fault := files.fault()):
        raise _FilesError(f"{fault}; nothing more is taken until it is started again")


def _probe(connection: sqlite3.Connection) -> None:
    """Write as much as a push does, and leave nothing."""
    connection.execute("INSERT INTO pushed_groups VALUES ('', 0, 0, 0, NULL, zeroblob(?))", (_PROBE_BYTES,))
    connection.execute("DELETE FROM pushed_groups WHERE path = ''")


def _single(name: str, kind: FamilyType, text: str, value: float) -> Family:
    return Family(name, kind, text, (Sample((), value),))


def _size(path: Path | None, suffix: str) -> int:
    if path is None:
        return 0
    with suppress(OSError):
        return path.with_name(path.name + suffix).stat().st_size
    return 0


# Opening


def _open(path: Path | None, limits: GroupSettings) -> tuple[sqlite3.Connection, sqlite3.Connection | None]:
    if path is None:
        connection = connect(":memory:")
        schema.migrate(connection)
        _bound(connection, limits)
        return connection, None
    try:
        lock = take_lock(path)
        try:
            return _open_file(path, limits), lock
        except BaseException:
            lock.close()
            raise
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"the store {path} cannot be opened: {reason}; give a file that can be written") from error


def _open_file(path: Path, limits: GroupSettings) -> sqlite3.Connection:
    create_private(path)
    try:
        connection = _checked(path)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter for SQLite's own text, which quotes it
        if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
            raise  # the file is in order, but it cannot be used
        connection = _begin_anew(path, str(error))
    try:
        _prepare(path, connection)
        _bound(connection, limits)
    except BaseException:
        connection.close()
        raise
    return connection


def _checked(path: Path) -> sqlite3.Connection:
    """Return a connection to ``path``.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    connection = connect(path)
    try:
        if (found := _integrity(connection)) != "ok":
            _make_indexes_anew(connection, found)
            LOG.warning("an index of the store %s was damaged (%s) and is made anew; every row is there", path, found)
        if schema.is_ours(connection) and not schema.is_as_made(connection):
            raise sqlite3.DatabaseError("its tables are not those that were made")  # noqa: TRY301  closed below
        connection.execute("BEGIN IMMEDIATE")  # some of what the file says of itself counts only for writing
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_indexes_anew(connection: sqlite3.Connection, found: str) -> None:
    """Make the indexes from the rows.

    Raises:
        sqlite3.DatabaseError: more than indexes is damaged, as ``found`` says.
    """
    with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
        connection.execute("REINDEX")
    if _integrity(connection) != "ok":
        raise sqlite3.DatabaseError(found)


def _integrity(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])


def _is_damage(error: sqlite3.OperationalError) -> bool:
    """Whether SQLite refuses what the file says of itself; that it may be written was found before."""
    return error.sqlite_errorcode in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_ERROR}


def _begin_anew(path: Path, reason: str) -> sqlite3.Connection:
    """Move a damaged store aside and return a connection to a new one, with every row that can still be read."""
    aside = _move_aside(path)
    create_private(path)
    connection = _checked(path)
    try:
        schema.migrate(connection)
        saved = salvage(aside, connection, path)
    except BaseException:
        connection.close()
        raise
    LOG.error(
        "the store %s is damaged (%s) and was moved to %s; %d of its rows could be read and are kept, what else was in "
        "it is lost: pushed groups are missing until they are pushed again, and histories begin anew",
        path,
        one_line(reason, 200),
        aside,
        saved,
    )
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    if not schema.is_ours(connection):
        raise StoreError(f"the store {path} is another program's SQLite file; give another one")
    present = schema.version(connection)
    if present > schema.LATEST:
        raise StoreError(
            f"the store {path} has version {present} of the tables, and this pytest-sergas knows them up to "
            f"{schema.LATEST}: install a newer one, or give another file"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    if present and connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        LOG.warning("the mark of the store %s was damaged and is written anew; every row is there", path)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    if 0 < present < schema.LATEST:
        copy = free_name(path, f"version-{present}")
        create_private(copy)
        copy_to(connection, copy)
        LOG.warning(
            "the store %s had version %d of the tables; it is migrated, and %s has the copy", path, present, copy
        )
    if present < schema.LATEST:
        schema.migrate(connection)


def copy_to(connection: sqlite3.Connection, path: Path) -> None:
    """Copy all that is committed into the file ``path``, as it is at one moment."""
    target = sqlite3.connect(path)
    try:
        connection.backup(target)
    finally:
        target.close()


def _bound(connection: sqlite3.Connection, limits: GroupSettings) -> None:
    page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {limits.max_store_bytes // page_bytes}")


def connect(path: Path | str) -> sqlite3.Connection:
    # One thread at a time uses a connection, but not always the same one.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    # Text that is not UTF-8 any more spoils its own row alone; see damage.py.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def take_lock(path: Path) -> sqlite3.Connection:
    with suppress(FileNotFoundError):
        state = path.stat()
        if stat.S_ISREG(state.st_mode) and (names := state.st_nlink) > 1:
            raise StoreError(
                f"the store {path} has {names} names (hard links), and what is written under one of them is not seen "
                "under the others; remove the others, or make them symbolic links"
            )
    lock_path = path.with_name(f"{path.name}.lock")
    create_private(lock_path)
    lock = sqlite3.connect(lock_path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")  # nothing is written, and no further file is wanted
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise StoreError(f"another sidecar uses the store {path}; stop it, or give this one another file") from None
        raise
    return lock


def create_private(path: Path) -> None:
    """Make an empty file that only its owner can read; take the rights of others from one that exists."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))
    path.chmod(_MODE)


def _move_aside(path: Path) -> Path:
    aside = free_name(path, "damaged")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def free_name(path: Path, word: str) -> Path:
    """Return ``path`` with ``word``, and a number where that name is taken."""
    aside = path.with_name(f"{path.name}.{word}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{word}-{number}")
    return aside
