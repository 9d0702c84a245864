"""What holds for every check, whoever wrote it: found through the entry points, as a stranger's would be."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.checks import GROUP
from pytest_sergas.config.checks import COMMON
from pytest_sergas.core.health import HealthStatus
from pytest_sergas.errors import ConfigurationError
from tests.checks.conftest import IMPATIENT_S, make, run
from tests.servers import gateways

pytestmark = pytest.mark.integration

KINDS = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
SECRET = "s3cr3t-p4ssw0rd"  # noqa: S105  no server knows it


def stopped() -> None:
    raise ConnectionError("the stock is closed")


# Options with which a check of this kind finds that something is not there; PORT is refused, SECRET is in a file.
DEAD: dict[str, dict[str, Any]] = {
    "http": {"url": f"http://monitor:{SECRET}@127.0.0.1:PORT/health?token={SECRET}"},
    "postgresql": {"url": f"postgresql://shop:{SECRET}@127.0.0.1:PORT/shop"},
    "python": {"call": "tests.checks.test_conformance:stopped"},
    "redis": {"url": f"redis://:{SECRET}@127.0.0.1:PORT/0"},
    "sqlite": {"path": "nowhere.db"},
    "system": {"disks": ["/nowhere"]},
    "tcp": {"host": "127.0.0.1", "port": 0},
}
# Those that wait for a server.
REMOTE = [entry for entry in KINDS if entry.name in {"http", "postgresql", "redis"}]


def with_port(options: dict[str, Any], port: int) -> dict[str, Any]:
    written = {
        key: value.replace("PORT", str(port)) if isinstance(value, str) else value for key, value in options.items()
    }
    return {**written, "port": port} if "port" in written else written


@pytest.fixture
def refused() -> Iterator[int]:
    """A port at which every connection is refused."""
    with gateways.refusing() as url:
        yield int(url.rpartition(":")[2])


def open_files() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


every_kind = pytest.mark.parametrize("entry", KINDS, ids=lambda entry: entry.name)


def test_built_in_checks_come_through_the_entry_points() -> None:
    assert [entry.name for entry in KINDS] == sorted(DEAD)


@every_kind
def test_dead_component_is_an_unhealthy_result_with_a_reason(entry: EntryPoint, refused: int, tmp_path: Path) -> None:
    result = run(make(entry.name, tmp_path, **with_port(DEAD[entry.name], refused)))

    assert result.status is HealthStatus.UNHEALTHY
    assert result.component == "shop"
    assert result.message
    assert "the check raised" not in result.message or entry.name == "python"


@every_kind
def test_result_is_one_line_without_secrets(entry: EntryPoint, refused: int, tmp_path: Path) -> None:
    result = run(make(entry.name, tmp_path, **with_port(DEAD[entry.name], refused)))

    assert SECRET not in repr(result)
    assert "\n" not in result.message


@every_kind
def test_check_shows_no_secret_when_it_is_printed(entry: EntryPoint, refused: int, tmp_path: Path) -> None:
    assert SECRET not in repr(make(entry.name, tmp_path, **with_port(DEAD[entry.name], refused)))


@every_kind
def test_second_run_leaves_nothing_open_and_finds_the_same(entry: EntryPoint, refused: int, tmp_path: Path) -> None:
    check = make(entry.name, tmp_path, **with_port(DEAD[entry.name], refused))
    first = run(check)  # libraries open files of their own once
    before = open_files()
    second = run(check)

    assert (second.status, second.message) == (first.status, first.message)
    assert open_files() == before


@every_kind
def test_unknown_option_is_a_fault_that_names_the_nearest(entry: EntryPoint, refused: int, tmp_path: Path) -> None:
    options = {**with_port(DEAD[entry.name], refused), "timeot": 5}

    with pytest.raises(ConfigurationError) as raised:
        make(entry.name, tmp_path, **options)

    assert raised.value.faults == ("checks.shop: timeot = '...': unknown key; did you mean 'timeout'?",)


@every_kind
def test_options_of_every_kind_are_explained_and_hide_none_of_the_common_ones(entry: EntryPoint) -> None:
    keys = importlib.import_module(entry.module).KEYS

    assert all(key.help and key.example for key in keys.values())
    assert not keys.keys() & COMMON.keys()


@pytest.mark.parametrize("entry", REMOTE, ids=lambda entry: entry.name)
def test_server_that_never_answers_costs_the_timeout_and_no_more(entry: EntryPoint, tmp_path: Path) -> None:
    with gateways.hanging() as url:
        options = with_port(DEAD[entry.name], int(url.rpartition(":")[2]))
        result = make(entry.name, tmp_path, **options).run(IMPATIENT_S)

    assert result.status is HealthStatus.UNHEALTHY
    assert "within 0.5 s" in result.message


@pytest.mark.parametrize("entry", REMOTE, ids=lambda entry: entry.name)
def test_server_whose_answer_never_ends_costs_the_timeout_and_no_more(entry: EntryPoint, tmp_path: Path) -> None:
    with gateways.trickling() as url:
        options = with_port(DEAD[entry.name], int(url.rpartition(":")[2]))
        result = run(make(entry.name, tmp_path, **options), IMPATIENT_S)

    assert result.status is HealthStatus.UNHEALTHY


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
def test_server_that_speaks_another_language_is_unhealthy(kind: str, tmp_path: Path) -> None:
    with gateways.trickling() as url:  # it speaks HTTP
        result = run(make(kind, tmp_path, **with_port(DEAD[kind], int(url.rpartition(":")[2]))))

    assert result.status is HealthStatus.UNHEALTHY
    assert "the check" not in result.message
