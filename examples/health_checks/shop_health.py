"""Health of a shop: its database, its machine, and a function of its own."""

from __future__ import annotations

from pathlib import Path

from pytest_sergas import DatabaseHealthCheck, HealthChecker, SystemHealthCheck

STOCK = {"tea": 12}


def stock() -> str:
    if not STOCK["tea"]:
        raise LookupError("no tea is left")
    return f"{STOCK['tea']} packets of tea"


def checker(database: Path) -> HealthChecker:
    found = HealthChecker(timeout=10.0)
    found.add_provider(DatabaseHealthCheck(connection_string=f"sqlite:///{database}"))
    found.add_provider(SystemHealthCheck(name="machine"))
    found.add_provider(stock)
    return found
