"""From the configuration to checks: every fault at once, and checks of one's own."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.checks import GROUP, Check, Context, registry
from pytest_sergas.checks.tcp import TcpCheck
from pytest_sergas.config.checks import CheckSettings
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit


def entry(name: str, kind: str = "tcp", **fields: Any) -> CheckSettings:
    return CheckSettings(type=kind, name=name, **{"options": {"host": "127.0.0.1", "port": 1}, **fields})


def create_own(context: Context) -> Check:
    return TcpCheck(context.settings.name, "own.example", 1)


def create_broken(context: Context) -> Check:
    raise RuntimeError(f"no {context.settings.name}")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two checks of a stranger's: one that works and one that does not."""
    made = [EntryPoint(name, f"{__name__}:create_{name}", GROUP) for name in ("own", "broken")]
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints(made).select(group=group))


def test_checks_are_made_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    checks = registry.create([entry("b"), entry("a", depends_on=("b",)), entry("c")], tmp_path)

    assert [check.name for check in checks] == ["b", "a", "c"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    entries = [
        entry("a", kind="htp"),
        entry("b", kind="gopher"),
        entry("c", options={"host": "127.0.0.1"}),
        entry("d", depends_on=("x",)),
    ]

    with pytest.raises(ConfigurationError) as raised:
        registry.create(entries, tmp_path)

    assert raised.value.faults == (
        "checks.d: depends_on = 'x': there is no check of that name; allowed: 'a', 'b', 'c', 'd'",
        "checks.a: type = 'htp': there is no such check; did you mean 'http'?",
        (
            "checks.b: type = 'gopher': there is no such check; "
            "allowed: 'http', 'postgresql', 'python', 'redis', 'sqlite', 'system', 'tcp'"
        ),
        "checks.c: port is missing; such as port = 5672",
    )


@pytest.mark.usefixtures("own")
def test_check_of_ones_own_is_made_like_a_built_in_one(tmp_path: Path) -> None:
    (check,) = registry.create([entry("mine", kind="own")], tmp_path)

    assert check == TcpCheck("mine", "own.example", 1)


@pytest.mark.usefixtures("own")
def test_factory_that_raises_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        registry.create([entry("mine", kind="broken")], tmp_path)

    assert raised.value.faults == (
        (
            "checks.mine: the check 'broken' (tests.checks.test_registry:create_broken) cannot be made: "
            "RuntimeError: no mine"
        ),
    )
