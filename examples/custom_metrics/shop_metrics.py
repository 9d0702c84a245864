"""Business figures of a shop as metrics."""

from __future__ import annotations

from datetime import UTC, datetime

from pytest_sergas import MetricsCollector, MonitoringMetric, MonitorType

USERS = {"ada", "grace"}
VISITS, ORDERS = 200, 5


def collect_business_metrics() -> list[MonitoringMetric]:
    now = datetime.now(UTC)
    return [
        MonitoringMetric(
            name="active_users",
            value=len(USERS),
            timestamp=now,
            metric_type=MonitorType.CUSTOM,
            unit="count",
            description="Number of active users",
        ),
        MonitoringMetric(
            name="conversion_rate",
            value=100 * ORDERS / VISITS,
            timestamp=now,
            metric_type=MonitorType.BUSINESS,
            unit="percent",
            description="User conversion rate",
        ),
    ]


def page() -> str:
    """Return the page that Prometheus scrapes."""
    collector = MetricsCollector()
    collector.add_collector(collect_business_metrics)
    return collector.get_prometheus_metrics()
