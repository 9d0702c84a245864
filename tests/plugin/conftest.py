"""Runs of the plugin in a directory of its own, and what they recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished run: pytester's result, and the CTRF document that it wrote (None if it wrote none)."""

    result: pytest.RunResult
    document: dict[str, Any] | None

    @property
    def tests(self) -> dict[str, dict[str, Any]]:
        """Name of the test → its CTRF entry."""
        assert self.document is not None
        return {test["name"]: test for test in self.document["results"]["tests"]}

    @property
    def outcomes(self) -> dict[str, str]:
        """Name of the test → its outcome."""
        return {name: test["rawStatus"] for name, test in self.tests.items()}

    @property
    def text(self) -> str:
        return self.result.stdout.str()


# What only our own tests need would take most of the time of every inner run, and of each of its workers.
_THEIRS = ("schemathesis", "hypothesispytest", "anyio", "fakefs", "time_machine")
OURS_ALONE = tuple(word for name in _THEIRS for word in ("-p", f"no:{name}"))

Run = Callable[..., Ran]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest with the given arguments in a process of its own, and read back what it recorded.

    In a process of its own, because timeouts, crashes and warning filters reach beyond a session.
    """
    # What the surrounding run says to its own engines must not reach the inner one.
    for name in ("PYTEST_ADDOPTS", "PYTEST_TIMEOUT", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS", "PROMETHEUS_GATEWAY"):
        monkeypatch.delenv(name, raising=False)

    def run_pytest(*arguments: str, record: bool = True) -> Ran:
        file = Path(pytester.path, "run.ctrf.json")
        options = ("--sergas-ctrf", file.name) if record else ()
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *OURS_ALONE, *options, *arguments, timeout=110)
        return Ran(result, json.loads(file.read_text("utf-8")) if file.exists() else None)

    return run_pytest
