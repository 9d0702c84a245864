"""`HealthChecker` and its providers: the checks, on their own or as those of an engine that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pytest_sergas.checks import Check
from pytest_sergas.checks.python import PythonCheck
from pytest_sergas.checks.registry import create
from pytest_sergas.checks.runner import GRACE_S, Runner
from pytest_sergas.config.checks import CheckSettings
from pytest_sergas.core.health import CheckResult, Component, overall, report
from pytest_sergas.core.text import show_value
from pytest_sergas.engine.checking import Planned
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.monitoring.running import Running


class HealthCheckProvider:
    """A check of one of the kinds that the configuration knows.

    Args:
        kind: of the check, as in ``[[checks]]``.
        name: the component's; default: the class's.
        options: of the kind; None leaves one out.

    Raises:
        ConfigurationError: with every fault of the options, without a secret in any.
    """

    def __init__(self, kind: str, name: str, options: Mapping[str, object]) -> None:
        self.kind = kind
        self.name = name or type(self).__name__
        self._options = {key: value for key, value in options.items() if value is not None}
        self.check(self.name)

    def check(self, name: str) -> Check:
        """Return the check under a ``name``."""
        settings = CheckSettings(self.kind, name, options=self._options)
        return create((settings,), Path.cwd())[0]


class DatabaseHealthCheck(HealthCheckProvider):
    """Whether a database answers.

    Args:
        connection_string: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``, or ``sqlite:///FILE``.
        options: those of the check, such as ``password_file``.
    """

    def __init__(self, connection_string: str, name: str = "", **options: Any) -> None:
        scheme = urlsplit(connection_string).scheme if isinstance(connection_string, str) else ""
        if scheme in {"postgresql", "postgres"}:
            super().__init__("postgresql", name, {"url": connection_string, **options})
        elif scheme == "sqlite":
            path = unquote(urlsplit(connection_string).path).removeprefix("/")
            super().__init__("sqlite", name, {"path": path, **options})
        else:
            shown = "'***'" if isinstance(connection_string, str) and connection_string else repr(connection_string)
            fault = (
                f"connection_string = {shown}: allowed: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, sqlite:///FILE"
            )
            raise ConfigurationError((f"{name or type(self).__name__}: {fault}",))


class HTTPHealthCheck(HealthCheckProvider):
    """Whether an address answers as expected; the options are those of the check ``http``."""

    def __init__(self, url: str, name: str = "", **options: Any) -> None:
        super().__init__("http", name, {"url": url, **options})


class RedisHealthCheck(HealthCheckProvider):
    """Whether a Redis answers; the options are those of the check ``redis``."""

    def __init__(self, url: str, name: str = "", **options: Any) -> None:
        super().__init__("redis", name, {"url": url, **options})


class SystemHealthCheck(HealthCheckProvider):
    """How much of this machine is in use; the options are those of the check ``system``."""

    def __init__(self, name: str = "", **options: Any) -> None:
        super().__init__("system", name, options)


class HealthChecker:
    """Checks components, all at the same time, each within its timeout.

    Alone, it checks when it is asked. As a part of a `ComprehensiveMonitoringSystem` that runs, its checks are those of
    the engine, which runs them at their interval, keeps their history, and answers from the last results.

    Args:
        timeout: seconds that a check may take.
        interval: seconds from one run to the next, in an engine.
    """

    def __init__(self, timeout: float = 10.0, interval: float = 30.0) -> None:
        self._timeout_s = timeout
        self._interval_s = interval
        self._runners: dict[str, tuple[Planned, Runner]] = {}
        self._running: Running | None = None

    def add_provider(self, provider: object) -> None:
        """Add a check: a provider, an object with ``name``, ``secrets`` and ``run``, or a function.

        What a function returns decides, as for a check of the kind ``python``.

        Raises:
            ConfigurationError: it is none of them, or there is one of its name.
        """
        check = self._check(provider)
        planned = Planned(check, self._timeout_s, self._interval_s)
        if (running := self._running) is not None:
            running.ask(lambda: running.engine.checking.add(planned))
        self._runners[check.name] = (planned, Runner(check))

    async def check_all_health(self) -> dict[str, CheckResult]:
        """Run every check now and return name → result."""
        if (running := self._running) is not None:
            return await running.wait(running.engine.checking.check_all)
        results = await asyncio.gather(*(_run(planned, runner) for planned, runner in self._runners.values()))
        return report(Component(result.component).observe(result) for result in results)

    async def get_overall_health(self) -> CheckResult:
        """Return the health of the whole; its `to_dict` is the documented JSON."""
        if (running := self._running) is not None:
            return running.ask(running.engine.checking.overall)
        return overall((await self.check_all_health()).values())

    def get_uptime(self) -> dict[str, Mapping[str, float]]:
        """Return name → window (``1h``, ``24h``, ``7d``, ``30d``) → share of the observed time that it was up, 0 to 1.

        Only a system that runs observes; without one there is nothing.
        """
        return {} if self._running is None else self._running.ask(self._running.engine.checking.uptime)

    def attach(self, running: Running) -> None:
        """Hand the checks to an engine that has started."""
        for planned, _ in self._runners.values():
            running.engine.checking.add(planned)
        self._running = running

    def detach(self) -> None:
        """Stand alone again."""
        self._running = None

    def _check(self, provider: object) -> Check:
        base = str(getattr(provider, "name", "") or getattr(provider, "__qualname__", type(provider).__name__))
        if isinstance(provider, HealthCheckProvider):
            name, number = base, 1
            while name in self._runners:
                number += 1
                name = f"{base}-{number}"
            return provider.check(name)
        if base in self._runners:
            raise ConfigurationError((f"there is a health check {base!r} already; give each a name of its own",))
        if callable(getattr(provider, "run", None)) and hasattr(provider, "secrets"):
            return provider  # type: ignore[return-value]  # its run is judged by what it returns
        if callable(provider):
            return PythonCheck(base, provider)
        fault = f"health check {show_value('provider', provider)}: allowed: a provider, a function, a Check"
        raise ConfigurationError((fault,))


async def _run(planned: Planned, runner: Runner) -> CheckResult:
    future = asyncio.wrap_future(runner.start(planned.timeout_s))
    try:
        return await asyncio.wait_for(future, planned.timeout_s + GRACE_S)
    except TimeoutError:
        return runner.overdue()
