"""Rule files that are read again between two evaluations: states go on, and nothing is told again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.alerts import State
from pytest_sergas.core.rules import read_rules
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.engine.groups import Groups
from pytest_sergas.engine.history import History
from pytest_sergas.engine.rule_files import Planned
from pytest_sergas.engine.rules import Rules
from pytest_sergas.engine.sampling import Sampling
from pytest_sergas.engine.store import Store
from tests.engine.alerted import Clock, Receiver, alerting, planned
from tests.engine.pushing import push

pytestmark = pytest.mark.integration


@dataclass
class Running:
    """Rules, what follows their alerts, and whom that tells."""

    rules: Rules
    alerting: Alerting
    groups: Groups
    chat: Receiver
    clock: Clock

    async def keep(self) -> None:
        """Do what the rules do first when they have been read again."""
        names = frozenset(each.rule.identity for each in self.rules.running)
        await self.alerting.keep_rules(names, self.rules._heirs)  # noqa: SLF001  no loop runs here that would do it

    async def evaluate(self, load: int) -> None:
        await push(self.groups, "shop", f"load {load}\n", now=self.clock())
        await self.rules.evaluate()


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    clock, chat = Clock(), Receiver()
    store = await Store.open(None, GroupSettings())
    groups = await Groups.load(store, GroupSettings(), clock())
    history = History(limit=1_000, max_age_s=86_400.0)
    async with alerting(None, planned(chat), clock) as following:
        sampling = Sampling(history, groups, (), instance="here:1")
        yield Running(Rules(high("old"), history, sampling, following, clock), following, groups, chat, clock)
    await store.close()


def rules_of(text: str, file: str = "r.yml", group: str = "g") -> Planned:
    return Planned(read_rules([(file, f"groups: [{{name: {group}, rules: [{text}]}}]")]))


AT_ONCE = "{alert: AtOnce, expr: load > 6}"
WAITS = "{alert: Waits, expr: load > 5, for: 1m}"


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(rules_of(f"{AT_ONCE}, {WAITS}", file="moved.yml"), id="file renamed"),
        pytest.param(rules_of(f"{AT_ONCE}, {WAITS}", group="moved"), id="group renamed"),
        pytest.param(rules_of(f"{{alert: New, expr: load > 99}}, {WAITS}, {AT_ONCE}"), id="inserted and reordered"),
        pytest.param(rules_of(f"{WAITS}, {{alert: AtOnce, expr: load > 6.5}}"), id="expression changed"),
        pytest.param(rules_of(f"{{alert: AtOnce, expr: load > 99}}, {AT_ONCE}, {WAITS}"), id="one alike inserted"),
    ],
)
async def test_rule_that_is_moved_notifies_nobody_and_goes_on(after: Planned, running: Running) -> None:
    running.rules.follow(rules_of(f"{AT_ONCE}, {WAITS}"))
    await running.keep()
    await running.evaluate(7)
    await running.chat.until(1)
    running.clock.pass_by(40)
    running.rules.follow(after)
    await running.keep()
    await running.evaluate(7)
    running.clock.pass_by(20)
    await running.evaluate(7)
    await running.chat.until(2)
    assert running.chat.told() == ["AtOnce fires", "AtOnce fires, Waits fires"]
    assert running.alerting.counts()["total_active"] == 2
    await running.evaluate(1)
    await running.chat.until(3)

    assert running.chat.told()[2:] == ["AtOnce over, Waits over"]
    assert running.alerting.counts()["total_active"] == 0


async def test_alert_that_is_renamed_ends_and_begins(running: Running) -> None:
    running.rules.follow(rules_of(AT_ONCE))
    await running.keep()
    await running.evaluate(7)
    await running.chat.until(1)
    running.rules.follow(rules_of("{alert: Renamed, expr: load > 6}"))
    await running.keep()
    await running.chat.until(2)
    await running.evaluate(7)
    await running.chat.until(3)

    assert running.chat.told() == ["AtOnce fires", "AtOnce over", "Renamed fires"]


def high(summary: str) -> Planned:
    """Return a plan of two rules; what they say differs from one reading of the files to the next."""
    common = f"annotations: {{summary: {summary}}}"
    rules = f"{{alert: High, expr: load > 5, for: 1m, {common}}}, {{alert: AtOnce, expr: load > 6, {common}}}"
    return Planned(read_rules([("r.yml", f"groups: [{{name: g, rules: [{rules}]}}]")]))


async def test_time_that_a_condition_has_held_counts_through_a_reload(running: Running) -> None:
    await running.evaluate(6)
    [before] = running.alerting.alerts()
    running.clock.pass_by(40)
    running.rules.follow(high("new"))
    await running.evaluate(6)
    [waiting] = running.alerting.alerts()
    running.clock.pass_by(20)
    await running.evaluate(6)
    [after] = running.alerting.alerts()
    await running.chat.until(1)

    assert [alert.state for alert in (before, waiting, after)] == [State.PENDING, State.PENDING, State.FIRING]
    assert before.active == waiting.active == after.active
    assert (before.message, after.message) == ("old", "new")


async def test_alert_that_was_told_is_not_told_again_after_a_reload(running: Running) -> None:
    await running.evaluate(7)
    await running.chat.until(1)
    before = running.alerting.alerts()[0]
    running.rules.follow(high("new"))
    running.clock.pass_by(15)
    await running.evaluate(8)
    after = running.alerting.alerts()[0]
    await running.evaluate(1)
    await running.chat.until(2)

    assert (before.fired, before.message, after.value, after.message) == (after.fired, "old", 8.0, "new")
    assert running.chat.told() == ["AtOnce fires", "AtOnce over"]
