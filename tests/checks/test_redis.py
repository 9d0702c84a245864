"""The check of Redis: against Debian's, which is stopped, frozen and started again under it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis as Client

from pytest_sergas.checks import Check
from pytest_sergas.core.health import HealthStatus
from pytest_sergas.errors import ConfigurationError
from tests.checks.conftest import IMPATIENT_S, make, run
from tests.servers import gateways
from tests.servers.redis import PASSWORD, Redis, redis

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with redis(tmp_path) as running:
        yield running


@pytest.fixture
def check(server: Redis, tmp_path: Path) -> Check:
    (tmp_path / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    return make("redis", tmp_path, url=server.url, password_file="password")  # noqa: S106  a file's name


def test_running_server_is_healthy(check: Check, server: Redis) -> None:
    result = run(check)

    assert result.status is HealthStatus.HEALTHY
    version = result.details["version"]
    assert result.message == f"redis://127.0.0.1:{server.port}/0: Redis {version}, 1 clients"
    assert result.details["role"] == "master"


def test_password_in_the_url_works_too(server: Redis, tmp_path: Path) -> None:
    url = server.url.replace("//", f"//:{quote(PASSWORD)}@")

    assert run(make("redis", tmp_path, url=url)).status is HealthStatus.HEALTHY


def test_figures_are_those_of_the_server(check: Check) -> None:
    measured = {family.name: family.samples[0].value for family in run(check).figures}

    assert list(measured) == [
        "database_redis_connected_clients",
        "database_redis_blocked_clients",
        "database_redis_memory_used_bytes",
        "database_redis_memory_max_bytes",
        "database_redis_commands_total",
        "database_redis_evicted_keys_total",
        "database_redis_rejected_connections_total",
    ]
    assert measured["database_redis_connected_clients"] == 1
    assert measured["database_redis_memory_used_bytes"] > 100_000


def test_stopped_server_is_unhealthy_until_it_runs_again(check: Check, server: Redis) -> None:
    server.process.kill()
    stopped = run(check)
    server.process.start()

    assert stopped.status is HealthStatus.UNHEALTHY
    assert "Connection refused" in stopped.message
    assert run(check).status is HealthStatus.HEALTHY


def test_frozen_server_costs_the_timeout_and_no_more(check: Check, server: Redis) -> None:
    server.process.freeze()
    try:
        frozen = check.run(IMPATIENT_S)
    finally:
        server.process.thaw()

    assert frozen.status is HealthStatus.UNHEALTHY
    assert frozen.message == f"redis://127.0.0.1:{server.port}/0: no answer within 0.5 s"
    assert run(check).status is HealthStatus.HEALTHY


def test_replica_without_its_primary_is_degraded(check: Check, server: Redis) -> None:
    with gateways.refusing() as url, Client(port=server.port, password=PASSWORD) as client:
        client.replicaof("127.0.0.1", url.rpartition(":")[2])
        result = run(check)

    assert result.status is HealthStatus.DEGRADED
    assert result.message.endswith("/0: a replica whose link to its primary is down")


def test_wrong_password_is_unhealthy_and_stays_secret(server: Redis, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("hunter2", encoding="utf-8")
    result = run(make("redis", tmp_path, url=server.url, password_file="wrong"))  # noqa: S106  a file's name

    assert result.status is HealthStatus.UNHEALTHY
    assert "invalid username-password pair" in result.message
    assert "hunter2" not in repr(result)


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        pytest.param(
            ("+@all", "-info"), "answered PING; its figures need INFO, which this user may not send", id="no INFO"
        ),
        pytest.param(
            ("+get", "~*"), "took the login; this user may send neither PING nor INFO", id="neither of the two"
        ),
        pytest.param(("+info",), "", id="no PING"),
    ],
)
def test_user_who_may_not_ask_everything_finds_the_server_healthy(
    rights: tuple[str, ...], said: str, server: Redis, tmp_path: Path
) -> None:
    with Client(port=server.port, password=PASSWORD) as client:
        client.execute_command("ACL", "SETUSER", "monitor", "on", ">hunter2", "resetkeys", "-@all", *rights)
    (tmp_path / "secret").write_text("hunter2", encoding="utf-8")
    url = server.url.replace("//", "//monitor@")
    result = run(make("redis", tmp_path, url=url, password_file="secret"))  # noqa: S106  a file's name

    assert result.status is HealthStatus.HEALTHY, result.message
    if said:
        assert result.message.endswith(f":{server.port}/0: {said}")
        assert (result.figures, result.details) == ((), {"pinged": "+@all" in rights, "info": "not permitted"})
    else:
        assert len(result.figures) == 7


def test_missing_password_is_unhealthy(server: Redis, tmp_path: Path) -> None:
    result = run(make("redis", tmp_path, url=server.url))

    assert result.status is HealthStatus.UNHEALTHY
    assert "Authentication required" in result.message


def test_missing_extra_is_a_fault_that_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sergas.checks.redis.find_spec", lambda _: None)

    with pytest.raises(ConfigurationError) as raised:
        make("redis", tmp_path, url="redis://cache/0")

    assert raised.value.faults == ("checks.shop: needs the package redis; pip install 'pytest-sergas[redis]'",)


def test_password_in_the_query_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make("redis", tmp_path, url="redis://cache/0?password=hunter2")

    assert raised.value.faults == (
        (
            "checks.shop: url = 'redis://cache/0?***': "
            "the password stands in the query; write it into a file and name it in password_file"
        ),
    )
