"""Checks as the configuration makes them."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pytest_sergas.checks import GROUP, Check, Context
from pytest_sergas.checks.runner import Runner
from pytest_sergas.config.checks import CheckSettings
from pytest_sergas.core.health import CheckResult

# For what is expected to answer: a busy machine is no failure.
PATIENT_S = 60.0
# For what is expected never to answer.
IMPATIENT_S = 0.5


def settings(kind: str, **options: Any) -> CheckSettings:
    """Return an entry of ``[[checks]]`` of this type, with the name ``shop``."""
    return CheckSettings(type=kind, name="shop", options=options)


def make(kind: str, root: Path, **options: Any) -> Check:
    """Return the check that the entry point of this name makes."""
    (entry,) = entry_points(group=GROUP, name=kind)
    check: Check = entry.load()(Context(settings(kind, **options), root))
    return check


def run(check: Check, timeout_s: float = PATIENT_S) -> CheckResult:
    """Return the result as everybody gets it."""
    return Runner(check).run(timeout_s)
