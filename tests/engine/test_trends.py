"""Trends: what is kept of what was measured, for how long, and that it costs nothing else anything."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.health import CheckResult, Component, HealthStatus
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.trends import BUCKET_S, HOUR_S, KEPT_S, Bucket, bucket
from pytest_sergas.engine import schema, trend_rows
from pytest_sergas.engine import trends as module
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.collection import Collection
from pytest_sergas.engine.groups import Groups
from pytest_sergas.engine.history import History
from pytest_sergas.engine.store import Store
from pytest_sergas.engine.trend_rows import Known
from pytest_sergas.engine.trends import SERIES_LIMIT, Trends
from pytest_sergas.errors import StoreError
from tests.engine.alerted import Clock
from tests.engine.pushing import push

pytestmark = pytest.mark.integration

START_S = 1_700_000_100.0  # begins five minutes, an even one of an hour
MIB = 1024 * 1024


class Measuring:
    """Trends with a collection and a checking that measure what a test says."""

    def __init__(self, store: Store, clock: Clock, *, limit: int = 10_000) -> None:
        self.clock = clock
        self.collection = Collection((), clock=clock)
        self.checking = Checking((), store, clock)
        self.trends = Trends(store, History(limit=limit, max_age_s=86_400), clock)
        self.trends.follow(self.collection, self.checking)

    def found(self, *values: float, after_s: float = 60, name: str = "load", **labels: str) -> None:
        for value in values:
            self.collection.on_measured([Family(name, "gauge", "", (Sample(tuple(labels.items()), value),))])
            self.clock.pass_by(after_s)

    async def buckets(self, name: str = "load", window_s: float = KEPT_S) -> list[Bucket]:
        known = [one for one in self.trends.series() if one.name == name]
        found = await self.trends.buckets(known, self.clock(), window_s)
        return [one for entries in found.values() for one in entries]

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.trends.series()]


@asynccontextmanager
async def measuring(
    path: Path | None, clock: Clock, *, limit: int = 10_000, mib: int = 1_024
) -> AsyncIterator[Measuring]:
    store = await Store.open(path, GroupSettings(max_store_mib=mib))
    made = Measuring(store, clock, limit=limit)
    await made.trends.load()
    try:
        yield made
        await made.trends.stop()
    finally:
        await store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(wall_s=START_S)


async def test_buckets_of_five_minutes_outlast_the_process_and_go_on_after_it(path: Path, clock: Clock) -> None:
    async with measuring(path, clock) as first:
        first.found(3, 1, 8, 4, 4, 10, 20)
        assert await first.buckets() == [Bucket(1_700_000_100, 1, 4, 8, 5), Bucket(1_700_000_400, 10, 15, 20, 2)]

    async with measuring(path, clock) as second:
        second.found(90)
        found = await second.buckets()

    assert found == [Bucket(1_700_000_100, 1, 4, 8, 5), Bucket(1_700_000_400, 10, 40, 90, 3)]


async def test_checks_have_whether_they_are_up_their_duration_and_what_they_measured(path: Path, clock: Clock) -> None:
    async with measuring(path, clock) as made:
        result = CheckResult(
            "db", HealthStatus.HEALTHY, "", {}, (Family("db_connections", "gauge", "", (Sample((), 7.0),)),), 0.25
        )
        made.checking.on_result(Component("db").observe(result), HealthStatus.HEALTHY)
        made.checking.on_result(Component("db").observe(result), HealthStatus.UNKNOWN)
        known = made.trends.series()
        found = await made.trends.buckets(known, clock())

    assert [(one.name, dict(one.labels)) for one in known] == [
        ("db_connections", {"check": "db"}),
        ("sergas_check_duration_seconds", {"check": "db"}),
        ("sergas_check_up", {"check": "db"}),
    ]
    assert [(each.mean, each.count) for one in known for each in found[one]] == [(7, 2), (0.25, 2), (1, 1)]


async def test_values_as_they_came_are_kept_as_the_retention_says_also_without_a_store(clock: Clock) -> None:
    async with measuring(None, clock, limit=3) as made:
        made.found(1, 2, 3, 4, float("nan"))
        (known,) = made.trends.series()
        raw = made.trends.raw(known, clock())

        assert raw[:2] == [(START_S + 120, 3), (START_S + 180, 4)]
        assert (len(raw), await made.buckets()) == (3, [])
        assert made.trends.raw(Known(9, "other", (), 0), clock()) == []
        clock.pass_by(86_400)
        assert made.trends.raw(known, clock()) == []


async def test_of_histograms_and_summaries_the_sum_and_the_count_have_a_trend(path: Path, clock: Clock) -> None:
    histogram = Family("h", "histogram", "", (Sample((("le", "1"),), 1, "_bucket"), Sample((), 2, "_sum")))
    summary = Family("s", "summary", "", (Sample((("quantile", "0.5"),), 1), Sample((), 2, "_count")))
    async with measuring(path, clock) as made:
        made.collection.on_measured([histogram, summary])

        assert made.names == ["h_sum", "s_count"]


async def test_at_the_bound_a_new_series_waits_until_one_has_vanished_for_an_hour(path: Path, clock: Clock) -> None:
    async with measuring(path, clock) as made:
        made.found(*range(SERIES_LIMIT), after_s=0, name="old")  # of one name, each with a label
        made.trends.refused = 0
    async with measuring(path, clock) as made:
        for number in range(SERIES_LIMIT - 1):
            made.found(1, after_s=0, number=str(number))
        made.found(1, 1, after_s=600, name="late")
        made.found(1, after_s=1_200, name="late", number="7" * 1_000)
        refused = made.trends.refused
        for number in range(SERIES_LIMIT - 1):
            made.found(1, after_s=0, number=str(number))
        clock.pass_by(1_200)
        made.found(1, name="late")
        names = set(made.names)
        before = len(made.trends.series())

    assert (refused, before) == (3, SERIES_LIMIT)
    assert names == {"load", "late"}
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM trend_series").fetchone() == (SERIES_LIMIT,)
        left = connection.execute("SELECT count(DISTINCT key & 65535) FROM trend_hours").fetchone()
    assert left == (SERIES_LIMIT,)  # of "old" nothing is left


async def test_seven_days_are_kept(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with measuring(path, clock) as made:
        made.found(1, after_s=KEPT_S - 2 * HOUR_S)
    async with measuring(path, clock) as made:
        made.found(2, after_s=3 * HOUR_S)
        kept = await made.buckets()
    monkeypatch.setattr(trend_rows, "_AT_ONCE", 1)  # a transaction is small, however much is too old
    clock.pass_by(HOUR_S)
    async with measuring(path, clock) as made:
        made.found(3)

    assert [one.mean for one in kept] == [2]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM trend_hours").fetchone() == (2,)


def test_all_that_may_be_kept_takes_no_more_than_32_mib() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(connection)
    pages = []
    for hour in range(17):
        entries = [
            (Known(number, "name", (("label", f"{number:0900}"),), START_S), bucket(START_S + hour * HOUR_S, number))
            for number in range(SERIES_LIMIT)
        ]
        trend_rows.save(connection, entries)
        pages.append(connection.execute("PRAGMA page_count").fetchone()[0])

    hours = KEPT_S // HOUR_S + 1  # one is going on
    whole = pages[0] + (pages[-1] - pages[0]) / 16 * (hours - 1)
    assert 28 * MIB < whole * connection.execute("PRAGMA page_size").fetchone()[0] < 32 * MIB


async def test_trends_give_way_to_a_push_that_finds_the_store_full(path: Path, clock: Clock) -> None:
    store = await Store.open(path, GroupSettings(max_store_mib=1))
    made = Measuring(store, clock)
    groups = await Groups.load(store, GroupSettings(), clock())
    made.found(1, after_s=0)
    (known,) = made.trends.series()
    for hour in range(3_000):
        made.trends._waiting.append((made.trends._kept["load", ()], bucket(START_S + hour * HOUR_S, hour)))  # noqa: SLF001  as a year would
    await made.trends._save()  # noqa: SLF001  nothing else says when it was tried
    with sqlite3.connect(path) as connection:
        kept = [row[0] >> 16 for row in connection.execute("SELECT key FROM trend_hours ORDER BY key")]
        pages, most = (connection.execute("PRAGMA page_count").fetchone()[0], 256)
    # What is oldest went first, and a part of the store stays free.
    assert 1_000 < len(kept) < 2_600
    assert kept == list(range(int(START_S // HOUR_S) + 3_000 - len(kept), int(START_S // HOUR_S) + 3_000))
    assert pages <= most - most // 16 + 8

    large = "".join(f'rows{{part="{number:0100}"}} 1\n' for number in range(4_000))
    await push(groups, "etl", large)
    with sqlite3.connect(path) as connection:
        assert 0 < connection.execute("SELECT count(*) FROM trend_hours").fetchone()[0] < len(kept) - 500
    await store.write(
        lambda connection: connection.execute("CREATE TABLE more AS SELECT zeroblob(300000) AS b") and None
    )
    with pytest.raises(StoreError, match="larger than 1 MiB"):
        await push(groups, "more", large.replace("etl", "more"))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM trend_hours").fetchone() == (0,)
    assert known in made.trends.series()
    await store.close()


async def test_a_transaction_of_trends_is_small_and_what_was_refused_is_tried_again(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with measuring(path, clock) as made:
        for number in range(200):
            made.found(number, after_s=0, number=str(number))
        clock.pass_by(BUCKET_S)
        sizes = []
        save = trend_rows.save

        def counted(connection: sqlite3.Connection, entries: list[tuple[Known, Bucket]]) -> None:
            sizes.append(len(entries))
            if len(sizes) in {2, 3}:
                raise StoreError("the disk is gone")
            save(connection, entries)

        monkeypatch.setattr(trend_rows, "save", counted)
        made.trends._close(clock().wall_s)  # noqa: SLF001  as at its interval
        for _ in range(3):
            await made.trends._save()  # noqa: SLF001  as at its interval
        found = await made.buckets()

    assert sizes == [64, 64, 64, 64, 64, 8]
    assert sorted(one.mean for one in found) == list(range(200))
    assert [one.count for one in found] == [1] * 200
    logged = [record for record in caplog.records if record.name == module.__name__]
    assert [(one.levelno, one.getMessage()) for one in logged] == [
        (logging.ERROR, "trends are kept in memory for now: the disk is gone")
    ]


async def test_clock_that_is_set_back_joins_what_came_before(path: Path, clock: Clock) -> None:
    async with measuring(path, clock) as made:
        made.found(1, 2, after_s=BUCKET_S)
        clock.wall_s = START_S
        made.found(5, after_s=BUCKET_S)
        found = await made.buckets()

    assert found == [Bucket(int(START_S), 1, 3, 5, 2), Bucket(int(START_S) + BUCKET_S, 2, 2, 2)]
