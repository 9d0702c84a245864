"""Who is well, and who is not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import shop_health
from pytest_sergas import HealthStatus


@pytest.mark.integration
async def test_everything_is_told_by_its_name(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "shop.db").close()

    results = await shop_health.checker(tmp_path / "shop.db").check_all_health()

    assert list(results) == ["DatabaseHealthCheck", "machine", "stock"]
    assert results["stock"].message == "12 packets of tea"
    assert results["DatabaseHealthCheck"].status is HealthStatus.HEALTHY


@pytest.mark.integration
async def test_missing_database_makes_the_whole_unhealthy(tmp_path: Path) -> None:
    overall = await shop_health.checker(tmp_path / "nowhere.db").get_overall_health()

    assert overall.status is HealthStatus.UNHEALTHY
    assert overall.to_dict()["details"]["unhealthy_checks"] == 1
