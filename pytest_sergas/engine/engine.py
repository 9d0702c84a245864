"""The engine: the parts that run on their own, started in order and stopped in the reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_sergas import collectors
from pytest_sergas.config.channels import ChannelsSettings
from pytest_sergas.config.checks import ChecksSettings
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.config.routes import RoutesSettings, route_warnings
from pytest_sergas.config.rules import RulesSettings
from pytest_sergas.config.serve import MEMORY, ServeSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import header, parse
from pytest_sergas.core.monitoring import MonitoringMetric, MonitorType, about, metrics_of
from pytest_sergas.core.report import Report
from pytest_sergas.core.series import Labels, seen
from pytest_sergas.engine import alerting as alerts
from pytest_sergas.engine import checking, clock, damage, rule_files
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.collection import Collection
from pytest_sergas.engine.explaining import Explaining
from pytest_sergas.engine.gateway import Gateway, Target
from pytest_sergas.engine.groups import Groups, Push
from pytest_sergas.engine.history import History
from pytest_sergas.engine.page import Page, Source
from pytest_sergas.engine.python_rules import PythonRules
from pytest_sergas.engine.rules import Rules
from pytest_sergas.engine.runs import Retention, Runs
from pytest_sergas.engine.sampling import Sampling
from pytest_sergas.engine.standings import Standings
from pytest_sergas.engine.store import Store
from pytest_sergas.engine.trends import Trends
from pytest_sergas.errors import ConfigurationError, gathered

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine does; one field for each section of the configuration.

    Attributes:
        root: the directory that paths are relative to.
        job, instance: under which own metrics are pushed to a gateway; the machine's name unless given.
    """

    root: Path
    serve: ServeSettings = field(default_factory=ServeSettings)
    groups: GroupSettings = field(default_factory=GroupSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)
    checks: ChecksSettings = field(default_factory=ChecksSettings)
    rules: RulesSettings = field(default_factory=RulesSettings)
    channels: ChannelsSettings = field(default_factory=ChannelsSettings)
    routes: RoutesSettings = field(default_factory=RoutesSettings)
    job: str = "sergas"
    instance: str = ""

    @property
    def store_path(self) -> Path | None:
        """The file of the store; None keeps everything in memory."""
        return None if self.serve.store == MEMORY else self.root / self.serve.store


class Engine:
    """The parts of the sidecar that have no HTTP in them.

    `open` makes them, and begins to deliver; `begin` starts what happens at intervals. Between the two, everything that
    is asked for is done, and nothing else. `stop` may be called at any time after `open`, once, and returns when
    everything that was acknowledged is durable. All run in the event loop that the parts then use.

    Args:
        sources: who has metrics beside the parts of the engine.
        channels: those that a program has added; what waits in the store for a channel that is not there when the
            engine is opened has failed.
    """

    store: Store
    groups: Groups
    runs: Runs
    standings: Standings
    history: History
    collection: Collection
    checking: Checking
    trends: Trends
    alerting: Alerting
    python: PythonRules
    rules: Rules
    gateway: Gateway
    page: Page
    sources: tuple[Source, ...]
    started: Now

    def __init__(
        self, settings: EngineSettings, sources: Sequence[Source] = (), channels: Iterable[alerts.Added] = ()
    ) -> None:
        self.settings = settings
        self._added = list(channels)
        self._others = sources
        self._tasks: list[asyncio.Task[None]] = []
        self._forwarding: list[Gateway] = []
        self.id = uuid.uuid4().hex  # by which a gateway that is this process is known
        self.not_followed: tuple[str, ...] = ()  # the faults of a configuration that was not taken

    @property
    def group_settings(self) -> GroupSettings:
        return self.settings.groups

    async def start(self) -> None:
        """Open the store, then start what writes to it.

        Raises:
            ConfigurationError: a collector, a check, a rule, a channel or a route cannot be used as it is configured.
            StoreError: the store cannot be used.
        """
        await self.open()
        await self.begin()

    async def open(self) -> None:
        """Open the store and make the parts; see `start`."""
        self.started = clock.read()
        parts = _plan(self.settings, self._added)
        collect = self.settings.collect
        self.history = History(limit=collect.retention, max_age_s=collect.max_age)
        self.collection = Collection(parts.collectors, clock=clock.read, history=self.history)
        self.store = await Store.open(self.settings.store_path, self.settings.groups)
        try:
            await damage.sift(self.store)
            self.groups = await Groups.load(self.store, self.settings.groups, self.started)
            self.runs = await Runs.load(self.store, _retention(self.settings.serve))
            self.standings = Standings(self.runs)
            self.checking = Checking(parts.checks, self.store, clock.read)
            self.trends = Trends(self.store, self.history, clock.read)
            self.trends.follow(self.collection, self.checking)
            await self.trends.load()
            explain = Explaining(self.checking.results, self.runs.newest_tests)
            self.alerting = Alerting(parts.alerting, self.store, clock.read, explain)
            await self.alerting.start()
        except BaseException:
            await self.store.close()
            raise
        self.python = PythonRules(self.alerting, clock.read, self.settings.routes.alert_cooldown)
        own = (
            self.store,
            self.groups,
            self.runs,
            self.history,
            self.collection,
            self.checking,
            self.trends,
            self.alerting,
        )
        sources: list[Source] = [*own, *self._others]
        sampling = Sampling(self.history, self.groups, sources, instance=self.settings.serve.listen)
        self.rules = Rules(parts.rules, self.history, sampling, self.alerting, clock.read)
        self.gateway = Gateway(_target(self.settings), lambda: self.page.own_text(clock.read()), self.id)
        sources += [self.rules, self.gateway]
        self.sources = tuple(sources)
        self.page = Page(self.groups, self.sources, self.started)
        self.groups.on_change = self.rules.changed
        self.standings.summary()

    async def begin(self, interval_s: float | None = None) -> None:
        """Start what happens at intervals.

        Args:
            interval_s: seconds from one measurement to the next, for all collectors; default: what each says.
        """
        self.trends.start()
        await self.checking.start()
        self.collection.interval_s = interval_s
        await self.collection.start()
        await self.rules.start(self._asked)
        if interval_s is not None:
            self.gateway.follow(replace(_target(self.settings), interval_s=interval_s))
        self.gateway.start(self.collection.asked)
        judging = self._judge_for_ever(interval_s or self.settings.collect.interval)
        self._tasks += [
            asyncio.create_task(self.groups.expire_for_ever(clock.read)),
            asyncio.create_task(judging, name="rules in Python"),
        ]

    def follow(self, settings: EngineSettings) -> None:
        """Go on with other settings; what a running process cannot change stays as it is.

        Raises:
            ConfigurationError: a part cannot be used as it is configured; nothing has changed.
        """
        parts = _plan(settings, self._added, self.rules.planned)
        self.collection.follow(parts.collectors)
        self.checking.follow(parts.checks)
        self.alerting.follow(parts.alerting)
        self.history.limit, self.history.max_age_s = settings.collect.retention, settings.collect.max_age
        self.rules.follow(parts.rules)
        self.gateway.follow(_target(settings))
        self.collection.record()
        self.settings = settings
        self.runs.retention = _retention(settings.serve)
        self.groups.settings = settings.groups

    def add_channel(self, channel: alerts.Added) -> None:
        """Deliver to one more channel; one that no route names is notified by the default one."""
        settings = self.settings
        added = [*self._added, channel]
        self.alerting.follow(
            alerts.plan(settings.channels, settings.routes, settings.root, settings.serve.external_url, added)
        )
        self._added = added

    async def add_run(self, report: Report, document: bytes, groups: Iterable[Push]) -> bool:
        """Keep a run and take its metrics, as from a run that is sent and pushed here; return whether it is new.

        Args:
            document: the CTRF document that ``report`` was read from.
            groups: its metrics.

        Raises:
            OtherRunError, StoreError: as `Runs.add`.
            PushRefusedError, BoundReachedError: as `Groups.push`.
        """
        is_new = await self.runs.add(report, document, clock.read())
        for push in groups if is_new else ():
            await self.groups.push(push)
        return is_new

    async def metrics(self) -> list[MonitoringMetric]:
        """Return everything that rules can see, from what was measured last.

        That is what collectors and checks have measured, HTTP requests, pushed groups, scraped targets, and the
        engine's own metrics.
        """
        now = clock.read()
        statuses = self.collection.status()
        measured = [metric for status in statuses for metric in status.metrics]
        names = {metric.exported_name for metric in measured}
        own = [family for source in self.sources for family in source.families(now) if family.name not in names]
        found = [seen(own, ()), await self._pushed(now)]
        for source, status in zip(self.collection.sources, statuses, strict=True):
            if source.target is not None:
                found.append(seen(status.families, source.target))
        for series in found:
            measured += metrics_of(series, now.wall_s, self._about)
        return measured

    async def _pushed(self, now: Now) -> Mapping[str, list[tuple[Labels, float]]]:
        due = self.groups.due(now)
        texts = []
        for name, pieces in self.groups.page.items():
            there = [piece for path, piece in pieces.items() if path not in due]
            if there:
                texts += [header(name, there[0].type, "").encode(), *(piece.text for piece in there)]
        # Beside the event loop: ten thousand groups take a moment.
        return await asyncio.to_thread(lambda: seen(parse(b"".join(texts)), ()))

    def _about(self, name: str, labels: Labels) -> MonitorType:
        check = dict(labels).get("check") if name.startswith("sergas_") else None
        return about(name) if check is None else self.checking.about(check)

    def forward(self, target: Target) -> None:
        """Push own and collected metrics to ``target`` as well, until the engine stops."""
        gateway = Gateway(target, lambda: self.page.own_text(clock.read()), self.id)
        gateway.start(self.collection.asked)
        self._forwarding.append(gateway)

    async def _judge_for_ever(self, interval_s: float) -> None:
        """Ask the rules in Python when everything was asked once, and then at every interval."""
        await self.collection.asked()
        await self.python.end_others()
        while True:
            if not self.python.is_empty:
                await self.python.evaluate(await self.metrics())
            await asyncio.sleep(interval_s)

    async def _asked(self) -> None:
        """Return when every target, collector and check has been asked once."""
        await self.collection.asked()
        await self.checking.asked()

    @property
    def faults(self) -> tuple[str, ...]:
        """What of the configuration, as it is now, is not in force, one line each."""
        refused = (fault for file in self.rules.planned.refused for fault in file.faults)
        return (*self.not_followed, *refused)

    async def cannot_take(self) -> str:
        """Return why pushes cannot be stored now, or ""."""
        return await self.store.cannot_take()

    async def stop(self, drain_s: float = 0.0) -> int:
        """Stop what writes to the store, then close it; return how many notifications were not delivered.

        Args:
            drain_s: seconds to wait at most for what is to be delivered; 0 leaves it to the next process.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for gateway in (self.gateway, *self._forwarding):
            await gateway.stop()
        await self.collection.stop()
        await self.checking.stop()
        await self.trends.stop()
        await self.rules.stop()
        await self.standings.stop()
        left = 0
        if drain_s:
            left = await self.alerting.drain(drain_s, is_last=self.settings.store_path is None)
        await self.alerting.stop()
        await self.store.close()
        return left


def _target(settings: EngineSettings) -> Target:
    """Return where own and collected metrics are pushed: under a name that a restart keeps."""
    collect = settings.collect
    return Target(collect.gateway, collect.interval, settings.job, settings.instance, os.environ)


def _retention(settings: ServeSettings) -> Retention:
    return Retention(settings.runs_kept, settings.runs_age_days)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the parts are to do."""

    checks: tuple[checking.Planned, ...]
    alerting: alerts.Planned
    rules: rule_files.Planned
    collectors: tuple[collectors.Source, ...]


def _plan(
    settings: EngineSettings, added: Sequence[alerts.Added] = (), before: rule_files.Planned | None = None
) -> _Parts:
    """Return what the configuration asks for.

    Raises:
        ConfigurationError: with the faults of all parts.
    """
    faults: list[str] = []
    root, url = settings.root, settings.serve.external_url
    with gathered(faults):
        checks = checking.plan(settings.checks, root)
    with gathered(faults):
        alerting = alerts.plan(settings.channels, settings.routes, root, url, added)
    with gathered(faults):
        rules = rule_files.plan(settings.rules, root, url, settings.collect.max_age, before)
    with gathered(faults):
        sources = tuple(collectors.find_all(collectors.Context(settings.collect, root, os.environ)))
    if faults:
        raise ConfigurationError(tuple(faults))
    for refused in rules.refused:
        stay = "those that it had stay in force" if refused.kept else "none of its rules is in force"
        _LOG.error("%s: %s: %s", refused.file, stay, "; ".join(refused.faults))
    for warning in route_warnings(alerting.routes):
        _LOG.warning("%s", warning)
    return _Parts(checks, alerting, rules, sources)
