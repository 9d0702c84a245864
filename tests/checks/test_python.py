"""The check that calls a function."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sergas.checks.python import PythonCheck
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.errors import ConfigurationError
from tests.checks.conftest import make, run

pytestmark = pytest.mark.integration

HEALTHY, DEGRADED, UNKNOWN, UNHEALTHY = HealthStatus


@pytest.fixture
def path() -> Iterator[None]:
    """The path for modules as it was, afterwards."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.mark.parametrize(
    ("returned", "status", "message"),
    [
        pytest.param(None, HEALTHY, "returned None", id="nothing"),
        pytest.param(True, HEALTHY, "returned True", id="true"),
        pytest.param(False, UNHEALTHY, "returned False", id="false"),
        pytest.param("12 in stock", HEALTHY, "12 in stock", id="a text"),
        pytest.param(DEGRADED, DEGRADED, "returned degraded", id="a status"),
        pytest.param((UNKNOWN, "nobody knows"), UNKNOWN, "nobody knows", id="a status and a text"),
        pytest.param(CheckResult("x", DEGRADED, "few"), DEGRADED, "few", id="a whole result"),
        pytest.param(
            12,
            UNHEALTHY,
            "returned int; allowed: None, True, False, a text, a HealthStatus, (HealthStatus, text), a CheckResult",
            id="anything else",
        ),
    ],
)
def test_what_a_function_returns_decides(returned: object, status: HealthStatus, message: str) -> None:
    result = run(PythonCheck("shop", lambda: returned))

    assert result.component == "shop"
    assert (result.status, result.message) == (status, message)


def test_coroutine_function_is_awaited() -> None:
    async def stock() -> str:
        await asyncio.sleep(0)
        return "12 in stock"

    assert run(PythonCheck("shop", stock)).message == "12 in stock"


@pytest.mark.usefixtures("path")
def test_function_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "beside_the_configuration.py").write_text(
        "class Stock:\n    @staticmethod\n    def check(): return 'tea'\n"
    )

    assert run(make("python", tmp_path, call="beside_the_configuration:Stock.check")).message == "tea"


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("call", "fault"),
    [
        pytest.param(
            "no_such_module:check",
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
            id="no module",
        ),
        pytest.param(
            "json:check", "cannot be imported: AttributeError: module 'json' has no attribute 'check'", id="no function"
        ),
        pytest.param("sys:path", "is a list, not a function", id="no function but a value"),
        pytest.param("json.dumps", "allowed: module:function, such as shop.health:stock", id="no colon"),
    ],
)
def test_function_that_is_not_there_is_a_fault(call: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make("python", tmp_path, call=call)

    assert raised.value.faults == (f"checks.shop: call = {call!r}: {fault}",)
