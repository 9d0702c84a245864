"""What rules cost: a thousand of them over ten thousand series of one name, all at once, and after a push."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.alerts import Evaluation
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import parse
from pytest_sergas.core.rules import read_rules
from pytest_sergas.core.series import Labels
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
ROUNDS = 9

EVALUATION_BOUND_S = 0.050
PUSH_BOUND_S = 0.005
# CPU seconds of `unit_of_work` where nothing else runs, on the machine for which the bounds are meant.
REFERENCE_S = 0.004


class Nobody:
    """Who follows no alerts."""

    def alerts_of(self, rule: str) -> Mapping[Labels, object]:
        del rule
        return {}

    async def took_place(self, evaluations: Sequence[Evaluation]) -> None:
        del evaluations

    async def keep_rules(self, rules: frozenset[str]) -> None:
        del rules


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


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds that ``work`` takes at best: what others do on this machine only adds to it."""
    times = []
    for _ in range(ROUNDS):
        begin = time.thread_time()
        work()
        times.append(time.thread_time() - begin)
    return min(times)


def unit_of_work() -> None:
    """Do what Python mostly does here."""
    table: dict[tuple[str, int], float] = {}
    for index in range(40_000):
        table["x", index % 1_000] = index * 0.5


async def measured(*, one_name: bool) -> tuple[float, float, int]:
    """Return CPU seconds of an evaluation of all rules, and of what follows a push, and how many rules that were."""
    store = await Store.open(None, GroupSettings())
    try:
        groups = await Groups.load(store, GroupSettings(), Now(0.0, 0.0))
        history = History(limit=1_000, max_age_s=3_600)
        now = Now(0.0, 1e9)
        sampling = Sampling(history, groups, (), instance="x:1")
        rules = Rules(planned(one_name=one_name), history, sampling, Nobody(), lambda: now)
        for rule in range(RULES):
            await pushed(groups, rule, 0, one_name=one_name)
        for second in range(0, 150, 15):
            now = Now(second, 1e9 + second)
            await rules.evaluate()

        def evaluate() -> None:
            for running in rules.running:
                series = [history.find(selection) for selection in running.selections]
                running.rule.alerts(running.rule.expression.evaluate(series, now))

        whole_s = cpu_s(evaluate)
        groups.on_change = rules.changed
        touched = []
        for round_ in range(1, ROUNDS):
            now = Now(150.0 + round_, 1e9 + 150 + round_)
            await pushed(groups, round_, round_, one_name=one_name)
            begin = time.thread_time()
            await rules.evaluate_changes()
            touched.append(time.thread_time() - begin)
        return whole_s, min(touched), sum(1 for running in rules.running if running.evaluated == now)
    finally:
        await store.close()


@pytest.mark.parametrize("one_name", [True, False], ids=["all of one name", "a name for each rule"])
def test_a_thousand_rules_over_ten_thousand_series(one_name: bool) -> None:  # noqa: FBT001
    slower = cpu_s(unit_of_work) / REFERENCE_S
    whole_s, push_s, count = asyncio.run(measured(one_name=one_name))

    show(
        f"{RULES} rules, each of {SERIES_OF_A_RULE} of {RULES * SERIES_OF_A_RULE} series; {slower:.2f} reference times",
        ("", "here", "on the reference", "bound"),
        (
            "all rules",
            f"{whole_s * 1e3:.1f} ms",
            f"{whole_s / slower * 1e3:.1f} ms",
            f"{EVALUATION_BOUND_S * 1e3:.0f} ms",
        ),
        ("after a push", f"{push_s * 1e3:.2f} ms", f"{push_s / slower * 1e3:.2f} ms", f"{PUSH_BOUND_S * 1e3:.0f} ms"),
    )
    assert count == 1  # the push has evaluated the rule that it touches, and no other
    assert whole_s / slower < EVALUATION_BOUND_S
    assert push_s / slower < PUSH_BOUND_S
