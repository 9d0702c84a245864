"""What rules cost: a thousand of them over ten thousand series, all at once, and after a push.

An evaluation is all that happens at a moment of the grid: sampling, selecting, evaluating, and handing over to real
alerting, in which a tenth of the rules fire. Nobody is told: what a storm costs is measured in bench_alerting.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import parse
from pytest_sergas.core.rules import read_rules
from pytest_sergas.engine import alerting as alerts
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.engine.groups import Groups, Push
from pytest_sergas.engine.history import History
from pytest_sergas.engine.rule_files import Planned
from pytest_sergas.engine.rules import Rules
from pytest_sergas.engine.sampling import Sampling
from pytest_sergas.engine.store import Store
from tests.benchmarks.runs import show

pytestmark = pytest.mark.performance

RULES = 1_000
SERIES_OF_A_RULE = 10
EVERY = 10  # of so many rules one fires
FIRING = 5  # which of them; an odd one, which compares values
INTERVAL_S = 15.0
ROUNDS = 15

EVALUATION_BOUND_S = 0.050
PUSH_BOUND_S = 0.005
# CPU seconds of `unit_of_work` where nothing else runs, on the machine for which the bounds are meant.
REFERENCE_S = 0.004


@dataclass(frozen=True, slots=True)
class Cost:
    """What something takes, as medians: seconds of a CPU, and seconds on the clock, which others lengthen."""

    cpu_s: float
    wall_s: float

    def row(self, name: str, slower: float, bound_s: float) -> tuple[str, ...]:
        figures = (self.wall_s, self.cpu_s, self.cpu_s / slower, bound_s)
        return (name, *(f"{figure_s * 1e3:.2f} ms" for figure_s in figures))


async def nothing(number: int) -> None:
    del number


async def cost(work: Callable[[], Awaitable[object]], before: Callable[[int], Awaitable[None]] = nothing) -> Cost:
    """Return what ``work`` takes; ``before`` is called before it with the number of the round."""
    cpu_s, wall_s = [], []
    for number in range(ROUNDS):
        await before(number)
        begin_cpu_s, begin_s = time.thread_time(), time.perf_counter()
        await work()
        cpu_s.append(time.thread_time() - begin_cpu_s)
        wall_s.append(time.perf_counter() - begin_s)
    return Cost(median(cpu_s), median(wall_s))


async def unit_of_work() -> None:
    """Do what Python mostly does here."""
    table: dict[tuple[str, int], float] = {}
    for index in range(40_000):
        table["x", index % 1_000] = index * 0.5


def planned(*, one_name: bool) -> Planned:
    """Return the rules: half compare values, half what they rose by."""
    lines = []
    for rule in range(RULES):
        selector = f'tests{{job="p{rule}"}}' if one_name else f"tests_{rule}"
        expression = f"{selector} > 0" if rule % 2 else f"sum by (job) (increase({selector}[2m])) > 0"
        lines.append(f"  - {{alert: A{rule}, expr: '{expression}'}}")
    return Planned(read_rules([("r.yml", "groups:\n- name: g\n  rules:\n" + "\n".join(lines))]))


async def pushed(groups: Groups, rule: int, value: float, *, one_name: bool) -> None:
    name = "tests" if one_name else f"tests_{rule}"
    text = "".join(f'{name}{{outcome="o{index}"}} {value}\n' for index in range(SERIES_OF_A_RULE))
    families = parse(text.encode())
    await groups.push(Push.of({"job": f"p{rule}"}, families, replace=True, ttl_s=None, now=Now(0.0, 0.0)))


async def measured(*, one_name: bool) -> tuple[Cost, Cost, int]:
    """Return what an evaluation of all rules costs, and what follows a push, and how many rules that were."""
    now = Now(0.0, 1e9)

    async def later(number: int) -> None:
        nonlocal now
        del number
        now = Now(now.monotonic_s + INTERVAL_S, now.wall_s + INTERVAL_S)

    async def push(number: int) -> None:
        await later(number)
        await pushed(groups, number, number, one_name=one_name)

    store = await Store.open(None, GroupSettings())
    alerting = Alerting(alerts.Planned(), store, lambda: now)
    try:
        await alerting.start()
        groups = await Groups.load(store, GroupSettings(), now)
        history = History(limit=1_000, max_age_s=3_600)
        sampling = Sampling(history, groups, (), instance="x:1")
        rules = Rules(planned(one_name=one_name), history, sampling, alerting, lambda: now)
        for rule in range(RULES):
            await pushed(groups, rule, float(rule % EVERY == FIRING), one_name=one_name)
        for round_ in range(10):
            await later(round_)
            await rules.evaluate()
        assert len(alerting.alerts()) == RULES // EVERY * SERIES_OF_A_RULE
        whole = await cost(rules.evaluate, later)
        groups.on_change = rules.changed
        after_push = await cost(rules.evaluate_changes, push)
        return whole, after_push, sum(1 for running in rules.running if running.evaluated == now)
    finally:
        await alerting.stop()
        await store.close()


@pytest.mark.parametrize("one_name", [True, False], ids=["all of one name", "a name for each rule"])
def test_a_thousand_rules_over_ten_thousand_series(one_name: bool) -> None:  # noqa: FBT001
    slower = asyncio.run(cost(unit_of_work)).cpu_s / REFERENCE_S
    whole, after_push, count = asyncio.run(measured(one_name=one_name))

    show(
        f"{RULES} rules, each of {SERIES_OF_A_RULE} of {RULES * SERIES_OF_A_RULE} series; {slower:.2f} reference times",
        ("", "elapsed here", "CPU here", "CPU on the reference", "bound"),
        whole.row("all rules", slower, EVALUATION_BOUND_S),
        after_push.row("after a push", slower, PUSH_BOUND_S),
    )
    assert count == 1  # the push has evaluated the rule that it touches, and no other
    assert whole.cpu_s / slower < EVALUATION_BOUND_S
    assert after_push.cpu_s / slower < PUSH_BOUND_S
