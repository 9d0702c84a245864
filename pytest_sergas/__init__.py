"""Say what kind of test it is; everything else follows.

The public names are resolved when they are first used (PEP 562): importing the package costs nothing.
PYTEST_DONT_REWRITE: there are no assertions in it, and a program may import it before it starts pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sergas.version import VERSION as __version__  # noqa: N811  the name that the language gives it

_HOME = {
    "Alert": "pytest_sergas.core.alerts",
    "AlertLevel": "pytest_sergas.core.alerts",
    "AlertManager": "pytest_sergas.monitoring.alerts",
    "AlertRule": "pytest_sergas.core.alert_rules",
    "AlertRuleError": "pytest_sergas.errors",
    "AttemptRecord": "pytest_sergas.core.records",
    "ComprehensiveMonitoringSystem": "pytest_sergas.monitoring.system",
    "ConfigurationError": "pytest_sergas.errors",
    "DatabaseHealthCheck": "pytest_sergas.monitoring.health",
    "DeliveryError": "pytest_sergas.errors",
    "EmailNotificationChannel": "pytest_sergas.monitoring.channels",
    "FinalError": "pytest_sergas.errors",
    "HTTPHealthCheck": "pytest_sergas.monitoring.health",
    "HealthChecker": "pytest_sergas.monitoring.health",
    "HealthStatus": "pytest_sergas.core.health",
    "MetricError": "pytest_sergas.errors",
    "MetricsCollector": "pytest_sergas.monitoring.metrics",
    "MonitorType": "pytest_sergas.core.monitoring",
    "MonitoringMetric": "pytest_sergas.core.monitoring",
    "Notification": "pytest_sergas.core.messages",
    "NotificationChannel": "pytest_sergas.monitoring.channels",
    "Notified": "pytest_sergas.core.messages",
    "Outcome": "pytest_sergas.core.records",
    "Policy": "pytest_sergas.core.policy",
    "PublishError": "pytest_sergas.errors",
    "RedisHealthCheck": "pytest_sergas.monitoring.health",
    "RunRecord": "pytest_sergas.core.records",
    "SergasError": "pytest_sergas.errors",
    "SlackNotificationChannel": "pytest_sergas.monitoring.channels",
    "SystemHealthCheck": "pytest_sergas.monitoring.health",
    "TemporaryError": "pytest_sergas.errors",
    "TestRecord": "pytest_sergas.core.records",
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

__all__ = [*sorted(_HOME), "__version__"]  # noqa: PLE0604  computed from the one table that says where a name lives

if TYPE_CHECKING:
    from pytest_sergas.core.alert_rules import AlertRule as AlertRule
    from pytest_sergas.core.alerts import Alert as Alert
    from pytest_sergas.core.alerts import AlertLevel as AlertLevel
    from pytest_sergas.core.health import HealthStatus as HealthStatus
    from pytest_sergas.core.messages import Notification as Notification
    from pytest_sergas.core.messages import Notified as Notified
    from pytest_sergas.core.monitoring import MonitoringMetric as MonitoringMetric
    from pytest_sergas.core.monitoring import MonitorType as MonitorType
    from pytest_sergas.core.policy import Policy as Policy
    from pytest_sergas.core.records import AttemptRecord as AttemptRecord
    from pytest_sergas.core.records import Outcome as Outcome
    from pytest_sergas.core.records import RunRecord as RunRecord
    from pytest_sergas.core.records import TestRecord as TestRecord
    from pytest_sergas.core.records import TestType as TestType
    from pytest_sergas.errors import AlertRuleError as AlertRuleError
    from pytest_sergas.errors import ConfigurationError as ConfigurationError
    from pytest_sergas.errors import DeliveryError as DeliveryError
    from pytest_sergas.errors import FinalError as FinalError
    from pytest_sergas.errors import MetricError as MetricError
    from pytest_sergas.errors import PublishError as PublishError
    from pytest_sergas.errors import SergasError as SergasError
    from pytest_sergas.errors import TemporaryError as TemporaryError
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
