"""The examples run as their readers would run them, and show what they promise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.core.records import TestType

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[1] / "examples"
PROJECTS = sorted(file.parent.name for file in EXAMPLES.glob("*/pyproject.toml"))
TEN_TYPES = EXAMPLES / "ten_types"
SPECIFICATION = Path(__file__).parent / "specification" / "specification.md"
SECTIONS = {
    "Basic Setup": "basic_setup",
    "Custom Tests": "custom_tests",
    "Custom Metrics": "custom_metrics",
    "Custom Alert Rules": "custom_alert_rules",
    "Health Checker": "health_checks",
    "Configuration": "configuration",
    "API Endpoints": "api_endpoints",
    "Deployment": "deploy",
    "Integration with FastAPI": "fastapi_app",
    "Integration with Existing Test Frameworks": "existing_frameworks",
}
# What the surrounding run says to pytest and its plugins is not meant for the examples.
INHERITED = ("PYTEST_ADDOPTS", "PYTEST_TIMEOUT", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS", "PROMETHEUS_GATEWAY")
ENVIRON = {name: value for name, value in os.environ.items() if name not in INHERITED}


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments]
    return subprocess.run(command, cwd=project, env=ENVIRON, capture_output=True, text=True, check=False, timeout=100)


def recorded(project: Path, file: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run(project, f"--sergas-ctrf={file}", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(json.loads(file.read_text("utf-8"))["results"]["tests"])


def test_sections_of_the_specification_have_an_example_each() -> None:
    headings = re.findall(r"^#{2,4} (?:\d\. )?(.+)$", SPECIFICATION.read_text("utf-8"), re.MULTILINE)

    assert SECTIONS.keys() <= set(headings)
    assert set(PROJECTS) == {*SECTIONS.values(), "ten_types"} - {"deploy"}
    assert (EXAMPLES / SECTIONS["Deployment"] / "Dockerfile").is_file()


@pytest.mark.parametrize("project", PROJECTS)
def test_example_is_green_alone_with_warnings_as_errors(project: str) -> None:
    done = run(EXAMPLES / project)

    assert done.returncode == 0, done.stdout + done.stderr


def test_ten_types_has_all_of_them_and_shows_a_flaky_test_an_xfail_and_a_skip(tmp_path: Path) -> None:
    tests = recorded(TEN_TYPES, tmp_path / "run.json", "-n2")

    assert {test["type"] for test in tests} == {test_type.value for test_type in TestType}
    outcomes = Counter(test["rawStatus"] for test in tests)
    assert outcomes.keys() == {"passed", "flaky", "xfailed", "skipped"}
    assert (outcomes["flaky"], outcomes["xfailed"], outcomes["skipped"]) == (1, 1, 1)


def test_ten_types_starts_with_its_gate(tmp_path: Path) -> None:
    tests = recorded(TEN_TYPES, tmp_path / "run.json")

    assert min(tests, key=lambda test: test["start"])["type"] == "smoke"
