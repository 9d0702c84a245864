"""`ComprehensiveMonitoringSystem`: the sidecar's engine in the caller's event loop, and a runner of tests beside it.

It opens no port, and stores in memory unless it is given a store. With ``sidecar_url`` it forwards its metrics and its
runs to a sidecar instead, where rules and channels are, so that ten workers of one application do not alert ten times.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_sergas.core import ctrf, kinds
from pytest_sergas.core.alert_rules import AlertRule
from pytest_sergas.core.records import RunRecord
from pytest_sergas.core.report import read_report
from pytest_sergas.core.text import redact_url
from pytest_sergas.engine import alerting, clock, overview
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.monitoring.alerts import AlertManager
from pytest_sergas.monitoring.health import HealthChecker, SystemHealthCheck
from pytest_sergas.monitoring.metrics import HTTP_REQUESTS, MetricsCollector
from pytest_sergas.monitoring.runner import Callback, TestRunner
from pytest_sergas.monitoring.running import Running
from pytest_sergas.monitoring.settings import read
from pytest_sergas.monitoring.suites import SuiteResults

LOG = logging.getLogger(__name__)

_WORKERS = 4
_INTERVAL = kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True)


class ComprehensiveMonitoringSystem:
    """Metrics, health, alerts and test runs of one program.

    Start and stop it in one event loop, as often as you like. Everything else may be called from any thread, and before
    the start: then what is added is there when it starts.

    Args:
        config: see `pytest_sergas.monitoring.settings`; None for all defaults.

    Raises:
        ConfigurationError: with every fault of ``config``, and without a secret in any.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._settings = read(config or {}, os.environ)
        settings, runs = self._settings.engine, self._settings.runs
        forwarding = (f"--sergas-sidecar={self._settings.sidecar_url}",) if self._settings.sidecar_url else ()
        self.test_runner = TestRunner(
            runs.max_workers or _WORKERS,
            root=settings.root,
            timeout=runs.timeout,
            retries=runs.retries,
            arguments=forwarding,
        )
        self.metrics_collector = MetricsCollector(settings.collect, settings.root)
        self.alert_manager = AlertManager(settings.channels.max_alerts_per_minute)
        checks = settings.checks
        self.health_checker = HealthChecker(checks.health_check_timeout, checks.health_check_interval)
        self.health_checker.add_provider(SystemHealthCheck())
        alerting.plan(settings.channels, settings.routes, settings.root, settings.serve.external_url)  # judged at once
        self._running: Running | None = None
        self._starting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._running is not None

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels, those of the configuration first."""
        configured = (entry.name for entry in self._settings.engine.channels.channels)
        return (*configured, *(channel.name for channel in self.alert_manager.channels))

    @property
    def engine(self) -> Engine:
        """The engine that runs.

        Raises:
            RuntimeError: none does.
        """
        if self._running is None:
            raise RuntimeError("the monitoring does not run; await start_monitoring() first")
        return self._running.engine

    async def start_monitoring(self, interval: float | None = None) -> None:
        """Start, and return when everything is ready; while it runs, nothing happens.

        Args:
            interval: seconds from one measurement to the next; default: ``monitoring_interval``.

        Raises:
            ConfigurationError: something cannot be used as it is configured.
            StoreError: the store cannot be used.
        """
        async with self._starting:
            if self._running is not None:
                LOG.info("the monitoring runs already")
                return
            settings = self._engine_settings(interval)
            forwards = bool(self._settings.sidecar_url)
            engine = Engine(settings) if forwards else Engine(settings, extend=self.alert_manager.extend)
            await engine.start()
            running = Running(engine)
            try:
                self._attach(running)
            except BaseException:
                self._detach()
                await engine.stop()
                raise
            self._running = running
            work = self._forward_for_ever if forwards else self._judge_for_ever
            self._tasks = [asyncio.create_task(work(engine, settings.collect.interval), name="sergas monitoring")]

    async def stop_monitoring(self) -> None:
        """Stop, and return when everything is stored; before a start, nothing happens."""
        async with self._starting:
            running, self._running = self._running, None
            if running is None:
                return
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._detach()
            await running.engine.stop()

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
        """Run all registered suites, or every test; `get_system_status` shows them from then on.

        Returns, raises:
            As `TestRunner.run_comprehensive_tests`.
        """
        found = await self.test_runner.run_comprehensive_tests(progress)
        if (running := self._running) is not None:
            document = ctrf.to_json(_one_run(list(self.test_runner.latest)))
            report = read_report(json.loads(document))
            await running.wait(lambda: running.engine.runs.add(report, document, clock.read()))
        return found

    async def get_system_status(self) -> dict[str, Any]:
        """Return everything at a glance, in the documented form.

        Raises:
            RuntimeError: it does not run.
        """
        engine = self.engine
        assert self._running is not None  # noqa: S101  engine has said so
        return await self._running.wait(lambda: overview.document(engine, clock.read()))

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

    def _engine_settings(self, interval: float | None) -> EngineSettings:
        settings = self._settings.engine
        collect = settings.collect
        if interval is not None:
            try:
                collect = replace(collect, interval=_INTERVAL(interval))
            except kinds.NotAllowed as wrong:
                raise ConfigurationError((f"start_monitoring: interval = {interval!r}: {wrong}",)) from None
        # Requests are recorded by the collector that the application has had since before the start.
        return replace(settings, collect=replace(collect, disabled=(*collect.disabled, HTTP_REQUESTS)))

    def _attach(self, running: Running) -> None:
        self.health_checker.attach(running)
        self.metrics_collector.attach(running)
        if not self._settings.sidecar_url:
            self.alert_manager.attach(running)

    def _detach(self) -> None:
        for part in (self.alert_manager, self.metrics_collector, self.health_checker):
            part.detach()

    async def _judge_for_ever(self, engine: Engine, interval_s: float) -> None:
        """Judge what was measured, at once and then at every interval; until then, rules of before may be added."""
        await engine.collection.collect()
        await self.alert_manager.end_others()
        while True:
            metrics = [metric for status in engine.collection.status() for metric in status.metrics]
            await self.alert_manager.evaluate_in_engine(metrics)
            await asyncio.sleep(interval_s)

    async def _forward_for_ever(self, engine: Engine, interval_s: float) -> None:
        """Push the page to the sidecar, as a group of this process, which is forgotten there when it ends."""
        import httpx2

        instance = quote(f"{socket.gethostname()}:{os.getpid()}", safe="")
        job = quote(self._settings.runs.project or Path(self._settings.engine.root).name or "monitoring", safe="")
        url = f"{self._settings.sidecar_url.rstrip('/')}/metrics/job/{job}/instance/{instance}"
        headers = {"Sergas-TTL": f"{max(3 * interval_s, 1.0):g}"}
        failing = False
        await engine.collection.collect()
        async with httpx2.AsyncClient(timeout=min(interval_s, 10.0), trust_env=False) as client:
            while True:
                page = self.metrics_collector.get_prometheus_metrics()
                try:
                    (await client.put(url, content=page.encode(), headers=headers)).raise_for_status()
                    failing = False
                except httpx2.HTTPError as error:
                    if not failing:
                        LOG.warning("%s takes no metrics: %s", redact_url(url), redact_url(str(error)))
                    failing = True
                await asyncio.sleep(interval_s)


def _one_run(results: list[SuiteResults]) -> RunRecord:
    """Return the runs of several suites as one, for the status."""
    runs = [result.run for result in results]
    return replace(
        runs[0],
        run_id=uuid.uuid4().hex,
        started_s=min(run.started_s for run in runs),
        finished_s=max(run.finished_s for run in runs),
        tests=tuple(test for run in runs for test in run.tests),
        exit_status=max(run.exit_status for run in runs),
        collected=sum(run.collected for run in runs),
    )
