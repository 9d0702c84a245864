"""Rules: sampled and evaluated on the grid of their interval, and at once when what they read is pushed.

    every interval        everything that is selected is sampled, and the groups that are due are evaluated
    after a change        what a push, a DELETE or an expiry has changed is sampled, and the rules are evaluated that
                          select one of these series; at most once in 50 ms

What an evaluation of an alert finds goes to what follows the alerts (engine/alerting.py), in the order of time. A rule
that looks further back than its samples reach, after a start or a reload, is warming up: its alerts keep their states,
and only those begin that no older sample could undo. What a rule records is a series like any other, and so are the
alerts themselves, as ``ALERTS``.
What is there already counts before any change does: the first one after a start or a reload has everything sampled,
and after a start it waits until everybody has been asked, no longer than until the first evaluation on the grid.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import Protocol

from pytest_sergas.core.alerts import Active, Alert, Evaluation
from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.promql import EvaluationError
from pytest_sergas.core.rules import ALERTS, Recording, Rule, alert_labels
from pytest_sergas.core.series import Labels, Matcher, Series
from pytest_sergas.engine.history import History, Selection
from pytest_sergas.engine.index import Piece
from pytest_sergas.engine.rule_files import Planned
from pytest_sergas.engine.sampling import Sampling

PUSH_INTERVAL_S = 0.05
# An evaluation takes the event loop; first those get their answers whose pushes have caused it.
_AFTER_ANSWERS_S = 0.002
_SLICE = 64  # rules; about three milliseconds

HELP: Mapping[str, tuple[FamilyType, str]] = MappingProxyType(
    {
        "sergas_rules": ("gauge", "Rules in force."),
        "sergas_rules_failing": ("gauge", "Rules whose last evaluation failed."),
        "sergas_rule_files_refused": ("gauge", "Rule files that cannot be used as they are now."),
        "sergas_rule_evaluation_failures_total": ("counter", "Evaluations of rules that failed."),
        "sergas_rule_evaluation_seconds": ("gauge", "Seconds that the last evaluation of all due rules took."),
    }
)

_LOG = logging.getLogger(__name__)

Pieces = Mapping[str, Piece]


class Alerts(Protocol):
    """Who follows the alerts."""

    def alerts_of(self, rule: str) -> Mapping[Labels, Alert]:
        """Return the alerts of one rule that are pending or firing, by their labels."""

    async def took_place(self, evaluations: Sequence[Evaluation]) -> object:
        """Take what evaluations have found, in the order of time."""

    async def keep_rules(self, rules: frozenset[str], heirs: Callable[[Labels], Iterable[str]]) -> None:
        """End the alerts of all other rules, but those with labels for which ``heirs`` names rules: they get them."""


@dataclass(slots=True)
class Running:
    """A rule in force.

    Attributes:
        selections: for each selector of its expression, what the history keeps for it.
        since_s: since when there are samples for each selection; monotonic, and infinite before the first.
        interval_s: seconds from one evaluation to the next.
        evaluated: when it was evaluated last, or None.
        duration_s: how long that took.
        active: how many alerts it found, or series it recorded.
        error: why it failed, or "".
        unmatched: selectors that have never had a series, as people write them.
        warming_up_s: seconds from its last evaluation until samples reach as far back as it looks; 0 once they do.
    """

    rule: Rule | Recording
    selections: tuple[Selection, ...]
    since_s: tuple[float, ...]
    interval_s: float
    evaluated: Now | None = None
    duration_s: float = 0.0
    active: int = 0
    error: str = ""
    unmatched: tuple[str, ...] = field(default=())
    warming_up_s: float = 0.0

    def reads(self, other: Running) -> bool:
        """Whether it selects what ``other`` records."""
        return any(selector.reads(other.rule.name) for selector in self.rule.expression.selectors)

    def missing_s(self, now: Now) -> float:
        """Return how many seconds of the samples are missing that the rule looks at."""
        pairs = zip(self.rule.expression.selectors, self.since_s, strict=True)
        return max((since_s + selector.history_s - now.monotonic_s for selector, since_s in pairs), default=0.0)


async def _at_once() -> None:
    """Wait for nobody."""


class Rules:
    """The rules in force. `start` and `stop` once each, in one event loop.

    Args:
        planned: comes from `rule_files.plan`.
        alerts: takes what evaluations find.
        read_clock: reads both clocks.
    """

    def __init__(
        self, planned: Planned, history: History, sampling: Sampling, alerts: Alerts, read_clock: Callable[[], Now]
    ) -> None:
        self._planned = planned
        self._history = history
        self._sampling = sampling
        self._alerts = alerts
        self._clock = read_clock
        self._running: dict[str, Running] = {}
        self._readers: dict[int, list[Running]] = {}
        # What is selected → since when there are samples of it, and how far back they are kept.
        self._reach: dict[frozenset[Matcher], tuple[float, float]] = {}
        # What has been pushed and not evaluated: path → what the group had before, and what it has.
        self._changed: dict[str, tuple[Pieces, Pieces]] = {}
        self._wake = asyncio.Event()
        self._followed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._is_sampled = False  # whether what is selected has a sample
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = 0
        self._last_s = 0.0
        self._select(planned)

    @property
    def planned(self) -> Planned:
        """What is in force, and what could not be used."""
        return self._planned

    @property
    def running(self) -> Sequence[Running]:
        """The rules in force, in the order of their files."""
        return tuple(self._running.values())

    async def start(self, asked: Callable[[], Awaitable[None]] = _at_once) -> None:
        """Begin; the first evaluation is one interval away, so that every target has been asked by then.

        Args:
            asked: returns when everybody who has metrics has been asked once.
        """
        await self._alerts.keep_rules(frozenset(self._running), self._heirs)
        create = asyncio.get_running_loop().create_task
        on_changes = self._on_changes(asked)
        self._tasks = [create(self._on_grid(), name="rules"), create(on_changes, name="rules after pushes")]

    async def stop(self) -> None:
        """Evaluate nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def follow(self, planned: Planned) -> None:
        """Go on with other rules; a rule that stays keeps its alerts and its samples."""
        self._select(planned)
        self._planned = planned
        self._followed.set()

    def changed(self, path: str, before: Pieces, after: Pieces) -> None:
        """Take note that a group has changed; evaluation comes later. See `Groups.on_change`."""
        earlier = self._changed.get(path)
        self._changed[path] = (earlier[0] if earlier is not None else before, after)
        self._wake.set()

    async def evaluate(self, now: Now | None = None) -> None:
        """Sample everything and evaluate all rules."""
        await self._evaluate_all(self.running, now)

    async def evaluate_changes(self) -> None:
        """Sample what has changed since the last time, and evaluate the rules that read it."""
        async with self._turn:
            if not self._is_sampled:
                await self._sampling.read()
                self._sample(self._clock())
            changed, self._changed = self._changed, {}
            now = self._clock()
            readers: dict[str, Running] = {}
            for path, (before, after) in changed.items():
                for name, labels in self._sampling.sample_group(now, path, before, after):
                    for selection in self._history.selecting(name, labels):
                        readers.update((each.rule.identity, each) for each in self._readers.get(id(selection), ()))
            await self._take(self._evaluated_with_readers(readers, now))
            self._record_alerts(now)

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return what is to be known about rules."""
        del now
        values = (
            len(self._running),
            sum(1 for each in self._running.values() if each.error),
            len(self._planned.refused),
            self._failures,
            self._last_s,
        )
        return tuple(
            Family(name, *about, (Sample((), value),))
            for (name, about), value in zip(HELP.items(), values, strict=True)
        )

    def _evaluated_with_readers(self, readers: dict[str, Running], now: Now) -> list[Evaluation]:
        """Evaluate ``readers`` in the order of their files, and with them those that read what they record."""
        found = []
        for identity, running in list(self._running.items()):
            if identity not in readers:
                continue
            if (evaluation := self._evaluated(running, now)) is not None:
                found.append(evaluation)
            elif isinstance(running.rule, Recording):
                readers.update((each.rule.identity, each) for each in self._running.values() if each.reads(running))
        return found

    def _select(self, planned: Planned) -> None:
        """Select what the new rules read, then give back what only the old ones have read."""
        now_s = self._clock().monotonic_s
        before = [selection for each in self._running.values() for selection in each.selections]
        reach: dict[frozenset[Matcher], tuple[float, float]] = {}
        running: dict[str, Running] = {}
        for group in planned.groups:
            for rule in group.rules:
                fresh = self._begun(rule, now_s, group.interval_s or planned.interval_s, reach)
                running[rule.identity] = self._continued(fresh, self._running.get(rule.identity))
        for identity in self._running.keys() - running.keys():
            self._history.record(identity, self._clock(), {})
        self._running, self._reach = running, reach
        self._is_sampled = all(since_s < inf for since_s, _ in reach.values())
        for selection in before:
            self._history.release(selection)
        self._readers = {}
        for each in running.values():
            for selection in each.selections:
                self._readers.setdefault(id(selection), []).append(each)

    def _begun(
        self,
        rule: Rule | Recording,
        now_s: float,
        interval_s: float,
        reach: dict[frozenset[Matcher], tuple[float, float]],
    ) -> Running:
        """Select what a rule reads; note in ``reach`` since when there are samples of it, and of which window."""
        selections, since = [], []
        for selector in rule.expression.selectors:
            selection = self._history.select(selector.matchers, window_s=selector.window_s)
            earlier_s, window_s = self._reach.get(selection.matchers, (inf, 0.0))
            if selector.window_s > window_s:
                earlier_s = max(earlier_s, now_s - window_s)  # what was older than the window has not been kept
            since.append(earlier_s)
            selections.append(selection)
            known_s, known_window_s = reach.get(selection.matchers, (earlier_s, 0.0))
            reach[selection.matchers] = (max(known_s, earlier_s), max(known_window_s, selector.window_s))
        unmatched = tuple(map(str, rule.expression.selectors))
        return Running(rule, tuple(selections), tuple(since), interval_s, unmatched=unmatched)

    @staticmethod
    def _continued(fresh: Running, old: Running | None) -> Running:
        """Return a rule with what is known of it from before a reload, if it reads the same."""
        if old is None or old.rule.expression.source != fresh.rule.expression.source:
            return fresh
        fresh.evaluated, fresh.duration_s, fresh.active = old.evaluated, old.duration_s, old.active
        fresh.error, fresh.unmatched = old.error, old.unmatched
        return fresh

    def _heirs(self, labels: Labels) -> Iterator[str]:
        """Return the rules that could have an alert with ``labels``, such as one that was moved to another file."""
        for identity, running in self._running.items():
            if isinstance(running.rule, Rule) and running.rule.could_have(labels):
                yield identity

    async def _on_grid(self) -> None:
        """Evaluate each interval's rules on its grid, until cancelled; what takes long does not move the next time."""
        start_s = self._clock().monotonic_s
        due: dict[float, float] = {}
        while True:
            if self._followed.is_set():
                self._followed.clear()
                await self._alerts.keep_rules(frozenset(self._running), self._heirs)
            now_s = self._clock().monotonic_s
            # The general interval is there also without rules: pages show what is sampled.
            intervals = {self._planned.interval_s, *(each.interval_s for each in self._running.values())}
            due = {interval_s: due.get(interval_s) or _after(start_s, interval_s, now_s) for interval_s in intervals}
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(due.values(), default=now_s + 3600.0) - now_s)):
                    await self._followed.wait()
                continue
            now_s = self._clock().monotonic_s
            over = {interval_s for interval_s, due_s in due.items() if due_s <= now_s}
            await self._evaluate_all([each for each in self.running if each.interval_s in over], None)
            now_s = self._clock().monotonic_s
            due.update((interval_s, _after(start_s, interval_s, now_s)) for interval_s in over)

    def _sample(self, now: Now) -> None:
        """Sample everything; from now on there are samples of all that is selected."""
        self._sampling.sample(now)
        if self._is_sampled:
            return
        self._is_sampled = True
        now_s = now.monotonic_s
        self._reach = {what: (min(since_s, now_s), window_s) for what, (since_s, window_s) in self._reach.items()}
        for running in self._running.values():
            running.since_s = tuple(min(since_s, now_s) for since_s in running.since_s)

    async def _on_changes(self, asked: Callable[[], Awaitable[None]]) -> None:
        """Evaluate what reads pushed series, until cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._planned.interval_s):
                await asked()
        while True:
            await self._wake.wait()
            await asyncio.sleep(_AFTER_ANSWERS_S)
            self._wake.clear()
            await self.evaluate_changes()
            await asyncio.sleep(PUSH_INTERVAL_S - _AFTER_ANSWERS_S)

    async def _evaluate_all(self, rules: Sequence[Running], now: Now | None) -> None:
        async with self._turn:
            await self._sampling.read()
            now = now or self._clock()
            begin_s = time.perf_counter()
            self._sample(now)
            found: list[Evaluation] = []
            for index, planned in enumerate(rules, 1):
                # A reload may have come since: what it has replaced is not evaluated, its series are not kept any more.
                if (running := self._running.get(planned.rule.identity)) is not None:
                    evaluation = self._evaluated(running, now)
                    found += [evaluation] if evaluation is not None else []
                if index % _SLICE == 0:
                    await asyncio.sleep(0)
            self._last_s = time.perf_counter() - begin_s
            await self._take(found)
            self._record_alerts(now)

    def _record_alerts(self, now: Now) -> None:
        """Record a series for each alert, as Prometheus does, where a rule reads them."""
        if not self._history.wants(ALERTS):
            return
        alerts = (alert for identity in self._running for alert in self._alerts.alerts_of(identity).values())
        labels = dict.fromkeys(map(alert_labels, alerts))
        self._history.record(ALERTS, now, {ALERTS: [(each, 1.0) for each in labels]})

    async def _take(self, evaluations: Sequence[Evaluation]) -> None:
        if evaluations:
            await self._alerts.took_place(evaluations)

    def _evaluated(self, running: Running, now: Now) -> Evaluation | None:
        """Evaluate one rule; of a recording there is nothing for alerts."""
        begin_s = time.perf_counter()
        series = [self._history.find(selection) for selection in running.selections]
        self._note_matches(running, series)
        try:
            return self._found(running, series, now)
        except EvaluationError as failed:
            self._note_failure(running, str(failed))
            rule = running.rule
            return Evaluation(rule.identity, now, (), error=running.error) if isinstance(rule, Rule) else None
        finally:
            running.evaluated, running.warming_up_s = now, max(0.0, running.missing_s(now))
            running.duration_s = time.perf_counter() - begin_s

    def _found(self, running: Running, series: Sequence[Sequence[Series]], now: Now) -> Evaluation | None:
        """Evaluate one rule.

        Raises:
            EvaluationError: it has no result.
        """
        rule = running.rule
        elements = rule.expression.evaluate(series, now)
        if isinstance(rule, Recording):
            samples = rule.samples(elements)
            self._history.record(rule.identity, now, {rule.name: samples})
            running.error, running.active = "", len(samples)
            return None
        active = rule.alerts(elements, self._planned.external_url)
        gone = self._gone(rule, active, series, now)
        running.error, running.active = "", len(active)
        return Evaluation(
            rule=rule.identity,
            now=now,
            active=active,
            for_s=rule.for_s,
            keep_firing_for_s=rule.keep_firing_for_s,
            source=rule.group,
            covered=running.missing_s(now) <= 0,
            firing_lasts=rule.expression.firing_lasts,
            gone=gone,
        )

    def _note_failure(self, running: Running, error: str) -> None:
        self._failures += 1
        rule = running.rule
        if error != running.error:
            what = "its alerts stay as they are" if isinstance(rule, Rule) else "what it recorded stays as it is"
            _LOG.warning("%s cannot be evaluated, and %s: %s", rule.place, what, error)
        running.error, running.active = error, 0

    def _gone(
        self, rule: Rule, active: Sequence[Active], series: Sequence[Sequence[Series]], now: Now
    ) -> frozenset[Labels]:
        """Return the labels of alerts that have ended because their series are gone."""
        over = self._alerts.alerts_of(rule.identity).keys() - {alert.labels for alert in active}
        return rule.gone(over, series, now) if over else frozenset()

    @staticmethod
    def _note_matches(running: Running, series: Sequence[Sequence[Series]]) -> None:
        if running.unmatched:
            pairs = zip(running.rule.expression.selectors, series, strict=True)
            empty = {str(selector) for selector, found in pairs if not found}
            running.unmatched = tuple(selector for selector in running.unmatched if selector in empty)


def _after(start_s: float, interval_s: float, now_s: float) -> float:
    """Return the first moment of the grid after ``now_s``."""
    return start_s + interval_s * ((now_s - start_s) // interval_s + 1)
