"""What pages ask about the runs in the store: a type over runs, a test over runs, the run before, the other shards.

The figures by type stand beside each run, so that an overview of a thousand runs reads no test of them. A single test
is found by the start of its line in a run's condensed tests: taking a run of 2,000 tests apart costs far more.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_sergas.core.report import STATUSES, success_percent
from pytest_sergas.core.standing import Seen
from pytest_sergas.engine.sealing import text_of
from pytest_sergas.engine.store import Store

_RUN = (
    "run_id, project, branch, commit_id, received_s, started_s, finished_s, by_status, flaky, build_url, shard, split"
)


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run as pages list it; times are seconds since the epoch.

    Attributes:
        build_url: where the CI shows it; any text that its sender wrote.
        shard, split: which part of which split of a suite it is; "" for a whole one.
        types: type → its figures.
    """

    run_id: str
    project: str
    branch: str
    commit: str
    received_s: float
    started_s: float | None
    finished_s: float | None
    by_status: Mapping[str, int]
    flaky: int
    build_url: str
    shard: str
    split: str
    types: Mapping[str, TypeFigures]

    @property
    def when_s(self) -> float:
        """When it ended, or came."""
        return self.received_s if self.finished_s is None else self.finished_s

    @property
    def took_s(self) -> float | None:
        if self.started_s is None or self.finished_s is None:
            return None
        return max(self.finished_s - self.started_s, 0.0)

    @property
    def total(self) -> int:
        return sum(self.by_status.values())

    @property
    def failed(self) -> int:
        return self.by_status.get("failed", 0)

    @property
    def success_percent(self) -> float | None:
        return success_percent(self.by_status)


@dataclass(frozen=True, slots=True)
class TypeFigures:
    """The tests of one type in one run; ``seconds`` is what they took together."""

    by_status: Mapping[str, int]
    flaky: int
    seconds: float

    @property
    def total(self) -> int:
        return sum(self.by_status.values())

    @property
    def success_percent(self) -> float | None:
        return success_percent(self.by_status)

    @property
    def state(self) -> str:
        """One word: failed, flaky, passed, or skipped where nothing was judged."""
        if self.by_status.get("failed"):
            return "failed"
        if self.flaky:
            return "flaky"
        return "passed" if self.by_status.get("passed") else "skipped"


@dataclass(frozen=True, slots=True)
class PastTest:
    """A test in one run; memory in bytes, budgets in seconds and MiB, None where there is none."""

    run: PastRun
    type: str
    outcome: str
    duration_s: float
    peak_memory_bytes: float | None = None
    allowed_s: float | None = None
    allowed_mb: float | None = None

    @property
    def seen(self) -> Seen:
        return Seen(self.outcome, self.duration_s)


async def runs(store: Store, limit: int, *, project: str = "", branch: str = "") -> list[PastRun]:
    """Return at most ``limit`` runs, the newest first; "" is any project or branch.

    Raises:
        StoreError: the store cannot be read.
    """

    def work(connection: sqlite3.Connection) -> list[PastRun]:
        query = (
            f"SELECT {_RUN}, types FROM runs WHERE (? = '' OR project = ?) AND (? = '' OR branch = ?) "  # noqa: S608  of our own texts
            "ORDER BY rowid DESC LIMIT ?"
        )
        rows = connection.execute(query, (project, project, branch, branch, limit))
        return [_run(row) for row in rows]

    return await store.read(work)


async def branches(store: Store) -> list[str]:
    """Return the names of all branches that have runs."""

    def work(connection: sqlite3.Connection) -> list[str]:
        rows = connection.execute("SELECT DISTINCT branch FROM runs WHERE branch != '' ORDER BY branch LIMIT 200")
        return [str(branch) for (branch,) in rows]

    return await store.read(work)


async def run(store: Store, run_id: str) -> PastRun | None:
    """Return a run, or None when there is no such run."""
    return await store.read(lambda connection: _one(connection, "run_id = ?", (run_id,)))


async def run_before(store: Store, later: PastRun) -> PastRun | None:
    """Return the run of the same project, branch and shard that came before ``later``, or None."""
    where = "rowid < (SELECT rowid FROM runs WHERE run_id = ?) AND project = ? AND branch = ? AND shard = ?"
    values = (later.run_id, later.project, later.branch, later.shard)
    return await store.read(lambda connection: _one(connection, where, values))


async def documents(store: Store, run_ids: tuple[str, ...]) -> list[bytes]:
    """Return the documents of those of these runs that are kept, in the order of ``run_ids``."""

    def work(connection: sqlite3.Connection) -> list[bytes]:
        found = []
        for run_id in run_ids:
            row = connection.execute("SELECT document FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            if row is not None:
                found.append(zlib.decompress(row[0]))
        return found

    return await store.read(work)


async def test_over_runs(store: Store, test_id: str, limit: int, *, branch: str) -> list[PastTest]:
    """Return a test in those of the newest ``limit`` runs that have it, the newest first.

    Raises:
        StoreError: the store cannot be read.
    """
    start = f"\n[{json.dumps(test_id)},"  # no text in JSON has a line break of its own

    def work(connection: sqlite3.Connection) -> list[PastTest]:
        query = f"SELECT tests, {_RUN}, '{{}}' FROM runs WHERE (? = '' OR branch = ?) ORDER BY rowid DESC LIMIT ?"  # noqa: S608  of our own texts
        found = []
        for tests, *row in connection.execute(query, (branch, branch, limit)):
            if (entry := _find(zlib.decompress(tests).decode(), start)) is not None:
                found.append(PastTest(_run(row), *entry[1:]))
        return found

    return await store.read(work)


def shards_of(listed: list[PastRun], one: PastRun) -> tuple[PastRun, ...]:
    """Return the runs among ``listed`` that are the shards of one run with ``one``, in the order of their numbers.

    They say the same project, branch, commit, build and split, and no shard is there twice: the nearest counts.
    """
    if not one.shard:
        return (one,)
    same = [run for run in listed if run.shard and _suite(run) == _suite(one)]
    nearest = sorted(same, key=lambda run: abs(run.when_s - one.when_s), reverse=True)
    by_shard = {run.shard: run for run in nearest} | {one.shard: one}
    return tuple(sorted(by_shard.values(), key=lambda run: (len(run.shard), run.shard)))


def _suite(run: PastRun) -> tuple[str, ...]:
    return (run.project, run.branch, run.commit, run.build_url, run.split, run.shard.partition("/")[2])


def _one(connection: sqlite3.Connection, where: str, values: tuple[str, ...]) -> PastRun | None:
    query = f"SELECT {_RUN}, types FROM runs WHERE {where} ORDER BY rowid DESC LIMIT 1"  # noqa: S608  of our own texts
    row = connection.execute(query, values).fetchone()
    return None if row is None else _run(row)


def _run(row: Sequence[Any]) -> PastRun:
    fields = list(row)
    fields[7] = json.loads(fields[7])
    fields[-1] = {name: _figures(found) for name, found in json.loads(text_of(fields[-1])).items()}
    return PastRun(*fields)


def _figures(found: Mapping[str, float]) -> TypeFigures:
    by_status = {status: int(found[status]) for status in STATUSES if status in found}
    return TypeFigures(by_status, int(found["flaky"]), found["seconds"])


def _find(text: str, start: str) -> list[Any] | None:
    """Return the condensed test whose line begins with ``start``."""
    place = text.find(start)
    if place < 0:
        return None
    entry, _ = json.JSONDecoder().raw_decode(text, place + 1)
    return list(entry)
