"""Whether somebody takes connections at an address."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import ClassVar

from pytest_sergas.checks import Context
from pytest_sergas.checks.deadline import ended_within, reason
from pytest_sergas.checks.options import Options
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.monitoring import MonitorType

KEYS = CHECK_OPTIONS["tcp"]

_NEXT_ADDRESS_S = 0.25  # as RFC 8305 recommends


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
            ended_within(timeout_s, self._connect)
        except TimeoutError:
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: no connection within {timeout_s:g} s")
        except socket.gaierror as error:
            text = f"{place}: the name cannot be resolved: {error.strerror}"
            return CheckResult(self.name, HealthStatus.UNHEALTHY, text)
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that can have no such name
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: {reason(error)}")
        return CheckResult(self.name, HealthStatus.HEALTHY, f"{place}: connected")

    async def _connect(self) -> None:
        # Where a name has several addresses, one that is silent leaves the others their time.
        _, writer = await asyncio.open_connection(self.host, self.port, happy_eyeballs_delay=_NEXT_ADDRESS_S)
        writer.close()


def create(context: Context) -> TcpCheck:
    options = Options(context, KEYS, required=("host", "port"))
    options.done()
    return TcpCheck(context.settings.name, **options.values)
