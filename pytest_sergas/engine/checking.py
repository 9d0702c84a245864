"""The checking: runs the checks, each in its own rhythm, and knows at any time how everything is.

A check runs on a thread of its own (checks/runner.py); what hangs or raises costs only its own result. Before a bad
result counts, the components that its own depends on are looked at, so that the one that died is blamed and not
whoever noticed first. Questions are answered from the last results and wait for nothing.

The history is kept as stretches of time with one status, in memory and in the store: a change at once, the going on
of a stretch once a minute. It is bounded by age and by number.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from pytest_sergas.checks import Check
from pytest_sergas.checks.registry import create
from pytest_sergas.checks.runner import GRACE_S, Runner
from pytest_sergas.checks.system import Limits, SystemCheck
from pytest_sergas.config.checks import ChecksSettings
from pytest_sergas.core import health
from pytest_sergas.core.clock import Now
from pytest_sergas.core.health import UP, WINDOWS_S, CheckResult, Component, HealthStatus, Span, Thresholds
from pytest_sergas.core.metrics import Family, FamilyType, Sample, with_label
from pytest_sergas.core.monitoring import MonitorType
from pytest_sergas.engine.store import Store
from pytest_sergas.errors import StoreError

LOG = logging.getLogger(__name__)

HISTORY_S = max(WINDOWS_S.values())
HISTORY_SPANS = 2_000  # of each component; more than one change in 20 minutes, for a month
SAVE_S = 60.0
MACHINE = "SystemHealthCheck"  # as in the specification's status
MACHINE_FAILURES = 4
_NEVER_S = float("inf")

# Of the table of stretches: name, status, from, until, cause, due to.
_Row = tuple[str, str, float, float, str, str]

HELP: Mapping[str, tuple[FamilyType, str]] = MappingProxyType(
    {
        "sergas_check_up": ("gauge", "1 for healthy and degraded, 0 for unhealthy; nothing for unknown."),
        "sergas_check_status": ("gauge", "1 for the status that the component has."),
        "sergas_check_uptime_ratio": ("gauge", "Share of the observed time that was healthy or degraded."),
        "sergas_check_duration_seconds": ("gauge", "How long the latest run of the check took."),
        "sergas_check_seconds_total": ("counter", "How long all runs of the check took."),
        "sergas_check_results_total": ("counter", "Results by what the check itself found."),
    }
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A check, how often it runs, and what it depends on; times in seconds.

    Attributes:
        initial: the state before the first result. Unknown lets the first result decide; any other state asks for as
            many results in a row as later.
    """

    check: Check
    timeout_s: float = 10.0
    interval_s: float = 30.0
    thresholds: Thresholds = field(default_factory=Thresholds)
    depends_on: tuple[str, ...] = ()
    initial: HealthStatus = HealthStatus.UNKNOWN

    @property
    def max_gap_s(self) -> float:
        """The longest time between two results that is no gap in the history."""
        return 2 * (self.interval_s + self.timeout_s + GRACE_S)


def machine(settings: ChecksSettings) -> Planned:
    """Return the check of this machine that is there without any configuration.

    It degrades at most, because a full disk is no reason to restart what reports it, and only after
    `MACHINE_FAILURES` bad results in a row, because one sample says nothing about a machine.
    """
    limits = Limits(memory_unhealthy=math.inf, disk_unhealthy=math.inf)
    return Planned(
        SystemCheck(MACHINE, limits),
        settings.health_check_timeout,
        settings.health_check_interval,
        Thresholds(MACHINE_FAILURES),
        initial=HealthStatus.HEALTHY,
    )


def plan(settings: ChecksSettings, root: Path) -> tuple[Planned, ...]:
    """Return the checks of the configuration; where it says nothing about checks, that of the `machine`.

    Args:
        root: the directory that files are relative to.

    Raises:
        ConfigurationError: with every fault of all of them.
    """
    if settings.machine:
        return (machine(settings),)
    return tuple(
        Planned(check, entry.timeout, entry.interval, Thresholds(entry.failures, entry.successes), entry.depends_on)
        for check, entry in zip(create(settings.checks, root), settings.checks, strict=True)
    )


@dataclass(slots=True)
class _Watched:
    """What is known of one check.

    Attributes:
        started_s: when its latest run began, by the monotonic clock.
        under_way: the run that goes on, which whoever wants a result waits for.
        unsaved_s: the history from here on is not in the store; wall clock.
        counts: results by status.
        asked: set once there has been a result, or there will be none any more.
    """

    planned: Planned
    runner: Runner
    component: Component
    started_s: float = -_NEVER_S
    under_way: asyncio.Task[None] | None = None
    watching: asyncio.Task[None] | None = None
    spans: list[Span] = field(default_factory=list)
    unsaved_s: float = _NEVER_S
    uptime: Mapping[str, float] = field(default_factory=dict)
    counts: Counter[HealthStatus] = field(default_factory=Counter)
    checking_s: float = 0.0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def tasks(self) -> list[asyncio.Task[None]]:
        return [task for task in (self.watching, self.under_way) if task is not None]

    def remember(self, reported: CheckResult, now_s: float) -> None:
        """Add what is reported now to the history."""
        if self.spans and self.spans[-1].until_s > now_s:  # the clock was set back
            self.spans = health.cut(self.spans, now_s)
            self.unsaved_s = min(self.unsaved_s, now_s, *(span.from_s for span in self.spans[-1:]))
        last = self.spans.pop() if self.spans else None
        added = health.record(last, reported, now_s, self.planned.max_gap_s)
        self.spans += added
        if added[0] != last:
            self.unsaved_s = min(self.unsaved_s, added[0].from_s)
        else:
            self.unsaved_s = min(self.unsaved_s, added[-1].from_s)
        oldest_s = now_s - HISTORY_S
        kept = [span for span in self.spans[-HISTORY_SPANS:] if span.until_s >= oldest_s]
        self.spans = kept if len(kept) < len(self.spans) else self.spans
        shares = {name: health.uptime(self.spans, now_s, window_s) for name, window_s in WINDOWS_S.items()}
        self.uptime = {name: share for name, share in shares.items() if share is not None}


class Checking:
    """Runs checks until it is stopped.

    Everything is called on the event loop that `start` was called on. Before `start` and after `stop` the questions
    are answered from what is known; `check_all` works at any time.

    Args:
        planned: the checks.
        store: for the history; it outlives this object.
        clock: reads both clocks.

    Raises:
        ValueError: two checks have one name; dependencies do not exist, or go in a circle.
    """

    def __init__(self, planned: Iterable[Planned], store: Store, clock: Callable[[], Now]) -> None:
        self._store = store
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._reported: Mapping[str, CheckResult] = {}
        self._overall = health.overall(())
        self._changed = asyncio.Event()
        self._saver: asyncio.Task[None] | None = None
        # Is given the component of which there is a new result, and the status that is reported of it now.
        self.on_result: Callable[[Component, HealthStatus], None] = _heed_nothing
        for one in planned:
            self._take(one)
        self._refuse_dependencies()
        self._report()

    def add(self, planned: Planned) -> None:
        """Take one more check; it starts at once when the others run already.

        Raises:
            ValueError: there is one of that name, or it depends on one that is not there.
        """
        self._take(planned)
        try:
            self._refuse_dependencies()
        except ValueError:
            del self._watched[planned.check.name]
            raise
        self._report()
        if self._saver is not None:
            self._watch(self._watched[planned.check.name])

    def follow(self, planned: Iterable[Planned]) -> None:
        """Go on with these checks instead; a component that stays keeps its state and its history.

        Args:
            planned: as for the constructor; they come from `plan`.
        """
        before, self._watched = self._watched, {}
        for one in before.values():
            for task in one.tasks():
                task.cancel()
        for new in planned:
            self._take(new, before.pop(new.check.name, None))
        for one in before.values():
            one.asked.set()
        self._report()
        if self._saver is not None:
            for one in self._watched.values():
                self._watch(one)

    async def start(self) -> None:
        """Read the history, and start every check.

        Raises:
            StoreError: the history cannot be read.
        """
        for name, status, from_s, until_s, cause, due_to in await self._store.read(_load):
            if (watched := self._watched.get(name)) is not None:
                watched.spans.append(Span(HealthStatus(status), from_s, until_s, cause, due_to))
        self._saver = asyncio.create_task(self._save_for_ever(), name="save the history of health")
        for watched in self._watched.values():
            self._watch(watched)

    async def stop(self) -> None:
        """Start no check any more, forget those under way, and save the history."""
        tasks = [task for one in self._watched.values() for task in one.tasks()]
        tasks += [self._saver] if self._saver is not None else []
        self._saver = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._save()

    @property
    def is_running(self) -> bool:
        """Whether checks run at their intervals."""
        return self._saver is not None

    async def check_all(self) -> dict[str, CheckResult]:
        """Run every check now, all at the same time, and return what is reported then."""
        await asyncio.gather(*(self._check(watched) for watched in self._watched.values()))
        return dict(self._reported)

    async def asked(self) -> None:
        """Return when every check has had a result."""
        for watched in list(self._watched.values()):
            await watched.asked.wait()

    def results(self) -> Mapping[str, CheckResult]:
        """Return name → what is reported of each component, from the last results."""
        return self._reported

    def overall(self) -> CheckResult:
        """Return the health of the whole, from the last results."""
        return self._overall

    def uptime(self) -> dict[str, Mapping[str, float]]:
        """Return name → window → share of the observed time that it was up, 0 to 1, at its latest result."""
        return {name: watched.uptime for name, watched in self._watched.items()}

    def history(self) -> dict[str, tuple[Span, ...]]:
        """Return name → its stretches of one status, the oldest first."""
        return {name: tuple(watched.spans) for name, watched in self._watched.items()}

    def about(self, name: str) -> MonitorType:
        """Return what the check with this ``name`` is about."""
        watched = self._watched.get(name)
        kind: MonitorType = getattr(watched and watched.planned.check, "about", MonitorType.APPLICATION)
        return kind

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return the metrics of the checks, with what they measured on the way."""
        del now
        return (*self._own_families(), *self._figures())

    # Running

    def _take(self, planned: Planned, earlier: _Watched | None = None) -> None:
        name = planned.check.name
        if name in self._watched:
            raise ValueError(f"there is a check {name!r} already; give each a name of its own")
        runner = Runner(planned.check, earlier.runner if earlier else None)
        if earlier is None:
            limits, known = planned.thresholds, planned.initial is not HealthStatus.UNKNOWN
            recent = (planned.initial,) * max(limits.failures, limits.successes) if known else ()
            component = Component(name, planned.depends_on, limits, planned.initial, recent)
            watched = _Watched(planned, runner, component)
        else:
            component = replace(earlier.component, depends_on=planned.depends_on, thresholds=planned.thresholds)
            watched = replace(earlier, planned=planned, runner=runner, component=component, under_way=None)
        self._watched[name] = watched

    def _refuse_dependencies(self) -> None:
        depends_on = {name: watched.planned.depends_on for name, watched in self._watched.items()}
        if faults := health.dependency_faults(depends_on):
            raise ValueError("; ".join(faults))

    def _watch(self, watched: _Watched) -> None:
        name = f"check {watched.component.name}"
        watched.watching = asyncio.create_task(self._check_for_ever(watched), name=name)

    async def _check_for_ever(self, watched: _Watched) -> None:
        loop = asyncio.get_running_loop()
        while True:
            next_s = loop.time() + watched.planned.interval_s
            await self._check(watched)
            await asyncio.sleep(next_s - loop.time())

    async def _check(self, watched: _Watched) -> None:
        """Run a check, or wait for the run that is under way."""
        if watched.under_way is None or watched.under_way.done():
            watched.under_way = asyncio.create_task(self._run(watched))
        await asyncio.shield(watched.under_way)

    async def _run(self, watched: _Watched) -> None:
        watched.started_s = self._clock().monotonic_s
        timeout_s = watched.planned.timeout_s
        try:
            future = asyncio.wrap_future(watched.runner.start(timeout_s))
            result = await asyncio.wait_for(future, timeout_s + GRACE_S)
        except TimeoutError:
            result = watched.runner.overdue()
        if result.status is HealthStatus.UNHEALTHY and watched.component.status is not HealthStatus.UNHEALTHY:
            await self._look_at_dependencies(watched)
        self._observe(watched, result)

    async def _look_at_dependencies(self, watched: _Watched) -> None:
        """Run the checks of the dependencies that were last looked at before ``watched`` was."""
        dependencies = [self._watched[name] for name in watched.planned.depends_on]
        stale = [one for one in dependencies if one.started_s < watched.started_s]
        await asyncio.gather(*(self._check(one) for one in stale))

    def _observe(self, watched: _Watched, result: CheckResult) -> None:
        watched.component = watched.component.observe(result)
        watched.asked.set()
        watched.counts[result.status] += 1
        watched.checking_s += result.duration_s
        before = self._reported
        self._report()
        now_s = self._clock().wall_s
        for name, reported in self._reported.items():
            one, earlier = self._watched[name], before.get(name)
            changed = earlier is None or earlier.status is not reported.status
            if one is watched:
                self.on_result(one.component, reported.status)
            if one.component.latest is not None and (one is watched or changed):
                one.remember(reported, now_s)
            if one.component.latest is not None and changed:
                _log(reported)
                self._changed.set()

    def _report(self) -> None:
        """Work out again what is reported."""
        self._reported = health.report(watched.component for watched in self._watched.values())
        self._overall = health.overall(self._reported.values())

    # History

    async def _save_for_ever(self) -> None:
        while True:
            with suppress(TimeoutError):  # then it is time to save what only went on
                async with asyncio.timeout(SAVE_S):  # not wait_for, which in Python 3.11 may swallow a cancellation
                    await self._changed.wait()
            self._changed.clear()
            await self._save()

    async def _save(self) -> None:
        """Write what has changed; what cannot be written is tried again with the next."""
        unsaved = {name: one for name, one in self._watched.items() if one.unsaved_s < _NEVER_S}
        if not unsaved:
            return
        rows = {name: (one.unsaved_s, _rows(name, one)) for name, one in unsaved.items()}
        for one in unsaved.values():
            one.unsaved_s = _NEVER_S
        oldest_s = self._clock().wall_s - HISTORY_S
        try:
            await self._store.write(lambda connection: _write(connection, rows, oldest_s))
        except (StoreError, sqlite3.Error) as error:
            for name, one in unsaved.items():
                one.unsaved_s = min(one.unsaved_s, rows[name][0])
            LOG.error("the history of health is kept in memory for now: %s", error)  # noqa: TRY400  the text says it all

    # Metrics

    def _own_families(self) -> tuple[Family, ...]:
        samples: dict[str, list[Sample]] = {name: [] for name in HELP}
        for name, result in self._reported.items():
            one, check = self._watched[name], ("check", name)
            if result.status is not HealthStatus.UNKNOWN:
                samples["sergas_check_up"].append(Sample((check,), float(result.status in UP)))
            for status in HealthStatus:
                labels = (check, ("status", status.value))
                samples["sergas_check_status"].append(Sample(labels, float(status is result.status)))
                samples["sergas_check_results_total"].append(Sample(labels, float(one.counts[status])))
            if one.component.latest is not None:
                samples["sergas_check_duration_seconds"].append(Sample((check,), one.component.latest.duration_s))
            samples["sergas_check_seconds_total"].append(Sample((check,), one.checking_s))
            samples["sergas_check_uptime_ratio"] += [
                Sample((check, ("window", window)), share) for window, share in one.uptime.items()
            ]
        return tuple(Family(name, *HELP[name], tuple(found)) for name, found in samples.items() if found)

    def _figures(self) -> tuple[Family, ...]:
        merged: dict[str, Family] = {}
        for name, one in self._watched.items():
            latest = one.component.latest
            for family in with_label(latest.figures, "check", name) if latest else ():
                earlier = merged.get(family.name)
                samples = (*earlier.samples, *family.samples) if earlier else family.samples
                merged[family.name] = replace(earlier or family, samples=samples)
        return tuple(merged.values())


def _heed_nothing(component: Component, status: HealthStatus) -> None:
    del component, status


def _log(result: CheckResult) -> None:
    level = logging.INFO if result.status is HealthStatus.HEALTHY else logging.WARNING
    LOG.log(level, "%s is %s: %s", result.component, result.status.value, result.message)


def _load(connection: sqlite3.Connection) -> list[_Row]:
    query = "SELECT name, status, from_s, until_s, cause, due_to FROM health_spans ORDER BY name, from_s"
    return connection.execute(query).fetchall()


def _rows(name: str, watched: _Watched) -> list[_Row]:
    """Return the stretches that are not in the store yet."""
    return [
        (name, span.status.value, span.from_s, span.until_s, span.cause, span.due_to)
        for span in watched.spans
        if span.from_s >= watched.unsaved_s
    ]


def _write(
    connection: sqlite3.Connection,
    rows: Mapping[str, tuple[float, list[_Row]]],
    oldest_s: float,
) -> None:
    for name, (unsaved_s, spans) in rows.items():
        connection.execute("DELETE FROM health_spans WHERE name = ? AND from_s >= ?", (name, unsaved_s))
        connection.executemany("INSERT OR REPLACE INTO health_spans VALUES (?, ?, ?, ?, ?, ?)", spans)
        # The newest HISTORY_SPANS stay.
        connection.execute(
            "DELETE FROM health_spans WHERE name = ? AND from_s < (SELECT from_s FROM health_spans WHERE name = ? "
            "ORDER BY from_s DESC LIMIT 1 OFFSET ?)",
            (name, name, HISTORY_SPANS - 1),
        )
    connection.execute("DELETE FROM health_spans WHERE until_s < ?", (oldest_s,))
