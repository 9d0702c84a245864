"""The examples run as their readers would run them, and show what they promise."""

from __future__ import annotations

import json
import os
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


def test_there_is_an_example() -> None:
    assert "ten_types" in PROJECTS


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
