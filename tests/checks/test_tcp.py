"""The check of an address: against real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.core.health import HealthStatus
from pytest_sergas.errors import ConfigurationError
from tests.checks.conftest import make, run
from tests.servers import gateways

pytestmark = pytest.mark.integration


def test_listening_address_is_healthy(tmp_path: Path) -> None:
    with gateways.hanging() as url:
        port = int(url.rpartition(":")[2])
        result = run(make("tcp", tmp_path, host="127.0.0.1", port=port))

    assert (result.status, result.message) == (HealthStatus.HEALTHY, f"127.0.0.1:{port}: connected")


def test_refusing_address_is_unhealthy(tmp_path: Path) -> None:
    with gateways.refusing() as url:
        port = int(url.rpartition(":")[2])
        result = run(make("tcp", tmp_path, host="127.0.0.1", port=port))

    assert (result.status, result.message) == (HealthStatus.UNHEALTHY, f"127.0.0.1:{port}: Connection refused")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300])
def test_name_without_an_address_is_unhealthy(host: str, tmp_path: Path) -> None:
    result = run(make("tcp", tmp_path, host=host, port=80))

    assert result.status is HealthStatus.UNHEALTHY
    assert "the check raised" not in result.message


def test_missing_options_are_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make("tcp", tmp_path)

    assert raised.value.faults == (
        'checks.shop: host is missing; such as host = "127.0.0.1"',
        "checks.shop: port is missing; such as port = 5672",
    )


def test_option_of_the_wrong_kind_says_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make("tcp", tmp_path, host="127.0.0.1", port=0)

    assert raised.value.faults == ("checks.shop: port = 0: allowed: a port, a whole number from 1 to 65535",)
