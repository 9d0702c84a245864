"""Rules that are Python functions, evaluated: each on a thread of its own, so that one that blocks delays no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Thread

from pytest_sergas.core.alert_rules import PYTHON, AlertRule, Judged, judge, newly_told
from pytest_sergas.core.alerts import Alert, Evaluation
from pytest_sergas.core.clock import Now
from pytest_sergas.core.monitoring import MonitoringMetric
from pytest_sergas.core.series import Labels
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.errors import AlertRuleError

LOG = logging.getLogger(__name__)

TIMEOUT_S = 5.0


@dataclass(slots=True)
class _Watched:
    """A rule, when it saw its metrics, when its alerts were last notified, and its latest run."""

    rule: AlertRule
    seen_s: Mapping[Labels, float] = field(default_factory=dict)
    told_s: Mapping[Labels, float] = field(default_factory=dict)
    run: Future[Judged] | None = None


class PythonRules:
    """The rules that a program has added.

    Args:
        alerting: follows what they find.
        read_clock: reads both clocks.
        cooldown_s: of rules that have none of their own.
        timeout_s: what the conditions of one rule may take together.

    Attributes:
        faults: name of a rule → what its condition raised in its last evaluation.
    """

    def __init__(
        self,
        alerting: Alerting,
        read_clock: Callable[[], Now],
        cooldown_s: float = 300.0,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._alerting = alerting
        self._clock = read_clock
        self._cooldown_s = cooldown_s
        self._timeout_s = timeout_s
        self._rules: dict[str, _Watched] = {}
        self._turn = asyncio.Lock()
        self.faults: dict[str, str] = {}

    @property
    def is_empty(self) -> bool:
        return not self._rules

    def add(self, rule: AlertRule) -> None:
        """Take one more rule.

        Raises:
            AlertRuleError: there is one of that name.
        """
        if rule.name in self._rules:
            raise AlertRuleError(f"there is a rule {rule.name!r} already; give each a name of its own")
        self._rules[rule.name] = _Watched(rule)

    async def remove(self, name: str) -> None:
        """Take a rule away, and end its alerts."""
        if self._rules.pop(name, None) is not None:
            await self._alerting.end_rules([f"{PYTHON}{name}"])

    async def end_others(self) -> None:
        """End the alerts of all other Python rules, which an earlier process has left in the store."""
        stored = {alert.rule for alert in self._alerting.alerts() if alert.rule.startswith(PYTHON)}
        await self._alerting.end_rules(sorted(stored - {watched.rule.key for watched in self._rules.values()}))

    async def evaluate(self, metrics: Iterable[MonitoringMetric]) -> tuple[Alert, ...]:
        """Ask every rule about ``metrics``; return the alerts that begin to fire and are notified.

        One that ends and begins again within the cooldown of its rule is among them when that is over, if it still
        fires. Metrics that are not there this time are believed to be as they were for five minutes.
        """
        async with self._turn:
            now, found, rules = self._clock(), tuple(metrics), tuple(self._rules.values())
            before = [self._alerting.alerts_of(one.rule.key) for one in rules]
            evaluations = await asyncio.gather(*(self._evaluate(one, found, now) for one in rules))
            await self._alerting.took_place(evaluations)
            new: list[Alert] = []
            for one, earlier in zip(rules, before, strict=True):
                after = self._alerting.alerts_of(one.rule.key)
                cooldown_s = self._cooldown_s if one.rule.cooldown is None else float(one.rule.cooldown)
                fresh, one.told_s = newly_told(cooldown_s, earlier, after, one.told_s, now)
                new += fresh
            return tuple(new)

    async def _evaluate(self, watched: _Watched, metrics: tuple[MonitoringMetric, ...], now: Now) -> Evaluation:
        rule = watched.rule
        if watched.run is not None and not watched.run.done():
            return Evaluation(rule.key, now, (), error="the condition still has not come back")
        before = self._alerting.alerts_of(rule.key)
        watched.run = _start(rule, lambda: judge(rule, metrics, before, watched.seen_s, now), now)
        try:
            async with asyncio.timeout(self._timeout_s):
                judged = await asyncio.wrap_future(watched.run)
        except TimeoutError:
            text = f"the condition of {rule.name} has not come back within {self._timeout_s:g} s; what was before stays"
            LOG.warning("%s", text)
            self.faults[rule.name] = text
            return Evaluation(rule.key, now, (), error=text)
        self.faults.pop(rule.name, None)
        for fault in judged.faults:
            LOG.warning("%s", fault)
            self.faults[rule.name] = fault
        watched.seen_s = judged.seen_s or watched.seen_s
        return judged.evaluation


def _start(rule: AlertRule, work: Callable[[], Judged], now: Now) -> Future[Judged]:
    """Run ``work`` on a daemon thread, for which neither a pool nor an exit waits."""
    future: Future[Judged] = Future()
    future.set_running_or_notify_cancel()  # from here on nobody's cancel() reaches it

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  even a condition's exit ends only its thread
            text = f"the condition of {rule.name} raised {type(error).__name__}; what was before stays"
            future.set_result(Judged(Evaluation(rule.key, now, (), error=text), {}, (text,)))

    Thread(target=run, name=f"alert rule {rule.name}", daemon=True).start()
    return future
