"""Every Python block of the specification, executed.

Only this is changed: the import root is `pytest_sergas`, addresses that are left open (``postgresql://...``) are those
of real servers, and waiting for five minutes is cut short. What the document leaves open (``create_user`` and the like)
is supplied.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import httpx2
import pytest

import pytest_sergas
from pytest_sergas.core.health import CheckResult
from tests.asgi.serving import served
from tests.servers.postgresql import PASSWORD as POSTGRESQL_PASSWORD
from tests.servers.postgresql import postgresql
from tests.servers.redis import PASSWORD as REDIS_PASSWORD
from tests.servers.redis import redis

pytestmark = pytest.mark.integration

DOCUMENT = (Path(__file__).parent / "specification.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)

SLACK = "https://hooks.slack.com/..."

# What tells each block from the others, in their order.
ENUMS, RUNNER, METRICS, ALERTS, HEALTH, SETUP, TESTS, COLLECTOR, RULES, CONFIG, FASTAPI, FRAMEWORKS = range(12)


def block(number: int) -> str:
    text: str = BLOCKS[number].replace("monitoring.comprehensive_monitoring", "pytest_sergas")
    text = text.replace('"postgresql://..."', "database")
    return text.replace("await asyncio.sleep(300)", "await asyncio.sleep(0)")


async def execute(number: int, address: str = "", **supplied: Any) -> dict[str, Any]:
    """Execute a block, whose statements may await, and return its names.

    Args:
        address: in the place of Slack's.
    """
    names: dict[str, Any] = {
        **{name: getattr(pytest_sergas, name) for name in pytest_sergas.__all__},
        "__name__": "specification",
        "os": os,
        "time": time,
        "datetime": datetime,
        "Enum": Enum,
        **supplied,
    }
    text = block(number).replace(SLACK, address or SLACK)
    code = compile(text, f"block {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    returned = eval(code, names)  # noqa: S307  the document is ours
    if inspect.iscoroutine(returned):
        await returned
    return names


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "SMTP_HOST", "SMTP_PORT", "SMTP_USERNAME", "SMTP_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.toml").write_text("[pytest]\n", encoding="utf-8")


@pytest.fixture
def system() -> pytest_sergas.ComprehensiveMonitoringSystem:
    return pytest_sergas.ComprehensiveMonitoringSystem()


def test_there_are_twelve_blocks() -> None:
    assert len(BLOCKS) == 12


async def test_enums_are_those_of_the_document() -> None:
    written = await execute(ENUMS)

    for name in ("TestType", "AlertLevel"):
        assert {one.name: one.value for one in getattr(pytest_sergas, name)} == {
            one.name: one.value for one in written[name]
        }
    ours = {one.name: one.value for one in pytest_sergas.MonitorType}
    assert ours == {**{one.name: one.value for one in written["MonitorType"]}, "BUSINESS": "business"}


async def test_runner_runs_the_suite(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text("import pytest\n@pytest.mark.unit\ndef test_one(): pass\n", encoding="utf-8")

    names = await execute(RUNNER)

    assert [test.outcome for test in names["results"]] == [pytest_sergas.TestStatus.PASSED]


async def test_collector_collects_records_and_shows() -> None:
    names = await execute(METRICS)

    assert any(metric.name == "cpu_usage_percent" for metric in names["metrics"])
    page = names["prometheus_metrics"]
    assert 'http_requests_total{method="GET",endpoint="/api/users",status="200"} 1\n' in page
    assert "# HELP system_cpu_usage_percent Current CPU usage percentage\n" in page
    assert "# TYPE system_cpu_usage_percent gauge\n" in page
    assert "# HELP http_requests_total Total HTTP requests\n" in page


async def test_manager_evaluates_metrics() -> None:
    busy = pytest_sergas.MonitoringMetric("cpu_usage_percent", 93.5, None, pytest_sergas.MonitorType.SYSTEM)

    names = await execute(ALERTS, metrics=[busy])

    [alert] = names["alerts"]
    assert (alert.name, alert.message) == ("high_cpu_usage", "High CPU usage: 93.5%")


async def test_checker_checks_a_database(tmp_path: Path) -> None:
    with postgresql(tmp_path) as server:
        names = await execute(HEALTH, database=server.url_with_password)

    assert {name: str(result.status) for name, result in names["health_status"].items()} == {
        "DatabaseHealthCheck": "healthy"
    }
    overall = names["overall_health"]
    assert isinstance(overall, CheckResult)
    assert overall.message == "Overall system health: healthy (1/1 components healthy)"


def test_basic_setup_runs_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text("import pytest\n@pytest.mark.unit\ndef test_one(): pass\n", encoding="utf-8")
    (tmp_path / "setup_example.py").write_text(block(SETUP), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", "setup_example.py"], capture_output=True, text=True, check=False, timeout=110
    )

    assert done.returncode == 0, done.stderr
    completed, health = done.stdout.splitlines()
    assert completed == "Tests completed: 100.0% success rate"
    assert health in {f"System health: {status.value}" for status in pytest_sergas.HealthStatus}
    assert "password" not in done.stdout + done.stderr


# What the tests of the document call: users that may be awaited, and stores for them.
SUPPLIED = """
import time
import psycopg, redis
from pytest_sergas import TestType, performance_test, test

REDIS = {redis!r}
DATABASE = {database!r}

class User:
    def __init__(self, email):
        self.id, self.email = 7, email
    def __await__(self):
        with psycopg.connect(DATABASE) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS users (id int, email text)")
            connection.execute("INSERT INTO users VALUES (%s, %s)", (self.id, self.email))
        return self
        yield

class Answer:
    status_code = 200

create_user = User

async def make_api_call(path):
    return Answer()

async def get_user_from_db(user_id):
    with psycopg.connect(DATABASE) as connection:
        [row] = connection.execute("SELECT email FROM users WHERE id = %s", (user_id,)).fetchall()
    return User(row[0])

async def cache_user(user):
    redis.Redis.from_url(REDIS).set(f"user:{{user.id}}", user.email)

async def get_cached_user(user_id):
    return User(redis.Redis.from_url(REDIS).get(f"user:{{user_id}}").decode())
"""
CHECKS = """
[[checks]]
type = "postgresql"
name = "database"
url = "{database}"

[[checks]]
type = "redis"
url = "{redis}"
"""


def run_tests(directory: Path, text: str, status: int = 0, **files: str) -> dict[str, dict[str, Any]]:
    """Run a test file, which ends with ``status``, and return name → its CTRF entry."""
    (directory / "test_specification.py").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content, encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GITHUB"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "--strict-markers", "--sergas-ctrf=run.json"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return {test["name"]: test for test in json.loads((directory / "run.json").read_text("utf-8"))["results"]["tests"]}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[dict[str, str]]:
    with postgresql(tmp_path) as database, redis(tmp_path) as cache:
        yield {
            "database": database.url_with_password,
            "redis": cache.url.replace("redis://", f"redis://:{REDIS_PASSWORD}@"),
        }


def test_custom_tests_run_with_their_services(tmp_path: Path, services: dict[str, str]) -> None:
    tests = run_tests(tmp_path, SUPPLIED.format(**services) + block(TESTS), sergas_toml=CHECKS.format(**services))

    assert {name: (test["type"], test["rawStatus"]) for name, test in tests.items()} == {
        "test_user_creation": ("unit", "passed"),
        "test_api_performance": ("performance", "passed"),
        "test_user_workflow": ("integration", "passed"),
    }
    assert tests["test_api_performance"]["extra"]["measured"]["budgets"].keys() == {"max_duration", "max_memory_mb"}
    assert POSTGRESQL_PASSWORD not in json.dumps(tests)


def test_existing_frameworks_go_on_working(tmp_path: Path) -> None:
    supplied = """
        import types
        from pytest_sergas import performance_test

        async def make_api_call(path):
            return types.SimpleNamespace(status_code=200)
    """
    tests = run_tests(tmp_path, textwrap.dedent(supplied) + block(FRAMEWORKS))

    assert {name: (test["type"], test["rawStatus"]) for name, test in tests.items()} == {
        "test_user_service": ("unit", "passed"),
        "test_api_performance": ("performance", "passed"),
    }


async def test_custom_metrics_are_collected(system: pytest_sergas.ComprehensiveMonitoringSystem) -> None:
    await execute(
        COLLECTOR,
        monitoring_system=system,
        get_active_user_count=lambda: 42,
        get_conversion_rate=lambda: 1.5,
    )

    page = system.metrics_collector.get_prometheus_metrics()
    assert "# HELP custom_active_users Number of active users\n# TYPE custom_active_users gauge\n" in page
    assert "custom_active_users 42\n" in page
    assert "business_conversion_rate 1.5\n" in page


async def test_custom_alert_rules_fire(system: pytest_sergas.ComprehensiveMonitoringSystem) -> None:
    await execute(RULES, monitoring_system=system)
    metrics = [
        pytest_sergas.MonitoringMetric(name, value, None, pytest_sergas.MonitorType.BUSINESS)
        for name, value in (("error_rate", 7.0), ("conversion_rate", 1.5))
    ]

    alerts = system.alert_manager.evaluate_metrics(metrics)

    assert {(alert.name, alert.level.value, alert.message) for alert in alerts} == {
        ("high_error_rate", "warning", "High error rate detected: 7 errors/minute"),
        ("low_conversion_rate", "error", "Low conversion rate: 1.5%"),
    }


@pytest.mark.parametrize("is_set", [True, False])
async def test_configuration_is_taken_whether_its_variables_are_set_or_not(
    monkeypatch: pytest.MonkeyPatch,
    is_set: bool,  # noqa: FBT001  a case of the test
) -> None:
    values = {
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/...",
        "SMTP_HOST": "smtp.gmail.com",
        "SMTP_PORT": "587",
        "SMTP_USERNAME": "alerts@company.com",
        "SMTP_PASSWORD": "password",
        "ALERT_WEBHOOK_URL": "https://api.company.com/alerts",
    }
    for name, value in values.items() if is_set else ():
        assert f'export {name}="{value}"\n' in DOCUMENT
        monkeypatch.setenv(name, value)
    names = await execute(CONFIG)

    system = pytest_sergas.ComprehensiveMonitoringSystem(names["config"])

    assert set(system.channels) == ({"slack", "webhook", "email"} if is_set else set())
    assert (system.test_runner.max_workers, system.test_runner.timeout, system.test_runner.retries) == (8, 300.0, 2)


async def test_fastapi_application_answers() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*on_event is deprecated", category=DeprecationWarning)
        names = await execute(FASTAPI)

    system = names["monitoring_system"]
    with served(names["app"]) as url:
        assert system.is_running
        async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
            answers = await asyncio.gather(*(client.get("/health") for _ in range(20)))
            health = (await client.get("/health")).json()
            metrics = await client.get("/metrics")

    assert not system.is_running
    assert all(answer.status_code == 200 and float(answer.headers["X-Process-Time"]) > 0 for answer in answers)
    assert list(health) == ["status", "component", "message", "details"]
    assert health["component"] == "overall_system"
    assert 'http_requests_total{method="GET",endpoint="/health",status="200"} 21\n' in metrics.text
    assert metrics.headers["content-type"].startswith("text/plain")
