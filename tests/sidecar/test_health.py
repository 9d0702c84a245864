"""Health over HTTP: the documented answer, and probes that say only what they are asked."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.engine import clock
from pytest_sergas.engine.checking import Checking, Planned
from pytest_sergas.engine.store import Store
from pytest_sergas.sidecar.health import routes
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration

HEALTHY, DEGRADED, UNKNOWN, UNHEALTHY = HealthStatus


@dataclass(frozen=True, slots=True)
class Told:
    """A check that finds what it was told to, at once or when a test lets it."""

    name: str
    status: HealthStatus
    go_on: threading.Event = field(default_factory=threading.Event)
    secrets: tuple[str, ...] = ()

    def run(self, timeout_s: float) -> CheckResult:
        del timeout_s
        self.go_on.wait()
        return CheckResult(self.name, self.status, "as told")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes ask of an engine."""

    checking: Checking
    store: Store
    id: str = "this one"

    async def cannot_take(self) -> str:
        return await self.store.cannot_take()


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await Store.open(None, GroupSettings())
    yield opened
    if opened.is_alive:
        await opened.close()


async def get(path: str, store: Store, *statuses: HealthStatus, checked: bool = True) -> httpx2.Response:
    """Return the answer when the checks have found ``statuses``, or when none is back yet."""
    checks = [Told(f"check-{number}", status) for number, status in enumerate(statuses)]
    checking = Checking([Planned(check) for check in checks], store, clock.read)
    if checked:
        for check in checks:
            check.go_on.set()
        await checking.check_all()
    else:
        await checking.start()
    app = Starlette(routes=routes(Parts(checking, store)))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answer = await client.get(path)
    await checking.stop()
    for check in checks:
        check.go_on.set()
    return answer


async def test_health_has_the_documented_shape(store: Store) -> None:
    answer = await get("/health", store, *[HEALTHY] * 5)

    body = answer.json()
    response_time = body["details"].pop("average_response_time")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert body == {
        "status": "healthy",
        "component": "overall_system",
        "message": "Overall system health: healthy (5/5 components healthy)",
        "details": {"total_checks": 5, "healthy_checks": 5, "degraded_checks": 0, "unhealthy_checks": 0},
    }
    assert response_time > 0


@pytest.mark.parametrize(
    ("statuses", "code", "status"),
    [
        pytest.param([], 200, "healthy", id="no checks"),
        pytest.param([HEALTHY, DEGRADED], 200, "degraded", id="degraded"),
        pytest.param([HEALTHY, UNKNOWN], 200, "degraded", id="unknown"),
        pytest.param([HEALTHY, DEGRADED, UNHEALTHY], 503, "unhealthy", id="unhealthy"),
    ],
)
async def test_status_code_says_whether_requests_can_be_served(
    statuses: list[HealthStatus], code: int, status: str, store: Store
) -> None:
    answer = await get("/health", store, *statuses)

    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert answer.json()["details"]["total_checks"] == len(statuses)


async def test_health_does_not_wait_for_a_check(store: Store) -> None:
    answer = await get("/health", store, UNHEALTHY, checked=False)  # the check is not let go before the answer is there

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


@pytest.mark.parametrize("path", ["/health", "/-/healthy", "/-/ready"])
async def test_no_answer_may_be_kept_by_a_proxy(path: str, store: Store) -> None:
    assert (await get(path, store)).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_probes_ask_nothing_outside(path: str, store: Store) -> None:
    answer = await get(path, store, UNHEALTHY)

    assert (answer.status_code, answer.text) == (200, "OK")


async def test_closed_store_is_not_ready(store: Store) -> None:
    await store.close()
    answer = await get("/-/ready", store)

    assert answer.status_code == 503
    assert answer.text == "pushes cannot be stored: the store is closed\n"


async def test_closed_store_is_alive(store: Store) -> None:
    await store.close()

    assert (await get("/-/healthy", store)).status_code == 200


async def test_history_says_what_changed_and_why_also_after_a_restart(tmp_path: Path) -> None:
    database = Told("database", HEALTHY)
    shop = Told("shop", HEALTHY)
    for check in (database, shop):
        check.go_on.set()
    plan = [Planned(database), Planned(shop, depends_on=("database",))]
    opened = await Store.open(tmp_path / "sergas.db", GroupSettings())
    checking = Checking(plan, opened, clock.read)
    await checking.check_all()
    down = Told("database", UNHEALTHY, database.go_on), Told("shop", UNHEALTHY, shop.go_on)
    checking.follow([Planned(down[0]), Planned(down[1], depends_on=("database",))])
    await checking.check_all()
    await checking.stop()

    again = Checking(plan, opened, lambda: Now(0.0, clock.read().wall_s + 100_000))
    await again.start()
    await again.asked()
    app = Starlette(routes=routes(Parts(again, opened)))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
        found = (await client.get("/api/health/history?component=shop")).json()["changes"]
        newest = (await client.get("/api/health/history?limit=1")).json()["changes"]
        refused = [await client.get(f"/api/health/history?{query}") for query in ("limit=0", "component=shopp")]
    await again.stop()
    await opened.close()

    assert [(one["status"], one["before"], one["cause"], one["due_to"]) for one in found] == [
        ("healthy", None, "as told", ""),
        ("unknown", "healthy", "depends on database, which is unhealthy", "database"),
        ("healthy", None, "as told", ""),
    ]
    assert 100_000 <= found[0]["unobserved_seconds"] < 100_060
    assert len(newest) == 1
    assert [(one.status_code, one.json()["error"]) for one in refused] == [
        (400, "limit: allowed: one whole number from 1 to 1000"),
        (404, "component: nothing of that name is checked; checked: database, shop"),
    ]


# The whole sidecar

FUNCTION = """\
[[checks]]
type = "python"
name = "{name}"
call = "shop_health:{call}"
interval = 0.05
timeout = 60
failures = 1
"""
MODULE = """\
def stock(): return "12 in stock"
def orders(): raise ConnectionError("the warehouse is closed")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop_health.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def overall_of(running: Sidecar) -> tuple[int, str]:
    answer = ask(running.url, "/health")
    return answer.status, answer.json["message"]


def test_checks_of_the_configuration_decide_about_health(shop: Path) -> None:
    config = FUNCTION.format(name="stock", call="stock") + FUNCTION.format(name="orders", call="orders")
    with sidecar(shop, config=config) as running:
        expected = (503, "Overall system health: unhealthy (1/2 components healthy)")
        until(lambda: overall_of(running) == expected, "both have been checked", deadline_s=60)
        status = ask(running.url, "/api/monitoring/status").json["health"]
        metrics = ask(running.url, "/metrics").text

    assert status["individual"] == {
        "stock": {"status": "healthy", "message": "12 in stock"},
        "orders": {
            "status": "unhealthy",
            "message": "the check raised ConnectionError: the warehouse is closed",
        },
    }
    assert 'sergas_check_up{check="stock"' in metrics
    assert 'sergas_check_status{check="orders"' in metrics


def test_changed_checks_are_followed_when_the_configuration_is_read_again(shop: Path) -> None:
    with sidecar(shop, config=FUNCTION.format(name="orders", call="orders")) as running:
        until(lambda: overall_of(running)[0] == 503, "it has been checked", deadline_s=60)
        (shop / "sergas.toml").write_text(FUNCTION.format(name="orders", call="stock"), encoding="utf-8")
        running.send(signal.SIGHUP)
        until(lambda: overall_of(running)[0] == 200, "the other function is called", deadline_s=60)


def test_checks_that_cannot_be_made_leave_the_others_in_force(shop: Path) -> None:
    with sidecar(shop, config=FUNCTION.format(name="stock", call="stock")) as running:
        (shop / "sergas.toml").write_text(FUNCTION.format(name="stock", call="nothing"), encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("the configuration in force stays")
        running.waits_for("checks.stock: call = 'shop_health:nothing': cannot be imported: AttributeError: ")
        until(lambda: "12" in ask(running.url, "/api/monitoring/status").text, "it has been checked", deadline_s=60)

        assert overall_of(running) == (200, "Overall system health: healthy (1/1 components healthy)")


def test_without_checks_the_machine_is_checked(tmp_path: Path) -> None:
    with sidecar(tmp_path, config="health_check_interval = 3600\n") as running:
        health = ask(running.url, "/health").json
        status = ask(running.url, "/api/monitoring/status").json

    # At the start and after one sample, however busy the machine is.
    assert (health["status"], health["details"]["total_checks"]) == ("healthy", 1)
    assert status["health"]["individual"].keys() == {"SystemHealthCheck"}
