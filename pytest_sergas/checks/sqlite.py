"""Whether a SQLite database can be read, and its figures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import quote

from pytest_sergas.checks import Context
from pytest_sergas.checks.options import Options
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.monitoring import MonitorType

KEYS = CHECK_OPTIONS["sqlite"]
FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "database_sqlite_size_bytes": "Size of the database.",
        "database_sqlite_wal_bytes": "Size of its write-ahead log.",
        "database_sqlite_free_bytes": "Space inside the file that holds nothing.",
    }
)
# Steps of SQLite's machine between two looks at the clock.
_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class SqliteCheck:
    """Opens the file read-only and reads its schema; a file that is not there is unhealthy, not created."""

    about: ClassVar[MonitorType] = MonitorType.DATABASE
    name: str
    path: Path
    integrity: bool = False
    secrets: tuple[str, ...] = ()

    def run(self, timeout_s: float) -> CheckResult:
        import sqlite3
        from contextlib import closing

        deadline_s = time.monotonic() + timeout_s
        uri = f"file:{quote(str(self.path))}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=timeout_s)) as connection:
                connection.set_progress_handler(lambda: time.monotonic() > deadline_s, _STEPS)
                tables, pages, page_bytes, free = connection.execute(
                    "SELECT (SELECT count(*) FROM sqlite_schema), page_count, page_size, freelist_count "
                    "FROM pragma_page_count, pragma_page_size, pragma_freelist_count"
                ).fetchone()
                damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if self.integrity else "ok"
            wal_bytes = _size_bytes(self.path.with_name(f"{self.path.name}-wal"))
        except (sqlite3.Error, OSError) as error:
            text = f"{self.path.name}: {error}"
            if isinstance(error, sqlite3.OperationalError) and str(error) == "interrupted":
                text = f"{self.path.name}: not done within {timeout_s:g} s"
            return CheckResult(self.name, HealthStatus.UNHEALTHY, text)
        size_bytes = pages * page_bytes
        measured = (size_bytes, wal_bytes, free * page_bytes)
        figures = tuple(
            Family(name, "gauge", text, (Sample((), value),))
            for (name, text), value in zip(FIGURES.items(), measured, strict=True)
        )
        if damage != "ok":
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{self.path.name}: {damage}", figures=figures)
        details = {"size_bytes": size_bytes, "wal_bytes": wal_bytes}
        text = f"{self.path.name}: {tables} tables and indexes, {size_bytes} bytes"
        return CheckResult(self.name, HealthStatus.HEALTHY, text, details, figures)


def create(context: Context) -> SqliteCheck:
    options = Options(context, KEYS, required=("path",))
    path = options.path("path")
    options.done()
    return SqliteCheck(context.settings.name, path or context.root, options.get("integrity", False))


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
