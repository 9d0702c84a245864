"""The README's programs, executed as they stand."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pytest_sergas import HealthStatus
from tests.asgi.serving import served
from tests.test_docs import chapter

pytestmark = pytest.mark.integration

TITLE = "In a program"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the block for the file that the test names defines, in a project with one test."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    text = "import pytest\n\n@pytest.mark.unit\ndef test_total():\n    assert sum([1, 2]) == 3\n"
    (tmp_path / "tests" / "test_shop.py").write_text(text, encoding="utf-8")
    [block] = [block for block in chapter(TITLE) if block.file == request.param]
    (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    return runpy.run_path(block.file)


def test_every_program_is_executed_here() -> None:
    assert [block.file for block in chapter(TITLE)] == ["monitored.py", "app.py", "run_units.py"]


@pytest.mark.parametrize("program", ["monitored.py"], indirect=True)
def test_monitoring_system_of_the_readme_says_how_everything_is(
    program: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(program["main"]())

    # No host is called db here, and the rest depends on the machine.
    assert HealthStatus(capsys.readouterr().out.strip()) is not HealthStatus.HEALTHY


@pytest.mark.parametrize("program", ["app.py"], indirect=True)
def test_application_of_the_readme_has_the_sidecar_below_its_mount(program: dict[str, Any]) -> None:
    with served(program["app"]) as url:
        page = httpx2.get(f"{url}/sergas/runs", timeout=60)
        httpx2.get(f"{url}/nowhere", timeout=60)
        metrics = httpx2.get(f"{url}/sergas/metrics", timeout=60).text

    assert (page.status_code, "<h1>Runs</h1>" in page.text) == (200, True)
    assert 'http_requests_total{method="GET",endpoint="unmatched",status="404"} 1\n' in metrics


@pytest.mark.parametrize("program", ["run_units.py"], indirect=True)
def test_runner_of_the_readme_runs_the_unit_tests(program: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(program["main"]())

    assert capsys.readouterr().out == "0 of 1\n1 of 1\n['test_total'] None\n100.0\n"
