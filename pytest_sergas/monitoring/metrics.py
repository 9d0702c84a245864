"""`MetricsCollector`: the collectors of an engine."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from pytest_sergas import collectors
from pytest_sergas.collectors.custom import adapted
from pytest_sergas.collectors.http_requests import HttpRequests
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.core.monitoring import MonitoringMetric
from pytest_sergas.engine import clock
from pytest_sergas.engine.engine import Engine
from pytest_sergas.monitoring.channels import running_loop
from pytest_sergas.monitoring.hub import Hub
from pytest_sergas.monitoring.settings import quiet

HTTP_REQUESTS = "http_requests"


class MetricsCollector:
    """Collects what the installed collectors and functions of yours measure; a view of an engine.

    Every method may be called from any thread, and from a running event loop. Alone, it collects when it is asked; a
    collector that raises, or is not back within its timeout, costs its own metrics only.

    Args:
        settings: what the section ``[collect]`` says.
        root: the directory that paths are relative to; default: the current one.
        hub: the engine of a system whose part this is, made with ``settings``; default: one of its own.

    Attributes:
        http_requests: where requests are recorded; `pytest_sergas.asgi` does so for a whole application.
    """

    def __init__(
        self, settings: CollectSettings | None = None, root: Path | None = None, *, hub: Hub | None = None
    ) -> None:
        self._settings = own = settings or CollectSettings()
        self._root = root or Path.cwd()
        self._hub = hub or Hub(quiet(self._root, collect=without_requests(own)))
        self._names: set[str] = set()
        # Requests are recorded here from the first moment on, whether an engine is open or not.
        self.http_requests = HttpRequests(max_endpoints=own.max_endpoints, duration_sampling=own.duration_sampling)
        source = self._context().source(HTTP_REQUESTS, self.http_requests, interval_s=0)
        self._hub.add(lambda engine: engine.collection.add(source))

    def add_collector(self, collector: object) -> None:
        """Add a function, or an object with `collect`, which returns `MonitoringMetric`s.

        Raises:
            MetricError: it is neither.
        """
        made = adapted(collector)
        base = name = str(getattr(collector, "__qualname__", type(collector).__qualname__))
        number = 1
        while name in self._names:
            number += 1
            name = f"{base}-{number}"
        self._names.add(name)
        source = self._context().source(name, made)
        self._hub.add(lambda engine: engine.collection.add(source))

    def collect_metrics(self) -> list[MonitoringMetric]:
        """Return everything that rules see: what collectors and checks measure, requests, and what was pushed.

        Collectors measure anew; but in an event loop, which cannot wait for them, what a system that runs has measured
        last is returned.
        """
        if self._hub.has_begun and running_loop() is not None:
            return self._hub.wait(lambda engine: engine.metrics())
        return self._hub.wait(_collected)

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
        return self._hub.wait(partial(_page, collects=not self._hub.has_begun)).decode()

    def _context(self) -> collectors.Context:
        return collectors.Context(self._settings, self._root, os.environ)


def without_requests(settings: CollectSettings) -> CollectSettings:
    """Return the settings of an engine whose requests a `MetricsCollector` records."""
    return replace(settings, disabled=(*settings.disabled, HTTP_REQUESTS))


async def _collected(engine: Engine) -> list[MonitoringMetric]:
    await engine.collection.collect()
    return await engine.metrics()


async def _page(engine: Engine, *, collects: bool) -> bytes:
    waiting = (status for status in engine.collection.status() if status.asked is None)
    if collects and any(waiting):
        await engine.collection.collect()
    return await engine.page.text(clock.read())
