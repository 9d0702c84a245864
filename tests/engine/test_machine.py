"""The check of the machine that is there without any configuration: a window decides, and it degrades at most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sergas.config.checks import ChecksSettings
from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.monitoring import MonitorType
from pytest_sergas.engine import clock
from pytest_sergas.engine.checking import MACHINE_FAILURES, Checking, plan
from pytest_sergas.engine.store import Store

pytestmark = pytest.mark.integration


class Busy:
    """A machine whose every resource is fully used."""

    secrets = ()

    def __init__(self, inner: object, *busy: bool) -> None:
        self._inner = inner
        self._busy = list(busy)
        self.name = "SystemHealthCheck"

    def run(self, timeout_s: float) -> CheckResult:
        del timeout_s
        percent = 100.0 if self._busy.pop(0) else 1.0
        result: CheckResult = self._inner.judge({"cpu": percent, "memory": percent, "disk": percent})  # type: ignore[attr-defined]  # a SystemCheck
        return result


@pytest.mark.parametrize(
    ("busy", "statuses"),
    [
        pytest.param(
            [True] * (MACHINE_FAILURES + 1),
            [*["healthy"] * (MACHINE_FAILURES - 1), "degraded", "degraded"],
            id="for long",
        ),
        pytest.param([True, False] * 3, ["healthy"] * 6, id="now and then"),
        pytest.param([*[True] * MACHINE_FAILURES, False], [*["healthy"] * 3, "degraded", "healthy"], id="well again"),
    ],
)
async def test_only_a_window_degrades_the_machine(busy: list[bool], statuses: list[str]) -> None:
    [planned] = plan(ChecksSettings(machine=True), Path.cwd())
    store = await Store.open(None, GroupSettings())
    checking = Checking([replace(planned, check=Busy(planned.check, *busy))], store, clock.read)
    before = checking.overall().status
    found = [(await checking.check_all())["SystemHealthCheck"].status.value for _ in busy]
    await store.close()

    assert before is HealthStatus.HEALTHY
    assert found == statuses


def test_check_of_the_machine_is_about_the_system_and_is_not_there_where_checks_are_configured() -> None:
    [planned] = plan(ChecksSettings(machine=True), Path.cwd())

    assert planned.check.about is MonitorType.SYSTEM  # type: ignore[attr-defined]  # optional in the protocol
    assert plan(ChecksSettings(), Path.cwd()) == ()
