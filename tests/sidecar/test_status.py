"""Everything at a glance, as the specification documents it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.engine.overview import figures, latest
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration


def test_status_has_the_documented_shape(running: Sidecar) -> None:
    status = ask(running.url, "/api/monitoring/status").json

    assert list(status) == ["timestamp", "health", "alerts", "metrics", "tests"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status["timestamp"])
    assert status["health"]["overall"]["status"] == "healthy"
    assert isinstance(status["health"]["individual"], dict)
    assert status["alerts"] == {"total_active": 0, "by_level": {}, "by_source": {}}
    assert status["tests"] == {"total": 0, "success_rate": None, "by_status": {}}


def test_checks_are_shown_under_names_of_their_own(tmp_path: Path) -> None:
    checks = "".join(
        f'[[checks]]\ntype = "tcp"\nname = "{name}"\nhost = "127.0.0.1"\nport = 1\n' for name in ("a", "b")
    )
    with sidecar(tmp_path, config=checks) as running:
        until(
            lambda: ask(running.url, "/api/monitoring/status").json["health"]["overall"]["status"] == "unhealthy",
            "the checks have run",
        )
        health = ask(running.url, "/api/monitoring/status").json["health"]

    assert {name: shown["status"] for name, shown in health["individual"].items()} == {
        "a": "unhealthy",
        "b": "unhealthy",
    }


def test_tests_are_those_of_the_run_that_came_last(tmp_path: Path) -> None:
    statuses = ["passed"] * 48 + ["failed"] * 2
    listed = [{"name": f"t{number}", "status": status, "duration": 1} for number, status in enumerate(statuses)]
    body = json.dumps({"reportFormat": "CTRF", "runId": "r1", "results": {"tests": listed}}).encode()
    with sidecar(tmp_path) as running:
        ask(running.url, "/api/runs", "POST", headers={"Content-Type": "application/json"}, body=body)

        shown = ask(running.url, "/api/monitoring/status").json["tests"]

    assert shown == {"total": 50, "success_rate": 96.0, "by_status": {"passed": 48, "failed": 2}}


def test_metrics_are_the_page_and_the_own_values(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        ask(running.url, "/metrics/job/shop", "POST", body=b"orders 3\n")
        metrics = ask(running.url, "/api/monitoring/status").json["metrics"]

    assert 'orders{instance="",job="shop"} 3\n' in metrics["prometheus"]
    assert {"name": "sergas_config_last_reload_successful", "type": "gauge", "labels": {}, "value": 1.0} in metrics[
        "latest"
    ]


def test_value_that_json_cannot_hold_is_its_text() -> None:
    samples = tuple(Sample((("a", "b"),), value) for value in (math.nan, math.inf, -math.inf, 1.5))
    shown = latest([Family("m", "gauge", "", samples)])

    assert [sample["value"] for sample in shown] == ["NaN", "+Inf", "-Inf", 1.5]
    assert shown[0]["labels"] == {"a": "b"}


def test_no_run_has_no_rate() -> None:
    assert figures(None) == {"total": 0, "success_rate": None, "by_status": {}}
