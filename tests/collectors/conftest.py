"""What the tests of the collectors share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_sergas.collectors import Context, Measured
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.core.metrics import Family
from pytest_sergas.core.monitoring import families_of

PATIENCE_S = 60.0


def plenty() -> float:
    """Return the seconds that are left: enough on any machine."""
    return PATIENCE_S


def context(root: Path, **settings: Any) -> Context:
    return Context(CollectSettings(**settings), root, {})


def values(measured: Iterable[Measured]) -> dict[str, float]:
    """Series as people write them → value."""
    return {
        f"{family.name}{sample.suffix}{{{','.join(f'{name}={value}' for name, value in sample.labels)}}}": sample.value
        for family in families_of(measured)
        for sample in family.samples
    }


def by_name(measured: Iterable[Measured]) -> dict[str, Family]:
    return {family.name: family for family in families_of(measured)}
