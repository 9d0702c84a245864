"""Rules in the engine: on their grid and after pushes, over restarts and reloads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.config.rules import KEYS, READY_MADE, RulesSettings
from pytest_sergas.core.alerts import Alert, Evaluation, step
from pytest_sergas.core.kinds import NotAllowed
from pytest_sergas.core.rules import read_rules
from pytest_sergas.core.series import NAME, Labels, Matcher
from pytest_sergas.engine import clock
from pytest_sergas.engine.groups import Groups
from pytest_sergas.engine.history import History
from pytest_sergas.engine.rule_files import Planned, find, plan, read
from pytest_sergas.engine.rules import Rules
from pytest_sergas.engine.sampling import Sampling
from pytest_sergas.engine.store import Store
from pytest_sergas.errors import ConfigurationError
from tests.engine.pushing import START, at, push

pytestmark = pytest.mark.integration

DAY_S = 86_400.0
WAIT_S = 60.0


@dataclass
class Followed:
    """Who follows the alerts: notes what takes place, and says what fires."""

    evaluations: list[Evaluation] = field(default_factory=list)
    alerts: dict[str, Mapping[Labels, Alert]] = field(default_factory=dict)
    kept: list[frozenset[str]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def alerts_of(self, rule: str) -> Mapping[Labels, Alert]:
        return self.alerts.get(rule, {})

    async def took_place(self, evaluations: Sequence[Evaluation]) -> None:
        self.evaluations += evaluations
        for evaluation in evaluations:
            self.alerts[evaluation.rule] = step(self.alerts.get(evaluation.rule, {}), evaluation).alerts
        self.came.set()

    async def keep_rules(self, rules: frozenset[str], heirs: object) -> None:
        del heirs
        self.kept.append(rules)
        self.came.set()

    def take(self) -> list[Evaluation]:
        """Return what has taken place since the last time."""
        taken, self.evaluations = self.evaluations, []
        return taken

    def names(self) -> list[str]:
        """Return the names of the rules that have been evaluated since the last time."""
        return [evaluation.rule.split(";")[2].partition("{")[0] for evaluation in self.take()]


def planned(*texts: str, interval_s: float = 15.0) -> Planned:
    """Return a plan of rules ``NAME: EXPRESSION``."""
    pairs = (text.partition(": ") for text in texts)
    rules = ", ".join(f"{{alert: {name}, expr: '{expression}'}}" for name, _, expression in pairs)
    return Planned(read_rules([("r.yml", f"groups: [{{name: g, rules: [{rules}]}}]")]), interval_s)


class World:
    """Groups, their history, and rules over it, at a time that the test sets."""

    def __init__(self, groups: Groups) -> None:
        self.now = START
        self.groups = groups
        self.history = History(limit=1_000, max_age_s=DAY_S)
        self.followed = Followed()
        self.sampling = Sampling(self.history, groups, (), instance="here:1")

    def rules(self, plan: Planned) -> Rules:
        rules = Rules(plan, self.history, self.sampling, self.followed, lambda: self.now)
        self.groups.on_change = rules.changed
        return rules


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = await Store.open(None, GroupSettings())
    yield World(await Groups.load(store, GroupSettings(), START))
    await store.close()


async def test_an_evaluation_says_what_holds(world: World) -> None:
    rules = world.rules(planned("High: load > 5"))
    await push(world.groups, "a", "load 7\n")
    await push(world.groups, "b", "load 3\n")
    await rules.evaluate()

    [evaluation] = world.followed.take()
    [active] = evaluation.active
    assert (dict(active.labels), active.value) == ({"alertname": "High", "job": "a"}, 7.0)
    assert (evaluation.rule, evaluation.source, evaluation.now) == ("r.yml;g;High{}", "g", START)
    assert (evaluation.error, evaluation.covered, evaluation.gone) == ("", True, frozenset())


async def test_a_push_evaluates_the_rules_that_select_one_of_its_series(world: World) -> None:
    rules = world.rules(
        planned(
            "A: load > 5", 'ThisJob: load{job="a"}', 'OtherJob: load{job="b"}', "Other: rest", 'Any: count({job="a"})'
        )
    )
    await push(world.groups, "a", "load 7\n")
    await rules.evaluate_changes()

    assert sorted(world.followed.names()) == ["A", "Any", "ThisJob"]


async def test_nothing_is_evaluated_when_nothing_has_changed(world: World) -> None:
    rules = world.rules(planned("A: load > 5"))
    await push(world.groups, "a", "load 7\n")
    await rules.evaluate_changes()
    world.followed.take()
    await rules.evaluate_changes()

    assert world.followed.take() == []


async def test_a_delete_evaluates_the_rules_that_read_what_is_gone(world: World) -> None:
    rules = world.rules(planned("High: load > 5", "Missing: absent(load)"))
    await push(world.groups, "a", "load 7\n")
    await rules.evaluate_changes()
    world.followed.take()
    world.now = at(1)
    await world.groups.delete({"job": "a"})
    await rules.evaluate_changes()

    high, missing = world.followed.take()
    assert (high.active, len(high.gone)) == ((), 1)
    assert len(missing.active) == 1


async def test_a_group_whose_time_is_over_evaluates_rules(world: World) -> None:
    rules = world.rules(planned("High: load > 5"))
    await push(world.groups, "a", "load 7\n", ttl_s=10)
    await rules.evaluate_changes()
    world.followed.take()
    world.now = at(11)
    await world.groups.expire(world.now)
    await rules.evaluate_changes()

    [high] = world.followed.take()
    assert (high.active, len(high.gone)) == ((), 1)


async def test_several_pushes_of_a_group_are_one_evaluation(world: World) -> None:
    rules = world.rules(planned("High: load > 5"))
    await push(world.groups, "a", 'load{cpu="0"} 7\n')
    await push(world.groups, "a", 'load{cpu="1"} 8\n')
    await push(world.groups, "a", 'load{cpu="2"} 9\n')
    await rules.evaluate_changes()

    [high] = world.followed.take()
    assert [dict(active.labels)["cpu"] for active in high.active] == ["2"]


async def test_a_condition_that_is_false_is_told_from_a_series_that_is_gone(world: World) -> None:
    rules = world.rules(planned("High: load > 5"))
    await push(world.groups, "a", "load 7\n")
    await push(world.groups, "b", "load 7\n")
    await rules.evaluate()
    world.followed.take()
    world.now = at(1)
    await push(world.groups, "a", "load 1\n")
    await world.groups.delete({"job": "b"})
    await rules.evaluate()

    [evaluation] = world.followed.take()
    assert evaluation.gone == frozenset({(("alertname", "High"), ("job", "b"))})


async def test_a_rule_is_covered_when_its_samples_reach_back_far_enough(world: World) -> None:
    rules = world.rules(planned("Short: load > 5", "Long: rate(load[10m] offset 5m) > 5"))
    covered = []
    for elapsed_s in (0, 899, 900):
        world.now = at(elapsed_s)
        await rules.evaluate()
        covered.append([evaluation.covered for evaluation in world.followed.take()])

    assert covered == [[True, False], [True, False], [True, True]]


async def test_a_reload_keeps_what_is_covered(world: World) -> None:
    rules = world.rules(planned("Old: rate(load[10m]) > 5"))
    await rules.evaluate()
    world.followed.take()
    world.now = at(600)
    rules.follow(planned("New: rate(load[10m]) > 6", "Longer: rate(load[20m]) > 6", "Other: rate(rest[10m]) > 5"))
    await rules.evaluate()

    assert [evaluation.covered for evaluation in world.followed.take()] == [True, False, False]
    world.now = at(1_200)
    await rules.evaluate()
    assert [evaluation.covered for evaluation in world.followed.take()] == [True, True, True]


async def test_a_reload_gives_back_what_nobody_reads_any_more(world: World) -> None:
    rules = world.rules(planned("Old: load > 5", "Stays: rest > 5"))
    rules.follow(planned("Stays: rest > 5"))

    assert (world.history.wants("load"), world.history.wants("rest")) == (False, True)


class Interrupted(Sampling):
    """Sampling during which a reload comes."""

    reload: Callable[[], None]

    async def read(self) -> None:
        self.reload()
        await super().read()


async def test_a_reload_during_an_evaluation_evaluates_the_new_rules(world: World) -> None:
    sampling = Interrupted(world.history, world.groups, (), instance="here:1")
    rules = Rules(planned("High: load > 5", "Old: load"), world.history, sampling, world.followed, lambda: world.now)
    sampling.reload = lambda: rules.follow(planned("High: load > 6"))
    await push(world.groups, "a", "load 7\n")
    await rules.evaluate()

    [evaluation] = world.followed.take()
    assert (evaluation.rule, [active.value for active in evaluation.active]) == ("r.yml;g;High{}", [7.0])


async def test_rules_that_are_gone_end_their_alerts(world: World) -> None:
    rules = world.rules(planned("Old: load > 5", "Stays: rest > 5"))
    await rules.start()
    rules.follow(planned("Stays: rest > 5"))
    async with asyncio.timeout(WAIT_S):
        while len(world.followed.kept) < 2:
            await world.followed.came.wait()
            world.followed.came.clear()
    await rules.stop()

    assert world.followed.kept == [
        frozenset({"r.yml;g;Old{}", "r.yml;g;Stays{}"}),
        frozenset({"r.yml;g;Stays{}"}),
    ]


async def test_a_rule_without_a_result_says_so_once_and_keeps_its_alerts(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    rules = world.rules(planned("Twice: load + on(job) rest", "Good: rest"))
    await push(world.groups, "a", 'load 1\nrest{x="1"} 1\nrest{x="2"} 2\n')
    await rules.evaluate()
    await rules.evaluate()

    text = (
        'several series on the right side match {job="a"}; '
        "one side of an operator has to have a single one for each match"
    )
    assert [evaluation.error for evaluation in world.followed.take()] == [text, "", text, ""]
    assert caplog.messages == [
        f"r.yml:1: group 'g', rule 'Twice' cannot be evaluated, and its alerts stay as they are: {text}"
    ]
    assert metrics(rules)["sergas_rules_failing"] == 1
    assert metrics(rules)["sergas_rule_evaluation_failures_total"] == 2


def metrics(rules: Rules) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in rules.families(START)}


async def test_selectors_that_have_never_matched_are_named(world: World) -> None:
    rules = world.rules(planned("A: load > on(job) missing", "B: load"))
    await push(world.groups, "a", "load 7\n")
    await rules.evaluate()

    assert [running.unmatched for running in rules.running] == [('{__name__="missing"}',), ()]
    await world.groups.delete({"job": "a"})
    rules.follow(planned("A: load > on(job) missing", "B: load > 1"))
    assert [running.unmatched for running in rules.running] == [('{__name__="missing"}',), ('{__name__="load"}',)]


@pytest.fixture
async def live() -> AsyncIterator[World]:
    """A world whose time goes on by itself."""
    store = await Store.open(None, GroupSettings())
    yield World(await Groups.load(store, GroupSettings(), clock.read()))
    await store.close()


async def came(followed: Followed, count: int) -> list[Evaluation]:
    """Wait until ``count`` evaluations have taken place; return them."""
    async with asyncio.timeout(WAIT_S):
        while len(followed.evaluations) < count:
            followed.came.clear()
            await followed.came.wait()
    return followed.take()


async def test_rules_are_evaluated_again_and_again_on_the_grid_of_their_interval(live: World) -> None:
    plan = planned("High: load > 5", interval_s=0.01)
    rules = Rules(plan, live.history, live.sampling, live.followed, clock.read)
    await rules.start()
    times = [evaluation.now.monotonic_s for evaluation in await came(live.followed, 3)]
    await rules.stop()

    assert times == sorted(set(times))


async def test_what_a_page_selects_is_sampled_also_without_rules(live: World) -> None:
    selection = live.history.select([Matcher(NAME, "=", "load")])
    await push(live.groups, "a", "load 7\n")
    rules = Rules(Planned((), 0.01), live.history, live.sampling, live.followed, clock.read)
    await rules.start()
    async with asyncio.timeout(WAIT_S):
        while not [series for series in live.history.find(selection) if len(series.times_s) > 1]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # nothing says that a sample has come
    await rules.stop()


async def test_rules_are_evaluated_at_once_after_a_push(live: World) -> None:
    plan = planned("High: load > 5", interval_s=DAY_S)
    rules = Rules(plan, live.history, live.sampling, live.followed, clock.read)
    live.groups.on_change = rules.changed
    await rules.start()
    await push(live.groups, "a", "load 7\n")
    [evaluation] = await came(live.followed, 1)
    await rules.stop()

    assert [active.value for active in evaluation.active] == [7.0]


# Files


def test_files_are_found_by_patterns_each_once(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yml", "c.txt"):
        (tmp_path / name).write_text("", "utf-8")

    assert [path.name for path in find(["*.yml", "b.yml"], tmp_path)] == ["a.yml", "b.yml"]


def test_a_file_is_named_as_the_configuration_sees_it(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_text("groups:", "utf-8")

    assert read(tmp_path / "rules" / "a.yml", tmp_path) == ("rules/a.yml", "groups:")


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        pytest.param("a.yml", b"\xff", "a.yml: is not UTF-8 text", id="no text"),
        pytest.param("a.yml", b"- 1", "a.yml:1: allowed: a table", id="no rules"),
        pytest.param(
            "a.yml",
            b"groups: [{name: g, rules: [{alert: A, expr: 'rate(x[1w])'}]}]",
            "a.yml:1: group 'g', rule 'A': looks 604800 s back, and samples are kept for 86400 s; "
            "shorten its ranges and offsets, or make max_age of [collect] longer",
            id="too far back",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    (tmp_path / name).write_bytes(content)

    [refused] = plan(RulesSettings(files=("*.yml",)), tmp_path, "", DAY_S).refused
    assert (refused.faults, refused.kept) == ((fault,), False)


def test_a_file_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan(RulesSettings(files=("a.yml",)), tmp_path, "", DAY_S)
    assert caught.value.faults == (f"files = 'a.yml': there is no such file in {str(tmp_path)!r}",)


def test_a_file_that_became_wrong_keeps_the_rules_that_it_had(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yml").write_text(f"groups: [{{name: g, rules: [{{alert: {name}, expr: x}}]}}]", "utf-8")
    settings = RulesSettings(files=("*.yml",), ready_made=())
    before = plan(settings, tmp_path, "", DAY_S)
    (tmp_path / "a.yml").write_text("groups: [", "utf-8")
    (tmp_path / "b.yml").write_text("groups: [{name: g, rules: [{alert: c, expr: x}]}]", "utf-8")

    after = plan(settings, tmp_path, "", DAY_S, before)

    assert [rule.name for group in after.groups for rule in group.rules] == ["a", "c"]
    assert [(refused.file, refused.kept) for refused in after.refused] == [("a.yml", True)]


def test_ready_made_rules_are_chosen_by_name(tmp_path: Path) -> None:
    groups = plan(RulesSettings(ready_made=("health",)), tmp_path, "https://x", DAY_S).groups

    assert [(group.file, group.name) for group in groups] == [("sergas:health", "health")]
    assert len(plan(RulesSettings(), tmp_path, "", DAY_S).groups) == len(READY_MADE)


def test_ready_made_rules_that_do_not_exist_are_refused() -> None:
    with pytest.raises(NotAllowed) as caught:
        KEYS["ready_made"].kind(["tests", "weather"])

    assert (
        str(caught.value)
        == "'weather': there is no such ready-made file; allowed: 'tests', 'system', 'health', 'sidecar'"
    )
