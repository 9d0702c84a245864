"""The engine as a whole: what it opens, what it follows, and what it leaves when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_sergas.config.serve import MEMORY, ServeSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.report import read_report
from pytest_sergas.engine import clock
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.errors import StoreError

pytestmark = pytest.mark.integration

T = TypeVar("T")
NOW = Now(monotonic_s=1.0, wall_s=1_000_000.0)


def with_engine(settings: EngineSettings, use: Callable[[Engine], Awaitable[T]], *sources: Source) -> T:
    async def main() -> T:
        engine = Engine(settings, sources)
        await engine.start()
        try:
            return await use(engine)
        finally:
            await engine.stop()

    return asyncio.run(main())


class Source:
    """Something with a metric."""

    def families(self, now: Now) -> tuple[Family, ...]:
        del now
        return (Family("from_outside", "gauge", "A value.", (Sample((), 7.0),)),)


def settings(root: Path, **serve: Any) -> EngineSettings:
    return EngineSettings(root, replace(ServeSettings(), **serve))


async def add(engine: Engine, run_id: str, now: Now = NOW) -> bool:
    report = read_report({"reportFormat": "CTRF", "runId": run_id, "results": {"tests": []}})
    return await engine.runs.add(report, run_id.encode(), now)


async def ids(engine: Engine) -> list[str]:
    return [run.run_id for run in await engine.runs.newest(100)]


def test_what_was_kept_is_there_after_a_new_start(tmp_path: Path) -> None:
    with_engine(settings(tmp_path), lambda engine: add(engine, "r1"))

    assert with_engine(settings(tmp_path), ids) == ["r1"]
    assert (tmp_path / "sergas.db").exists()


def test_memory_keeps_nothing(tmp_path: Path) -> None:
    with_engine(settings(tmp_path, store=MEMORY), lambda engine: add(engine, "r1"))

    assert with_engine(settings(tmp_path, store=MEMORY), ids) == []
    assert list(tmp_path.iterdir()) == []


def test_metrics_of_others_are_on_the_page(tmp_path: Path) -> None:
    async def page(engine: Engine) -> bytes:
        return await engine.page.text(clock.read())

    text = with_engine(settings(tmp_path, store=MEMORY), page, Source())

    assert b"from_outside 7\n" in text
    assert b"sergas_store_commits_total" in text


def test_retention_follows_new_settings(tmp_path: Path) -> None:
    async def use(engine: Engine) -> list[str]:
        for number in range(3):
            await add(engine, f"r{number}")
        engine.follow(settings(tmp_path, store=MEMORY, runs_kept=2))
        await add(engine, "r3")
        return await ids(engine)

    assert with_engine(settings(tmp_path, store=MEMORY), use) == ["r3", "r2"]


def test_old_runs_are_forgotten_when_the_next_one_comes(tmp_path: Path) -> None:
    async def use(engine: Engine) -> list[str]:
        await add(engine, "old")
        await add(engine, "young", Now(2.0, NOW.wall_s + 43_200.0))
        await add(engine, "new", Now(3.0, NOW.wall_s + 86_401.0))
        return await ids(engine)

    assert with_engine(settings(tmp_path, store=MEMORY, runs_age_days=1.0), use) == ["new", "young"]


def test_it_is_ready_until_the_store_is_closed(tmp_path: Path) -> None:
    async def main() -> tuple[str, str]:
        engine = Engine(settings(tmp_path))
        await engine.start()
        before = await engine.cannot_take()
        await engine.stop()
        return before, await engine.cannot_take()

    assert asyncio.run(main()) == ("", "the store is closed")


def test_nothing_runs_after_it_has_stopped(tmp_path: Path) -> None:
    async def main() -> set[str]:
        engine = Engine(settings(tmp_path))
        await engine.start()
        await engine.stop()
        return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}

    assert asyncio.run(main()) == set()


def test_store_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "sergas.db").mkdir()

    with pytest.raises(StoreError, match=r"the store .*sergas\.db cannot be opened: "):
        with_engine(settings(tmp_path), ids)
