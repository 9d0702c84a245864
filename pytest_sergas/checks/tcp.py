"""Whether somebody takes connections at an address."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import ClassVar

from pytest_sergas.checks import Context
from pytest_sergas.checks.options import Options
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.monitoring import MonitorType

KEYS = CHECK_OPTIONS["tcp"]


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """Connects, and closes the connection at once."""

    about: ClassVar[MonitorType] = MonitorType.NETWORK
    name: str
    host: str
    port: int
    secrets: tuple[str, ...] = ()

    def run(self, timeout_s: float) -> CheckResult:
        place = f"{self.host}:{self.port}"
        try:
            socket.create_connection((self.host, self.port), timeout_s).close()
        except TimeoutError:
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: no connection within {timeout_s:g} s")
        except socket.gaierror as error:
            text = f"{place}: the name cannot be resolved: {error.strerror}"
            return CheckResult(self.name, HealthStatus.UNHEALTHY, text)
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that can have no such name
            text = f"{place}: {getattr(error, 'strerror', None) or error}"
            return CheckResult(self.name, HealthStatus.UNHEALTHY, text)
        return CheckResult(self.name, HealthStatus.HEALTHY, f"{place}: connected")


def create(context: Context) -> TcpCheck:
    options = Options(context, KEYS, required=("host", "port"))
    options.done()
    return TcpCheck(context.settings.name, **options.values)
