"""What the prose round each Python block of the specification promises, observed after the block has run."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import httpx2
import pytest

import pytest_sergas
from pytest_sergas import (
    AlertLevel,
    ComprehensiveMonitoringSystem,
    HealthStatus,
    HTTPHealthCheck,
    MonitoringMetric,
    MonitorType,
    SystemHealthCheck,
    TestSuite,
    TestType,
)
from tests.asgi.serving import served
from tests.servers.gateways import Answer, Answering, answering
from tests.servers.postgresql import postgresql
from tests.specification.test_specification import (
    ALERTS,
    COLLECTOR,
    CONFIG,
    ENUMS,
    FASTAPI,
    FRAMEWORKS,
    HEALTH,
    METRICS,
    RULES,
    RUNNER,
    SETUP,
    SLACK,
    TESTS,
    _nothing_of_the_machine,  # noqa: F401  a fixture of every test
    block,
    execute,
    run_tests,
)

pytestmark = pytest.mark.integration


def texts(slack: Answering) -> list[str]:
    return [json.loads(request.body)["text"] for request in slack.received]


def arrive(slack: Answering, count: int = 1) -> list[str]:
    end_s = time.monotonic() + 60
    while len(slack.received) < count and time.monotonic() < end_s:
        time.sleep(0.02)
    return texts(slack)


async def test_enums_multiple_test_suites_and_their_types_are_markers_that_select(tmp_path: Path) -> None:
    written = await execute(ENUMS)
    names = [kind.value for kind in written["TestType"]]
    lines = (f"@pytest.mark.{name}\ndef test_{name}(): pass\n" for name in names)
    (tmp_path / "test_all.py").write_text("import pytest\n\n" + "\n".join(lines), encoding="utf-8")
    runner = pytest_sergas.TestRunner(1)

    for name in (names[0], names[-1]):
        assert [test.name for test in await runner.run_suite(name)] == [f"test_{name}"]
    assert (await runner.run_comprehensive_tests())["by_type"].keys() == set(names)


async def test_runner_runs_in_parallel_retries_and_measures_coverage(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def a():\n    return 1\n\ndef b():\n    return 2\n", encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(
        "import os, pytest, shop\n"
        "pytestmark = pytest.mark.unit\n"
        "SEEN = []\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_workers(number): assert os.environ['PYTEST_XDIST_WORKER_COUNT'] == '4' and shop.a()\n"
        "def test_again():\n    SEEN.append(1)\n    assert len(SEEN) == 2\n",
        encoding="utf-8",
    )
    names = await execute(RUNNER)
    runner = pytest_sergas.TestRunner(max_workers=8, retries=1, arguments=("-o", "pythonpath=."))
    runner.register_suite(TestSuite("Unit Tests", TestType.UNIT, timeout=60.0, max_workers=4, coverage=["shop"]))

    found = await runner.run_comprehensive_tests()

    assert {str(test.outcome) for test in names["results"]} <= {"passed", "failed", "error"}
    assert found["summary"]["by_status"] == {"passed": 4, "flaky": 1}
    assert found["summary"]["coverage"] == 75.0


async def test_metrics_are_of_the_machine_the_application_and_the_business() -> None:
    names = await execute(METRICS)
    collector = names["metrics_collector"]
    collector.add_collector(lambda: [MonitoringMetric("orders", 3, None, MonitorType.BUSINESS)])

    metrics = collector.collect_metrics()

    kinds = {metric.metric_type for metric in metrics}
    assert kinds >= {MonitorType.CPU, MonitorType.MEMORY, MonitorType.NETWORK, MonitorType.SYSTEM}
    assert kinds >= {MonitorType.APPLICATION, MonitorType.BUSINESS}
    found = {metric.name: metric for metric in metrics}
    assert found["http_requests_total"].labels == {"method": "GET", "endpoint": "/api/users", "status": "200"}
    assert "business_orders 3\n" in collector.get_prometheus_metrics()


async def test_manager_notifies_slack_once_and_tracks_history_and_trends() -> None:
    busy = MonitoringMetric("cpu_usage_percent", 93.5, None, MonitorType.CPU)
    with answering(lambda _: Answer(body="ok")) as slack:
        names = await execute(ALERTS, slack.url, metrics=[busy])
        manager = names["alert_manager"]
        first = await asyncio.to_thread(arrive, slack)
        assert manager.evaluate_metrics([busy]) == []
        history = manager.get_alert_history()

    [text] = first
    assert "high_cpu_usage" in text
    assert "High CPU usage: 93.5%" in slack.received[0].body.decode()
    assert [event.event for event in history] == ["firing", "told"]
    assert [event.channel for event in history] == ["", "slack"]
    assert list(manager.get_alert_trends()["by_level"].values()) == [{"warning": 1}]


async def test_checker_has_several_providers_and_keeps_their_history(tmp_path: Path) -> None:
    with postgresql(tmp_path) as server, answering() as shop:
        names = await execute(HEALTH, database=server.url_with_password)
        checker = names["health_checker"]
        checker.add_provider(HTTPHealthCheck(shop.url))
        checker.add_provider(SystemHealthCheck(cpu_degraded=100))
        before = await checker.check_all_health()
        server.process.kill()
        overall = await checker.get_overall_health()

    assert before.keys() == {"DatabaseHealthCheck", "HTTPHealthCheck", "SystemHealthCheck"}
    assert overall.status is HealthStatus.UNHEALTHY
    history = [span.status.value for span in checker.get_health_history()["DatabaseHealthCheck"]]
    assert history == ["healthy", "unhealthy"]


def test_basic_setup_notifies_slack_of_a_smoke_test_that_fails(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(
        "import pytest\n@pytest.mark.smoke\ndef test_shop(): assert 0\n@pytest.mark.unit\ndef test_one(): pass\n",
        "utf-8",
    )
    with answering(lambda _: Answer(body="ok")) as slack:
        (tmp_path / "setup_example.py").write_text(block(SETUP).replace(SLACK, slack.url), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "setup_example.py"], capture_output=True, text=True, check=False, timeout=110
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Tests completed: 50.0% success rate\nSystem health: ")
    assert any("TestsFailed" in text for text in texts(slack))


def test_custom_tests_fail_when_they_return_false_and_without_their_services_alone(tmp_path: Path) -> None:
    supplied = """
import time
from pytest_sergas import TestType, performance_test, test

class User:
    email = "test@example.com"

class Answer:
    status_code = 500

def create_user(email):
    return User()

async def make_api_call(path):
    return Answer()
"""
    tests = run_tests(tmp_path, supplied + block(TESTS), status=1)

    assert {name: test["rawStatus"] for name, test in tests.items()} == {
        "test_user_creation": "passed",
        "test_api_performance": "failed",
        "test_user_workflow": "error",
    }
    assert 'name = "database"' in tests["test_user_workflow"]["message"]
    assert "the test returned False" in tests["test_api_performance"]["message"]


async def test_custom_metrics_reach_rules_of_a_running_system() -> None:
    system = ComprehensiveMonitoringSystem()
    seen: dict[str, MonitorType] = {}
    complete, loop = asyncio.Event(), asyncio.get_running_loop()

    def condition(metric: MonitoringMetric) -> bool:
        seen[metric.name] = metric.metric_type
        if {"active_users", "conversion_rate"} <= seen.keys():
            loop.call_soon_threadsafe(complete.set)
        return False

    await execute(
        COLLECTOR, monitoring_system=system, get_active_user_count=lambda: 42, get_conversion_rate=lambda: 1.5
    )
    system.add_custom_alert_rule(pytest_sergas.AlertRule("all", condition))
    await system.start_monitoring(interval=0.1)
    async with asyncio.timeout(60):
        await complete.wait()
    await system.stop_monitoring()

    assert (seen["active_users"], seen["conversion_rate"]) == (MonitorType.CUSTOM, MonitorType.BUSINESS)


async def test_custom_alert_rules_notify_slack_from_a_running_system() -> None:
    values = [("error_rate", 7.0), ("conversion_rate", 1.5)]
    with answering(lambda _: Answer(body="ok")) as slack:
        system = ComprehensiveMonitoringSystem({"slack_webhook_url": slack.url})
        await execute(RULES, monitoring_system=system)
        system.add_custom_metric_collector(
            lambda: [MonitoringMetric(name, value, None, MonitorType.CUSTOM) for name, value in values]
        )
        async with system.lifespan():
            await asyncio.to_thread(arrive, slack)
            active = system.alert_manager.get_active_alerts()

    assert {(alert.name, alert.level) for alert in active} == {
        ("high_error_rate", AlertLevel.WARNING),
        ("low_conversion_rate", AlertLevel.ERROR),
    }
    told = "".join(request.body.decode() for request in slack.received)
    assert "High error rate detected: 7 errors/minute" in told
    assert "Low conversion rate: 1.5%" in told


async def test_configuration_has_its_effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_shop.py").write_text(
        "import pytest\nSEEN = []\n@pytest.mark.unit\n"
        "def test_third_time():\n    SEEN.append(1)\n    assert len(SEEN) == 3\n",
        "utf-8",
    )
    with answering(lambda _: Answer(body="ok")) as slack, answering() as webhook:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        monkeypatch.setenv("ALERT_WEBHOOK_URL", webhook.url)
        names = await execute(CONFIG)
        system = ComprehensiveMonitoringSystem(names["config"])
        system.add_custom_alert_rule(pytest_sergas.AlertRule("few", lambda metric: metric.value < 5))
        found = await system.run_comprehensive_tests()
        async with system.lifespan():
            system.alert_manager.evaluate_metrics([MonitoringMetric("orders", 3, None, MonitorType.CUSTOM)])

    assert found["summary"]["by_status"] == {"flaky": 1}  # test_retry_count is 2
    assert any("few" in text for text in texts(slack))
    assert any("few" in request.body.decode() for request in webhook.received)


async def test_fastapi_application_shows_its_requests_in_flight_and_its_health() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*on_event is deprecated", category=DeprecationWarning)
        names = await execute(FASTAPI)
    release, inside = asyncio.Event(), asyncio.Semaphore(0)
    loops: list[asyncio.AbstractEventLoop] = []
    here = asyncio.get_running_loop()

    async def slow() -> str:
        loops.append(asyncio.get_running_loop())
        here.call_soon_threadsafe(inside.release)
        await release.wait()
        return "done"

    names["app"].get("/slow")(slow)

    def in_flight(page: str) -> float:
        found = re.search(r"^http_requests_in_flight (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else -1.0

    with served(names["app"]) as url:
        async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
            await client.get("/health")
            one = (await client.get("/metrics")).text
            waiting = [asyncio.create_task(client.get("/slow")) for _ in range(3)]
            for _ in waiting:
                await inside.acquire()
            four = (await client.get("/metrics")).text
            loops[0].call_soon_threadsafe(release.set)
            await asyncio.gather(*waiting)
            again = (await client.get("/metrics")).text
            health = (await client.get("/health")).json()

    assert [in_flight(page) for page in (one, four, again)] == [1, 4, 1]  # the question itself is one
    assert 'http_requests_total{method="GET",endpoint="/slow",status="200"} 3\n' in again
    assert health["details"]["total_checks"] == 1


def test_budget_of_a_coroutine_benchmark_fails_a_call_that_takes_longer(tmp_path: Path) -> None:
    supplied = """
import asyncio
import types
from pytest_sergas import performance_test

async def make_api_call(path):
    await asyncio.sleep(1.2)
    return types.SimpleNamespace(status_code=200)
"""
    tests = run_tests(tmp_path, supplied + block(FRAMEWORKS), status=1)

    assert {name: test["rawStatus"] for name, test in tests.items()} == {
        "test_user_service": "passed",
        "test_api_performance": "over_budget",
    }
