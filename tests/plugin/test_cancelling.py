"""A run that is cancelled by a signal, as CI cancels: it ends as by Ctrl-C, with its record, and no worker is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import OURS_ALONE, Run

pytestmark = pytest.mark.integration

ENDS_WITHIN_S = 7.0  # GitHub begins to kill half a second later

HEAD = """
import os, threading, time
import pytest
pytestmark = pytest.mark.unit

def ready():
    with open("ready", "w") as pipe: pipe.write("x")

def forever():
    while True: time.sleep(60)

def test_done(): pass
"""
IN_CALL = "def test_running(): ready(); forever()"
IN_SETUP = "@pytest.fixture\ndef service(): ready(); forever()\ndef test_running(service): pass"
IN_TEARDOWN = "@pytest.fixture\ndef service():\n    yield\n    ready(); forever()\ndef test_running(service): pass"
COMPUTING = "def test_running():\n    ready()\n    while True: sum(range(10_000))"
IN_C = "def test_running():\n    ready()\n    sum(range(10**12))"
SWALLOWING = """
def test_running():
    ready()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try: time.sleep(60)
        except BaseException: pass
"""
CLOSING_FOR_EVER = """
@pytest.fixture(scope="session", autouse=True)
def service():
    yield
    forever()
def test_running(): ready(); forever()
"""
SWALLOWING_AND_ENDING = """
def test_running():
    ready()
    try: forever()
    except BaseException: pass
def test_later(): pass
"""
SWALLOWING_ONCE = """
def test_running():
    ready()
    try: forever()
    except BaseException: forever()
"""
EXCLUSIVE = "@pytest.mark.performance\ndef test_running(): ready(); forever()"
ALONE, WORKERS = (), ("-n", "2")


@contextmanager
def cancelled(
    pytester: pytest.Pytester, *arguments: str, send: Callable[[int], None], within_s: float = ENDS_WITHIN_S
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run pytest until a test says that it is ready, send it a signal, and yield its status and its record."""
    os.mkfifo(pytester.path / "ready")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        *OURS_ALONE,
        "--sergas-ctrf=run.json",
        *arguments,
    ]
    temporary = pytester.mkdir("temporary")
    with subprocess.Popen(
        command,
        cwd=pytester.path,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            (pytester.path / "ready").read_text("ascii")
            sent_s = time.monotonic()
            send(process.pid)
            output, _ = process.communicate(timeout=30)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert time.monotonic() - sent_s < within_s, output
        with pytest.raises(ProcessLookupError):  # its session, and with it the workers, is gone
            os.killpg(process.pid, 0)
    assert not [*temporary.glob("sergas-*")]
    (pytester.path / "output").write_text(output, "utf-8")
    record = pytester.path / "run.json"
    yield process.returncode, json.loads(record.read_text("utf-8"))["results"] if record.exists() else {}


def terminate(process_id: int) -> None:
    os.kill(process_id, signal.SIGTERM)


def hang_up(process_id: int) -> None:
    os.kill(process_id, signal.SIGHUP)


def terminate_group(process_id: int) -> None:
    os.killpg(process_id, signal.SIGTERM)


@pytest.mark.parametrize(
    ("body", "arguments", "send"),
    [
        pytest.param(IN_CALL, ALONE, terminate, id="call"),
        pytest.param(IN_CALL, ALONE, hang_up, id="hangup"),
        pytest.param(IN_SETUP, ALONE, terminate, id="setup"),
        pytest.param(IN_TEARDOWN, ALONE, terminate, id="teardown"),
        pytest.param(COMPUTING, ALONE, terminate, id="computing"),
        pytest.param(SWALLOWING_ONCE, ALONE, terminate, id="swallowed once"),
        pytest.param(SWALLOWING_AND_ENDING, ALONE, terminate, id="swallowed and ended"),
        pytest.param(EXCLUSIVE, ALONE, terminate, id="exclusive"),
        pytest.param(SWALLOWING, ALONE, terminate, id="swallowed"),
        pytest.param(IN_CALL, WORKERS, terminate, id="call, workers"),
        pytest.param(IN_CALL, WORKERS, hang_up, id="hangup, workers"),
        pytest.param(IN_CALL, WORKERS, terminate_group, id="group, workers"),
        pytest.param(IN_SETUP, WORKERS, terminate, id="setup, workers"),
        pytest.param(COMPUTING, WORKERS, terminate, id="computing, workers"),
        pytest.param(SWALLOWING, WORKERS, terminate, id="swallowed, workers"),
        pytest.param(IN_C, WORKERS, terminate, id="computing in C, workers"),
        pytest.param(EXCLUSIVE, WORKERS, terminate, id="exclusive, workers"),
    ],
)
def test_a_cancelled_run_has_a_record_and_leaves_nothing(
    pytester: pytest.Pytester, body: str, arguments: tuple[str, ...], send: Callable[[int], None]
) -> None:
    pytester.makepyfile(HEAD + body)

    with cancelled(pytester, *arguments, send=send) as (status, results):
        assert status == pytest.ExitCode.INTERRUPTED
        assert results["extra"]["stopped"] == ("SIGHUP" if send is hang_up else "SIGTERM")
        done = {test["name"] for test in results["tests"]}
        running = {node_id.partition("::")[2] for node_id in results["extra"].get("unfinished", ())}
    # What workers have not told yet when the signal comes is not known.
    assert done | running == {"test_done", "test_running"} or arguments


@contextmanager
def silent() -> Iterator[str]:
    """Yield the address of a server that takes what is sent, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "http://{}:{}".format(*server.getsockname())


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        pytest.param(SWALLOWING, ALONE, id="swallowed"),
        pytest.param(SWALLOWING, WORKERS, id="swallowed, workers"),
        pytest.param(IN_CALL, ALONE, id="call"),
    ],
)
def test_a_receiver_that_never_answers_holds_up_neither_the_end_nor_the_files(
    pytester: pytest.Pytester, body: str, arguments: tuple[str, ...]
) -> None:
    pytester.makepyfile(HEAD + body)
    pytester.makefile(".toml", sergas="publish_deadline = 60\n")

    with (
        silent() as address,
        cancelled(pytester, *arguments, f"--sergas-push={address}", "--junit-xml=junit.xml", send=terminate) as (
            status,
            results,
        ),
    ):
        assert status == pytest.ExitCode.INTERRUPTED
        assert results["extra"]["stopped"] == "SIGTERM"
    output = (pytester.path / "output").read_text("utf-8")
    # On workers it may be that nothing was reported yet, and nothing to be pushed.
    was_reported = bool(results["tests"])
    assert was_reported or arguments
    assert ("tests by type" in output) == ("not sent: pushgateway: " in output) == was_reported
    assert (pytester.path / "junit.xml").exists()


def test_a_teardown_that_never_ends_keeps_back_neither_the_record_nor_the_table(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HEAD + CLOSING_FOR_EVER)
    record = pytester.path / "run.json"

    def until_it_is_there(process_id: int) -> None:
        terminate(process_id)
        end_s = time.monotonic() + ENDS_WITHIN_S
        while not record.exists() and time.monotonic() < end_s:
            time.sleep(0.05)
        terminate(process_id)

    with cancelled(pytester, send=until_it_is_there, within_s=2 * ENDS_WITHIN_S) as (status, results):
        assert status == -signal.SIGTERM
        assert results["extra"]["stopped"] == "SIGTERM"
        assert [test["name"] for test in results["tests"]] == ["test_done"]
    assert "tests by type" in (pytester.path / "output").read_text("utf-8")


def test_a_run_that_is_cancelled_while_it_collects_has_a_record(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HEAD + "ready(); forever()")

    with cancelled(pytester, send=terminate) as (status, results):
        assert status == pytest.ExitCode.INTERRUPTED
        assert (results["extra"]["stopped"], results["tests"]) == ("SIGTERM", [])


def test_fixtures_are_torn_down_on_workers_of_a_cancelled_run(pytester: pytest.Pytester) -> None:
    service = "@pytest.fixture\ndef service():\n    yield\n    open('closed', 'w').close()\n"
    pytester.makepyfile(HEAD + service + "def test_running(service): ready(); forever()")

    with cancelled(pytester, *WORKERS, send=terminate):
        assert (pytester.path / "closed").exists()


def test_a_second_signal_ends_the_process_at_once(pytester: pytest.Pytester) -> None:
    os.mkfifo(pytester.path / "closing")
    service = "@pytest.fixture\ndef service():\n    yield\n    open('closing', 'w').close(); forever()\n"
    pytester.makepyfile(HEAD + service + "def test_running(service): ready(); forever()")

    def twice(process_id: int) -> None:
        terminate(process_id)
        Path(pytester.path, "closing").read_text("ascii")
        terminate(process_id)

    with cancelled(pytester, send=twice) as (status, _):
        assert status == -signal.SIGTERM


@pytest.mark.parametrize("disposition", ["signal.SIG_IGN", "lambda *_: None"], ids=["ignored", "handled"])
def test_a_signal_that_the_suite_handles_stays_its_own(pytester: pytest.Pytester, run: Run, disposition: str) -> None:
    pytester.makeconftest(f"import signal\nsignal.signal(signal.SIGTERM, {disposition})")
    pytester.makepyfile(
        "import os, pytest, signal\n@pytest.mark.unit\ndef test_a(): os.kill(os.getpid(), signal.SIGTERM)"
    )

    assert run().outcomes == {"test_a": "passed"}


def test_a_child_that_a_test_forks_ends_by_the_signal(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pytest, signal, time

        @pytest.mark.unit
        def test_a():
            running, began = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(began, b"x")
                time.sleep(60)
                os._exit(0)
            os.read(running, 1)
            os.kill(child, signal.SIGTERM)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
            assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])

        @pytest.mark.unit
        def test_b():
            # As often as it takes to meet a child that Python has not finished forking.
            for _ in range(50):
                child = os.fork()
                if child == 0:
                    time.sleep(60)
                    os._exit(0)
                os.kill(child, signal.SIGTERM)
                assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
        """
    )

    assert run("-p", "no:timeout").outcomes == {"test_a": "passed", "test_b": "passed"}


def test_a_run_without_types_leaves_signals_alone(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        "import signal\ndef test_a():\n    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL"
    )

    run(record=False).result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "how", ["pytest.exit('no database')", "os.kill(os.getpid(), signal.SIGINT)"], ids=["exit", "ctrl-c"]
)
def test_a_worker_that_ends_its_session_is_not_waited_for(pytester: pytest.Pytester, run: Run, how: str) -> None:
    pytester.makepyfile(
        f"""
        import os, pytest, signal
        pytestmark = pytest.mark.unit
        @pytest.fixture(scope="session", autouse=True)
        def database(): {how}
        @pytest.mark.parametrize("n", range(4))
        def test_a(n): pass
        """
    )

    begun_s = time.monotonic()
    without = run("-n", "2", "-p", "no:sergas", record=False)
    middle_s = time.monotonic()
    ran = run("-n", "2")

    assert ran.result.ret == without.result.ret
    # Ten seconds for each worker were waited.
    assert time.monotonic() - middle_s < middle_s - begun_s + 8.0
    assert "its session was ended by pytest.exit() or Ctrl-C" in ran.text


def test_a_worker_that_dies_while_it_collects_is_named_as_that(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import os\nif 'PYTEST_XDIST_WORKER' in os.environ: os._exit(1)\ndef test_a(): pass")

    assert "worker gw0 died while it collected: exited with status 1" in run("-n", "1", "--max-worker-restart=1").text
