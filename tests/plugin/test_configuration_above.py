"""A configuration above pytest's root directory is found, as the commands find it, up to the repository's top."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

CONFIG = """\
project = "whole"
ctrf = "reports/run.json"
history = "reports/history.json"
durations = "reports/durations.json"

[types.smoke]
paths = ["service/tests"]
dependencies = ["here"]

[[checks]]
type = "python"
name = "here"
call = "found:beside_the_file"
"""
TEST = """\
import pytest


@pytest.mark.smoke(max_regression="1000%")
def test_it():
    pass


def test_by_its_directory():
    pass
"""


@pytest.fixture
def service(pytester: pytest.Pytester) -> Path:
    """A root directory of pytest in a repository whose top has the configuration."""
    top = pytester.path / "repository"
    tests = top / "service" / "tests"
    for directory in (tests, top / "reports", top / ".git"):
        directory.mkdir(parents=True)
    (top / "sergas.toml").write_text(CONFIG, encoding="utf-8")
    (top / "found.py").write_text("def beside_the_file():\n    return 'yes'\n", encoding="utf-8")
    (tests / "test_a.py").write_text(TEST, encoding="utf-8")
    (top / "service" / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return top / "service"


def test_file_above_is_in_force_and_its_paths_are_relative_to_it(
    service: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(service)
    result = pytester.runpytest_subprocess("--sergas-markdown=summary.md")

    result.assert_outcomes(passed=2)
    run = json.loads((service.parent / "reports" / "run.json").read_text("utf-8"))
    tests = {test["name"]: test["type"] for test in run["results"]["tests"]}
    assert tests == {"test_it": "smoke", "test_by_its_directory": "smoke"}
    assert (service.parent / "reports" / "history.json").is_file()
    assert (service / "summary.md").is_file()  # an option is relative to where it was typed
    assert sorted(path.name for path in service.iterdir() if "cache" not in path.name) == [
        "pytest.ini",
        "summary.md",
        "tests",
    ]


@pytest.mark.parametrize("top", ["repository", "closest"])
def test_neither_another_repository_nor_a_file_further_up_counts(
    top: str, service: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    if top == "repository":
        (service / ".git").write_text("gitdir: elsewhere\n", encoding="utf-8")
    else:
        (service / "sergas.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(service)
    result = pytester.runpytest_inprocess()

    result.assert_outcomes(passed=2)
    assert list((service.parent / "reports").iterdir()) == []


def test_fault_in_a_file_above_is_a_usage_error(
    service: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (service.parent / "sergas.toml").write_text("slowst = 5\n", encoding="utf-8")
    monkeypatch.chdir(service)
    result = pytester.runpytest_inprocess()

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*sergas.toml: slowst = 5: unknown key; did you mean*slowest*"])
