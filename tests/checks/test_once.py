"""All checks, once."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_sergas.checks.once import run_once, with_dependencies
from pytest_sergas.config.checks import CheckSettings
from pytest_sergas.core.health import HealthStatus

pytestmark = pytest.mark.unit

HEALTHY, DEGRADED, UNKNOWN, UNHEALTHY = HealthStatus
PATIENT_S = 60.0


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module for the functions that a test has checked."""
    made = ModuleType("checked_once")
    monkeypatch.setitem(sys.modules, "checked_once", made)
    return made


def entry(name: str, *depends_on: str, timeout: float = PATIENT_S, failures: int = 1) -> CheckSettings:
    options = {"call": f"checked_once:{name}"}
    return CheckSettings("python", name, timeout, PATIENT_S, failures, 1, depends_on, options)


def test_checks_run_at_the_same_time(functions: Any, tmp_path: Path) -> None:
    together = threading.Barrier(3)
    for name in ("a", "b", "c"):
        setattr(functions, name, lambda: together.wait(PATIENT_S) >= 0)

    results = run_once([entry("a"), entry("b"), entry("c")], tmp_path)

    assert [(name, result.status) for name, result in results.items()] == [
        ("a", HEALTHY),
        ("b", HEALTHY),
        ("c", HEALTHY),
    ]


def test_thresholds_have_no_meaning_for_a_single_run(functions: Any, tmp_path: Path) -> None:
    functions.a = lambda: False

    assert run_once([entry("a", failures=5)], tmp_path)["a"].status is UNHEALTHY


def test_what_depends_on_a_dead_component_is_unknown(functions: Any, tmp_path: Path) -> None:
    functions.shop = lambda: False
    functions.db = lambda: False

    results = run_once([entry("shop", "db"), entry("db")], tmp_path)

    assert results["db"].status is UNHEALTHY
    assert results["shop"].status is UNKNOWN
    assert results["shop"].message == "depends on db, which is unhealthy"


def test_check_that_hangs_costs_only_its_own_result(functions: Any, tmp_path: Path) -> None:
    end = threading.Event()
    functions.slow = end.wait
    functions.quick = lambda: True

    results = run_once([entry("slow", timeout=0.01), entry("quick")], tmp_path)
    end.set()

    assert results["slow"].status is UNHEALTHY
    assert results["slow"].message.endswith("; the check still hangs")
    assert results["quick"].status is HEALTHY


def test_names_bring_what_they_depend_on() -> None:
    entries = [entry("page", "shop"), entry("shop", "db"), entry("db"), entry("mail")]

    assert [one.name for one in with_dependencies(entries, ["shop"])] == ["shop", "db"]
    assert [one.name for one in with_dependencies(entries, ["mail", "page", "nobody"])] == [
        "page",
        "shop",
        "db",
        "mail",
    ]


def test_circle_of_dependencies_ends() -> None:
    entries = [entry("a", "b"), entry("b", "a")]

    assert [one.name for one in with_dependencies(entries, ["a"])] == ["a", "b"]
