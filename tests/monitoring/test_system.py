"""The whole in an event loop of its caller: what is measured is judged, and who is to be told is told."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas import (
    AlertLevel,
    AlertRule,
    ComprehensiveMonitoringSystem,
    ConfigurationError,
    MonitoringMetric,
    MonitorType,
    Notification,
    TestSuite,
    TestType,
)
from tests.servers.gateways import answering
from tests.servers.process import get
from tests.servers.sidecar import sidecar

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _no_channels_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "SMTP_HOST"):
        monkeypatch.delenv(name, raising=False)


class Receiver:
    """A channel of a program's own."""

    name = "receiver"
    secrets = ()
    resend_s = None

    def __init__(self) -> None:
        self.told: asyncio.Queue[Notification] = asyncio.Queue()

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del timeout_s
        await self.told.put(notification)
        return "thank you"


def orders(values: list[float]) -> Any:
    def collect() -> list[MonitoringMetric]:
        return [MonitoringMetric("orders", values[0], None, MonitorType.BUSINESS)]

    return collect


FEW = AlertRule(
    name="few_orders",
    condition=lambda metric: metric.name == "orders" and metric.value < 5,
    level=AlertLevel.ERROR,
    message_template="Only {metric_value} orders",
)


async def test_measured_value_becomes_a_notification_and_its_end_another() -> None:
    values = [3.0]
    system = ComprehensiveMonitoringSystem({"monitoring_interval": 0.1})
    receiver = Receiver()
    system.alert_manager.add_notification_channel(receiver)
    system.add_custom_alert_rule(FEW)
    system.add_custom_metric_collector(orders(values))
    async with system.lifespan(), asyncio.timeout(60):
        first = await receiver.told.get()
        status = await system.get_system_status()
        values[0] = 9.0
        last = await receiver.told.get()

    assert first.status == "firing"
    assert dict(first.alerts[0].annotations)["summary"] == "Only 3 orders"
    assert last.status == "resolved"
    assert status["alerts"] == {"total_active": 1, "by_level": {"error": 1}, "by_source": {"python": 1}}
    json.dumps(status)


async def test_what_is_added_while_it_runs_counts_too() -> None:
    system = ComprehensiveMonitoringSystem({"monitoring_interval": 0.1})
    receiver = Receiver()
    async with system.lifespan(), asyncio.timeout(60):
        system.add_custom_metric_collector(orders([3.0]))
        await asyncio.to_thread(system.add_custom_alert_rule, FEW)
        system.alert_manager.add_notification_channel(receiver)
        system.health_checker.add_provider(lambda: True)
        notification = await receiver.told.get()
        results = await system.health_checker.check_all_health()

    assert notification.alerts[0].labels
    assert len(results) == 2


async def test_metrics_that_a_program_hands_over_are_judged_and_told_from_any_thread() -> None:
    system = ComprehensiveMonitoringSystem()
    receiver = Receiver()
    system.alert_manager.add_notification_channel(receiver)
    system.add_custom_alert_rule(FEW)
    metrics = orders([1.0])()
    async with system.lifespan(), asyncio.timeout(60):
        alerts = await asyncio.to_thread(system.alert_manager.evaluate_metrics, metrics)
        notification = await receiver.told.get()
        again = system.alert_manager.evaluate_metrics(metrics)
        active = system.alert_manager.get_active_alerts()

    assert [alert.name for alert in alerts] == ["few_orders"]
    assert again == []
    assert [alert.labels for alert in active] == [notification.alerts[0].labels]


async def test_alert_begins_once_however_fast_it_is_judged_again() -> None:
    system = ComprehensiveMonitoringSystem()
    system.add_custom_alert_rule(FEW)
    metrics = orders([1.0])()
    async with system.lifespan():
        told = [len(system.alert_manager.evaluate_metrics(metrics)) for _ in range(3)]

    assert told == [1, 0, 0]


async def test_webhook_of_the_configuration_gets_the_alert() -> None:
    with answering() as server:
        config = {"alert_webhook_url": f"{server.url}/alerts", "monitoring_interval": 0.1}
        system = ComprehensiveMonitoringSystem(config)
        system.add_custom_alert_rule(FEW)
        system.add_custom_metric_collector(orders([3.0]))
        async with system.lifespan(), asyncio.timeout(60):
            while not server.received:  # noqa: ASYNC110  another thread's
                await asyncio.sleep(0.02)

    [alert] = json.loads(server.received[0].body)["alerts"]
    assert alert["labels"]["alertname"] == "few_orders"
    assert alert["annotations"]["summary"] == "Only 3 orders"


async def test_condition_or_collector_that_blocks_or_raises_costs_only_itself() -> None:
    release = threading.Event()

    def blocks() -> list[MonitoringMetric]:
        release.wait(60)
        return []

    def broken(metric: MonitoringMetric) -> bool:
        raise LookupError(metric.name)

    system = ComprehensiveMonitoringSystem({"monitoring_interval": 0.1, "collect": {"timeout": 0.2}})
    receiver = Receiver()
    system.alert_manager.add_notification_channel(receiver)
    system.add_custom_alert_rule(AlertRule("broken", broken))
    system.add_custom_alert_rule(FEW)
    system.add_custom_metric_collector(blocks)
    system.add_custom_metric_collector(orders([3.0]))
    try:
        async with system.lifespan(), asyncio.timeout(60):
            notification = await receiver.told.get()
    finally:
        release.set()

    assert dict(notification.alerts[0].labels)["alertname"] == "few_orders"


async def test_started_twice_it_runs_once_and_stopped_before_the_start_nothing_happens() -> None:
    system = ComprehensiveMonitoringSystem()
    await system.stop_monitoring()
    await system.start_monitoring(interval=60.0)
    engine = system.engine
    await system.start_monitoring(interval=1.0)
    assert system.engine is engine
    await system.stop_monitoring()
    await system.stop_monitoring()
    assert not system.is_running


async def test_stopped_it_starts_again_with_what_was_added() -> None:
    system = ComprehensiveMonitoringSystem()
    system.metrics_collector.record_http_request("GET", "/a", 200, 0.1)
    for _ in range(2):
        async with system.lifespan():
            assert 'endpoint="/a"' in system.metrics_collector.get_prometheus_metrics()
            assert "SystemHealthCheck" in await system.health_checker.check_all_health()


async def test_without_a_start_there_is_no_status() -> None:
    with pytest.raises(RuntimeError, match=r"^the monitoring does not run; await start_monitoring\(\) first$"):
        await ComprehensiveMonitoringSystem().get_system_status()


async def test_other_loops_and_threads_may_ask() -> None:
    system = ComprehensiveMonitoringSystem()

    def elsewhere() -> tuple[Mapping[str, Any], str]:
        status = asyncio.run(system.get_system_status())
        return status, asyncio.run(system.health_checker.get_overall_health()).component

    async with system.lifespan():
        status, component = await asyncio.to_thread(elsewhere)
        metrics = await asyncio.to_thread(system.metrics_collector.collect_metrics)

    assert status["health"]["individual"].keys() == {"SystemHealthCheck"}
    assert component == "overall_system"
    assert any(metric.name == "cpu_usage_percent" for metric in metrics)


async def test_tests_that_ran_stand_in_the_status(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(
        "import pytest\n\n@pytest.mark.unit\ndef test_one(): pass\n\n@pytest.mark.smoke\ndef test_two(): assert 0\n",
        encoding="utf-8",
    )
    system = ComprehensiveMonitoringSystem({"root": tmp_path, "max_test_workers": 1})
    system.test_runner.register_suite(TestSuite("Unit Tests", TestType.UNIT))
    system.test_runner.register_suite(TestSuite("Smoke Tests", TestType.SMOKE))
    async with system.lifespan():
        found = await system.run_comprehensive_tests()
        status = await system.get_system_status()

    assert found["summary"]["success_rate"] == 50.0
    assert status["tests"] == {"total": 2, "success_rate": 50.0, "by_status": {"passed": 1, "failed": 1}}


async def test_with_a_sidecar_it_forwards_and_tells_nobody(tmp_path: Path) -> None:
    values = [3.0]
    with sidecar(tmp_path, "--store", ":memory:") as running, answering() as told:
        config = {
            "sidecar_url": running.url,
            "monitoring_interval": 0.1,
            "alert_webhook_url": told.url,
            "routes": [{"channels": ["webhook"], "group_wait": 0}],  # whoever were told would be at once
        }
        system = ComprehensiveMonitoringSystem(config)
        system.add_custom_alert_rule(FEW)
        system.add_custom_metric_collector(orders(values))

        async def arrives(value: str) -> None:
            page = ""
            while not re.search(rf"^business_orders\{{.*\}} {value}$", page, re.MULTILINE):
                page = await asyncio.to_thread(get, f"{running.url}/metrics")

        async with system.lifespan(), asyncio.timeout(60):
            await arrives("3")
            values[0] = 4.0
            await arrives("4")  # an interval later
            # Judged here, and notified by nobody here.
            while not system.alert_manager.get_active_alerts():  # noqa: ASYNC110  on another thread
                await asyncio.sleep(0.02)

    assert told.received == []


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        pytest.param({"monitoring_interval": -1}, "config: monitoring_interval = -1: allowed: seconds", id="number"),
        pytest.param({"monitoring_intervall": 1}, "config: monitoring_intervall: unknown key; did you mean", id="name"),
        pytest.param({"alert_webhook_url": "ftp://x"}, "channels.webhook: url = '***': allowed: a URL", id="url"),
        pytest.param({"smtp": 7}, "config: smtp = 7: allowed: a table", id="smtp"),
        pytest.param({"smtp": {"host": "x", "usr": "y"}}, "config: [smtp] usr = '...': unknown key", id="smtp key"),
        pytest.param({"sidecar_url": "ftp://x"}, "config: sidecar_url: not a URL of a gateway", id="url of"),
    ],
)
def test_configuration_that_cannot_be_used_is_refused(config: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        ComprehensiveMonitoringSystem(config)

    assert refused.value.faults[0].startswith(fault)


def test_every_fault_is_told_at_once_and_no_secret_is() -> None:
    config = {
        "test_timeout": "soon",
        "monitoring_interval": 0,
        "smtp": {"host": "mail", "to": "a@b", "password": "s3cret"},
    }
    with pytest.raises(ConfigurationError) as refused:
        ComprehensiveMonitoringSystem(config)

    assert len(refused.value.faults) == 2
    assert "s3cret" not in str(refused.value)


def test_secret_of_a_channel_that_cannot_be_used_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as refused:
        ComprehensiveMonitoringSystem({"slack_webhook_url": "not a url s3cret"})

    assert refused.value.faults[0].startswith("channels.slack: webhook_url = '***': allowed: a URL")


def test_channels_that_are_not_configured_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/x")
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://api.company.com/alerts")
    monkeypatch.setenv("SMTP_HOST", "smtp.gmail.com")
    monkeypatch.setenv("SMTP_PORT", "587")
    monkeypatch.setenv("SMTP_USERNAME", "alerts@company.com")
    monkeypatch.setenv("SMTP_PASSWORD", "password")

    system = ComprehensiveMonitoringSystem({"slack_webhook_url": None})

    assert set(system.channels) == {"slack", "webhook", "email"}


async def test_interval_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"start_monitoring: interval = 0: allowed: seconds, more than 0"):
        await ComprehensiveMonitoringSystem().start_monitoring(interval=0)
