"""`ComprehensiveMonitoringSystem`: the sidecar's engine in a program, and a runner of tests beside it.

It opens no port, and stores in memory unless it is given a store. With ``sidecar_url`` it forwards its metrics and its
runs to a sidecar instead, where rules and channels are, so that ten workers of one application do not alert ten times.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pytest_sergas.channels.registry import create
from pytest_sergas.config.channels import ChannelsSettings
from pytest_sergas.config.routes import RoutesSettings
from pytest_sergas.config.rules import RulesSettings
from pytest_sergas.core.alert_rules import AlertRule
from pytest_sergas.engine import clock, overview, rule_files
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.engine.gateway import Target
from pytest_sergas.monitoring.alerts import AlertManager
from pytest_sergas.monitoring.arguments import INTERVAL, checked
from pytest_sergas.monitoring.channels import OfProgram
from pytest_sergas.monitoring.health import HealthChecker
from pytest_sergas.monitoring.hub import Hub
from pytest_sergas.monitoring.metrics import MetricsCollector, without_requests
from pytest_sergas.monitoring.reporting import Reported, report
from pytest_sergas.monitoring.runner import Callback, TestRunner
from pytest_sergas.monitoring.settings import read
from pytest_sergas.monitoring.suites import SuiteResults

LOG = logging.getLogger(__name__)

T = TypeVar("T")

_WORKERS = 4


class ComprehensiveMonitoringSystem:
    """Metrics, health, alerts and test runs of one program.

    The engine runs on a thread of its own from its first use on; `start_monitoring` starts what happens at intervals.
    Every method may be called from any thread, and in any event loop.

    Args:
        config: see `pytest_sergas.monitoring.settings`; None for all defaults.

    Raises:
        ConfigurationError: with every fault of ``config``, and without a secret in any. Whether the channels exist that
            routes name is judged at the start, when those of the program are there.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._settings = read(config or {}, os.environ)
        settings, runs = self._settings.engine, self._settings.runs
        _judge(settings)
        forwards = bool(self._settings.sidecar_url)
        self._hub = Hub(_of_engine(settings, forwards=forwards), delivers=not forwards)
        self.metrics_collector = MetricsCollector(settings.collect, settings.root, hub=self._hub)
        self.alert_manager = AlertManager(settings.channels.max_alerts_per_minute, hub=self._hub)
        checks = settings.checks
        self.health_checker = HealthChecker(checks.health_check_timeout, checks.health_check_interval, hub=self._hub)
        forwarding = (f"--sergas-sidecar={self._settings.sidecar_url}",) if forwards else ()
        self.test_runner = TestRunner(
            runs.max_workers or _WORKERS,
            root=settings.root,
            timeout=runs.timeout,
            retries=runs.retries,
            arguments=forwarding,
        )
        self.test_runner.of_system(self._settings.for_pytest, self.health_checker, self._report)
        self._waiting: list[Reported] = []
        self._starting = asyncio.Lock()

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._hub.has_begun

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels, those of the configuration first."""
        configured = (entry.name for entry in self._settings.engine.channels.channels)
        return (*configured, *(channel.name for channel in self.alert_manager.channels))

    @property
    def engine(self) -> Engine:
        """The engine that runs, on a thread of its own: see `within`.

        Raises:
            RuntimeError: none does.
        """
        engine = self._hub.engine
        if engine is None or not self._hub.has_begun:
            raise RuntimeError("the monitoring does not run; await start_monitoring() first")
        return engine

    async def within(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Await what ``work`` returns in the event loop of the engine."""
        return await self._hub.within(work)

    async def start_monitoring(self, interval: float | str | None = None) -> None:
        """Start, and return when everything is ready; while it runs, nothing happens.

        Args:
            interval: seconds from one measurement to the next, of all collectors; default: ``monitoring_interval``.

        Raises:
            ConfigurationError: something cannot be used as it is configured.
            StoreError: the store cannot be used.
        """
        async with self._starting:
            if self._hub.has_begun:
                LOG.info("the monitoring runs already")
                return
            interval_s: float | None = checked("start_monitoring", {"interval": (INTERVAL, interval)})["interval"]
            for channel in self._hub.added_channels:
                if isinstance(channel, OfProgram):
                    channel.settle(asyncio.get_running_loop())
            await self._hub.begin(interval_s)
            if self._settings.engine.store_path is not None:
                self.alert_manager.forget()
            if self._settings.sidecar_url:
                target = self._forwarded_to(interval_s or self._settings.engine.collect.interval)
                self._hub.ask(lambda engine: engine.forward(target))
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                await self._hub.within(one.add)

    async def stop_monitoring(self) -> None:
        """Stop, and return when everything is stored; before a start, nothing happens.

        What is to be delivered is delivered before, if that takes no longer than 5 seconds.
        """
        async with self._starting:
            if self._hub.has_begun:
                await asyncio.to_thread(self.alert_manager.remember)
                await self._hub.close()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run as long as an application does: ``FastAPI(lifespan=system.lifespan)``, or in an ``async with``."""
        del app
        await self.start_monitoring()
        try:
            yield
        finally:
            await self.stop_monitoring()

    async def run_comprehensive_tests(self, progress: Callback | None = None) -> dict[str, Any]:
        """Run all registered suites, or every test, as one run that is judged, notified and kept as a pushed one.

        Before a start, that is done when it starts.

        Returns, raises:
            As `TestRunner.run_comprehensive_tests`.
        """
        return await self.test_runner.run_comprehensive_tests(progress)

    async def get_system_status(self) -> dict[str, Any]:
        """Return everything at a glance, in the documented form.

        Raises:
            RuntimeError: it does not run.
        """
        _ = self.engine
        return await self._hub.within(lambda engine: overview.document(engine, clock.read()))

    def add_custom_metric_collector(self, collector: object) -> None:
        """Add a function that returns a list of `MonitoringMetric`; one that blocks costs only its own metrics.

        Raises:
            MetricError: it is none.
        """
        self.metrics_collector.add_collector(collector)

    def add_custom_alert_rule(self, rule: AlertRule) -> None:
        """Add a rule; a condition that raises or blocks costs only itself.

        Raises:
            AlertRuleError: there is one of its name.
        """
        self.alert_manager.add_rule(rule)

    def _forwarded_to(self, interval_s: float) -> Target:
        """Return the sidecar as the target of metrics: a group of this process, which is forgotten when it ends."""
        instance = f"{socket.gethostname()}:{os.getpid()}"
        ttl_s = max(3 * interval_s, 1.0)
        return Target(
            self._settings.sidecar_url, interval_s, self._settings.runs.project, instance, os.environ, ttl_s=ttl_s
        )

    async def _report(self, results: tuple[SuiteResults, ...]) -> None:
        """Keep a run as one that was sent and pushed here."""
        reported = report(results, self._settings.runs)
        if self._hub.has_begun:
            await self._hub.within(reported.add)
        else:
            self._waiting.append(reported)


def _judge(settings: EngineSettings) -> None:
    """Judge what can be judged before the program has added its channels.

    Raises:
        ConfigurationError: a channel or a rule cannot be used as it is configured.
    """
    create(settings.channels.channels, settings.root)
    rule_files.plan(settings.rules, settings.root, settings.serve.external_url, settings.collect.max_age)


def _of_engine(settings: EngineSettings, *, forwards: bool) -> EngineSettings:
    """Return the settings of the system's engine; one that forwards leaves rules and channels to the sidecar."""
    settings = replace(settings, collect=without_requests(settings.collect))
    if not forwards:
        return settings
    return replace(settings, rules=RulesSettings(ready_made=()), channels=ChannelsSettings(), routes=RoutesSettings())
