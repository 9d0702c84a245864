"""`MetricsCollector`: the collectors, on their own or as those of an engine that runs."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_sergas import collectors
from pytest_sergas.collectors.custom import adapted
from pytest_sergas.collectors.http_requests import HttpRequests
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.core.exposition import render
from pytest_sergas.core.metrics import Family
from pytest_sergas.core.monitoring import MonitoringMetric
from pytest_sergas.engine import clock
from pytest_sergas.engine.collection import Collection, Status
from pytest_sergas.monitoring.running import Running

HTTP_REQUESTS = "http_requests"


class MetricsCollector:
    """Collects what the installed collectors and functions of yours measure.

    Every method may be called from any thread, and from a running event loop. Alone, it collects when it is asked; a
    collector that raises, or is not back within its timeout, costs its own metrics only. As a part of a
    `ComprehensiveMonitoringSystem` that runs, it has what the engine has.

    Args:
        settings: what the section ``[collect]`` says.
        root: the directory that paths are relative to; default: the current one.

    Attributes:
        http_requests: where requests are recorded; `pytest_sergas.asgi` does so for a whole application.
    """

    def __init__(self, settings: CollectSettings | None = None, root: Path | None = None) -> None:
        self._settings = settings or CollectSettings()
        self._root = root or Path.cwd()
        self._running: Running | None = None
        self._alone: _Alone | None = None
        self._custom: dict[str, collectors.Source] = {}
        self.http_requests = HttpRequests(
            max_endpoints=self._settings.max_endpoints, duration_sampling=self._settings.duration_sampling
        )

    def add_collector(self, collector: object) -> None:
        """Add a function, or an object with `collect`, which returns `MonitoringMetric`s.

        Raises:
            MetricError: it is neither.
        """
        made = adapted(collector)
        base = name = str(getattr(collector, "__qualname__", type(collector).__qualname__))
        number = 1
        while name in self._custom:
            number += 1
            name = f"{base}-{number}"
        source = self._custom[name] = self._context().source(name, made)
        if (running := self._running) is not None:
            running.ask(lambda: running.engine.collection.add(source))
        elif self._alone is not None:
            self._alone.add(source)

    def collect_metrics(self) -> list[MonitoringMetric]:
        """Return what all collectors measure now.

        In the event loop of a system that runs, which cannot wait for them, it is what they measured last.
        """
        if self._running is None:
            statuses = self._standing().collect()
        elif self._running.is_here:
            statuses = self._running.engine.collection.status()
        else:
            statuses = self._running.wait_in_thread(self._running.engine.collection.collect)
        return [metric for status in statuses for metric in status.metrics]

    def record_http_request(self, method: str, endpoint: str, status: int, duration: float) -> None:
        """Count one request that an application has answered.

        Args:
            endpoint: best the template of its route; the first hundred have series of their own.
            duration: seconds.

        Raises:
            MetricError: the duration is no number of seconds.
        """
        self.http_requests.record_http_request(method, endpoint, status, duration)

    def get_prometheus_metrics(self) -> str:
        """Return the page of metrics, in the text format, from what was measured last."""
        running = self._running
        if running is None:
            families: Iterable[Family] = self._standing().families()
        else:
            families = running.ask(
                lambda: [family for source in running.engine.sources for family in source.families(clock.read())]
            )
        return render(_each_once(families)).decode()

    def attach(self, running: Running) -> None:
        """Become the collector of an engine that has started, with its collectors and ours."""
        for source in (self._own(), *self._custom.values()):
            running.engine.collection.add(source)
        self._running = running

    def detach(self) -> None:
        """Stand alone again."""
        self._running = None

    def _standing(self) -> _Alone:
        if self._alone is None:
            found = [source for source in collectors.find_all(self._context()) if source.name != HTTP_REQUESTS]
            self._alone = _Alone([*found, self._own(), *self._custom.values()])
        return self._alone

    def _own(self) -> collectors.Source:
        return self._context().source(HTTP_REQUESTS, self.http_requests, interval_s=0)

    def _context(self) -> collectors.Context:
        return collectors.Context(self._settings, self._root, os.environ)


class _Alone:
    """A collection without an engine, in an event loop on a daemon thread: whoever asks may be in a loop himself."""

    def __init__(self, sources: Iterable[collectors.Source]) -> None:
        self._collection = Collection(sources, clock=clock.read)
        self._loop = asyncio.new_event_loop()
        self._collected = False
        threading.Thread(target=_run, args=(self._loop,), name="sergas collects", daemon=True).start()
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)  # nobody has to close a collector

    def add(self, source: collectors.Source) -> None:
        async def add() -> None:
            self._collection.add(source)

        asyncio.run_coroutine_threadsafe(add(), self._loop).result()

    def collect(self) -> Sequence[Status]:
        self._collected = True
        return asyncio.run_coroutine_threadsafe(self._collection.collect(), self._loop).result()

    def families(self) -> Sequence[Family]:
        if not self._collected:
            self.collect()

        async def families() -> Sequence[Family]:
            return self._collection.families(clock.read())

        return asyncio.run_coroutine_threadsafe(families(), self._loop).result()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _each_once(families: Iterable[Family]) -> list[Family]:
    """Return ``families`` with those of one name together."""
    found: dict[str, Family] = {}
    for family in families:
        earlier = found.get(family.name)
        found[family.name] = (
            family if earlier is None else replace(earlier, samples=(*earlier.samples, *family.samples))
        )
    return [found[name] for name in sorted(found)]
