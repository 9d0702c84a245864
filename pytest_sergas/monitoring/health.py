"""`HealthChecker` and its providers: the checks of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pytest_sergas.checks import Check
from pytest_sergas.checks.python import PythonCheck
from pytest_sergas.checks.registry import create
from pytest_sergas.config.checks import CheckSettings
from pytest_sergas.core.health import CheckResult, Span
from pytest_sergas.core.text import show_value
from pytest_sergas.engine.checking import MACHINE, Planned
from pytest_sergas.engine.engine import Engine
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.monitoring.arguments import INTERVAL, checked
from pytest_sergas.monitoring.hub import Hub
from pytest_sergas.monitoring.settings import quiet


class HealthCheckProvider:
    """A check of one of the kinds that the configuration knows.

    Args:
        kind: of the check, as in ``[[checks]]``.
        name: the component's; default: the class's.
        options: of the kind; None leaves one out.

    Raises:
        ConfigurationError: with every fault of the options, without a secret in any.
    """

    # What tests call it in ``dependencies``, beside its name.
    role = ""

    def __init__(self, kind: str, name: str, options: Mapping[str, object]) -> None:
        self.kind = kind
        self.name = name or type(self).__name__
        self._options = {key: value for key, value in options.items() if value is not None}
        self.check(self.name)

    def check(self, name: str) -> Check:
        """Return the check under a ``name``."""
        settings = CheckSettings(self.kind, name, options=self._options)
        return create((settings,), Path.cwd())[0]

    def entry(self, name: str) -> dict[str, object]:
        """Return the entry of ``[[checks]]`` that it is under a ``name``."""
        return {**self._options, "type": self.kind, "name": name}


class DatabaseHealthCheck(HealthCheckProvider):
    """Whether a database answers.

    Args:
        connection_string: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``, or ``sqlite:///FILE``.
        options: those of the check, such as ``password_file``.
    """

    role = "database"

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

    role = "http"

    def __init__(self, url: str, name: str = "", **options: Any) -> None:
        super().__init__("http", name, {"url": url, **options})


class RedisHealthCheck(HealthCheckProvider):
    """Whether a Redis answers; the options are those of the check ``redis``."""

    role = "redis"

    def __init__(self, url: str, name: str = "", **options: Any) -> None:
        super().__init__("redis", name, {"url": url, **options})


class SystemHealthCheck(HealthCheckProvider):
    """How much of this machine is in use; the options are those of the check ``system``."""

    role = "system"

    def __init__(self, name: str = "", **options: Any) -> None:
        super().__init__("system", name, options)


class HealthChecker:
    """Checks components, all at the same time, each within its timeout; a view of an engine.

    Alone, it checks whenever it is asked, and from the first time on also at its interval, so that it has a history.
    As a part of a `ComprehensiveMonitoringSystem`, its checks run at their interval while that runs, and the overall
    health is that of the last results.

    Args:
        timeout: seconds that a check may take.
        interval: seconds from one run to the next.
        hub: the engine of a system whose part this is; default: one of its own.

    Raises:
        ConfigurationError: one of them cannot be used.
    """

    def __init__(self, timeout: float | str = 10.0, interval: float | str = 30.0, *, hub: Hub | None = None) -> None:
        found = checked("HealthChecker", {"timeout": (INTERVAL, timeout), "interval": (INTERVAL, interval)})
        self._timeout_s: float = found["timeout"]
        self._interval_s: float = found["interval"]
        self._hub = hub or Hub(quiet(Path.cwd()))
        self._is_alone = hub is None
        self._names = {check.name for check in self._hub.settings.checks.checks}
        if self._hub.settings.checks.machine:
            self._names.add(MACHINE)
        self._providers: dict[str, object] = {}

    @property
    def providers(self) -> Mapping[str, object]:
        """Name of the check → what was added."""
        return dict(self._providers)

    def add_provider(self, provider: object) -> None:
        """Add a check: a provider, an object with ``name``, ``secrets`` and ``run``, or a function.

        What a function returns decides, as for a check of the kind ``python``. It also counts as a check for tests with
        ``dependencies`` that the system runs.

        Raises:
            ConfigurationError: it is none of them, or there is one of its name.
        """
        check = self._check(provider)
        planned = Planned(check, self._timeout_s, self._interval_s)
        self._hub.add(lambda engine: engine.checking.add(planned))
        self._names.add(check.name)
        self._providers[check.name] = provider

    async def for_tests(self) -> tuple[list[dict[str, object]], dict[str, tuple[str, str]]]:
        """Return what tests with ``dependencies`` need of the checks that were added.

        Returns:
            Entries of ``[[checks]]`` for providers, under their names and, where nothing else is called so, their
            roles (``database``, ``redis``, ``http``, ``system``); and of all others, name → status and message now.
        """
        entries: dict[str, dict[str, object]] = {}
        others: list[str] = []
        for name, provider in self._providers.items():
            if isinstance(provider, HealthCheckProvider):
                entries[name] = provider.entry(name)
            else:
                others.append(name)
        for provider in self._providers.values():
            if isinstance(provider, HealthCheckProvider) and provider.role not in {*entries, *others, *self._names}:
                entries[provider.role] = provider.entry(provider.role)
        results = await self.check_all_health() if others else {}
        return [*entries.values()], {name: (results[name].status.value, results[name].message) for name in others}

    async def check_all_health(self) -> dict[str, CheckResult]:
        """Run every check now and return name → result."""
        is_alone = self._is_alone

        async def check(engine: Engine) -> dict[str, CheckResult]:
            if is_alone and not engine.checking.is_running:
                await engine.checking.start()
            return await engine.checking.check_all()

        return await self._hub.within(check)

    async def get_overall_health(self) -> CheckResult:
        """Return the health of the whole; its `to_dict` is the documented JSON."""
        if not self._hub.has_begun:
            await self.check_all_health()

        async def overall(engine: Engine) -> CheckResult:
            return engine.checking.overall()

        return await self._hub.within(overall)

    def get_uptime(self) -> dict[str, Mapping[str, float]]:
        """Return name → window (``1h``, ``24h``, ``7d``, ``30d``) → share of the observed time that it was up.

        The share is 0 to 1; what was not observed has none.
        """
        return self._hub.ask(lambda engine: engine.checking.uptime())

    def get_health_history(self) -> dict[str, tuple[Span, ...]]:
        """Return name → its stretches of one status, the oldest first."""
        return self._hub.ask(lambda engine: engine.checking.history())

    def _check(self, provider: object) -> Check:
        base = str(getattr(provider, "name", "") or getattr(provider, "__qualname__", type(provider).__name__))
        if isinstance(provider, HealthCheckProvider):
            name, number = base, 1
            while name in self._names:
                number += 1
                name = f"{base}-{number}"
            return provider.check(name)
        if base in self._names:
            raise ConfigurationError((f"there is a health check {base!r} already; give each a name of its own",))
        if callable(getattr(provider, "run", None)) and hasattr(provider, "secrets"):
            return provider  # type: ignore[return-value]  # its run is judged by what it returns
        if callable(provider):
            return PythonCheck(base, provider)
        fault = f"health check {show_value('provider', provider)}: allowed: a provider, a function, a Check"
        raise ConfigurationError((fault,))
