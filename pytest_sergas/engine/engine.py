"""The engine: the parts that run on their own, started in order and stopped in the reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_sergas import collectors
from pytest_sergas.config.channels import ChannelsSettings
from pytest_sergas.config.checks import ChecksSettings
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.config.routes import RoutesSettings
from pytest_sergas.config.rules import RulesSettings
from pytest_sergas.config.serve import MEMORY, ServeSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.engine import alerting as alerts
from pytest_sergas.engine import checking, clock, rule_files
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.collection import Collection
from pytest_sergas.engine.gateway import Gateway, Target
from pytest_sergas.engine.groups import Groups
from pytest_sergas.engine.history import History
from pytest_sergas.engine.over_time import OverTime
from pytest_sergas.engine.page import Page, Source
from pytest_sergas.engine.rules import Rules
from pytest_sergas.engine.runs import Retention, Runs
from pytest_sergas.engine.sampling import Sampling
from pytest_sergas.engine.standings import Standings
from pytest_sergas.engine.store import Store
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

    `start` returns when everything is ready; `stop` may be called at any time after it, once, and returns when
    everything that was acknowledged is durable. Both run in the event loop that the parts then use.

    Args:
        sources: who has metrics beside the parts of the engine.
        extend: adds to what the configuration asks for of alerting, such as channels of a program: what waits in the
            store for a channel that is not there at the start has failed.
    """

    store: Store
    groups: Groups
    runs: Runs
    standings: Standings
    history: History
    over_time: OverTime
    collection: Collection
    checking: Checking
    alerting: Alerting
    rules: Rules
    gateway: Gateway
    page: Page
    sources: tuple[Source, ...]
    started: Now

    def __init__(
        self,
        settings: EngineSettings,
        sources: Sequence[Source] = (),
        extend: Callable[[alerts.Planned], alerts.Planned] = lambda planned: planned,
    ) -> None:
        self.settings = settings
        self._extend = extend
        self._others = sources
        self._tasks: list[asyncio.Task[None]] = []
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
        self.started = clock.read()
        parts = _plan(self.settings)
        delivering = self._extend(parts.alerting)
        collect = self.settings.collect
        self.history = History(limit=collect.retention, max_age_s=collect.max_age)
        self.over_time = OverTime(self.history)
        self.collection = Collection(parts.collectors, clock=clock.read, history=self.history)
        self.store = await Store.open(self.settings.store_path, self.settings.groups)
        try:
            self.groups = await Groups.load(self.store, self.settings.groups, self.started)
            self.runs = await Runs.load(self.store, _retention(self.settings.serve))
            self.standings = Standings(self.runs)
            self.checking = Checking(parts.checks, self.store, clock.read)
            await self.checking.start()
            self.alerting = Alerting(delivering, self.store, clock.read)
            await self.alerting.start()
        except BaseException:
            await self.store.close()
            raise
        own = (self.store, self.groups, self.runs, self.history, self.collection, self.checking, self.alerting)
        sources: list[Source] = [*own, *self._others]
        sampling = Sampling(self.history, self.groups, sources, instance=self.settings.serve.listen)
        self.rules = Rules(parts.rules, self.history, sampling, self.alerting, clock.read)
        self.gateway = Gateway(_target(self.settings), lambda: self.page.own_text(clock.read()), self.id)
        sources += [self.rules, self.gateway]
        self.sources = tuple(sources)
        self.page = Page(self.groups, self.sources, self.started)
        self.groups.on_change = self.rules.changed
        self.standings.summary()
        await self.collection.start()
        await self.rules.start(self._asked)
        self.gateway.start(self.collection.asked)
        self._tasks.append(asyncio.create_task(self.groups.expire_for_ever(clock.read)))

    def follow(self, settings: EngineSettings) -> None:
        """Go on with other settings; what a running process cannot change stays as it is.

        Raises:
            ConfigurationError: a part cannot be used as it is configured; nothing has changed.
        """
        parts = _plan(settings, self.rules.planned)
        delivering = self._extend(parts.alerting)
        self.collection.follow(parts.collectors)
        self.checking.follow(parts.checks)
        self.alerting.follow(delivering)
        self.history.limit, self.history.max_age_s = settings.collect.retention, settings.collect.max_age
        self.rules.follow(parts.rules)
        self.gateway.follow(_target(settings))
        self.collection.record()
        self.settings = settings
        self.runs.retention = _retention(settings.serve)
        self.groups.settings = settings.groups

    async def _asked(self) -> None:
        """Return when every target, collector and check has been asked once."""
        await self.collection.asked()
        await self.checking.asked()

    @property
    def faults(self) -> tuple[str, ...]:
        """What of the configuration, as it is now, is not in force, one line each."""
        refused = (fault for file in self.rules.planned.refused for fault in file.faults)
        return (*self.not_followed, *refused)

    @property
    def is_ready(self) -> bool:
        """Whether writes are taken."""
        return self.store.is_alive

    async def stop(self) -> None:
        """Stop what writes to the store, then close it."""
        await self.gateway.stop()
        await self.collection.stop()
        await self.checking.stop()
        await self.rules.stop()
        await self.standings.stop()
        await self.alerting.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()


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


def _plan(settings: EngineSettings, before: rule_files.Planned | None = None) -> _Parts:
    """Return what the configuration asks for.

    Raises:
        ConfigurationError: with the faults of all parts.
    """
    faults: list[str] = []
    root, url = settings.root, settings.serve.external_url
    with gathered(faults):
        checks = checking.plan(settings.checks, root)
    with gathered(faults):
        alerting = alerts.plan(settings.channels, settings.routes, root, url)
    with gathered(faults):
        rules = rule_files.plan(settings.rules, root, url, settings.collect.max_age, before)
    with gathered(faults):
        sources = tuple(collectors.find_all(collectors.Context(settings.collect, root, os.environ)))
    if faults:
        raise ConfigurationError(tuple(faults))
    for refused in rules.refused:
        stay = "those that it had stay in force" if refused.kept else "none of its rules is in force"
        _LOG.error("%s: %s: %s", refused.file, stay, "; ".join(refused.faults))
    return _Parts(checks, alerting, rules, sources)
