"""Health checks of the specification, by the same checks as the configuration's; the servers are real."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from pytest_sergas import (
    ConfigurationError,
    DatabaseHealthCheck,
    HealthChecker,
    HealthStatus,
    HTTPHealthCheck,
    RedisHealthCheck,
    SystemHealthCheck,
)
from tests.servers.gateways import answering
from tests.servers.postgresql import PASSWORD, postgresql
from tests.servers.redis import PASSWORD as REDIS_PASSWORD
from tests.servers.redis import redis

pytestmark = pytest.mark.integration


async def test_overall_health_has_the_documented_shape() -> None:
    checker = HealthChecker()
    checker.add_provider(SystemHealthCheck(cpu_degraded=100, memory_degraded=94, disk_degraded=94))
    checker.add_provider(lambda: True)

    document = (await checker.get_overall_health()).to_dict()

    assert json.loads(json.dumps(document)) == document
    assert document["component"] == "overall_system"
    assert document["status"] in set(HealthStatus)
    assert set(document["details"]) == {
        "total_checks",
        "healthy_checks",
        "degraded_checks",
        "unhealthy_checks",
        "average_response_time",
    }


async def test_database_is_checked_by_its_connection_string_whose_password_is_never_shown(tmp_path: Path) -> None:
    with postgresql(tmp_path) as server:
        provider = DatabaseHealthCheck(connection_string=server.url_with_password)
        checker = HealthChecker()
        checker.add_provider(provider)
        alive = await checker.check_all_health()
        server.process.kill()
        dead = await checker.check_all_health()

    assert alive["DatabaseHealthCheck"].status is HealthStatus.HEALTHY
    assert dead["DatabaseHealthCheck"].status is HealthStatus.UNHEALTHY
    for text in (repr(provider), repr(alive), repr(dead)):
        assert PASSWORD not in text
        assert server.url_with_password not in text


async def test_address_that_answers_is_healthy() -> None:
    with answering() as server:
        provider = HTTPHealthCheck(f"{server.url}/health", name="shop")
        checker = HealthChecker()
        checker.add_provider(provider)
        results = await checker.check_all_health()

    assert results["shop"].status is HealthStatus.HEALTHY
    assert [request.path for request in server.received] == ["/health"]


async def test_redis_is_checked_by_its_url_whose_password_is_never_shown(tmp_path: Path) -> None:
    checker = HealthChecker()
    with redis(tmp_path) as server:
        provider = RedisHealthCheck(server.url.replace("//", f"//:{quote(REDIS_PASSWORD)}@"))
        checker.add_provider(provider)
        results = await checker.check_all_health()

    assert results["RedisHealthCheck"].status is HealthStatus.HEALTHY
    for text in (repr(provider), repr(results)):
        assert REDIS_PASSWORD not in text
        assert quote(REDIS_PASSWORD) not in text


async def test_sqlite_is_a_database_too(tmp_path: Path) -> None:
    import sqlite3

    file = tmp_path / "shop.db"
    sqlite3.connect(file).close()
    checker = HealthChecker()
    checker.add_provider(DatabaseHealthCheck(f"sqlite:///{file}"))

    assert (await checker.get_overall_health()).status is HealthStatus.HEALTHY


@pytest.mark.parametrize(
    ("given", "shown"),
    [("mysql://shop:s3cret@db/shop", "'***'"), ("", "''"), (None, "None")],
    ids=["other database", "empty", "none"],
)
def test_connection_string_that_cannot_be_used_is_refused_and_not_shown(given: str, shown: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        DatabaseHealthCheck(given)

    allowed = "allowed: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, sqlite:///FILE"
    assert refused.value.faults == (f"DatabaseHealthCheck: connection_string = {shown}: {allowed}",)


async def test_second_of_a_kind_gets_a_name_of_its_own(tmp_path: Path) -> None:
    checker = HealthChecker(timeout=1)
    for name in ("a.db", "b.db"):
        checker.add_provider(DatabaseHealthCheck(f"sqlite:///{tmp_path / name}"))

    results = await checker.check_all_health()

    assert list(results) == ["DatabaseHealthCheck", "DatabaseHealthCheck-2"]
    assert {result.status for result in results.values()} == {HealthStatus.UNHEALTHY}


async def test_check_that_hangs_costs_its_timeout_and_no_other_check() -> None:
    release = threading.Event()

    def hangs() -> None:
        release.wait(60)

    checker = HealthChecker(timeout=3)
    checker.add_provider(hangs)
    checker.add_provider(HTTPHealthCheck("http://127.0.0.1:1/", name="shop"))
    checker.add_provider(RedisHealthCheck("redis://127.0.0.1:1/0", name="redis"))
    try:
        results = await checker.check_all_health()
    finally:
        release.set()

    hung = next(result for name, result in results.items() if name.endswith("hangs"))
    assert "no answer within" in hung.message
    assert "Connection refused" in results["redis"].message
    assert results["shop"].status is HealthStatus.UNHEALTHY


@pytest.mark.parametrize(
    ("provider", "text"),
    [(7, "health check 7: allowed: a provider, a function, a Check")],
)
def test_what_is_no_check_is_refused(provider: object, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        HealthChecker().add_provider(provider)
    assert refused.value.faults == (text,)


def test_function_of_a_name_that_is_taken_is_refused() -> None:
    def stock() -> None: ...

    checker = HealthChecker()
    checker.add_provider(stock)
    with pytest.raises(ConfigurationError) as refused:
        checker.add_provider(stock)
    assert refused.value.faults[0].endswith("stock' already; give each a name of its own")


def test_alone_there_is_no_uptime() -> None:
    assert HealthChecker().get_uptime() == {}


async def test_alone_it_checks_at_its_interval_from_the_first_time_on_and_keeps_the_history() -> None:
    checked = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    is_well = [True]

    def shop() -> bool:
        loop.call_soon_threadsafe(checked.release)
        return is_well[0]

    shop.__qualname__ = "shop"
    checker = HealthChecker(interval=0.05)
    checker.add_provider(shop)
    first = await checker.check_all_health()
    is_well[0] = False
    async with asyncio.timeout(60):
        while [span.status.value for span in checker.get_health_history()["shop"]] != ["healthy", "unhealthy"]:
            await checked.acquire()

    assert first["shop"].status is HealthStatus.HEALTHY
    assert (await checker.get_overall_health()).status is HealthStatus.UNHEALTHY
    assert checker.get_uptime().keys() == {"shop"}


async def test_first_time_asks_each_check_once() -> None:
    with answering() as server:
        checker = HealthChecker()
        checker.add_provider(HTTPHealthCheck(server.url, name="shop"))
        await checker.check_all_health()

    assert len(server.received) == 1
