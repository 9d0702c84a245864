"""How much of this machine is in use: CPU, memory, disks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pytest_sergas.checks import Context
from pytest_sergas.checks.options import Options
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.monitoring import MonitorType

_RESOURCES = ("cpu", "memory", "disk")
# Long enough for a figure that means something; the system counts CPU time in hundredths of a second.
_CPU_SAMPLE_S = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """From which use on, in percent, a resource is degraded, and unhealthy.

    A CPU that is fully used is busy, not dead: without a limit it is never unhealthy.
    """

    cpu_degraded: float = 90.0
    cpu_unhealthy: float = math.inf
    memory_degraded: float = 85.0
    memory_unhealthy: float = 95.0
    disk_degraded: float = 85.0
    disk_unhealthy: float = 95.0

    def judge(self, resource: str, percent: float) -> HealthStatus:
        """Return the status of ``resource`` (cpu, memory, disk) at ``percent`` of use."""
        if percent >= getattr(self, f"{resource}_unhealthy"):
            return HealthStatus.UNHEALTHY
        if percent >= getattr(self, f"{resource}_degraded"):
            return HealthStatus.DEGRADED
        return HealthStatus.HEALTHY


KEYS = CHECK_OPTIONS["system"]


@dataclass(frozen=True, slots=True)
class SystemCheck:
    """Measures this machine; the worst resource decides."""

    about: ClassVar[MonitorType] = MonitorType.SYSTEM
    name: str
    limits: Limits = Limits()
    disks: tuple[str, ...] = ("/",)
    secrets: tuple[str, ...] = ()

    def run(self, timeout_s: float) -> CheckResult:
        import psutil

        try:
            use = {
                "cpu": psutil.cpu_percent(interval=min(_CPU_SAMPLE_S, timeout_s / 2)),
                "memory": psutil.virtual_memory().percent,
                "disk": max(psutil.disk_usage(path).percent for path in self.disks),
            }
        except OSError as error:
            text = f"System resources cannot be read: {error.filename or ''}: {error.strerror}"
            return CheckResult(self.name, HealthStatus.UNHEALTHY, text)
        return self.judge(use)

    def judge(self, use: Mapping[str, float]) -> CheckResult:
        """Return what ``use``, resource → percent, means."""
        states = {resource: self.limits.judge(resource, percent) for resource, percent in use.items()}
        worst = max(states.values(), key=lambda status: status.rank)
        names = {"cpu": "CPU", "memory": "Memory", "disk": "Disk"}
        shown = ", ".join(f"{names[resource]} {percent:.0f}%" for resource, percent in use.items())
        details = {f"{resource}_percent": percent for resource, percent in use.items()}
        return CheckResult(self.name, worst, f"System resources: {shown}", details)


def create(context: Context) -> SystemCheck:
    options = Options(context, KEYS)
    values = dict(options.values)
    disks = values.pop("disks", ("/",))
    if not disks:
        options.fault("disks", "allowed: at least one path")
    limits = Limits(**values)
    for resource in _RESOURCES:
        degraded, unhealthy = getattr(limits, f"{resource}_degraded"), getattr(limits, f"{resource}_unhealthy")
        if degraded > unhealthy:
            key, other = f"{resource}_degraded", f"{resource}_unhealthy"
            given = key if key in values else other
            options.fault(given, f"{key} = {degraded:g} is above {other} = {unhealthy:g}; allowed: at most as much")
    options.done()
    return SystemCheck(context.settings.name, limits, disks)
