"""Rules before their first evaluation on the grid: what a change says is judged beside everything that is there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pytest_sergas.config.collect import CollectSettings, Target
from pytest_sergas.config.rules import RulesSettings
from pytest_sergas.core.rules import read_rules
from pytest_sergas.engine import clock
from pytest_sergas.engine.alert_history import Asked
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.engine.rule_files import Planned
from pytest_sergas.engine.rules import Rules
from tests.engine.pushing import at, push
from tests.engine.test_rules import DAY_S, WAIT_S, World, came, live, planned, world
from tests.servers.gateways import Answer, Answering, Received, answering

pytestmark = pytest.mark.integration
__all__ = ("live", "world")  # fixtures

HOUR_S = 3_600.0


async def test_what_was_pushed_before_the_start_counts_at_the_first_push(world: World) -> None:
    await push(world.groups, "a", "load 7\n")
    await push(world.groups, "b", "load 7\n")
    rules = world.rules(planned("High: load > 5", "Few: count(load) < 2"))
    await push(world.groups, "b", "load 8\n")
    await rules.evaluate_changes()

    assert [[active.value for active in evaluation.active] for evaluation in world.followed.take()] == [[7.0, 8.0], []]


async def test_what_nobody_selected_before_a_reload_counts_at_the_first_push_after_it(world: World) -> None:
    await push(world.groups, "a", "load 7\nrest 1\n")
    await push(world.groups, "b", "load 7\nrest 1\n")
    rules = world.rules(planned("High: load > 5"))
    await rules.evaluate()
    world.followed.take()
    rules.follow(planned("High: load > 5", "Few: count(rest) < 2"))
    await push(world.groups, "b", "rest 2\n", replace=False)
    await rules.evaluate_changes()

    assert [evaluation.active for evaluation in world.followed.take()] == [()]


async def test_a_window_begins_with_the_first_sample(world: World) -> None:
    rules = world.rules(planned("Grows: increase(load[10s]) > 5"))
    covered = []
    for elapsed_s in (12, 21, 22):
        world.now = at(elapsed_s)
        await rules.evaluate()
        covered += [evaluation.covered for evaluation in world.followed.take()]

    assert covered == [False, False, True]


async def test_a_change_is_judged_when_everybody_has_been_asked(live: World) -> None:
    rules = Rules(planned("Any: load", interval_s=DAY_S), live.history, live.sampling, live.followed, clock.read)
    live.groups.on_change = rules.changed
    await push(live.groups, "a", "load 7\n")

    async def asked() -> None:
        live.history.record("target", clock.read(), {"load": [((("job", "target"),), 8.0)]})

    await rules.start(asked)
    [evaluation] = await came(live.followed, 1)
    await rules.stop()

    assert sorted(active.value for active in evaluation.active) == [7.0, 8.0]


async def test_who_does_not_answer_delays_a_change_by_one_interval_at_most(live: World) -> None:
    daily = read_rules([("r.yml", "groups: [{name: g, interval: 1d, rules: [{alert: Any, expr: load}]}]")])
    rules = Rules(Planned(daily, 0.01), live.history, live.sampling, live.followed, clock.read)
    live.groups.on_change = rules.changed
    await push(live.groups, "a", "load 7\n")

    async def asked() -> None:
        await asyncio.Event().wait()

    await rules.start(asked)
    [evaluation] = await came(live.followed, 1)
    await rules.stop()

    assert [active.value for active in evaluation.active] == [7.0]


# With a target


def settings(root: Path, server: Answering, expression: str = "load > 5") -> EngineSettings:
    """Return those of an engine that asks ``server`` at its start, and has one rule that it evaluates after pushes."""
    rule = f"groups: [{{name: g, rules: [{{alert: Rule, expr: '{expression}'}}]}}]"
    (root / "r.yml").write_text(rule, "utf-8")
    target = Target(f"{server.url}/metrics", "target", urlsplit(server.url).netloc, {})
    collect = CollectSettings(interval=HOUR_S, targets=(target,))
    rules = RulesSettings(files=("r.yml",), ready_made=(), evaluation_interval=HOUR_S)
    return EngineSettings(root, collect=collect, rules=rules)


@asynccontextmanager
async def started(settings: EngineSettings) -> AsyncIterator[Engine]:
    engine = Engine(settings)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def values(engine: Engine, wanted: dict[str, float]) -> None:
    """Wait until alerts fire for these jobs, with these values."""
    async with asyncio.timeout(WAIT_S):
        while {dict(alert.labels)["job"]: alert.value for alert in engine.alerting.alerts()} != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # nothing says that an alert has another value


async def test_alert_about_a_target_goes_on_until_the_next_process_has_asked_it(tmp_path: Path) -> None:
    pushed = threading.Event()
    pushed.set()

    def answer(_: Received) -> Answer:
        pushed.wait(WAIT_S)
        return Answer(body="load 7\n")

    with answering(answer) as server:
        async with started(settings(tmp_path, server)) as engine:
            await push(engine.groups, "a", "load 8\n", now=clock.read())
            await values(engine, {"target": 7.0, "a": 8.0})
            before = {alert.labels: alert.fired for alert in engine.alerting.alerts()}
        pushed.clear()
        async with started(settings(tmp_path, server)) as engine:
            await push(engine.groups, "a", "load 9\n", now=clock.read())
            pushed.set()
            await values(engine, {"target": 7.0, "a": 9.0})
            events = await engine.alerting.history.newest(Asked(100))

    assert len(before) == 2
    assert [event.event for event in events if event.event == "resolved"] == []


async def test_target_counts_for_a_rule_that_a_reload_brings_without_being_asked_again(tmp_path: Path) -> None:
    with answering(lambda _: Answer(body="load 7\nrest 7\n")) as server:
        async with started(settings(tmp_path, server)) as engine:
            await push(engine.groups, "a", "load 8\n", now=clock.read())
            await values(engine, {"target": 7.0, "a": 8.0})
            engine.follow(settings(tmp_path, server, "rest"))
            await push(engine.groups, "a", "rest 9\n", now=clock.read())
            await values(engine, {"target": 7.0, "a": 9.0})

    assert len(server.received) == 1
