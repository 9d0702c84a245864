"""Arguments of the classes of programs: durations in every form, and refusals, before anything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas import (
    AlertLevel,
    AlertManager,
    AlertRule,
    ComprehensiveMonitoringSystem,
    ConfigurationError,
    HealthChecker,
    MonitoringMetric,
    MonitorType,
    TestRunner,
    TestSuite,
    TestType,
)
from pytest_sergas.config.program import Program

pytestmark = pytest.mark.unit

SECONDS = "allowed: seconds, more than 0 and at most 31622400, such as 90 or '1h30m'"
COOLDOWN = "allowed: seconds, at least 0 and at most 31622400, such as 90 or '1h30m'"
TIMEOUT = "allowed: seconds (0 for none), at least 0 and at most 31622400, such as 90 or '1h30m'"
HIGH = MonitoringMetric("cpu", 90.0, None, MonitorType.CPU)
LOW = MonitoringMetric("cpu", 1.0, None, MonitorType.CPU)


def beginnings(cooldown: float | str | None, default: float | str) -> int:
    """Return how often an alert is told that ends and begins again at once."""
    manager = AlertManager(alert_cooldown=default)
    manager.add_rule(AlertRule("high", lambda metric: metric.value > 80, AlertLevel.ERROR, cooldown=cooldown))
    return sum(len(manager.evaluate_metrics([metric])) for metric in (HIGH, LOW, HIGH))


async def hang() -> None:
    await asyncio.sleep(3_600)


@pytest.mark.parametrize(
    ("cooldown", "default", "told"),
    [("0", 300, 2), ("1h30m", 0, 1), (None, "5m", 1), (None, "0", 2), (90, "0s", 1), ("90", "0", 1)],
)
def test_cooldown_is_a_number_of_seconds_or_a_text(
    cooldown: float | str | None, default: float | str, told: int
) -> None:
    assert beginnings(cooldown, default) == told


def test_durations_of_runs_reach_pytest_in_seconds(tmp_path: Path) -> None:
    runner = TestRunner(timeout="1h30m", root=tmp_path)
    runner.register_suite(TestSuite("Unit", TestType.UNIT, timeout="2m"))

    asked = (runner.suites[0], None)
    commands = [runner._command(suite, tmp_path, Program()) for suite in asked]  # noqa: SLF001  nothing needs to run

    assert ["--timeout=120" in commands[0], "--timeout=5400" in commands[1]] == [True, True]


def test_timeout_of_a_health_checker_as_a_text_ends_a_check() -> None:
    checker = HealthChecker(timeout="20ms", interval="1h")
    checker.add_provider(hang)
    [result] = asyncio.run(checker.check_all_health()).values()

    assert result.message == "not done within 0.02 s"


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (lambda: AlertManager(alert_cooldown="soon"), f"AlertManager: alert_cooldown = 'soon': {COOLDOWN}"),
        (
            lambda: AlertManager(0),
            "AlertManager: max_alerts_per_minute = 0: allowed: notifications in a minute, a",
        ),
        (lambda: HealthChecker(timeout=-1), f"HealthChecker: timeout = -1: {SECONDS}"),
        (lambda: HealthChecker(interval="0"), f"HealthChecker: interval = '0': {SECONDS}"),
        (lambda: TestRunner(timeout="1x"), f"TestRunner: timeout = '1x': {TIMEOUT}"),
        (lambda: TestRunner(0), "TestRunner: max_workers = 0: allowed: workers, a whole number from 1 to 10000"),
        (
            lambda: TestRunner(retries=-1),
            "TestRunner: retries = -1: allowed: repetitions, a whole number from 0",
        ),
        (
            lambda: asyncio.run(ComprehensiveMonitoringSystem({}).start_monitoring(interval="never")),
            f"start_monitoring: interval = 'never': {SECONDS}",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_where_it_is_given(made: Callable[[], Any], fault: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        made()

    [found] = raised.value.faults
    assert found[: len(fault)] == fault
