"""The OpenAPI document: it names what there is, and the running sidecar does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.routing import Route

from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.sidecar.app import create_app
from pytest_sergas.sidecar.openapi import document
from pytest_sergas.sidecar.pages import site
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration

# The Pushgateway's own, which its documentation describes, and the pages of text for Prometheus.
ELSEWHERE = {"/metrics", "/metrics/{key:path}", "//{key:path}", "/api/v1/metrics", "/api/v1/status", "/-/quit"}


def test_document_names_every_route_with_its_methods() -> None:
    engine = Engine(EngineSettings(Path()))
    app = create_app(engine)
    pages = {route.path for route in site.routes(engine) if isinstance(route, Route)}
    routes: dict[str, set[str]] = {}
    for route in app.routes:
        assert isinstance(route, Route)
        if route.path not in ELSEWHERE | pages:
            routes.setdefault(route.path, set()).update(method.lower() for method in route.methods or ())

    documented = {path: set(operations) for path, operations in document()["paths"].items()}

    assert {path: methods - {"head"} for path, methods in routes.items()} == documented


def test_document_is_served(running: Sidecar) -> None:
    assert ask(running.url, "/api/openapi.json").json == document()


@pytest.mark.timeout(300)
def test_running_sidecar_does_what_the_document_says(tmp_path: Path) -> None:
    """Schemathesis makes requests from the document, right and wrong ones, and judges the answers by it."""
    # No schema says what a regular expression is, nor that not all matchers may match what is not there.
    (tmp_path / "schemathesis.toml").write_text(
        '[[operations]]\ninclude-name = "POST /api/silences"\nchecks.positive_data_acceptance.enabled = false\n',
        encoding="utf-8",
    )
    with sidecar(tmp_path) as running:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/api/openapi.json"]
        options = ["--max-examples=10", "--generation-deterministic", "--no-color"]
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert ask(running.url, "/-/ready").status == 200
        assert "Traceback" not in running.printed
