"""A run from which nothing is heard says what it is busy with, once, and whoever can speaks for the stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_sergas.plugin.recorder import Running
from pytest_sergas.plugin.watchdog import message
from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

STOPPED = """
    import os, pathlib, signal

    def test_stopped():
        pathlib.Path("pid").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)

    def test_other():
        pass
"""
# Waits until somebody has read what the watchdog says.
WAITING = """
    import sys

    def test_waiting():
        while open("go").read() == "":
            pass
"""


def started(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    (directory / "sergas.toml").write_text("watchdog = 1\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.Popen(
        command, cwd=directory, env=kept, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def spoken(process: subprocess.Popen[str]) -> str:
    """Return what the watchdog says, as soon as it says it; "" if the process ends without."""
    assert process.stderr is not None
    guard = threading.Timer(90, process.kill)
    guard.start()
    try:
        return next((line for line in process.stderr if line.startswith("sergas: ")), "").rstrip()
    finally:
        guard.cancel()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals that stop a process")
@pytest.mark.parametrize("options", [(), ("--reruns=1",)], ids=["reports at once", "reports kept back"])
def test_stopped_worker_is_named_with_its_test(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(test_a=STOPPED)
    with started(pytester.path, "-n1", *options) as process:
        line = spoken(process)
        os.kill(int((pytester.path / "pid").read_text()), signal.SIGCONT)
        _, rest = process.communicate(timeout=90)

    assert re.fullmatch(
        r"sergas: nothing heard for 1\.0 s; running: test_a\.py::test_stopped on gw0 for \S+ m?s", line
    ), line
    assert "sergas: " not in rest
    assert process.returncode == 0


def test_single_process_speaks_although_output_is_captured(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a=WAITING)
    (pytester.path / "go").write_text("")
    with started(pytester.path) as process:
        line = spoken(process)
        (pytester.path / "go").write_text("now")
        process.communicate(timeout=90)

    assert re.fullmatch(r"sergas: nothing heard for 1\.0 s; running: test_a\.py::test_waiting for \S+ m?s", line), line
    assert process.returncode == 0


NO_THREAD = """
    import threading

    def test_a():
        assert "sergas watchdog" not in [thread.name for thread in threading.enumerate()]
"""


def test_0_is_never(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_a=NO_THREAD)
    (pytester.path / "sergas.toml").write_text("watchdog = 0\n")

    assert run().outcomes == {"test_a": "passed"}


def test_message_names_some_and_counts_the_others() -> None:
    running = [Running(f"a.py::test_{number}", "gw0", 100.0 - number) for number in range(10)]

    assert message(60, running, 105.0) == (
        "sergas: nothing heard for 60.0 s; running: "
        + ", ".join(f"a.py::test_{number} on gw0 for {5 + number}.0 s" for number in range(8))
        + ", and 2 more"
    )


def test_message_leaves_out_what_is_not_known() -> None:
    assert message(60, [Running("a.py::test_a\x1b[2J", "", 0.0)], 1.0) == (
        "sergas: nothing heard for 60.0 s; running: a.py::test_a"
    )
