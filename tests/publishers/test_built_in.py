"""What a run does not need is not loaded."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.publishers import GROUP
from tests.publishers.conftest import context_for

pytestmark = pytest.mark.integration

OURS = {entry.name: entry for entry in entry_points(group=GROUP) if entry.value.startswith("pytest_sergas.")}

# Prints the modules of publishers that a run without any setting has loaded.
SCRIPT = """
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from pytest_sergas.config import Settings
from pytest_sergas.publishers import GROUP, Context

context = Context(Settings(), {}, root=Path(), invocation=Path())
for entry in entry_points(group=GROUP):
    entry.load()(context)
print(*sorted(name for name in sys.modules if name.startswith("pytest_sergas.publishers.")))
"""


def test_only_the_terminal_is_loaded_without_settings() -> None:
    loaded = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout.split()

    assert loaded == ["pytest_sergas.publishers.built_in", "pytest_sergas.publishers.terminal"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param("terminal", {}, id="terminal"),
        pytest.param("ctrf", {"ctrf": "run.json"}, id="ctrf"),
        pytest.param("markdown", {"markdown": "run.md"}, id="markdown"),
        pytest.param("junit", {"junit_path": Path("junit.xml")}, id="junit"),
        pytest.param("pushgateway", {"push": "http://127.0.0.1:9091"}, id="pushgateway"),
        pytest.param("sidecar", {"sidecar": "http://127.0.0.1:8000"}, id="sidecar"),
        pytest.param("textfile", {"textfile": "run.prom"}, id="textfile"),
    ],
)
def test_publisher_that_is_asked_for_is_made(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    publisher = OURS[name].load()(context_for(tmp_path, **settings))

    assert publisher is not None
    assert publisher.name == name


def test_github_publisher_is_made_inside_github_actions(tmp_path: Path) -> None:
    publisher = OURS["github"].load()(context_for(tmp_path, {"GITHUB_ACTIONS": "true"}))

    assert publisher is not None
    assert publisher.name == "github"
