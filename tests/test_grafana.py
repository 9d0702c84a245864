"""The dashboards for Grafana: what they ask is answered by a real Prometheus that scrapes a sidecar."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.servers import promtool
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask
from tests.test_examples import ENVIRON, EXAMPLES, TEN_TYPES

pytestmark = pytest.mark.integration

DIRECTORY = EXAMPLES / "grafana"
NAMES = ("health", "system", "tests")
CONFIG = """\
[collect]
interval = 1

[[checks]]
type = "tcp"
name = "database"
host = "127.0.0.1"
port = 1
interval = 1
"""


def committed(name: str) -> dict[str, Any]:
    return dict(json.loads((DIRECTORY / f"{name}.json").read_text("utf-8")))


def expressions() -> list[str]:
    """Return every expression, with what Grafana puts in the place of its variables."""
    return [
        target["expr"].replace("$job", ".*").replace("$__rate_interval", "1m")
        for name in NAMES
        for panel in committed(name)["panels"]
        for target in panel["targets"]
    ]


def builder() -> ModuleType:
    """Return the code that builds them."""
    spec = util.spec_from_file_location("dashboards", DIRECTORY / "dashboards.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a sidecar, to which a run and a group were sent."""
    directory: Path = tmp_path_factory.mktemp("grafana")
    with sidecar(directory, config=CONFIG) as running:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--sergas-sidecar={running.url}"]
        done = subprocess.run(command, cwd=TEN_TYPES, env=ENVIRON, capture_output=True, check=False, timeout=100)
        assert done.returncode == 0, done.stdout.decode()
        (directory / "budget").mkdir()
        (directory / "budget" / "test_budget.py").write_text(
            "import pytest\n@pytest.mark.unit(max_duration=60)\ndef test_one(): pass\n", encoding="utf-8"
        )
        done = subprocess.run(
            [*command, "--cov=."], cwd=directory / "budget", env=ENVIRON, capture_output=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stdout.decode()
        assert ask(running.url, "/metrics/job/etl", "POST", body=b"rows 3\n").status == 200
        with prometheus(directory, running.url, job="sergas") as server:
            yield server


def test_files_are_what_the_code_builds(tmp_path: Path) -> None:
    builder().write(tmp_path)

    assert {file.name: json.loads(file.read_text("utf-8")) for file in tmp_path.iterdir()} == {
        f"{name}.json": committed(name) for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_no_field_is_dropped_when_it_is_read_and_written_again(name: str) -> None:
    document = committed(name)

    written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(document)))

    assert written == document


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_ids_of_their_own_and_ask_the_chosen_datasource(name: str) -> None:
    document = committed(name)

    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids)) > 4
    assert document["templating"]["list"][0]["type"] == "datasource"
    assert {panel["datasource"]["uid"] for panel in document["panels"]} == {"${datasource}"}


def test_type_that_never_succeeded_is_shown_as_that(tmp_path: Path) -> None:
    [expression] = [
        target["expr"].replace("$job", ".*")
        for panel in committed("tests")["panels"]
        if panel["title"] == "Has ever succeeded"
        for target in panel["targets"]
    ]
    series = {
        'sergas_last_run_timestamp_seconds{job="shop",type="e2e"}': "90x1",
        'sergas_last_run_timestamp_seconds{job="shop",type="unit"}': "90x1",
        'sergas_last_success_timestamp_seconds{job="shop",type="unit"}': "60x1",
    }

    [found] = promtool.evaluate(tmp_path, series, "1m", [expression], "1m")

    assert not isinstance(found, str), found
    assert sorted((dict(labels)["type"], value) for _, labels, value in found) == [("e2e", 0.0), ("unit", 1.0)]


def test_dashboards_show_budgets_memory_and_coverage() -> None:
    asked = " ".join(expressions())

    for metric in ("sergas_budget_use_ratio", "sergas_test_peak_memory_bytes", "sergas_coverage_percent"):
        assert metric in asked


def test_dashboards_have_names_of_their_own() -> None:
    assert len({committed(name)["uid"] for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("expression", expressions())
def test_expression_returns_data(expression: str, scraped: Prometheus) -> None:
    assert scraped.query(expression)
