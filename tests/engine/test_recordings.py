"""Rules that record: their series are there for other rules, and so are the alerts themselves."""

from __future__ import annotations

import pytest

from pytest_sergas.core.rules import read_rules
from pytest_sergas.engine.rule_files import Planned
from tests.engine.pushing import at, push
from tests.engine.test_rules import World, world

pytestmark = pytest.mark.integration
__all__ = ("world",)  # a fixture


def planned(*rules: str) -> Planned:
    return Planned(read_rules([("r.yml", f"groups: [{{name: g, rules: [{', '.join(rules)}]}}]")]))


TOTAL = "{record: 'job:load:sum', expr: sum by (job) (load), labels: {kind: total}}"
HIGH = "{alert: High, expr: 'job:load:sum > 5'}"


async def test_a_rule_reads_what_another_one_records(world: World) -> None:
    rules = world.rules(planned(TOTAL, HIGH))
    await push(world.groups, "a", 'load{x="1"} 3\nload{x="2"} 4\n')
    await rules.evaluate()

    [evaluation] = world.followed.take()
    [active] = evaluation.active
    assert (dict(active.labels), active.value) == ({"alertname": "High", "job": "a", "kind": "total"}, 7.0)
    assert [(each.rule.name, each.active) for each in rules.running] == [("job:load:sum", 1), ("High", 1)]


async def test_a_push_evaluates_what_is_recorded_of_it_and_what_reads_that(world: World) -> None:
    rules = world.rules(planned(TOTAL, HIGH, "{alert: Other, expr: rest > 1}"))
    await push(world.groups, "a", "load 3\n")
    await rules.evaluate()
    world.followed.take()
    world.now = at(1)
    await push(world.groups, "a", "load 8\n")
    await rules.evaluate_changes()

    assert [(each.rule, [one.value for one in each.active]) for each in world.followed.take()] == [
        ("r.yml;g;High{}", [8.0])
    ]


async def test_what_is_not_recorded_any_more_is_gone(world: World) -> None:
    rules = world.rules(planned(TOTAL, HIGH))
    await push(world.groups, "a", "load 7\n")
    await rules.evaluate()
    world.followed.take()
    world.now = at(15)
    rules.follow(planned(HIGH))
    await rules.evaluate()

    [evaluation] = world.followed.take()
    assert (evaluation.active, len(evaluation.gone)) == ((), 1)


async def test_a_recording_without_a_result_says_why_and_what_it_recorded_stays(world: World) -> None:
    rules = world.rules(planned("{record: r, expr: 'load + on() rest'}", "{alert: High, expr: r}"))
    await push(world.groups, "a", 'load 1\nrest{x="1"} 1\n')
    await rules.evaluate()
    world.now = at(15)
    await push(world.groups, "a", 'load 1\nrest{x="1"} 1\nrest{x="2"} 1\n')
    await rules.evaluate()

    assert [len(evaluation.active) for evaluation in world.followed.take()] == [1, 1]
    assert rules.running[0].error.startswith("several series on the right side match {}")


async def test_a_rule_reads_which_alerts_there_are(world: World) -> None:
    rules = world.rules(
        planned("{alert: Critical, expr: load > 5}", "{alert: Any, expr: 'count(ALERTS{alertstate=\"firing\"}) > 0'}")
    )
    await push(world.groups, "a", "load 7\n")
    await rules.evaluate()
    assert [len(evaluation.active) for evaluation in world.followed.take()] == [1, 0]
    world.now = at(15)
    await rules.evaluate()

    assert [len(evaluation.active) for evaluation in world.followed.take()] == [1, 1]


async def test_a_window_that_is_not_covered_fires_where_no_older_sample_could_undo_it(world: World) -> None:
    rules = world.rules(
        planned(
            "{alert: Peak, expr: 'max_over_time(load[1h]) > 5'}", "{alert: Mean, expr: 'avg_over_time(load[1h]) > 5'}"
        )
    )
    await push(world.groups, "a", "load 10\n")
    world.now = at(600)
    await rules.evaluate()

    peak, mean = world.followed.take()
    assert (peak.covered, peak.firing_lasts, mean.covered, mean.firing_lasts) == (False, True, False, False)
    assert [running.warming_up_s for running in rules.running] == [3_600.0, 3_600.0]
    assert [len(world.followed.alerts_of(each.rule)) for each in (peak, mean)] == [1, 0]
