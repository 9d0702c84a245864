"""What the methods of a system accept has its effect in the engine: routes, cooldown, intervals, metrics, history."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas import (
    AlertLevel,
    AlertManager,
    AlertRule,
    ComprehensiveMonitoringSystem,
    ConfigurationError,
    DatabaseHealthCheck,
    MonitoringMetric,
    MonitorType,
    Notification,
)
from pytest_sergas.core.grouping import from_path
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.engine import clock
from pytest_sergas.engine.engine import Engine
from pytest_sergas.engine.groups import Push
from tests.monitoring.test_system import FEW, orders
from tests.servers.gateways import Answer, Answering, answering

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _no_channels_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "SMTP_HOST", "PROMETHEUS_GATEWAY"):
        monkeypatch.delenv(name, raising=False)


class Pager:
    """A channel of a program's own."""

    secrets = ()
    resend_s = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.got: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del timeout_s
        for alert in notification.alerts:
            self.got.put_nowait((dict(alert.labels)["alertname"], alert.status))
        return ""

    def told(self) -> set[str]:
        return {self.got.get_nowait()[0] for _ in range(self.got.qsize())}


CRITICAL = {"match": ["severity=critical"], "channels": ["slack"], "group_wait": 0}
ALL = {"channels": ["slack"], "group_wait": 0}


@pytest.mark.parametrize(
    ("routes", "pager", "chat", "slack"),
    [
        pytest.param(
            [{"match": ["severity=critical"], "channels": ["pager"]}, {"channels": ["chat"]}],
            {"crit"},
            {"warn"},
            set(),
            id="by name",
        ),
        pytest.param(None, {"crit", "warn"}, {"crit", "warn"}, {"crit", "warn"}, id="no routes"),
        pytest.param([ALL], {"crit", "warn"}, {"crit", "warn"}, {"crit", "warn"}, id="default one"),
        pytest.param([CRITICAL, ALL], {"warn"}, {"warn"}, {"crit", "warn"}, id="behind a route"),
        pytest.param([CRITICAL], {"warn"}, {"warn"}, {"crit"}, id="no default one"),
        pytest.param(
            [{"match": ["alertname=warn"], "channels": ["chat"]}, {"match": ["alertname=crit"], "channels": ["pager"]}],
            {"crit"},
            {"warn"},
            set(),
            id="rules by name",
        ),
    ],
)
async def test_added_channels_and_rules_take_part_in_routes(
    routes: list[dict[str, Any]] | None, pager: set[str], chat: set[str], slack: set[str]
) -> None:
    with answering(lambda _: Answer(body="ok")) as server:
        config: dict[str, Any] = {"slack_webhook_url": server.url, **({} if routes is None else {"routes": routes})}
        system = ComprehensiveMonitoringSystem(config)
        channels = Pager("pager"), Pager("chat")
        for channel in channels:
            system.alert_manager.add_notification_channel(channel)
        for name, level in (("crit", AlertLevel.CRITICAL), ("warn", AlertLevel.WARNING)):
            system.add_custom_alert_rule(AlertRule(name, lambda metric: metric.name == "orders", level))
        async with system.lifespan():
            system.alert_manager.evaluate_metrics(orders([3.0])())
        # The end has waited for what was to be delivered.
        texts = "".join(request.body.decode() for request in server.received)

    assert [channel.told() for channel in channels] == [pager, chat]
    assert {name for name in ("crit", "warn") if name in texts} == slack


async def test_route_to_a_channel_that_nobody_adds_is_refused_at_the_start() -> None:
    system = ComprehensiveMonitoringSystem({"routes": [{"channels": ["pagr"]}]})
    system.alert_manager.add_notification_channel(Pager("pager"))

    with pytest.raises(ConfigurationError) as refused:
        await system.start_monitoring()

    fault = "routes.1: channels = 'pagr': there is no channel of that name; did you mean 'pager'?"
    assert refused.value.faults == (fault,)
    assert not system.is_running


async def test_channel_that_is_added_while_it_runs_is_notified() -> None:
    system = ComprehensiveMonitoringSystem({"routes": [{"match": ["alertname=other"], "channels": []}]})
    system.add_custom_alert_rule(FEW)
    pager = Pager("pager")
    async with system.lifespan(), asyncio.timeout(60):
        system.alert_manager.add_notification_channel(pager)
        system.alert_manager.evaluate_metrics(orders([3.0])())
        assert await pager.got.get() == ("few_orders", "firing")


async def test_with_a_sidecar_a_channel_is_refused_because_the_sidecar_notifies() -> None:
    system = ComprehensiveMonitoringSystem({"sidecar_url": "http://127.0.0.1:9"})

    with pytest.raises(ConfigurationError, match="with sidecar_url, the sidecar notifies; configure the channel there"):
        system.alert_manager.add_notification_channel(Pager("pager"))


@pytest.mark.parametrize(
    ("alert_cooldown", "own", "told"),
    [(0.0, None, 2), (600.0, None, 1), (0.0, 600.0, 1)],
    ids=["none by default", "long by default", "own long"],
)
async def test_cooldown_of_a_rule_is_its_own_or_the_general_one(
    alert_cooldown: float, own: float | None, told: int
) -> None:
    with answering() as server:
        system = ComprehensiveMonitoringSystem(
            {
                "alert_cooldown": alert_cooldown,
                "alert_webhook_url": server.url,
                "routes": [{"channels": ["webhook"], "group_wait": 0, "group_interval": 0}],
            }
        )
        system.add_custom_alert_rule(AlertRule("few", FEW.condition, cooldown=own))
        returned = []
        async with system.lifespan():
            for value in (3.0, 9.0, 3.0):
                returned += system.alert_manager.evaluate_metrics(orders([value])())
                await settled(server, value)

    statuses = [alert["status"] for one in server.received for alert in json.loads(one.body)["alerts"]]
    assert (len(returned), statuses.count("firing")) == (told, told)


async def settled(server: Answering, value: float) -> None:
    """Wait until the receiver knows the end, where there is one: what is resolved at once is never notified."""
    if value == 9.0:
        async with asyncio.timeout(60):
            while not any("resolved" in one.body.decode() for one in server.received):  # noqa: ASYNC110  a thread's
                await asyncio.sleep(0.02)
    else:
        async with asyncio.timeout(60):
            while not server.received:  # noqa: ASYNC110  another thread's
                await asyncio.sleep(0.02)


async def test_interval_of_the_start_holds_for_collectors_of_the_program() -> None:
    asked = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    def collect() -> list[MonitoringMetric]:
        loop.call_soon_threadsafe(asked.release)
        return []

    system = ComprehensiveMonitoringSystem({"monitoring_interval": 3600})
    system.add_custom_metric_collector(collect)
    await system.start_monitoring(interval=0.05)
    try:
        async with asyncio.timeout(60):
            for _ in range(3):
                await asked.acquire()
    finally:
        await system.stop_monitoring()


async def test_rules_see_every_metric_with_what_it_is_about(tmp_path: Path) -> None:
    import sqlite3

    sqlite3.connect(tmp_path / "shop.db").close()
    seen: dict[str, MonitorType] = {}
    wanted = {
        "http_requests_total": MonitorType.APPLICATION,
        "process_resident_memory_bytes": MonitorType.APPLICATION,
        "sergas_check_up": MonitorType.DATABASE,
        "backup_rows": MonitorType.APPLICATION,
        "memory_usage_percent": MonitorType.MEMORY,
        "cpu_usage_percent": MonitorType.CPU,
        "network_receive_bytes_total": MonitorType.NETWORK,
        "disk_usage_percent": MonitorType.SYSTEM,
        "orders": MonitorType.BUSINESS,
    }
    complete = asyncio.Event()
    loop = asyncio.get_running_loop()

    def see(metric: MonitoringMetric) -> bool:
        if metric.name == "sergas_check_up" and metric.labels["check"] != "database":
            return False
        seen.setdefault(metric.name, metric.metric_type)
        if wanted.keys() <= seen.keys():
            loop.call_soon_threadsafe(complete.set)
        return False

    async def push(engine: Engine) -> None:
        families = [Family("backup_rows", "gauge", "Rows.", (Sample((), 7.0),))]
        labels = from_path("/metrics/job/backup")
        await engine.groups.push(Push.of(labels, families, replace=True, ttl_s=None, now=clock.read()))

    system = ComprehensiveMonitoringSystem({"monitoring_interval": 0.1})
    system.metrics_collector.record_http_request("GET", "/a", 200, 0.1)
    system.add_custom_metric_collector(orders([3.0]))
    system.health_checker.add_provider(DatabaseHealthCheck(f"sqlite:///{tmp_path / 'shop.db'}", name="database"))
    system.add_custom_alert_rule(AlertRule("all", see))
    async with system.lifespan(), asyncio.timeout(60):
        await system.within(push)
        await complete.wait()
        collected = await asyncio.to_thread(system.metrics_collector.collect_metrics)

    assert {name: seen[name] for name in wanted} == wanted
    assert wanted.keys() <= {metric.name for metric in collected}
    [backup] = [metric for metric in collected if metric.name == "backup_rows"]
    assert (backup.value, backup.labels) == (7.0, {"job": "backup"})


async def test_history_and_trends_have_what_the_running_system_evaluated_also_after_its_end() -> None:
    values = [3.0]
    system = ComprehensiveMonitoringSystem({"monitoring_interval": 0.1})
    system.add_custom_alert_rule(FEW)
    system.add_custom_metric_collector(orders(values))

    async def happens(event: str) -> None:
        async with asyncio.timeout(60):
            while event not in [one.event for one in system.alert_manager.get_alert_history()]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async with system.lifespan():
        await happens("firing")
        values[0] = 9.0
        await happens("resolved")
        during = system.alert_manager.get_alert_history(name="few_orders")
    after = system.alert_manager.get_alert_history()

    assert [one.event for one in during if one.event in {"firing", "resolved"}] == ["firing", "resolved"]
    assert [one for one in after if one.event in {"firing", "resolved"}] == [
        one for one in during if one.event in {"firing", "resolved"}
    ]
    [day] = system.alert_manager.get_alert_trends()["by_level"].values()
    assert day == {"error": 1}
    async with system.lifespan():
        assert len(system.alert_manager.get_alert_history(name="few_orders")) >= len(during)


def test_history_is_filtered_and_bounded() -> None:
    alone = AlertManager()
    alone.add_rule(FEW)
    alone.add_rule(AlertRule("any", lambda metric: metric.value > 0, AlertLevel.INFO))
    alone.evaluate_metrics(orders([3.0])())

    assert {one.name for one in alone.get_alert_history()} == {"few_orders", "any"}
    assert {one.name for one in alone.get_alert_history(level="info")} == {"any"}
    assert len(alone.get_alert_history(1)) == 1
