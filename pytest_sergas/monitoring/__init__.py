"""The programmatic face: what the specification calls the monitoring hub, thin round the engine and round pytest.

    system       `ComprehensiveMonitoringSystem`: all of it
    settings     its configuration
    hub          the one engine that the classes are views of
    metrics      `MetricsCollector`
    alerts       `AlertManager`
    channels     the channels that it notifies
    health       `HealthChecker` and its providers
    suites       what a `TestSuite` is, and what came of it
    covered      what several suites covered together
    runner       `TestRunner`: pytest in a process of its own
    reporting    a run, as the engine takes one that was pushed

The decorators are those of the plugin. The names are resolved when they are first used (PEP 562), so that who runs
tests loads no engine. `pytest_sergas` has the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_HOME = {
    "Alert": "pytest_sergas.core.alerts",
    "AlertLevel": "pytest_sergas.core.alerts",
    "AlertManager": "pytest_sergas.monitoring.alerts",
    "AlertRule": "pytest_sergas.core.alert_rules",
    "ComprehensiveMonitoringSystem": "pytest_sergas.monitoring.system",
    "DatabaseHealthCheck": "pytest_sergas.monitoring.health",
    "EmailNotificationChannel": "pytest_sergas.monitoring.channels",
    "HTTPHealthCheck": "pytest_sergas.monitoring.health",
    "HealthChecker": "pytest_sergas.monitoring.health",
    "HealthStatus": "pytest_sergas.core.health",
    "MetricsCollector": "pytest_sergas.monitoring.metrics",
    "MonitorType": "pytest_sergas.core.monitoring",
    "MonitoringMetric": "pytest_sergas.core.monitoring",
    "NotificationChannel": "pytest_sergas.monitoring.channels",
    "RedisHealthCheck": "pytest_sergas.monitoring.health",
    "SlackNotificationChannel": "pytest_sergas.monitoring.channels",
    "SystemHealthCheck": "pytest_sergas.monitoring.health",
    "TestResult": "pytest_sergas.monitoring.suites",
    "TestRunner": "pytest_sergas.monitoring.runner",
    "TestStatus": "pytest_sergas.monitoring.suites",
    "TestSuite": "pytest_sergas.monitoring.suites",
    "TestType": "pytest_sergas.core.records",
    "WebhookNotificationChannel": "pytest_sergas.monitoring.channels",
    "integration_test": "pytest_sergas.plugin.decorators",
    "performance_test": "pytest_sergas.plugin.decorators",
    "test": "pytest_sergas.plugin.decorators",
}

__all__ = [*sorted(_HOME)]  # noqa: PLE0604  computed from the one table that says where a name lives

if TYPE_CHECKING:
    from pytest_sergas.core.alert_rules import AlertRule as AlertRule
    from pytest_sergas.core.alerts import Alert as Alert
    from pytest_sergas.core.alerts import AlertLevel as AlertLevel
    from pytest_sergas.core.health import HealthStatus as HealthStatus
    from pytest_sergas.core.monitoring import MonitoringMetric as MonitoringMetric
    from pytest_sergas.core.monitoring import MonitorType as MonitorType
    from pytest_sergas.core.records import TestType as TestType
    from pytest_sergas.monitoring.alerts import AlertManager as AlertManager
    from pytest_sergas.monitoring.channels import EmailNotificationChannel as EmailNotificationChannel
    from pytest_sergas.monitoring.channels import NotificationChannel as NotificationChannel
    from pytest_sergas.monitoring.channels import SlackNotificationChannel as SlackNotificationChannel
    from pytest_sergas.monitoring.channels import WebhookNotificationChannel as WebhookNotificationChannel
    from pytest_sergas.monitoring.health import DatabaseHealthCheck as DatabaseHealthCheck
    from pytest_sergas.monitoring.health import HealthChecker as HealthChecker
    from pytest_sergas.monitoring.health import HTTPHealthCheck as HTTPHealthCheck
    from pytest_sergas.monitoring.health import RedisHealthCheck as RedisHealthCheck
    from pytest_sergas.monitoring.health import SystemHealthCheck as SystemHealthCheck
    from pytest_sergas.monitoring.metrics import MetricsCollector as MetricsCollector
    from pytest_sergas.monitoring.runner import TestRunner as TestRunner
    from pytest_sergas.monitoring.suites import TestResult as TestResult
    from pytest_sergas.monitoring.suites import TestStatus as TestStatus
    from pytest_sergas.monitoring.suites import TestSuite as TestSuite
    from pytest_sergas.monitoring.system import ComprehensiveMonitoringSystem as ComprehensiveMonitoringSystem
    from pytest_sergas.plugin.decorators import integration_test as integration_test
    from pytest_sergas.plugin.decorators import performance_test as performance_test
    from pytest_sergas.plugin.decorators import test as test


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
