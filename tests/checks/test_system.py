"""The check of this machine: the figures are real, their judgement is a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.checks.system import Limits, SystemCheck
from pytest_sergas.core.health import HealthStatus
from pytest_sergas.errors import ConfigurationError
from tests.checks.conftest import make, run

pytestmark = pytest.mark.integration

HEALTHY, DEGRADED, _, UNHEALTHY = HealthStatus
LIMITS = Limits(
    cpu_degraded=50, cpu_unhealthy=90, memory_degraded=60, memory_unhealthy=80, disk_degraded=70, disk_unhealthy=95
)


def test_this_machine_is_measured(tmp_path: Path) -> None:
    result = run(make("system", tmp_path))

    assert set(result.details) == {"cpu_percent", "memory_percent", "disk_percent"}
    assert all(0 <= percent <= 100 for percent in result.details.values())
    assert result.details["memory_percent"] > 0


@pytest.mark.parametrize(
    ("use", "status"),
    [
        pytest.param((49.9, 59.9, 69.9), HEALTHY, id="below all limits"),
        pytest.param((50, 0, 0), DEGRADED, id="CPU reaches degraded"),
        pytest.param((90, 0, 0), UNHEALTHY, id="CPU reaches unhealthy"),
        pytest.param((0, 60, 0), DEGRADED, id="memory reaches degraded"),
        pytest.param((0, 80, 0), UNHEALTHY, id="memory reaches unhealthy"),
        pytest.param((0, 0, 70), DEGRADED, id="disk reaches degraded"),
        pytest.param((0, 0, 95), UNHEALTHY, id="disk reaches unhealthy"),
        pytest.param((50, 80, 0), UNHEALTHY, id="the worst decides"),
    ],
)
def test_use_is_judged_by_the_limits(use: tuple[float, float, float], status: HealthStatus) -> None:
    check = SystemCheck("shop", LIMITS)

    assert check.judge(dict(zip(("cpu", "memory", "disk"), use, strict=True))).status is status


def test_busy_cpu_is_not_dead_unless_one_says_so() -> None:
    assert SystemCheck("shop").judge({"cpu": 100, "memory": 0, "disk": 0}).status is DEGRADED


def test_message_is_the_documented_one() -> None:
    result = SystemCheck("shop").judge({"cpu": 25.2, "memory": 44.9, "disk": 60.0})

    assert result.message == "System resources: CPU 25%, Memory 45%, Disk 60%"


def test_fullest_disk_counts(tmp_path: Path) -> None:
    one = run(make("system", tmp_path, disks=["/proc"])).details["disk_percent"]
    both = run(make("system", tmp_path, disks=["/proc", "/"])).details["disk_percent"]

    assert one == 0
    assert both > 0


def test_path_that_is_not_there_is_unhealthy(tmp_path: Path) -> None:
    result = run(make("system", tmp_path, disks=["/nowhere"]))

    assert (result.status, result.message) == (
        UNHEALTHY,
        "System resources cannot be read: /nowhere: No such file or directory",
    )


def test_degraded_above_unhealthy_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make("system", tmp_path, cpu_degraded=99, cpu_unhealthy=98, disk_unhealthy=50, disks=[])

    assert raised.value.faults == (
        "checks.shop: disks = []: allowed: at least one path",
        "checks.shop: cpu_degraded = 99: cpu_degraded = 99 is above cpu_unhealthy = 98; allowed: at most as much",
        "checks.shop: disk_unhealthy = 50: disk_degraded = 85 is above disk_unhealthy = 50; allowed: at most as much",
    )
