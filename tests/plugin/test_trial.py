"""A trial leaves everything of its run as it is: files, progress, and the way in which it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_sergas.plugin import trial
from tests.plugin.conftest import OURS_ALONE, Ran, Run

pytestmark = pytest.mark.integration

KILLED_AFTER_S = 10.0  # by GitHub

# One trial together and one alone; what this file of the suite writes is what plugins write.
CONFTEST = """
import atexit, os, pathlib, sys
import pytest
from pytest_sergas.core import detection

detection.TRIALS = ((float("inf"), 1),)

def note(path, text):
    with open(path, "a") as file:
        file.write(text + "\\n")

def pytest_addoption(parser):
    parser.addoption("--opened")
    parser.addoption("--by-config")
    parser.addoption("--by-environment")
    parser.addoption("--into")
    parser.addoption("--word")

def pytest_configure(config):
    for name in ("opened", "by_config", "by_environment"):
        if path := config.getoption(name):
            pathlib.Path(path).write_text("begun\\n")
    if path := config.getoption("into"):
        pathlib.Path(path).mkdir(exist_ok=True)
        pathlib.Path(path, str(os.getpid())).touch()
    atexit.register(note, "ends", "exit")

def pytest_runtest_logreport(report):
    if report.when == "call":
        note("calls", f"{report.nodeid} {os.environ.get('PYTEST_ADDOPTS')}")

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session):
    try:
        return (yield)
    finally:
        note("ends", "loop")
        for name in ("opened", "by_config", "by_environment"):
            if path := session.config.getoption(name):
                note(path, "ended")

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish():
    note("ends", "finish")
    return (yield)

def pytest_unconfigure():
    note("ends", "unconfigure")
"""
TEST = """
import logging, pytest

@pytest.fixture(scope="session")
def service():
    yield
    with open("torn-down", "a") as file:
        file.write(".")

@pytest.mark.unit
def test_steady(service, tmp_path):
    logging.getLogger("shop").warning("paid")
    with open("tmp", "a") as file:
        file.write(f"{tmp_path.parent.name}\\n")
"""


def notes(ran: Ran) -> list[str]:
    assert ran.document is not None
    found: list[str] = ran.document["results"]["extra"].get("notes", [])
    return [note for note in found if note.startswith("detect-flaky")]


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_trials_leave_the_files_of_the_run_alone(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_new=TEST)
    pytester.makefile(".ini", pytest="[pytest]\naddopts = --by-config=config.txt --log-file-level=INFO\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--by-environment environment.txt")
    monkeypatch.setenv("COVERAGE_FILE", str(pytester.path / "cov.data"))
    durations = "--sergas-durations=durations.json"
    files = ("--log-file=run.log", "--junitxml=junit.xml", "--basetemp=base", "--debug=debug.log", "--opened", "o.txt")
    # The same word as an expression, as a value and as a test: none is dropped for another.
    words = ("-k", "test_new.py", "--word", "test_new.py", "--into=filled", "--cov=test_new", "--cov-report=xml")

    ran = run("--sergas-detect-flaky", durations, *files, *words, "test_new.py")

    assert notes(ran) == ["detect-flaky: 1 test was tried, and steady"]
    assert "\ndetect-flaky: trial 1 of 2: 0 of 1 test\n" in ran.text
    path = pytester.path
    seen = f"test_new.py::test_steady {os.environ['PYTEST_ADDOPTS']}"
    assert lines(path / "calls") == [seen] * 3  # the run, together, alone: each with the environment of the user
    assert (path / "torn-down").read_text() == "..."
    # In a trial nobody finishes a session, not even a wrapper around the tests.
    assert lines(path / "ends") == ["loop", "finish", "unconfigure", "exit"]
    assert [(path / name).read_text() for name in ("config.txt", "environment.txt", "o.txt")] == ["begun\nended\n"] * 3
    assert len(list((path / "filled").iterdir())) == 1
    (log,) = lines(path / "run.log")
    assert log.endswith("paid")
    assert [child.name for child in (path / "base").iterdir() if not child.is_symlink()] == ["test_steady0"]
    assert (path / "junit.xml").read_text().count("<testcase") == 1
    assert 'line-rate="' in (path / "coverage.xml").read_text()
    assert (path / "cov.data").exists()
    assert trial.NAME not in (path / "debug.log").read_text("utf-8")
    assert set(ran.outcomes) == {"test_steady"}
    assert set(json.loads((path / "durations.json").read_text())["tests"]) == {"test_new.py::test_steady"}


def test_trial_that_is_broken_off_is_torn_down_and_said(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(CONFTEST)
    body = "    if pathlib.Path('tmp').read_text().count('\\n') > 1:\n        pytest.exit('enough')\n"
    pytester.makepyfile(test_new=f"import pathlib\n{TEST}{body}")

    ran = run("--sergas-detect-flaky", "test_new.py::test_steady")

    assert notes(ran) == ["detect-flaky: a trial was broken off: enough"]
    assert (pytester.path / "torn-down").read_text() == "..."
    assert lines(pytester.path / "ends") == ["loop", "finish", "unconfigure", "exit"]


RUNNING = """
import os, pathlib, subprocess, sys, time
import pytest

@pytest.fixture(scope="session")
def service():
    yield
    with open("torn-down", "a") as file:
        file.write(".")

@pytest.mark.unit
def test_passes(service):
    if pathlib.Path("failed").exists():  # a trial
        pipe = open("ready", "w")
        pipe.write("x")
        pipe.flush()
        # It holds the pipe as long as it lives.
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=[pipe.fileno()])
        time.sleep(60)

@pytest.mark.unit
def test_fails():
    pathlib.Path("failed").touch()
    assert 0, "the reason"
"""


@pytest.mark.parametrize(
    ("number", "name", "said"),
    [
        pytest.param(signal.SIGINT, "KeyboardInterrupt", "KeyboardInterrupt", id="ctrl-c"),
        pytest.param(signal.SIGTERM, "SIGTERM", "KeyboardInterrupt: SIGTERM", id="sigterm"),
    ],
)
def test_interruption_among_trials_ends_like_any(pytester: pytest.Pytester, number: int, name: str, said: str) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_new=RUNNING)
    os.mkfifo(pytester.path / "ready")
    # Somebody who starts these tests in the background has let SIGINT be ignored.
    code = (
        "import signal, sys, pytest; signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(pytest.main())"
    )
    command = [sys.executable, "-c", code, "-p", "no:cacheprovider", *OURS_ALONE, "--sergas-ctrf=run.json"]
    with (
        subprocess.Popen(
            [*command, "--sergas-detect-flaky", "-k", "test_"],
            cwd=pytester.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
        (pytester.path / "ready").open() as pipe,
    ):
        assert pipe.read(1) == "x"
        sent_s = time.monotonic()
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        assert pipe.read() == ""  # when all that the trial has started is gone

    assert time.monotonic() - sent_s < KILLED_AFTER_S, output
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert (pytester.path / "torn-down").read_text() == ".."
    for text in ("FAILURES", "the reason", "tests by type", f"!!! {said} !!!", "1 failed, 1 passed"):
        assert text in output
    results = json.loads((pytester.path / "run.json").read_text("utf-8"))["results"]
    assert {test["name"]: test["rawStatus"] for test in results["tests"]} == {
        "test_passes": "passed",
        "test_fails": "failed",
    }
    assert results["extra"]["notes"] == ["detect-flaky: interrupted; what was tried until then is not judged"]
    assert results["extra"]["stopped"] == name
