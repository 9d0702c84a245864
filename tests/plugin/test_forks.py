"""A test that forks, and whose child does not end where it should: its worker stays what it is."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.plugin.conftest import Run

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
]

SUITE = """
import ctypes, os, time, pytest

@pytest.mark.parametrize("n", range(12))
def test_one(n):
    with open("begun", "a") as file:
        file.write(f"{{n}}\\n")
    if n == 3:
        child = {fork}
        if child == 0:
            {child}
        {meanwhile}
"""
# The child reports its test first, and is ended when all is over: it would wait for tests for ever.
CONTROLLER = """
import os, pathlib, signal, pytest

def pytest_runtest_logfinish(nodeid):
    if "[3]" in nodeid and "PYTEST_XDIST_WORKER" not in os.environ:
        pathlib.Path("reported").touch()

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.kill(int(pathlib.Path("child").read_text()), signal.SIGKILL)
"""
WAIT_UNTIL_REPORTED = """
        open("child", "w").write(str(child))
        while not os.path.exists("reported"):
            time.sleep(0.01)
"""


@pytest.mark.parametrize(
    "child", [pytest.param("raise ValueError('lost')", id="raises"), pytest.param("return", id="returns")]
)
def test_child_that_leaves_its_test_is_ended_and_everything_runs_once(
    pytester: pytest.Pytester, run: Run, child: str
) -> None:
    path = pytester.makepyfile(SUITE.format(fork="os.fork()", child=child, meanwhile="os.waitpid(child, 0)"))

    ran = run("-n2")

    assert Counter(Path("begun").read_text("utf-8").split()) == {str(n): 1 for n in range(12)}
    assert ran.outcomes == {f"test_one[{n}]": "passed" for n in range(12)}
    worker = ran.tests["test_one[3]"]["threadId"]
    expected = (
        f"sergas: a process that {path.name}::test_one[3] forked left its test and was ended, "
        f"because it would have gone on as {worker}; end it with os._exit()"
    )
    said = ran.result.stderr.str()
    assert expected in said
    assert ("ValueError: lost" in said) == ("raise" in child)
    assert ran.result.ret == pytest.ExitCode.OK


def test_child_that_nobody_can_end_is_told_of_and_the_run_goes_on(pytester: pytest.Pytester, run: Run) -> None:
    # Forked past Python, it does not know that it is a child, and reports its test as its worker does.
    fork = "ctypes.PyDLL(None).fork()"
    path = pytester.makepyfile(SUITE.format(fork=fork, child="return", meanwhile=WAIT_UNTIL_REPORTED))
    pytester.makeconftest(CONTROLLER)

    ran = run("-n2")

    assert ran.outcomes == {f"test_one[{n}]": "passed" for n in range(12)}
    assert ran.document is not None
    worker = ran.tests["test_one[3]"]["threadId"]
    # It may also have run what its worker had been sent.
    note = re.compile(
        f"completed more than once: {re.escape(path.name)}::test_one\\[3\\](, and \\d more after it)?; "
        f"a process that it forked went on as {worker}"
    )
    (found,) = ran.document["results"]["extra"]["notes"]
    assert note.fullmatch(found)
    assert ran.result.ret == pytest.ExitCode.OK
