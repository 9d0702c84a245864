"""What the plugin does for each test, counted: hooks, files, sockets, processes, system calls, memory."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.memory import held_by_recorder
from tests.plugin.conftest import Run
from tests.servers import tools

pytestmark = pytest.mark.integration

# Counts are of two runs, and what a test costs is the difference: what happens once for a run drops out.
FEW, MANY = 10, 30

# Writes into counts.json how often each of our hook implementations was called.
COUNT_HOOKS = """
import collections, json, pathlib

COUNTS = collections.Counter()

def before(name, implementations, arguments):
    for implementation in implementations:
        if implementation.function.__module__.startswith("pytest_sergas."):
            COUNTS[name] += 1

def pytest_configure(config):
    config.pluginmanager.add_hookcall_monitoring(before, lambda *arguments: None)

def pytest_sessionfinish(session):
    pathlib.Path("counts.json").write_text(json.dumps(COUNTS))
"""

# Writes into counts.json what files were opened, and which sockets and processes were made: while tests run
# (phase "tests"), and at any other time ("run").
COUNT_EVENTS = """
import collections, json, pathlib, sys, pytest

COUNTS = {"run": collections.Counter(), "tests": collections.Counter()}
PHASE = ["run"]

def audit(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, (str, bytes)):
            writes = flags & 3 or (isinstance(mode, str) and set(mode) & set("wxa+"))
            COUNTS[PHASE[0]][f"{'write' if writes else 'read'} {path}"] += 1
    elif event.split(".")[0] in {"socket", "subprocess"} or event in {"os.fork", "os.posix_spawn", "os.exec"}:
        COUNTS[PHASE[0]][event] += 1

def pytest_configure():
    sys.addaudithook(audit)

@pytest.hookimpl(wrapper=True)
def pytest_runtestloop():
    PHASE[0] = "tests"
    try:
        return (yield)
    finally:
        PHASE[0] = "run"

def pytest_unconfigure():
    counts = {phase: dict(found) for phase, found in COUNTS.items()}
    pathlib.Path("counts.json").write_text(json.dumps(counts))
"""

WITHOUT = ("-p", "no:sergas", "-o", "markers=unit", "-o", "asyncio_default_fixture_loop_scope=function")


def write_tests(pytester: pytest.Pytester, number: int, conftest: str) -> None:
    """Write ``number`` tests into test_counted.py."""
    functions = "".join(f"\ndef test_{index}():\n    pass\n" for index in range(number))
    pytester.makeconftest(conftest)
    pytester.makepyfile(test_counted=f"import pytest\n\npytestmark = pytest.mark.unit\n{functions}")


@pytest.fixture
def counted(pytester: pytest.Pytester, run: Run) -> Callable[..., dict[str, Any]]:
    """Run as many tests with a conftest that counts, and return its counts."""

    def run_and_count(number: int, conftest: str, *arguments: str, record: bool = True) -> dict[str, Any]:
        write_tests(pytester, number, conftest)
        ran = run("test_counted.py", *arguments, record=record)
        ran.result.assert_outcomes(passed=number)
        counts: dict[str, Any] = json.loads(Path(pytester.path, "counts.json").read_text())
        return counts

    return run_and_count


def test_ten_hook_implementations_are_called_for_a_test(counted: Callable[..., dict[str, Any]]) -> None:
    few, many = counted(FEW, COUNT_HOOKS), counted(MANY, COUNT_HOOKS)

    per_test = {name: (many[name] - few[name]) / (MANY - FEW) for name in many if many[name] != few[name]}
    assert per_test == {
        "pytest_runtest_logstart": 1,
        "pytest_runtest_setup": 1,
        "pytest_runtest_teardown": 1,
        "pytest_runtest_call": 1,
        "pytest_runtest_logreport": 6,
    }


def test_no_file_socket_or_process_is_made_while_tests_run(counted: Callable[..., dict[str, Any]]) -> None:
    assert counted(MANY, COUNT_EVENTS)["tests"] == counted(MANY, COUNT_EVENTS, *WITHOUT, record=False)["tests"]


def test_without_options_nothing_is_written(
    pytester: pytest.Pytester, counted: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def writes_file(name: str) -> bool:
        return name.startswith("write") and not name.startswith("write /proc/self/")  # the kernel's, not a file

    def written(*arguments: str) -> Counter[str]:
        counts = counted(FEW, COUNT_EVENTS, *arguments, record=False)
        opened = Counter(counts["run"]) + Counter(counts["tests"])
        # Temporary files have a name of their own each time.
        return Counter({re.sub(r"tmp\w{8}", "tmp", name): n for name, n in opened.items() if writes_file(name)})

    assert written() == written(*WITHOUT)
    files = {path.name for path in pytester.path.iterdir() if not path.name.startswith("runpytest-")}
    assert files - {"stdout", "stderr"} == {
        "conftest.py",
        "counts.json",
        "test_counted.py",
    }  # the others are pytester's


@pytest.mark.usefixtures("run")  # cleans the environment
def test_system_calls_for_a_test_are_those_of_its_timer_and_its_measurement(pytester: pytest.Pytester) -> None:
    strace = tools.find("strace", "apt-get install strace, or make test")

    def calls(number: int, *arguments: str) -> Counter[str]:
        write_tests(pytester, number, "")
        # Memory is fetched from the system now and then, which no test can be charged with.
        traced = ("-f", "-o", "calls.txt", "-e", "trace=!brk,mmap,munmap,mremap,madvise,futex")
        quiet = ("-q", "-p", "no:cacheprovider", "test_counted.py")
        result = pytester.run(strace, *traced, sys.executable, "-m", "pytest", *quiet, *arguments)
        result.assert_outcomes(passed=number)
        return Counter(re.findall(r"^\d+ +(\w+)\(", Path(pytester.path, "calls.txt").read_text(), re.MULTILINE))

    def per_test(*arguments: str) -> dict[str, float]:
        calls(FEW, *arguments)  # fills __pycache__
        few, many = calls(FEW, *arguments), calls(MANY, *arguments)
        more = {name: (many[name] - few[name]) / (MANY - FEW) for name in many}
        return {name: number for name, number in more.items() if number >= 1}

    plain = per_test(*WITHOUT)
    assert plain
    # A measurement reads the clock of the thread, the scheduler's figures, and what process and children have used,
    # before and after, and asks whose they are; and it sets the mark of memory back. The end of the thread's clock is
    # read only where the thread had to wait.
    measured = {"pread64": 2, "getrusage": 4, "pwrite64": 1, "gettid": 1}
    found = per_test()
    assert 1 <= found.pop("clock_gettime") <= 3
    assert found == {**plain, "setitimer": 2, "rt_sigaction": 1, **measured}


def test_recorder_holds_under_2_kib_a_test() -> None:
    held = held_by_recorder(tests=200)

    assert max(held.running_bytes, held.finished_bytes, held.peak_bytes) < 200 * 2048


# Writes how many messages a worker has sent to the counts of pytest-rerunfailures while its tests ran.
COUNT_MESSAGES = """
import os, pathlib
import pytest_rerunfailures as engine

SENT = []
send = engine.ClientStatusDB._sock_send

def counted(self, connection, message):
    SENT.append(message)
    return send(self, connection, message)

def pytest_collection_finish():
    engine.ClientStatusDB._sock_send = counted

def pytest_sessionfinish(session):
    if "PYTEST_XDIST_WORKER" in os.environ:
        pathlib.Path(f"sent-{os.environ['PYTEST_XDIST_WORKER']}").write_text(str(len(SENT)))
"""


def test_tests_that_pass_send_no_message_to_the_counts_of_retries(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(COUNT_MESSAGES)
    pytester.makefile(".toml", sergas="retries = 2")
    pytester.makepyfile(
        "import pytest\n@pytest.mark.unit\n@pytest.mark.parametrize('n', range(20))\ndef test_a(n): pass"
    )

    run("-n2").result.assert_outcomes(passed=20)

    assert [file.read_text("ascii") for file in sorted(pytester.path.glob("sent-*"))] == ["0", "0"]
