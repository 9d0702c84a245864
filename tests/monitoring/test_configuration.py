"""The keys of the configuration reach the parts that they are about."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from pathlib import Path

import psutil
import pytest

from pytest_sergas import AlertRule, ComprehensiveMonitoringSystem, HealthStatus
from pytest_sergas.engine import clock
from tests.monitoring.test_system import FEW, Receiver, orders
from tests.servers.gateways import answering
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration

RULE = """
groups:
  - name: shop
    rules:
      - alert: FewOrders
        expr: business_orders < 5
"""


@pytest.fixture(autouse=True)
def _no_channels_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "SMTP_HOST"):
        monkeypatch.delenv(name, raising=False)


async def test_retention_of_metrics_is_that_of_the_history() -> None:
    system = ComprehensiveMonitoringSystem({"metrics_retention": 7})
    async with system.lifespan():
        assert system.engine.history.limit == 7


async def test_timeout_of_health_checks_counts_for_those_that_a_program_adds() -> None:
    release = threading.Event()

    def hangs() -> None:
        release.wait(60)

    system = ComprehensiveMonitoringSystem({"health_check_timeout": 0.5})
    system.health_checker.add_provider(hangs)
    try:
        async with system.lifespan():
            results = await system.health_checker.check_all_health()
    finally:
        release.set()

    [hung] = [result for name, result in results.items() if name.endswith("hangs")]
    assert hung.status is HealthStatus.UNHEALTHY
    assert re.match(r"no answer within [0-9]\.[0-9] s", hung.message), hung.message  # and not ten, the default


async def test_interval_of_health_checks_counts_for_those_that_a_program_adds() -> None:
    system = ComprehensiveMonitoringSystem({"health_check_interval": 0.05})
    checked = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    system.health_checker.add_provider(lambda: loop.call_soon_threadsafe(checked.release) is not None)
    async with system.lifespan(), asyncio.timeout(25):  # less than the default of 30 s
        for _ in range(3):
            await checked.acquire()


async def test_cooldown_of_the_configuration_lets_an_alert_come_back_at_once(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(RULE, encoding="utf-8")
    values = [3.0]
    system = ComprehensiveMonitoringSystem(
        {
            "root": tmp_path,
            "monitoring_interval": 0.1,
            "alert_cooldown": 0,
            "rules": {"files": ["shop.yml"], "ready_made": [], "evaluation_interval": 0.1},
        }
    )
    receiver = Receiver()
    system.alert_manager.add_notification_channel(receiver)
    system.add_custom_metric_collector(orders(values))
    told = []
    async with system.lifespan(), asyncio.timeout(120):  # less than the default of 300 s
        for value in (9.0, 3.0, 9.0):
            told.append((await receiver.told.get()).status)
            values[0] = value

    assert told == ["firing", "resolved", "firing"]


async def test_cap_of_the_configuration_holds_back_what_is_beyond_it() -> None:
    with answering() as server:
        system = ComprehensiveMonitoringSystem(
            {
                "alert_webhook_url": server.url,
                "max_alerts_per_minute": 1,
                "routes": [{"channels": ["webhook"], "group_wait": 0, "group_by": ["alertname"]}],
            }
        )
        system.add_custom_alert_rule(FEW)
        system.add_custom_alert_rule(AlertRule("still_few_orders", FEW.condition))
        async with system.lifespan(), asyncio.timeout(60):
            system.alert_manager.evaluate_metrics(orders([3.0])())
            held = 'sergas_notifications_held{channel="webhook"} 1\n'
            while held not in (await system.engine.page.text(clock.read())).decode():  # noqa: ASYNC110  on a page
                await asyncio.sleep(0.02)
            while not server.received:  # noqa: ASYNC110  another thread's
                await asyncio.sleep(0.02)
            assert len(server.received) == 1

    # Nobody could send it later: the end releases it.
    assert json.loads(server.received[1].body)["heldBack"] == 1


async def test_store_of_the_configuration_survives_a_restart(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text("import pytest\n\n@pytest.mark.unit\ndef test_one(): pass\n", "utf-8")
    config = {"root": tmp_path, "store": "shop.db", "max_test_workers": 1}
    first = ComprehensiveMonitoringSystem(config)
    async with first.lifespan():
        await first.run_comprehensive_tests()

    second = ComprehensiveMonitoringSystem(config)
    async with second.lifespan():
        status = await second.get_system_status()

    assert (tmp_path / "shop.db").is_file()
    assert status["tests"] == {"total": 1, "success_rate": 100.0, "by_status": {"passed": 1}}


async def test_without_a_store_no_file_is_left_and_no_port_is_opened(tmp_path: Path) -> None:
    def ports() -> set[int]:
        own = psutil.Process(os.getpid()).net_connections("inet")
        return {one.laddr.port for one in own if one.status == psutil.CONN_LISTEN}

    before = ports()
    async with ComprehensiveMonitoringSystem({"root": tmp_path}).lifespan():
        assert ports() == before

    assert list(tmp_path.iterdir()) == []


async def test_with_a_sidecar_its_runs_are_forwarded(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text("import pytest\n\n@pytest.mark.unit\ndef test_one(): pass\n", "utf-8")
    with sidecar(tmp_path, "--store", ":memory:") as running:
        system = ComprehensiveMonitoringSystem({"root": tmp_path, "sidecar_url": running.url, "max_test_workers": 1})
        await system.run_comprehensive_tests()
        [run] = json.loads(ask(running.url, "/api/runs").text)["runs"]

    assert (run["total"], run["by_status"]) == (1, {"passed": 1})


async def test_with_a_sidecar_that_wants_a_token_metrics_are_forwarded_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").write_text("t-0123456789\n", encoding="utf-8")
    monkeypatch.setenv("SERGAS_PUSH_TOKEN", "t-0123456789")
    authorization = {"Authorization": "Bearer t-0123456789"}
    with sidecar(tmp_path, config='[serve]\ntoken_file = "tokens"\n') as running:
        system = ComprehensiveMonitoringSystem({"sidecar_url": running.url, "monitoring_interval": 0.1, "project": "p"})
        system.add_custom_metric_collector(orders([3.0]))
        page = ""
        async with system.lifespan(), asyncio.timeout(60):
            while "business_orders{" not in page:
                page = (await asyncio.to_thread(ask, running.url, "/metrics", headers=authorization)).text

    assert re.search(r'^business_orders\{instance="[^"]+:[0-9]+",job="p"\} 3$', page, re.MULTILINE)
