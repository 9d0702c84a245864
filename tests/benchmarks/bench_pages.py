"""What the first page costs: its size, and its time when the store has 1,000 runs of 2,000 tests.

    pytest -s tests/benchmarks/bench_pages.py

The time is compared with that of the same page over 60 runs, which shows as much: what more is stored must
not make it slower. In milliseconds it is for people; the machine has to be quiet for that.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from pathlib import Path

import pytest

from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.records import Outcome, TestRecord
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages import made

pytestmark = pytest.mark.performance(timeout=300)

SIZE_LIMIT_BYTES = 60_000
TIME_LIMIT_S = 0.1
REQUESTS = 25
TYPES = ("unit", "integration", "smoke", "e2e", "security", "performance", "regression", "load")


def cases(count: int) -> tuple[TestRecord, ...]:
    return tuple(
        made.case(f"a.py::test_{n}", made.attempt(Outcome.PASSED, 100.0 + n), type=TYPES[n % len(TYPES)])
        for n in range(count)
    )


def fill(directory: Path, runs: int, count: int) -> None:
    """Leave a store with ``runs`` runs in ``directory``: one that was sent, and copies of its row."""
    with sidecar(directory) as running:
        made.send_document(running, to_json(made.shop_run(0, *cases(count))))
    connection = sqlite3.connect(directory / "sergas.db")
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(runs)")]
    others = ", ".join(columns[1:])
    with connection:
        connection.executemany(
            f"INSERT INTO runs (run_id, {others}) SELECT ?, {others} FROM runs WHERE rowid = 1",  # noqa: S608  our own names
            [(f"copy-{number}",) for number in range(runs - 1)],
        )
    connection.close()


def measure(running: Sidecar) -> tuple[float, int]:
    """Return the median of the seconds that the overview takes, and its size with what it loads."""
    taken = []
    for _ in range(REQUESTS):
        start_s = time.perf_counter()
        page = ask(running.url, "/")
        taken.append(time.perf_counter() - start_s)
    files = [ask(running.url, f"/static/{name}") for name in ("sergas.css", "sergas.js", "icon.svg")]
    assert page.status == 200
    return statistics.median(taken), sum(len(reply.body) for reply in (page, *files))


def test_first_page_is_small_and_does_not_wait_for_what_is_stored(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    for directory in (few, many):
        directory.mkdir()
    fill(few, 60, 2_000)
    fill(many, 1_000, 2_000)
    with sidecar(few) as small, sidecar(many) as large:
        few_s, _ = measure(small)
        many_s, size_bytes = measure(large)

    print(f"\noverview of 1,000 runs of 2,000 tests: {many_s * 1000:.1f} ms, {size_bytes / 1000:.1f} kB")
    print(f"overview of 60 runs of 2,000 tests: {few_s * 1000:.1f} ms; ratio {many_s / few_s:.2f}")
    assert size_bytes <= SIZE_LIMIT_BYTES
    assert many_s <= TIME_LIMIT_S
    assert many_s <= 1.5 * few_s
