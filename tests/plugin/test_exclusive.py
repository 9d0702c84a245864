"""Exclusive tests run while no other does, under any scheduler; waiting is shown, counts as nothing, and ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sergas.core.ctrf_reading import from_json
from pytest_sergas.core.timeline import timeline
from pytest_sergas.plugin.exclusive import Holder, Locks, timed_out
from tests.plugin.conftest import Run

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="the locks are those of POSIX"),
]

LONG_S = 60.0

# Each test leaves its name and when it began and ended, on the clock that all workers share.
SUITE = """
import time, pytest

@pytest.fixture(autouse=True)
def span(request):
    begun = time.monotonic_ns()
    yield
    with open("spans", "a") as file:
        file.write(f"{{request.node.name}} {{begun}} {{time.monotonic_ns()}}\\n")

@pytest.mark.unit
@pytest.mark.parametrize("n", range(24))
def test_unit(n): time.sleep(0.005)

@pytest.mark.load
@pytest.mark.parametrize("n", range(4))
def test_load(n): {load}
"""


def overlaps(path: Path) -> list[tuple[str, str]]:
    """Return each exclusive test with a test that ran while it did."""
    lines = [line.split() for line in Path(path, "spans").read_text("utf-8").splitlines()]
    spans = [(name, int(begun), int(ended)) for name, begun, ended in lines]
    return [
        (name, other)
        for name, begun, ended in spans
        for other, other_begun, other_ended in spans
        if name.startswith("test_load") and name != other and other_begun < ended and begun < other_ended
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="ours"),
        pytest.param(("--dist=load",), id="load"),
        pytest.param(("--dist=worksteal",), id="worksteal"),
    ],
)
def test_exclusive_tests_overlap_with_none(pytester: pytest.Pytester, run: Run, arguments: tuple[str, ...]) -> None:
    pytester.makepyfile(SUITE.format(load="time.sleep(0.05)"))

    ran = run("-n3", "-p", "no:randomly", *arguments)

    assert ran.result.ret == pytest.ExitCode.OK
    assert len(ran.outcomes) == 28
    assert overlaps(pytester.path) == []


def test_run_says_which_tests_were_exclusive_and_when(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SUITE.format(load="time.sleep(0.05)"))

    ran = run("-n2")

    exclusive = [name for name, test in ran.tests.items() if test["extra"].get("exclusive")]
    assert sorted(exclusive) == [f"test_load[{n}]" for n in range(4)]
    found = timeline(from_json(json.dumps(ran.document).encode()))
    assert found is not None
    assert found.svg.count('class="alone"') == 1  # one after another, when all others are over
    assert 0.2 <= found.exclusive_s < found.took_s


def test_single_process_marks_no_test_as_exclusive(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SUITE.format(load="pass"))

    ran = run()

    assert [name for name, test in ran.tests.items() if "exclusive" in test["extra"]] == []


def test_lock_of_a_worker_that_dies_in_an_exclusive_test_is_released(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SUITE.format(load="import os; n == 1 and os._exit(1)"))

    ran = run("-n2", "--dist=load")

    assert [name for name, outcome in ran.outcomes.items() if outcome != "passed"] == ["test_load[1]"]
    assert overlaps(pytester.path) == []


# With two tests, --dist load gives one to each worker. The second asks for the lock when the first has it.
IN_TURN = """
import fcntl, os, pathlib, time, pytest

def wait_until(happens):
    while not happens():
        time.sleep(0.01)

def somebody_waits(config):
    turnstile = os.open(pathlib.Path(config.workerinput["sergas_exchange"], "turnstile.lock"), os.O_RDWR)
    try:
        fcntl.flock(turnstile, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(turnstile)

class Turn:
    @pytest.hookimpl(tryfirst=True, wrapper=True)
    def pytest_runtest_protocol(self, item):
        if item.name == "test_alone":
            wait_until(pathlib.Path("runs").exists)
        return (yield)

@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    session.config.pluginmanager.register(Turn())  # so late that it comes before the lock

def pytest_runtest_logreport(report):
    if report.nodeid.endswith("test_alone"):
        pathlib.Path("reported").touch()
"""


def test_waiting_counts_neither_as_duration_nor_towards_the_timeout(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(IN_TURN)
    pytester.makepyfile(
        """
        import pathlib, time, pytest
        from conftest import somebody_waits, wait_until

        @pytest.mark.unit
        def test_long(pytestconfig):
            pathlib.Path("runs").touch()
            wait_until(lambda: somebody_waits(pytestconfig))
            time.sleep(1.5)

        @pytest.mark.load(timeout=1)
        def test_alone(): pass
        """
    )

    ran = run("-n2", "--dist=load")

    assert ran.outcomes == {"test_long": "passed", "test_alone": "passed"}
    assert ran.tests["test_alone"]["duration"] < 1000
    assert "1 test waited because of exclusive ones, " in ran.text


def test_waiting_ends_with_a_text_that_names_who_holds_the_lock(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas="exclusive_wait = 0.5\n")
    pytester.makeconftest(IN_TURN)
    path = pytester.makepyfile(
        """
        import pathlib, pytest
        from conftest import wait_until

        @pytest.mark.unit
        def test_long():
            pathlib.Path("runs").touch()
            wait_until(pathlib.Path("reported").exists)

        @pytest.mark.load
        def test_alone(): pass
        """
    )

    ran = run("-n2", "--dist=load")

    holder = f"{path.name}::test_long on {ran.tests['test_long']['threadId']}"
    assert ran.outcomes == {"test_long": "passed", "test_alone": "error"}
    assert ran.tests["test_alone"]["message"] == (
        f"Failed: not run: waited 0.5 s (exclusive_wait) until {holder} is over. "
        "Give what runs so long a timeout, or raise exclusive_wait in [tool.sergas]"
    )
    assert f"::test_alone waits until {holder} is over" in ran.result.stderr.str()


@pytest.mark.parametrize(
    ("workers", "kind", "expected"),
    [
        pytest.param("-n2", "load", True, id="parallel with an exclusive test"),
        pytest.param("-n2", "unit", False, id="no exclusive test"),
        pytest.param("-n1", "load", False, id="one worker"),
        pytest.param("-n0", "load", False, id="no workers"),
    ],
)
def test_lock_is_there_only_where_it_is_needed(
    pytester: pytest.Pytester, run: Run, workers: str, kind: str, *, expected: bool
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.{kind}
        def test_one(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("sergas-exclusive") is {expected}
        """
    )

    assert run(workers).outcomes == {"test_one": "passed"}


def test_marker_makes_a_single_test_exclusive(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SUITE.format(load="time.sleep(0.05)").replace("mark.load", "mark.unit(exclusive=True)"))

    ran = run("-n2")

    assert len(ran.outcomes) == 28
    assert overlaps(pytester.path) == []


class Suite:
    """Locks of three workers, in one process: each has open files of its own, and that is what flock looks at."""

    def __init__(self, shared: Path) -> None:
        self.first, self.second, self.third = (Locks(shared, f"gw{number}") for number in range(3))

    def close(self) -> None:
        for locks in (self.first, self.second, self.third):
            locks.close()


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    suite = Suite(tmp_path)
    yield suite
    suite.close()


def has(locks: Locks, name: str, *, exclusive: bool) -> bool:
    """Return whether the lock is acquired at once; if not, the attempt is given up."""
    try:
        for _ in locks.acquire(name, exclusive=exclusive, deadline_s=0.0):
            pytest.fail("it waits although its time is over")
    except TimeoutError:
        return False
    return True


def test_ordinary_tests_share_the_lock_and_an_exclusive_one_does_not(suite: Suite) -> None:
    assert has(suite.first, "a", exclusive=False)
    assert has(suite.second, "b", exclusive=False)
    assert not has(suite.third, "c", exclusive=True)
    suite.first.release()
    suite.second.release()
    assert has(suite.third, "c", exclusive=True)
    assert not has(suite.first, "a", exclusive=False)


def test_exclusive_test_that_waits_is_not_overtaken(suite: Suite) -> None:
    assert has(suite.first, "a", exclusive=False)
    waiting = suite.second.acquire("b", exclusive=True, deadline_s=time.monotonic() + LONG_S)
    next(waiting)

    assert not has(suite.third, "c", exclusive=False)
    suite.first.release()
    assert list(waiting) == []
    assert not has(suite.third, "c", exclusive=False)
    suite.second.release()
    assert has(suite.third, "c", exclusive=False)


def test_exclusive_test_that_gives_up_lets_the_others_pass(suite: Suite) -> None:
    assert has(suite.first, "a", exclusive=False)
    assert not has(suite.second, "b", exclusive=True)

    assert has(suite.third, "c", exclusive=False)


def test_who_runs_is_known_to_the_others_and_a_dead_worker_runs_nothing(suite: Suite) -> None:
    assert has(suite.first, "test_ä.py::test_a", exclusive=False)
    assert has(suite.second, "b", exclusive=False)
    suite.second.release()

    assert suite.third.holders() == (Holder("gw0", "test_ä.py::test_a"),)
    assert suite.first.holders() == ()
    suite.first.close()
    assert suite.third.holders() == ()


FORK = """
import os, sys, pathlib
from pytest_sergas.plugin.exclusive import Locks

shared = pathlib.Path(sys.argv[1])
dies, other = Locks(shared, "gw0"), Locks(shared, "gw1")
list(dies.acquire("a", exclusive=False, deadline_s=0.0))
read, write = os.pipe()
here, there = os.pipe()
child = os.fork()
if not child:
    os.close(write)
    os.write(there, b"x")  # it is a child of its own now
    os.read(read, 1)  # until the parent has seen what it came for
    os._exit(0)
os.read(here, 1)
dies.close()  # all that is left of a worker that dies
list(other.acquire("b", exclusive=True, deadline_s=0.0))
os.close(write)
os.waitpid(child, 0)
print("acquired")
"""


def test_child_that_outlives_its_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True, timeout=LONG_S, check=False
    )

    assert (ran.stdout, ran.stderr) == ("acquired\n", "")


@pytest.mark.parametrize(
    ("holders", "exclusive", "expected"),
    [
        pytest.param((Holder("gw1", "a"), Holder("gw2", "b")), True, "a on gw1, b on gw2", id="several"),
        pytest.param((), True, "another test that has not said its name", id="unknown ordinary"),
        pytest.param((), False, "an exclusive test that has not said its name", id="unknown exclusive"),
    ],
)
def test_text_names_all_that_hold_the_lock(holders: tuple[Holder, ...], expected: str, *, exclusive: bool) -> None:
    assert f"(exclusive_wait) until {expected} is over" in timed_out(300, holders, exclusive=exclusive)


CLOSED_BEFORE = """
import os, sys, pathlib
from pytest_sergas.plugin.exclusive import Locks

locks = Locks(pathlib.Path(sys.argv[1]), "gw0")
locks.close()
others = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]  # have the numbers of the three that were closed
locks.close()
child = os.fork()
if not child:
    for descriptor in others:
        os.fstat(descriptor)
    print("open")
    sys.exit()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_locks_that_are_closed_close_nothing_that_has_their_numbers_now(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CLOSED_BEFORE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )

    assert (ran.stdout, ran.stderr) == ("open\n", "")
