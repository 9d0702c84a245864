"""What keys of runs do, seen from outside: the same configuration for ``pytest`` and for a program that runs tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.gateways import Answer, Answering, answering

pytestmark = pytest.mark.integration

CONFIG = """
project = "reach"
timeout = 1
retries = 1
slowest = 1
health_check_timeout = 2
ctrf = "out.json"
markdown = "out.md"
textfile = "out.prom"
push = "{url}/gateway"
push_labels = {{team = "blue"}}
push_username = "me"
push_password_file = "password"
sidecar = "{url}/sidecar"
[types.integration]
marker = "api"
timeout = 0.3
retries = 0
[types.load]
paths = ["load"]
exclusive = false
[types.smoke]
gate = true
[types.unit]
max_duration = 30
dependencies = ["fine"]
[types.regression]
retries = 0
[[checks]]
type = "python"
name = "fine"
call = "own:fine"
[[checks]]
type = "python"
name = "dead"
call = "own:dead"
[[checks]]
type = "python"
name = "sleepy"
call = "own:sleepy"
[types.e2e]
dependencies = ["sleepy"]
on_unavailable = "skip"
[types.security]
dependencies = ["dead"]
on_unavailable = "skip"
"""
TESTS = """
import pathlib, time, pytest

@pytest.mark.unit
def test_flaky():
    mark = pathlib.Path(__file__).with_name("once")
    first = not mark.exists()
    mark.touch()
    assert not first

@pytest.mark.unit
def test_short(): pass

@pytest.mark.api
def test_hangs(): time.sleep(10)

@pytest.mark.regression
def test_hangs_longer(): time.sleep(10)

@pytest.mark.security
def test_needs(): pass

@pytest.mark.e2e
def test_waits(): pass

@pytest.mark.smoke
def test_gate(): pass
"""
CHECKS = """
import time

def fine(): return True
def dead(): return False
def sleepy(): time.sleep(30)
"""
PROGRAM = """
import asyncio, os, tomllib
from pathlib import Path
from pytest_sergas.monitoring import ComprehensiveMonitoringSystem

config = tomllib.loads(Path("config.toml").read_text())
asyncio.run(ComprehensiveMonitoringSystem({**config, "root": os.getcwd()}).run_comprehensive_tests())
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run has left."""

    root: Path
    server: Answering

    @property
    def tests(self) -> dict[str, dict[str, Any]]:
        """Name of each test → what the CTRF file says, in the order of the run."""
        tests = json.loads((self.root / "out.json").read_text("utf-8"))["results"]["tests"]
        return {test["name"].rpartition("::")[2].rpartition(" ")[2]: test for test in tests}

    def raw(self, name: str) -> str:
        test = self.tests[name]
        return str(test.get("rawStatus", test["status"]))

    def paths(self, beginning: str) -> list[str]:
        return [one.path for one in list(self.server.received) if one.path.startswith(beginning)]

    def slowest(self, kind: str) -> int:
        """Return how many tests of a type are named in the metrics."""
        lines = (self.root / "out.prom").read_text("utf-8").splitlines()
        return sum(1 for line in lines if 'test="' in line and f'type="{kind}"' in line)

    def authorization(self) -> set[str]:
        pushes = [one for one in list(self.server.received) if one.path.startswith("/gateway")]
        return {one.headers.get("Authorization", "") for one in pushes}

    def begins_first(self, name: str) -> bool:
        return min(self.tests.values(), key=lambda test: test["start"]) == self.tests[name]


OBSERVED: Mapping[str, Callable[[Ran], bool]] = {
    "project": lambda ran: {"/job/reach/" in path for path in ran.paths("/gateway")} == {True},
    "timeout": lambda ran: ran.raw("test_hangs_longer") == "timeout",
    "retries": lambda ran: ran.tests["test_flaky"]["flaky"] is True,
    "ctrf": lambda ran: (ran.root / "out.json").is_file(),
    "markdown": lambda ran: "test_hangs" in (ran.root / "out.md").read_text("utf-8"),
    "textfile": lambda ran: "sergas_tests{" in (ran.root / "out.prom").read_text("utf-8"),
    "push": lambda ran: bool(ran.paths("/gateway/metrics/job/")),
    "push_labels": lambda ran: {"/team/blue" in path for path in ran.paths("/gateway")} == {True},
    "push_username": lambda ran: ran.authorization() == {"Basic bWU6aHVudGVyMg=="},
    "push_password_file": lambda ran: ran.authorization() == {"Basic bWU6aHVudGVyMg=="},
    "sidecar": lambda ran: bool(ran.paths("/sidecar/api/runs")),
    "slowest": lambda ran: ran.slowest("unit") == 1,
    "types": lambda ran: "load" in json.dumps(ran.tests["test_path"]),
    "types.NAME.marker": lambda ran: "integration" in json.dumps(ran.tests["test_hangs"]),
    "types.NAME.timeout": lambda ran: ran.raw("test_hangs") == "timeout" and ran.tests["test_hangs"]["duration"] < 900,
    "types.NAME.retries": lambda ran: not ran.tests["test_hangs"].get("retries"),
    "types.NAME.paths": lambda ran: "load" in json.dumps(ran.tests["test_path"]),
    "types.NAME.gate": lambda ran: ran.begins_first("test_gate"),
    "types.NAME.dependencies": lambda ran: ran.raw("test_needs") == "skipped",
    "types.NAME.on_unavailable": lambda ran: ran.raw("test_needs") == "skipped",
    "types.NAME.max_duration": lambda ran: "max_duration" in json.dumps(ran.tests["test_short"]),
    # The check is given half a second more, in which it may say by itself that it found nobody.
    "health_check_timeout": lambda ran: "no answer within 2.5 s" in ran.tests["test_waits"]["message"],
    "checks": lambda ran: ran.raw("test_needs") == "skipped" and ran.raw("test_short") == "passed",
    "checks.type": lambda ran: ran.raw("test_needs") == "skipped" and ran.raw("test_short") == "passed",
    "checks.name": lambda ran: ran.raw("test_needs") == "skipped" and ran.raw("test_short") == "passed",
}


# The specification's names of keys, beside which theirs would be a fault.
SPECIFIED = {"test_timeout": "timeout", "test_retry_count": "retries"}


@pytest.mark.parametrize(
    ("part", "names"),
    [
        pytest.param("pytest", {}, id="pytest"),
        pytest.param("pytest", SPECIFIED, id="pytest with the specification's names"),
        pytest.param("program", {}, id="program"),
    ],
)
def test_each_key_has_its_effect(part: str, names: Mapping[str, str], tmp_path: Path) -> None:
    with answering(lambda _: Answer(200, "{}")) as server:
        name = "sergas.toml" if part == "pytest" else "config.toml"
        text = CONFIG.format(url=server.url)
        for specified, ours in names.items():
            text = text.replace(f"\n{ours} = ", f"\n{specified} = ", 1)
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / "password").write_text("hunter2", encoding="utf-8")
        (tmp_path / "own.py").write_text(CHECKS, encoding="utf-8")
        (tmp_path / "test_reach.py").write_text(TESTS, encoding="utf-8")
        (tmp_path / "load").mkdir()
        (tmp_path / "load" / "test_path.py").write_text("def test_path(): pass\n", encoding="utf-8")
        command = ["-m", "pytest", "-q"] if part == "pytest" else ["-c", PROGRAM]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SERGAS_"))}
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(tmp_path), "CI": "true"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        ran = Ran(tmp_path, server)
        assert (tmp_path / "out.json").is_file(), done.stdout + done.stderr
        missing = [key for key, seen in OBSERVED.items() if not seen(ran)]
        assert not missing, f"{missing}\n{list(ran.tests.values())}\n{done.stdout}{done.stderr}"


def test_strict_refuses_a_test_without_a_type(tmp_path: Path) -> None:
    (tmp_path / "sergas.toml").write_text("strict = true\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
