"""Sessions that call no test: nothing is published, kept or sent, and no test counts as passed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.plugin.conftest import OURS_ALONE, Run

pytestmark = pytest.mark.integration

FAILING = """
import pytest

@pytest.fixture
def shared(): return 1

@pytest.mark.unit(max_regression="50%")
def test_broken(shared):
    assert False

@pytest.mark.unit
def test_other(): pass
"""
FILES = """
project = "shop"
ctrf = "run.json"
markdown = "run.md"
textfile = "run.prom"
durations = "durations.json"
history = "history.json"
"""


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  the names that the class looks for

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def everything(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return name → content and time of every file that pytester itself does not write."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {
        name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in found
        if not (name := path.relative_to(directory).as_posix()).startswith(("runpytest-", "stdout", "stderr"))
        and "__pycache__" not in name
    }


SESSIONS = [
    pytest.param(("--setup-plan",), id="setup plan"),
    pytest.param(("--setup-plan", "-n2"), id="setup plan with workers"),
    pytest.param(("--setup-only",), id="setup only"),
    pytest.param(("--setup-only", "-n2"), id="setup only with workers"),
    pytest.param(("--fixtures",), id="fixtures"),
    pytest.param(("--funcargs",), id="funcargs"),
    pytest.param(("--fixtures-per-test",), id="fixtures per test"),
    pytest.param(("--cache-show",), id="cache show"),
    pytest.param(("--markers",), id="markers"),
    pytest.param(("--co",), id="collect only"),
    pytest.param(("--co", "-q", "-n2"), id="collect only with workers"),
    pytest.param(("--help",), id="help"),
    pytest.param(("-VV",), id="version"),
    pytest.param(("-o", "addopts=--setup-only"), id="addopts"),
    pytest.param(("-p", "its_loop"), id="another loop"),
    pytest.param(("-p", "its_protocol"), id="another protocol"),
    pytest.param(("-p", "its_calls"), id="calls left out"),
]
ITS_LOOP = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    for item in session.items:
        print(item.nodeid)
    return True
"""
ITS_PROTOCOL = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    return True
"""
ITS_CALLS = """
import pytest
from _pytest.runner import call_and_report

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    call_and_report(item, "setup")
    call_and_report(item, "teardown", nextitem=nextitem)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""


@pytest.mark.usefixtures("run")  # cleans the environment
@pytest.mark.parametrize("arguments", SESSIONS)
def test_session_that_calls_no_test_leaves_everything_as_it_is(
    pytester: pytest.Pytester, requests: tuple[str, list[str]], arguments: tuple[str, ...]
) -> None:
    address, asked = requests
    pytester.makefile(".toml", sergas=f'{FILES}push = "{address}"\nsidecar = "{address}"\n')
    pytester.makepyfile(its_loop=ITS_LOOP, its_protocol=ITS_PROTOCOL, its_calls=ITS_CALLS, test_shop=FAILING)
    cache = ("-p", "cacheprovider", "-p", "no:rerunfailures", f"--rootdir={pytester.path}")
    pytester.runpytest_subprocess(*OURS_ALONE, *cache, "--sergas-durations=durations.json").assert_outcomes(
        passed=1, failed=1
    )
    before = everything(pytester.path)
    assert {"run.json", "run.md", "run.prom", "durations.json", ".pytest_cache/d/sergas/results.json"} <= before.keys()
    assert asked
    asked.clear()

    result = pytester.runpytest_subprocess(*OURS_ALONE, *cache, *arguments)

    assert result.ret in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
    left = everything(pytester.path)
    ours = {name for name in left.keys() | before.keys() if "sergas" in name or not name.startswith(".pytest_cache")}
    assert {name for name in ours if left.get(name) != before.get(name)} == set()
    assert asked == []
    assert "= tests by type =" not in result.stdout.str()


@pytest.mark.parametrize("arguments", [("--setup-plan", "-n2"), ("--co",), ("--fixtures",)], ids=" ".join)
def test_such_a_session_leaves_no_cache_of_ours(
    pytester: pytest.Pytester, run: Run, arguments: tuple[str, ...]
) -> None:
    pytester.makefile(".toml", sergas="")
    pytester.makepyfile(FAILING)

    run("-p", "cacheprovider", *arguments, record=False)

    assert not list(pytester.path.rglob("sergas"))


def test_setup_show_is_a_run(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_one(tmp_path): pass")

    assert run("--setup-show").outcomes == {"test_one": "passed"}


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_test_whose_call_did_not_take_place_is_not_passed(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makeconftest(
        ITS_CALLS.replace(
            "location=item.location)\n",
            'location=item.location)\n    if "left_out" not in item.nodeid: return None\n',
            1,
        )
    )
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.unit

        def test_called(): pass
        def test_left_out(): assert False
        """
    )

    ran = run(*workers)

    assert ran.outcomes == {"test_called": "passed", "test_left_out": "skipped"}
    assert ran.tests["test_left_out"]["message"] == "it was not called"
    assert re.search(r"^unit +2 +1 ", ran.text, re.MULTILINE)


def test_program_that_runs_tests_is_not_given_passes_for_what_was_not_called(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_shop=FAILING)
    program = pytester.makepyfile(
        program="""
        import json, os, sys, pytest
        reading, writing = os.pipe()
        os.environ["SERGAS_PROGRESS"] = str(writing)
        pytest.main(["-q", "--setup-only", "-p", "pytest_sergas.plugin.progress"])
        os.close(writing)
        with open(reading) as events:
            found = [event for line in events if "ended" in (event := json.loads(line))]
        print("ended:", json.dumps([event["outcome"] for event in found]))
        """
    )

    result = pytester.runpython(program)

    (line,) = [line for line in result.outlines if line.startswith("ended:")]
    assert json.loads(line.removeprefix("ended:")) == ["skipped", "skipped"]


@pytest.mark.parametrize("plan", [pytest.param("--setup-plan", id="plan"), pytest.param("--co", id="collect only")])
@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_what_tests_would_need_is_not_asked_where_nothing_runs(
    pytester: pytest.Pytester, run: Run, requests: tuple[str, list[str]], plan: str, workers: tuple[str, ...]
) -> None:
    address, asked = requests
    pytester.makefile(".toml", sergas=f'[[checks]]\nname = "shop"\ntype = "http"\nurl = "{address}"\n')
    pytester.makepyfile('import pytest\n@pytest.mark.unit(dependencies=["shop"])\ndef test_one(): pass')

    assert run(plan, *workers, record=False).result.ret == pytest.ExitCode.OK
    assert asked == []
