"""The check of PostgreSQL: against Debian's, which is stopped, frozen and started again under it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from pytest_sergas.checks import Check
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.errors import ConfigurationError
from tests.checks.conftest import IMPATIENT_S, make, run
from tests.servers import gateways
from tests.servers.postgresql import PASSWORD, Postgresql, postgresql
from tests.servers.process import until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgresql]:
    """A server for the whole file: making a cluster takes seconds; each test leaves it running."""
    with postgresql(tmp_path_factory.mktemp("postgresql")) as running:
        yield running


@pytest.fixture
def check(server: Postgresql, tmp_path: Path) -> Check:
    (tmp_path / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    return make("postgresql", tmp_path, url=server.url, password_file="password")  # noqa: S106  a file's name


def figures(result: CheckResult) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in result.figures}


def test_running_server_is_healthy(check: Check, server: Postgresql) -> None:
    result = run(check)

    assert result.status is HealthStatus.HEALTHY
    version = result.details["version"].split()[0]
    used = result.details["connections"]
    assert result.message == f"127.0.0.1:{server.port}/postgres: PostgreSQL {version}, {used} of 10 connections"


def test_password_in_the_url_works_too(server: Postgresql, tmp_path: Path) -> None:
    assert run(make("postgresql", tmp_path, url=server.url_with_password)).status is HealthStatus.HEALTHY


def test_figures_are_those_of_the_server(check: Check) -> None:
    measured = figures(run(check))

    assert list(measured) == [
        "database_postgresql_connections",
        "database_postgresql_connections_max",
        "database_postgresql_size_bytes",
        "database_postgresql_commits_total",
        "database_postgresql_rollbacks_total",
        "database_postgresql_deadlocks_total",
        "database_postgresql_in_recovery",
    ]
    assert measured["database_postgresql_connections_max"] == 10
    assert measured["database_postgresql_size_bytes"] > 1_000_000
    assert measured["database_postgresql_in_recovery"] == 0


@contextmanager
def clients(server: Postgresql, number: int) -> Iterator[None]:
    """Hold so many connections, and wait until the server has let go of all others."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    with ExitStack() as held:
        first = held.enter_context(closing(psycopg.connect(server.url_with_password, autocommit=True)))
        until(lambda: first.execute(query).fetchone() == (1,), "nobody else is connected", deadline_s=60)
        for _ in range(number - 1):
            held.enter_context(closing(psycopg.connect(server.url_with_password)))
        yield


def test_server_with_few_connections_left_is_degraded(check: Check, server: Postgresql) -> None:
    with clients(server, 8):
        result = run(check)

    assert result.status is HealthStatus.DEGRADED
    assert result.message.endswith(", 9 of 10 connections")


def test_server_without_a_free_connection_is_unhealthy(check: Check, server: Postgresql) -> None:
    with clients(server, 10):
        result = run(check)

    assert result.status is HealthStatus.UNHEALTHY
    assert result.message.endswith("FATAL: sorry, too many clients already")


def test_stopped_server_is_unhealthy_until_it_runs_again(check: Check, server: Postgresql) -> None:
    server.process.kill()
    stopped = run(check)
    server.process.start()

    assert stopped.status is HealthStatus.UNHEALTHY
    assert stopped.message == (
        f"127.0.0.1:{server.port}/postgres: "
        f'connection to server at "127.0.0.1", port {server.port} failed: Connection refused'
    )
    assert run(check).status is HealthStatus.HEALTHY


def test_frozen_server_costs_the_timeout_and_no_more(check: Check, server: Postgresql) -> None:
    server.process.freeze()
    try:
        frozen = check.run(IMPATIENT_S)
    finally:
        server.process.thaw()

    assert frozen.status is HealthStatus.UNHEALTHY
    assert frozen.message == f"127.0.0.1:{server.port}/postgres: no connection within 0.5 s"
    assert run(check).status is HealthStatus.HEALTHY


def test_wrong_password_is_unhealthy_and_stays_secret(server: Postgresql, tmp_path: Path) -> None:
    wrong = "wr0ng p@ss"
    url = server.url.replace("@", f":{quote(wrong)}@")
    result = run(make("postgresql", tmp_path, url=url))

    assert result.status is HealthStatus.UNHEALTHY
    assert 'password authentication failed for user "shop"' in result.message
    assert wrong not in repr(result)
    assert quote(wrong) not in repr(result)


def test_second_host_is_asked_where_the_first_refuses(server: Postgresql, tmp_path: Path) -> None:
    with gateways.refusing() as refused:
        hosts = f"localhost:{refused.rpartition(':')[2]},127.0.0.1:{server.port}"
        url = server.url_with_password.replace(f"127.0.0.1:{server.port}", hosts)
        result = run(make("postgresql", tmp_path, url=url))

    assert result.status is HealthStatus.HEALTHY, result.message


def test_missing_database_is_unhealthy(server: Postgresql, tmp_path: Path) -> None:
    url = server.url_with_password.replace("/postgres", "/nowhere")
    result = run(make("postgresql", tmp_path, url=url))

    assert result.status is HealthStatus.UNHEALTHY
    assert 'database "nowhere" does not exist' in result.message


def test_unknown_parameter_of_the_url_is_unhealthy_without_its_secrets(server: Postgresql, tmp_path: Path) -> None:
    result = run(make("postgresql", tmp_path, url=f"{server.url_with_password}?nonsense=1"))

    assert result.status is HealthStatus.UNHEALTHY
    assert "nonsense" in result.message
    assert PASSWORD not in repr(result)
    assert quote(PASSWORD, safe="") not in repr(result)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        pytest.param({}, 'url is missing; such as url = "postgresql://shop@127.0.0.1:5432/shop"', id="no url"),
        pytest.param(
            {"url": "host=db password=hunter2"},
            "url = 'host=db password=***': allowed: a URL that begins with postgresql:// or postgres://",
            id="a connection string",
        ),
        pytest.param(
            {"url": "postgresql://db/shop?password=hunter2"},
            "url = 'postgresql://db/shop?***': "
            "the password stands in the query; write it into a file and name it in password_file",
            id="a password in the query",
        ),
        pytest.param(
            {"url": "postgresql://shop:hunter2@db/shop", "password_file": "secret"},
            "password_file = 'secret': the url has a password as well; remove one of the two",
            id="two passwords",
        ),
        pytest.param(
            {"url": "postgresql://db/shop", "password_file": "nowhere"},
            "password_file = 'nowhere': cannot be read: No such file or directory",
            id="no file",
        ),
        pytest.param(
            {"url": "postgresql://db/shop", "password_file": "empty"},
            "password_file = 'empty': is empty; it has to hold the secret",
            id="an empty file",
        ),
        pytest.param(
            {"url": "postgresql://db/shop", "password_file": "binary"},
            "password_file = 'binary': is not UTF-8 text",
            id="no text",
        ),
        pytest.param(
            {"url": "postgresql://db/shop", "password_file": "large"},
            "password_file = 'large': is larger than 64 KiB; it has to hold the secret",
            id="a large file",
        ),
    ],
)
def test_options_that_cannot_be_used_are_faults(options: dict[str, str], fault: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2", encoding="utf-8")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_text("x" * 65_537, encoding="utf-8")

    with pytest.raises(ConfigurationError) as raised:
        make("postgresql", tmp_path, **options)

    assert raised.value.faults == (f"checks.shop: {fault}",)


def test_missing_extra_is_a_fault_that_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_spec("psycopg") is not None
    monkeypatch.setattr("pytest_sergas.checks.postgresql.find_spec", lambda _: None)

    with pytest.raises(ConfigurationError) as raised:
        make("postgresql", tmp_path, url="postgresql://db/shop")

    assert raised.value.faults == ("checks.shop: needs the package psycopg; pip install 'pytest-sergas[postgres]'",)
