"""Say what kind of test it is; everything else follows.

The public names are resolved when they are first used (PEP 562): importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sergas.version import VERSION as __version__  # noqa: N811  the name that the language gives it

_HOME = {
    "AlertLevel": "pytest_sergas.core.alerts",
    "AlertRule": "pytest_sergas.core.alert_rules",
    "AlertRuleError": "pytest_sergas.errors",
    "AttemptRecord": "pytest_sergas.core.records",
    "ConfigurationError": "pytest_sergas.errors",
    "DeliveryError": "pytest_sergas.errors",
    "FinalError": "pytest_sergas.errors",
    "MetricError": "pytest_sergas.errors",
    "MonitorType": "pytest_sergas.core.monitoring",
    "MonitoringMetric": "pytest_sergas.core.monitoring",
    "Notification": "pytest_sergas.core.messages",
    "Notified": "pytest_sergas.core.messages",
    "Outcome": "pytest_sergas.core.records",
    "Policy": "pytest_sergas.core.policy",
    "PublishError": "pytest_sergas.errors",
    "RunRecord": "pytest_sergas.core.records",
    "SergasError": "pytest_sergas.errors",
    "TemporaryError": "pytest_sergas.errors",
    "TestRecord": "pytest_sergas.core.records",
    "TestResult": "pytest_sergas.monitoring.suites",
    "TestRunner": "pytest_sergas.monitoring.runner",
    "TestStatus": "pytest_sergas.monitoring.suites",
    "TestSuite": "pytest_sergas.monitoring.suites",
    "TestType": "pytest_sergas.core.records",
    "integration_test": "pytest_sergas.plugin.decorators",
    "performance_test": "pytest_sergas.plugin.decorators",
    "test": "pytest_sergas.plugin.decorators",
}

__all__ = [*sorted(_HOME), "__version__"]  # noqa: PLE0604  computed from the one table that says where a name lives

if TYPE_CHECKING:
    from pytest_sergas.core.alert_rules import AlertRule as AlertRule
    from pytest_sergas.core.alerts import AlertLevel as AlertLevel
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
    from pytest_sergas.monitoring.runner import TestRunner as TestRunner
    from pytest_sergas.monitoring.suites import TestResult as TestResult
    from pytest_sergas.monitoring.suites import TestStatus as TestStatus
    from pytest_sergas.monitoring.suites import TestSuite as TestSuite
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
