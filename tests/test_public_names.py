"""What `import pytest_sergas` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_sergas
from pytest_sergas import monitoring

pytestmark = pytest.mark.integration

TYPED_USE = """
from typing import assert_type

from pytest_sergas import ConfigurationError, Outcome, Policy, RunRecord, TestRecord, TestType, __version__
from pytest_sergas import monitoring, test
from pytest_sergas.monitoring import (
    Alert,
    AlertLevel,
    AlertManager,
    AlertRule,
    ComprehensiveMonitoringSystem,
    DatabaseHealthCheck,
    EmailNotificationChannel,
    HealthChecker,
    HealthStatus,
    HTTPHealthCheck,
    MetricsCollector,
    MonitoringMetric,
    MonitorType,
    NotificationChannel,
    RedisHealthCheck,
    SlackNotificationChannel,
    SystemHealthCheck,
    TestResult,
    TestRunner,
    TestStatus,
    TestSuite,
    WebhookNotificationChannel,
    integration_test,
    performance_test,
)

assert_type(TestType("unit"), TestType)
assert_type(Outcome("flaky"), Outcome)
assert_type(__version__, str)


def slowest(run: RunRecord) -> TestRecord:
    return max(run.tests, key=lambda test: test.duration_s)


def limit(policy: Policy) -> float:
    return policy.timeout_s


def faults(error: ConfigurationError) -> tuple[str, ...]:
    return error.faults


assert_type(TestSuite("Unit Tests", TestType.UNIT, timeout=60.0, paths=["tests"]).test_type, TestType)
assert_type(TestStatus("passed"), Outcome)
assert_type(MonitoringMetric("orders", 3.0, None, MonitorType.BUSINESS).value, float)
assert_type(AlertLevel("error"), AlertLevel)

channels: list[NotificationChannel] = [
    EmailNotificationChannel("mail", to=["a@shop.example"], port=25),
    SlackNotificationChannel("https://hooks.slack.com/services/x"),
    WebhookNotificationChannel("https://shop.example/alerts"),
]
rule = AlertRule("slow", lambda metric: metric.value > 2, AlertLevel.WARNING, "{metric_value} s")


@performance_test(max_duration=2.0, max_memory_mb=100.0)
def test_total(orders: list[int]) -> int:
    return sum(orders)


@test(test_type=TestType.UNIT)
@integration_test(dependencies=["database"])
async def test_stored(name: str) -> bool:
    return bool(name)


assert_type(test_total([1]), int)


async def everything(system: ComprehensiveMonitoringSystem, runner: TestRunner) -> None:
    assert_type(system.metrics_collector, MetricsCollector)
    assert_type(system.alert_manager, AlertManager)
    assert_type(system.health_checker, HealthChecker)
    system.add_custom_alert_rule(rule)
    for channel in channels:
        system.alert_manager.add_notification_channel(channel)
    for check in (RedisHealthCheck("redis://cache"), SystemHealthCheck(), DatabaseHealthCheck("sqlite:///shop.db")):
        system.health_checker.add_provider(check)
    system.health_checker.add_provider(HTTPHealthCheck("https://shop.example/health"))
    assert_type((await system.health_checker.get_overall_health()).status, HealthStatus)
    assert_type(list(system.alert_manager.get_active_alerts()), list[Alert])
    results: list[TestResult] = [*await runner.run_suite(monitoring.TestType.UNIT)]
    assert_type(results[0].outcome, Outcome)
    assert_type(await test_stored("shop"), bool)


RunRecord.nonsense
"""


# What the specification imports from its module; the rest of the package is its own.
NOT_MONITORING = {
    "AlertRuleError",
    "AttemptRecord",
    "ConfigurationError",
    "DeliveryError",
    "FinalError",
    "MetricError",
    "Notification",
    "Notified",
    "Outcome",
    "Policy",
    "PublishError",
    "RunRecord",
    "SergasError",
    "TemporaryError",
    "TestRecord",
    "__version__",
}


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("name", pytest_sergas.__all__)
def test_public_name_is_there(name: str) -> None:
    assert getattr(pytest_sergas, name)


def test_names_of_the_specification_are_in_monitoring_too() -> None:
    names = python(
        "from pytest_sergas.monitoring import *; print(*(name for name in dir() if not name.startswith('__')))"
    ).split()

    assert set(names) == set(pytest_sergas.__all__) - NOT_MONITORING
    for name in names:
        assert getattr(monitoring, name) is getattr(pytest_sergas, name)


def test_importing_the_package_loads_only_its_version() -> None:
    loaded = python(
        "import pytest_sergas, sys; print(*sorted(m for m in sys.modules if m.startswith('pytest_sergas')))"
    )

    assert loaded.split() == ["pytest_sergas", "pytest_sergas.version"]


def test_name_loads_what_it_lives_in_and_no_more() -> None:
    loaded = python(
        "import pytest_sergas, sys; pytest_sergas.SergasError\n"
        "print(*sorted(m for m in sys.modules if m.startswith('pytest_sergas')))"
    )

    assert loaded.split() == ["pytest_sergas", "pytest_sergas.errors", "pytest_sergas.version"]


def test_importing_the_configuration_loads_neither_toml_nor_what_looks_for_near_words() -> None:
    code = (
        "import os, pathlib, sys; from pytest_sergas.config import load\n"
        "load(pathlib.Path('/nowhere/at/all'), environ={})\n"
        "print(*sorted({'difflib', 'string', 'tomllib', 'json', 'pytest'} & {*sys.modules}))"
    )

    assert python(code).split() == []


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'pytest_sergas' has no attribute 'Nonsense'$"):
        _ = pytest_sergas.Nonsense


def test_names_are_listed() -> None:
    assert dir(pytest_sergas) == sorted(pytest_sergas.__all__)


def test_star_import_gives_every_name() -> None:
    names = python("from pytest_sergas import *; print(*sorted(name for name in dir() if name != '__builtins__'))")

    assert set(pytest_sergas.__all__) <= set(names.split())


def test_type_checker_sees_the_types(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(TYPED_USE, encoding="utf-8")

    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "use.py"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )

    # One error, and it is the one that is there to be found.
    assert [line.partition("error: ")[2] for line in result.stdout.splitlines() if "error: " in line] == [
        '"type[RunRecord]" has no attribute "nonsense"  [attr-defined]'
    ]
