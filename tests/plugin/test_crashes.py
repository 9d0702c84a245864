"""A worker that dies: its test is reported once, with the cause, and everything else runs exactly once."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from pytest_sergas.plugin.crashes import describe
from tests.plugin.conftest import Ran, Run

pytestmark = pytest.mark.integration

# Each test leaves a line when it begins, so that what ran twice, or never, can be counted.
SUITE = """
import os, resource, signal, time, pytest

def note(request):
    with open("begun", "a") as file:
        file.write(request.node.name + "\\n")

@pytest.fixture(autouse=True)
def noted(request): note(request)

@pytest.mark.{kind}
def test_dies(): {death}

@pytest.mark.{kind}
@pytest.mark.parametrize("n", range(6))
def test_beside(n): pass

@pytest.mark.unit
@pytest.mark.parametrize("n", range(6))
def test_unit(n): pass
"""
OTHERS = [f"{name}[{n}]" for name in ("test_beside", "test_unit") for n in range(6)]
# The limit leaves no memory for anything, so that not even the interpreter gets by.
OUT_OF_MEMORY = (
    "exec('import ctypes\\nresource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))\\n"
    "ctypes.CDLL(None).malloc.restype = ctypes.c_void_p\\n"
    "ctypes.memset(ctypes.CDLL(None).malloc(1 << 30), 1, 1 << 30)')"
)


def write(pytester: pytest.Pytester, *, kind: str, death: str) -> None:
    pytester.makepyfile(SUITE.format(kind=kind, death=death))


def begun(pytester: pytest.Pytester) -> Counter[str]:
    return Counter(Path(pytester.path, "begun").read_text("utf-8").split())


def assert_the_rest_ran_once(pytester: pytest.Pytester, ran: Ran, outcome: str = "crashed") -> None:
    assert begun(pytester) == {"test_dies": 1, **dict.fromkeys(OTHERS, 1)}
    assert ran.outcomes == {"test_dies": outcome, **dict.fromkeys(OTHERS, "passed")}


@pytest.mark.parametrize(
    ("death", "cause"),
    [
        pytest.param("os._exit(3)", "exited with status 3", id="exit"),
        pytest.param("os._exit(0)", "exited with status 0", id="exit that looks like success"),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGKILL)",
            "killed by SIGKILL, as the system does when memory runs out",
            id="kill",
        ),
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV", id="segfault"),
        pytest.param(OUT_OF_MEMORY, "killed by SIGSEGV", id="no memory"),
    ],
)
@pytest.mark.parametrize("kind", [pytest.param("unit", id="parallel"), pytest.param("load", id="exclusive")])
def test_dead_worker_costs_the_test_that_it_ran(
    pytester: pytest.Pytester, run: Run, kind: str, death: str, cause: str
) -> None:
    write(pytester, kind=kind, death=death)

    ran = run("-n2")

    assert_the_rest_ran_once(pytester, ran)
    worker = ran.tests["test_dies"]["threadId"]
    assert ran.tests["test_dies"]["message"].endswith(f"::test_dies': {cause}")
    assert f"worker {worker!r} crashed while running" in ran.text
    assert cause in ran.text
    assert ran.tests["test_dies"]["type"] == kind


def test_memory_error_is_a_failure_and_costs_no_worker(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import resource, pytest

        @pytest.mark.unit
        def test_takes_too_much():
            before = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (2 << 30, before[1]))
            try:
                bytearray(4 << 30)
            finally:
                resource.setrlimit(resource.RLIMIT_AS, before)

        @pytest.mark.unit
        def test_other(): pass
        """
    )

    ran = run("-n1")

    assert ran.outcomes == {"test_takes_too_much": "failed", "test_other": "passed"}
    assert ran.tests["test_takes_too_much"]["message"] == "MemoryError"
    assert {test["threadId"] for test in ran.tests.values()} == {"gw0"}


@pytest.mark.parametrize("kind", [pytest.param("unit", id="parallel"), pytest.param("load", id="exclusive")])
def test_timeout_of_the_thread_method_is_named_as_the_cause(pytester: pytest.Pytester, run: Run, kind: str) -> None:
    write(pytester, kind=kind, death="time.sleep(60)")

    ran = run("-n2", "--timeout=0.5", "--timeout-method=thread")

    assert_the_rest_ran_once(pytester, ran, "timeout")
    assert ran.tests["test_dies"]["message"].endswith("ended by its timeout of 0.5 s (thread method)")


@pytest.mark.parametrize(
    ("marks", "arguments", "toml"),
    [
        pytest.param("@pytest.mark.unit(timeout=0.5)", ("--timeout-method=thread",), "", id="keyword"),
        pytest.param(
            "@pytest.mark.unit", ("--timeout-method=thread",), "[types.unit]\ntimeout = 0.5", id="table of the type"
        ),
        pytest.param("@pytest.mark.unit", ("--timeout-method=thread",), "timeout = 0.5", id="general key"),
        pytest.param("@pytest.mark.timeout(0.5, method='thread')", (), "", id="engine's marker, method by name"),
        pytest.param("@pytest.mark.timeout(0.5, 'thread')", (), "", id="engine's marker, method by place"),
        pytest.param(
            "@pytest.mark.timeout(30, method='thread')\n@pytest.mark.unit(timeout=0.5)", (), "", id="both markers"
        ),
    ],
)
def test_timeout_of_the_thread_method_is_named_whoever_set_it(
    pytester: pytest.Pytester, run: Run, marks: str, arguments: tuple[str, ...], toml: str
) -> None:
    pytester.makefile(".toml", sergas=toml)
    pytester.makepyfile(f"import time, pytest\n{marks}\ndef test_dies(): time.sleep(60)")

    ran = run("-n1", *arguments)

    assert ran.tests["test_dies"]["message"].endswith("ended by its timeout of 0.5 s (thread method)")


def test_timeout_of_the_thread_method_is_named_in_the_second_attempt_too(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pathlib, time, pytest

        @pytest.mark.timeout(0.5, method="thread")
        @pytest.mark.flaky(reruns=1)
        def test_dies():
            try:
                pathlib.Path("failed").touch(exist_ok=False)
            except FileExistsError:
                time.sleep(60)
            assert False
        """
    )

    ran = run("-n1")

    assert "ended by its timeout of 0.5 s (thread method)" in ran.text


def test_exit_before_the_deadline_is_not_the_timeouts(pytester: pytest.Pytester, run: Run) -> None:
    write(pytester, kind="unit", death="os._exit(1)")

    ran = run("-n2", "--timeout=30", "--timeout-method=thread")

    assert ran.tests["test_dies"]["message"].endswith("exited with status 1")


@pytest.mark.parametrize("kind", [pytest.param("unit", id="parallel"), pytest.param("load", id="exclusive")])
def test_without_restarts_the_run_ends_and_says_so(pytester: pytest.Pytester, run: Run, kind: str) -> None:
    write(pytester, kind=kind, death="os._exit(3)")

    ran = run("-n2", "--max-worker-restart=0")

    worker = ran.tests["test_dies"]["threadId"]
    reason = f"worker {worker} crashed and worker restarting disabled"
    assert f"stopped: {reason}" in ran.text
    assert ran.document is not None
    assert ran.document["results"]["extra"]["stopped"] == reason
    assert ran.outcomes["test_dies"] == "crashed"
    assert set(ran.outcomes.values()) == {"crashed", "passed"}
    assert set(begun(pytester).values()) == {1}
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED


def test_without_restarts_what_had_not_begun_is_not_run(pytester: pytest.Pytester, run: Run) -> None:
    write(pytester, kind="unit", death="os._exit(3)")

    ran = run("-n1", "--max-worker-restart=0")

    assert begun(pytester) == {"test_dies": 1}
    assert ran.outcomes == {"test_dies": "crashed"}
    assert ran.document is not None
    assert ran.document["results"]["extra"]["collected"] == 1 + len(OTHERS)


@pytest.mark.parametrize("kind", [pytest.param("unit", id="parallel"), pytest.param("load", id="exclusive")])
def test_crash_counts_as_a_failure_for_maxfail(pytester: pytest.Pytester, run: Run, kind: str) -> None:
    write(pytester, kind=kind, death="os._exit(3)")

    ran = run("-n2", "--maxfail=1")

    assert ran.outcomes["test_dies"] == "crashed"
    assert set(begun(pytester).values()) == {1}


@pytest.mark.parametrize("kind", [pytest.param("unit", id="parallel"), pytest.param("load", id="exclusive")])
def test_crash_is_repeated_as_often_as_reruns_says(pytester: pytest.Pytester, run: Run, kind: str) -> None:
    write(pytester, kind=kind, death="os._exit(3)")

    ran = run("-n2", "--reruns=2")

    assert begun(pytester) == {"test_dies": 3, **dict.fromkeys(OTHERS, 1)}
    assert ran.outcomes == {"test_dies": "crashed", **dict.fromkeys(OTHERS, "passed")}
    attempts = ran.tests["test_dies"]["retryAttempts"]
    assert [attempt["extra"]["rawStatus"] for attempt in attempts] == ["crashed", "crashed"]


def test_worker_that_dies_between_two_tests_accuses_none(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, pytest

        @pytest.mark.unit
        @pytest.mark.parametrize("n", range(8))
        def test_unit(n): pass
        """
    )
    pytester.makeconftest(
        """
        import os, pathlib

        def pytest_runtest_protocol(item):
            if item.name == "test_unit[3]":
                try:
                    pathlib.Path("died").touch(exist_ok=False)
                except FileExistsError:
                    return
                os._exit(5)
        """
    )

    ran = run("-n2")

    assert ran.outcomes == {f"test_unit[{n}]": "passed" for n in range(8)}
    assert " died between two tests: exited with status 5" in ran.text


def test_test_that_kills_every_worker_is_run_once_and_what_follows_it_too(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        test_a="def test_pass_1(): pass\ndef test_pass_2(): pass",
        test_b="import os\ndef test_crash(): os._exit(1)\ndef test_after(): pass",
    )

    ran = run("-n1")

    assert ran.outcomes == {
        "test_pass_1": "passed",
        "test_pass_2": "passed",
        "test_crash": "crashed",
        "test_after": "passed",
    }


@pytest.mark.parametrize("slow", [pytest.param("test_1", id="first"), pytest.param("test_2", id="last")])
def test_worker_that_faulthandler_ends_is_replaced_and_nothing_hangs(
    pytester: pytest.Pytester, run: Run, slow: str
) -> None:
    pytester.makepyfile(
        f"""
        import time
        def test_1(): time.sleep(60 * ("test_1" == "{slow}"))
        def test_2(): time.sleep(60 * ("test_2" == "{slow}"))
        """
    )

    ran = run("-n1", "-o", "faulthandler_timeout=1", "-o", "faulthandler_exit_on_timeout=true")

    assert Counter(ran.outcomes.values()) == {"crashed": 1, "passed": 1}
    assert ran.outcomes[slow] == "crashed"


def test_every_worker_may_die_and_nothing_hangs(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.parametrize("n", range(12))
        def test_one(n):
            if n % 3 == 0:
                os._exit(1)
        """
    )

    ran = run("-n2")

    assert Counter(ran.outcomes.values()) == {"crashed": 4, "passed": 8}


def test_restarts_that_are_used_up_end_the_run(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import os, pytest\n@pytest.mark.parametrize('n', range(10))\ndef test_one(n): os._exit(1)")

    ran = run("-n2", "--max-worker-restart=2")

    assert ran.document is not None
    assert ran.document["results"]["extra"]["stopped"] == "maximum crashed workers reached: 2"
    assert set(ran.outcomes.values()) == {"crashed"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(0, "exited with status 0", id="exit"),
        pytest.param(-signal.SIGTERM, "killed by SIGTERM", id="signal"),
        pytest.param(-99, "killed by signal 99", id="signal without a name"),
    ],
)
def test_end_of_a_process_in_words(status: int, expected: str) -> None:
    assert describe(status) == expected
