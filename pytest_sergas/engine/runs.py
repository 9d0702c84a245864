"""The runs that were reported: whole documents, compressed, and beside each what is asked about often.

A run of 2,000 tests is some 50 KB as a compressed document, and far more as a row for each test. So a run is one row:
its figures in columns, its document, and its tests condensed (names, types, outcomes, durations), which is what the
questions about tests over several runs read.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import statistics
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.newest_tests import NewestTests
from pytest_sergas.core.report import (
    Report,
    ReportedTest,
    ReportError,
    figures_by_type,
    read_report,
    success_percent,
)
from pytest_sergas.core.standing import Seen
from pytest_sergas.engine.sealing import seal, unseal
from pytest_sergas.engine.store import Store
from pytest_sergas.errors import SergasError

_DAY_S = 86_400.0
_LEVEL = 6
_READ_AT_START = 5
_READ_AT_START_BYTES = 256 * 1024
_COLUMNS = "run_id, received_s, project, branch, commit_id, started_s, finished_s, by_status, flaky"

# Id, type, outcome and seconds of a test; where they are known, bytes of memory, and budgets in seconds and MiB.
_Condensed = tuple[str, str, str, float] | tuple[str, str, str, float, float | None, float | None, float | None]


class OtherRunError(SergasError):
    """Another run is kept under the same id."""


@dataclass(frozen=True, slots=True)
class KeptRun:
    """The figures of a run that is kept; times are seconds since the epoch."""

    run_id: str
    received_s: float
    project: str
    branch: str
    commit: str
    started_s: float | None
    finished_s: float | None
    by_status: Mapping[str, int]
    flaky: int

    @property
    def total(self) -> int:
        return sum(self.by_status.values())

    @property
    def success_percent(self) -> float | None:
        return success_percent(self.by_status)


@dataclass(frozen=True, slots=True)
class TestHistory:
    """A test over several runs; durations are seconds, and `seen` is it in each of them, the newest first."""

    __test__ = False  # pytest would take the name for a class of tests

    id: str
    type: str
    runs: int
    by_outcome: Mapping[str, int]
    last_outcome: str
    median_s: float
    longest_s: float
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Retention:
    """How many runs are kept, and for how long."""

    runs: int
    age_days: float


class Runs:
    """The runs in the ``store``.

    Attributes:
        retention: counts from the next run on.
        latest: the run that came last, or None.
        newest_tests: what the newest runs say about each type.
    """

    def __init__(self, store: Store, retention: Retention, latest: KeptRun | None) -> None:
        self._store = store
        self._received = 0
        self.retention = retention
        self.latest = latest
        self.newest_tests = NewestTests()

    @classmethod
    async def load(cls, store: Store, retention: Retention) -> Runs:
        """Return the runs that ``store`` has."""
        kept = await store.read(lambda connection: list(_kept(connection, "", (), 1)))
        runs = cls(store, retention, kept[0] if kept else None)
        for report in await store.read(lambda connection: list(_last_reports(connection))):
            runs.newest_tests.take(report)
        return runs

    async def add(self, report: Report, document: bytes, now: Now) -> bool:
        """Keep a run; return whether it is new. What is too much or too old by now is forgotten.

        Args:
            document: the JSON that ``report`` was read from; kept as it is.

        Raises:
            OtherRunError: another document has this id.
            StoreError: it could not be stored.
        """
        retention = self.retention
        work = _adding(report, document, now, retention)
        is_new = await self._store.write(work)
        if is_new:
            self._received += 1
            self.latest = _summary(report, now)
            self.newest_tests.take(report)
        return is_new

    async def newest(self, limit: int, *, project: str = "", branch: str = "") -> list[KeptRun]:
        """Return at most ``limit`` runs, the newest first; "" is any project or branch."""
        where, values = _where(project, branch)
        return await self._store.read(lambda connection: list(_kept(connection, where, values, limit)))

    async def document(self, run_id: str) -> bytes | None:
        """Return the document of a run, or None when there is no such run."""

        def work(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT document FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            return None if row is None else zlib.decompress(row[0])

        return await self._store.read(work)

    async def tests(self, runs: int, *, project: str = "", branch: str = "") -> list[TestHistory]:
        """Return every test of the newest ``runs`` runs, those that failed or were flaky most often first."""
        where, values = _where(project, branch)

        def work(connection: sqlite3.Connection) -> list[TestHistory]:
            return _histories(_condensed(connection, where, values, runs))

        return await self._store.read(work)

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return how many runs have come, as metrics."""
        del now
        received = (Sample((), float(self._received)),)
        return (Family("sergas_runs_received_total", "counter", "New test runs received since the start.", received),)


def _adding(report: Report, document: bytes, now: Now, retention: Retention) -> Callable[[sqlite3.Connection], bool]:
    digest = hashlib.sha256(document).digest()
    tests = [_condensed_test(test) for test in report.tests]
    kept = _summary(report, now)
    row: tuple[Any, ...] = (
        kept.run_id,
        kept.received_s,
        kept.project,
        kept.branch,
        kept.commit,
        kept.started_s,
        kept.finished_s,
        json.dumps(kept.by_status),
        kept.flaky,
        digest,
        zlib.compress(condensed_text(tests).encode(), _LEVEL),
        zlib.compress(document, _LEVEL),
        report.build_url,
        report.shard,
        report.split,
        json.dumps(figures_by_type(report)),
    )
    row = (*row[:-1], seal(row[-1], *about(row)))

    def work(connection: sqlite3.Connection) -> bool:
        known = connection.execute("SELECT digest FROM runs WHERE run_id = ?", (report.run_id,)).fetchone()
        if known is not None:
            if known[0] != digest:
                raise OtherRunError(f"another run is kept as {report.run_id!r}; send this one under an id of its own")
            return False
        connection.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  question marks
        oldest_s = now.wall_s - retention.age_days * _DAY_S
        connection.execute("DELETE FROM runs WHERE received_s < ?", (oldest_s,))
        connection.execute(
            "DELETE FROM runs WHERE rowid IN (SELECT rowid FROM runs ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
            (retention.runs,),
        )
        return True

    return work


def about(row: tuple[Any, ...]) -> tuple[object, ...]:
    """Return what the checksum at the end of a row's ``types`` is of, beside them; blobs have one of their own."""
    times = (None if row[place] is None else float(row[place]) for place in (1, 5, 6))
    return (row[0], *times, *row[2:5], *row[7:9], *row[12:15])


def check_row(row: tuple[Any, ...]) -> None:
    """Look at a row of the store.

    Raises:
        ValueError, zlib.error: it is not what was written.
    """
    unseal(row[-1], *about(row))
    zlib.decompress(row[10]), zlib.decompress(row[11])


def _summary(report: Report, now: Now) -> KeptRun:
    return KeptRun(
        report.run_id,
        now.wall_s,
        report.project,
        report.branch,
        report.commit,
        report.started_s,
        report.finished_s,
        report.by_status,
        report.flaky,
    )


def _where(project: str, branch: str) -> tuple[str, tuple[str, ...]]:
    given = [(column, value) for column, value in (("project", project), ("branch", branch)) if value]
    clause = " AND ".join(f"{column} = ?" for column, _ in given)
    return f"WHERE {clause}" if clause else "", tuple(value for _, value in given)


def _kept(connection: sqlite3.Connection, where: str, values: tuple[str, ...], limit: int) -> Iterator[KeptRun]:
    query = f"SELECT {_COLUMNS} FROM runs {where} ORDER BY rowid DESC LIMIT ?"  # noqa: S608  of our own texts
    for row in connection.execute(query, (*values, limit)):
        run_id, received_s, project, branch, commit, started_s, finished_s, by_status, flaky = row
        yield KeptRun(run_id, received_s, project, branch, commit, started_s, finished_s, json.loads(by_status), flaky)


def _last_reports(connection: sqlite3.Connection) -> Iterator[Report]:
    """Yield the last few runs, the oldest first, as far as their documents are not large and can be read."""
    query = "SELECT document FROM runs WHERE length(document) < ? ORDER BY rowid DESC LIMIT ?"
    for (document,) in reversed(connection.execute(query, (_READ_AT_START_BYTES, _READ_AT_START)).fetchall()):
        # One that is damaged fails where it is asked for; here it explains nothing, and no start fails because of it.
        with suppress(zlib.error, ValueError, ReportError):
            yield read_report(json.loads(zlib.decompress(document)))


def _condensed(
    connection: sqlite3.Connection, where: str, values: tuple[str, ...], limit: int
) -> Iterator[list[_Condensed]]:
    query = f"SELECT tests FROM runs {where} ORDER BY rowid DESC LIMIT ?"  # noqa: S608  of our own texts
    for (tests,) in connection.execute(query, (*values, limit)):
        yield json.loads(zlib.decompress(tests))


def _histories(newest_first: Iterator[list[_Condensed]]) -> list[TestHistory]:
    seen: dict[str, list[tuple[str, str, float]]] = {}
    for run in newest_first:
        for test_id, test_type, outcome, duration_s, *_ in run:
            seen.setdefault(test_id, []).append((test_type, outcome, duration_s))
    histories = [_history(test_id, entries) for test_id, entries in seen.items()]
    return sorted(histories, key=lambda history: (-_troubles(history), history.id))


def _history(test_id: str, newest_first: list[tuple[str, str, float]]) -> TestHistory:
    outcomes = [outcome for _, outcome, _ in newest_first]
    durations_s = [duration_s for _, _, duration_s in newest_first]
    return TestHistory(
        test_id,
        newest_first[0][0],
        len(newest_first),
        {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
        outcomes[0],
        statistics.median(durations_s),
        max(durations_s),
        tuple(Seen(outcome, duration_s) for _, outcome, duration_s in newest_first),
    )


def _troubles(history: TestHistory) -> int:
    calm = ("passed", "skipped", "pending", "xfailed", "other")
    return sum(count for outcome, count in history.by_outcome.items() if outcome not in calm)


def condensed_text(tests: Iterable[_Condensed]) -> str:
    """Return the tests as JSON, a line for each, so that one is found by the start of its line: see past.py."""
    lines = ",\n".join(json.dumps(test, separators=(",", ":")) for test in tests)
    return f"[\n{lines}\n]"


def _condensed_test(test: ReportedTest) -> _Condensed:
    # A flaky test of another tool's has no finer outcome than "passed".
    outcome = "flaky" if test.flaky and test.outcome == "passed" else test.outcome
    plain = test.id, test.type, outcome, round(test.duration_s, 6)
    further = test.peak_memory_bytes, test.allowed_s, test.allowed_mb
    return (*plain, *further) if any(value is not None for value in further) else plain
