"""What pages ask about the runs in the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.report import Report, ReportedTest
from pytest_sergas.core.standing import Seen
from pytest_sergas.engine import past
from pytest_sergas.engine.past import PastRun, shards_of
from pytest_sergas.engine.runs import Retention, Runs
from pytest_sergas.engine.store import Store

pytestmark = pytest.mark.unit


def reported(name: str, status: str = "passed", *, type: str = "unit", **fields: Any) -> ReportedTest:  # noqa: A002  the field's name
    return ReportedTest(name, type, status, status, 0.25, **{"flaky": False, **fields})


def report(run_id: str, *tests: ReportedTest, **fields: Any) -> Report:
    values = {"project": "shop", "branch": "main", "commit": "abc", "started_s": 100.0, "finished_s": 160.0, **fields}
    return Report(run_id, **values, tests=tests)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await Store.open(None, GroupSettings())
    yield opened
    await opened.close()


async def keep(store: Store, *reports: Report) -> None:
    runs = await Runs.load(store, Retention(1_000, 90))
    for number, kept in enumerate(reports):
        await runs.add(kept, b"{}", Now(number, 1_000.0 + number))


async def test_runs_come_newest_first_with_their_figures_by_type(store: Store) -> None:
    tests = (
        reported("a"),
        reported("b", "failed"),
        reported("c", type="e2e", flaky=True),
        reported("d", "skipped", type="e2e"),
    )
    await keep(store, report("r1"), report("r2", *tests, build_url="https://ci.example.org/2"))

    newest, oldest = await past.runs(store, 10)

    assert (newest.run_id, oldest.run_id) == ("r2", "r1")
    assert (newest.build_url, newest.took_s, newest.when_s, newest.total) == (
        "https://ci.example.org/2",
        60.0,
        160.0,
        4,
    )
    assert newest.failed == 1
    assert {name: (f.total, f.flaky, f.seconds, f.state) for name, f in newest.types.items()} == {
        "unit": (2, 0, 0.5, "failed"),
        "e2e": (2, 1, 0.5, "flaky"),
    }
    assert newest.types["unit"].success_percent == 50.0


async def test_runs_of_one_branch_or_project_are_found(store: Store) -> None:
    await keep(store, report("r1", branch="a"), report("r2", branch="b"), report("r3", project="other"))

    assert [run.run_id for run in await past.runs(store, 10, branch="a")] == ["r1"]
    assert [run.run_id for run in await past.runs(store, 10, project="other")] == ["r3"]
    assert [run.run_id for run in await past.runs(store, 2)] == ["r3", "r2"]
    assert await past.branches(store) == ["a", "b", "main"]


async def test_run_without_times_is_as_old_as_its_coming(store: Store) -> None:
    await keep(store, report("r1", started_s=None, finished_s=None))

    [run] = await past.runs(store, 1)

    assert (run.when_s, run.took_s, run.success_percent) == (1_000.0, None, None)


async def test_run_before_is_of_the_same_branch_and_shard(store: Store) -> None:
    await keep(store, report("r1"), report("r2", branch="b"), report("r3", shard="1/2"), report("r4"))
    run = await past.run(store, "r4")
    assert run is not None

    before = await past.run_before(store, run)

    assert before is not None
    assert before.run_id == "r1"
    assert await past.run_before(store, before) is None
    assert await past.run(store, "nobody") is None


async def test_test_is_found_in_the_runs_that_have_it(store: Store) -> None:
    await keep(
        store,
        report("r1", reported("a"), reported("b")),
        report("r2", reported("b")),
        report("r3", reported("x"), reported("a", "failed", peak_memory_bytes=2.0, allowed_s=3.0, allowed_mb=4.0)),
    )

    newest, oldest = await past.test_over_runs(store, "a", 10, branch="")

    assert (newest.run.run_id, oldest.run.run_id) == ("r3", "r1")
    assert newest.seen == Seen("failed", 0.25)
    assert (newest.peak_memory_bytes, newest.allowed_s, newest.allowed_mb) == (2.0, 3.0, 4.0)
    assert (oldest.type, oldest.peak_memory_bytes) == ("unit", None)
    assert await past.test_over_runs(store, "a", 1, branch="") == [newest]
    assert await past.test_over_runs(store, "a", 10, branch="other") == []


@pytest.mark.parametrize("name", ['"', "\\", '["a","unit"', "ä\u2028\n", '],["b",'])
async def test_test_is_found_by_a_name_that_looks_like_the_text_round_it(name: str, store: Store) -> None:
    await keep(
        store, report("r1", reported('x["b"'), reported("x[", type=","), reported(name, "failed"), reported("b"))
    )

    [found] = await past.test_over_runs(store, name, 1, branch="")

    assert await past.test_over_runs(store, ",", 1, branch="") == []
    assert found.outcome == "failed"
    assert [test.outcome for test in await past.test_over_runs(store, "b", 1, branch="")] == ["passed"]


def ran(run_id: str, shard: str, at_s: float, **fields: Any) -> PastRun:
    values: dict[str, Any] = {"build_url": "https://ci.example.org/1", "split": "s1", **fields}
    return PastRun(
        run_id, "shop", "main", "abc", at_s, at_s, at_s, {}, 0, values["build_url"], shard, values["split"], {}
    )


def test_shards_of_one_build_belong_together_in_the_order_of_their_numbers() -> None:
    parts = [ran("b", "2/10", 9.0), ran("c", "10/10", 8.0), ran("a", "1/10", 7.0)]
    others = [
        ran("x", "1/10", 9.0, build_url="https://ci.example.org/2"),
        ran("y", "3/10", 9.0, split="s2"),
        ran("z", "1/2", 9.0),
        ran("w", "", 9.0),
    ]

    assert [run.run_id for run in shards_of([*others, *parts], parts[0])] == ["a", "b", "c"]


def test_shard_that_ran_again_counts_once_the_nearest_and_always_the_one_itself() -> None:
    one, near, far = ran("one", "1/2", 10.0), ran("near", "2/2", 11.0), ran("far", "2/2", 500.0)
    again = replace(one, run_id="again", received_s=12.0, finished_s=12.0)

    assert [run.run_id for run in shards_of([far, again, near, one], one)] == ["one", "near"]


def test_shard_is_there_also_when_it_is_not_among_those_that_are_looked_at() -> None:
    one, other = ran("one", "1/2", 10.0), ran("other", "2/2", 11.0)

    assert [run.run_id for run in shards_of([other], one)] == ["one", "other"]


def test_whole_run_stands_alone() -> None:
    one = ran("one", "", 10.0)

    assert shards_of([ran("two", "", 10.0), one], one) == (one,)
