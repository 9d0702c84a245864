"""What is recorded of a test, whatever becomes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

PARALLEL = [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")]

OUTCOMES = """
import pytest, unittest

def test_passed(): pass

def test_failed(): assert False, "wrong"

def test_skipped(): pytest.skip("not today")

@pytest.mark.skip(reason="never")
def test_skip_mark(): pass

@pytest.mark.xfail(reason="known")
def test_xfailed(): assert False

@pytest.mark.xfail(reason="known", strict=False)
def test_xpassed(): pass

@pytest.mark.xfail(reason="known", strict=True)
def test_xpassed_strict(): pass

@pytest.fixture
def broken(): raise RuntimeError("no set-up")

def test_error_in_setup(broken): pass

@pytest.fixture
def leaky():
    yield
    raise RuntimeError("no teardown")

def test_error_in_teardown(leaky): pass

def test_failed_and_error(leaky): assert False, "wrong"

@pytest.mark.timeout(0.3)
def test_timeout():
    import time; time.sleep(20)

class TestClass:
    def test_method(self): pass

class Case(unittest.TestCase):
    def test_unittest(self): self.assertEqual(1, 1)
    def test_unittest_fails(self): self.assertEqual(1, 2)
    @unittest.skip("later")
    def test_unittest_skipped(self): pass
    @unittest.expectedFailure
    def test_unittest_expected(self): self.assertEqual(1, 2)

@pytest.mark.parametrize("text", ["a b", "ü", "[x]", "::"])
def test_parameter(text): pass
"""
EXPECTED = {
    "test_passed": "passed",
    "test_failed": "failed",
    "test_skipped": "skipped",
    "test_skip_mark": "skipped",
    "test_xfailed": "xfailed",
    "test_xpassed": "xpassed",
    "test_xpassed_strict": "failed",
    "test_error_in_setup": "error",
    "test_error_in_teardown": "error",
    "test_failed_and_error": "failed",
    "test_timeout": "timeout",
    "TestClass::test_method": "passed",
    "Case::test_unittest": "passed",
    "Case::test_unittest_fails": "failed",
    "Case::test_unittest_skipped": "skipped",
    "Case::test_unittest_expected": "xfailed",
    "test_parameter[a b]": "passed",
    "test_parameter[\\xfc]": "passed",
    "test_parameter[[x]]": "passed",
    "test_parameter[::]": "passed",
}


@pytest.mark.parametrize("workers", PARALLEL)
def test_every_outcome_is_recorded_once(pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(OUTCOMES)

    ran = run(*workers)

    assert ran.outcomes == EXPECTED
    assert ran.document is not None
    assert ran.document["results"]["summary"]["tests"] == len(EXPECTED)


def test_record_says_where_a_test_stands_and_how_long_its_phases_took(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        **{
            "sub/test_place": """
            import pytest, time

            @pytest.fixture
            def slow():
                time.sleep(0.2)
                yield
                time.sleep(0.1)

            @pytest.mark.unit
            def test_one(slow): time.sleep(0.3)
            """
        }
    )

    test = run().tests["test_one"]

    assert (test["filePath"], test["line"], test["type"]) == ("sub/test_place.py", 9, "unit")
    phases = test["extra"]
    assert phases["setupSeconds"] >= 0.2
    assert phases["callSeconds"] >= 0.3
    assert phases["teardownSeconds"] >= 0.1
    assert test["duration"] >= 600
    assert test["stop"] - test["start"] == test["duration"]


def test_messages_name_the_failure_the_skip_and_the_expected_failure(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(OUTCOMES)

    tests = run().tests

    assert tests["test_failed"]["message"] == "AssertionError: wrong\nassert False"
    assert "def test_failed(): assert False" in tests["test_failed"]["trace"]
    assert tests["test_skipped"]["message"] == "not today"
    assert tests["test_xfailed"]["message"] == "known"
    assert tests["test_error_in_setup"]["message"] == "RuntimeError: no set-up"
    assert tests["test_timeout"]["message"] == "Failed: Timeout (>0.3s) from pytest-timeout."
    assert "message" not in tests["test_passed"]


@pytest.mark.parametrize("workers", PARALLEL)
def test_repeated_test_is_flaky_and_keeps_every_attempt(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        import pytest
        attempts = []

        @pytest.mark.unit(retries=3)
        def test_one():
            attempts.append(1)
            assert len(attempts) > 2, f"attempt {len(attempts)}"
        """
    )

    ran = run(*workers)
    test = ran.tests["test_one"]

    assert (test["status"], test["rawStatus"], test["flaky"], test["retries"]) == ("passed", "flaky", True, 2)
    messages = [attempt["message"].splitlines()[0] for attempt in test["retryAttempts"]]
    assert messages == ["AssertionError: attempt 1", "AssertionError: attempt 2"]
    assert ran.document is not None
    assert ran.document["results"]["summary"]["flaky"] == 1


def test_test_that_never_passes_is_failed_with_all_its_attempts(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.unit(retries=2)\ndef test_one(): assert False")

    test = run().tests["test_one"]

    assert (test["rawStatus"], test["retries"], test["flaky"]) == ("failed", 2, False)


def test_reruns_of_the_command_line_are_recorded_for_untyped_tests(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("seen = []\ndef test_one():\n    seen.append(1)\n    assert len(seen) > 1")

    assert run("--reruns=2").outcomes == {"test_one": "flaky"}


@pytest.mark.parametrize("workers", PARALLEL)
def test_module_that_cannot_be_imported_is_an_error(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_broken="import nothing_of_that_name", test_fine="def test_one(): pass")

    ran = run("--continue-on-collection-errors", *workers)

    assert ran.outcomes == {"test_broken.py": "error", "test_one": "passed"}
    assert "No module named 'nothing_of_that_name'" in ran.tests["test_broken.py"]["trace"]


def test_module_that_skips_itself_is_skipped(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile('import pytest\npytest.skip("not here", allow_module_level=True)')

    ran = run()

    assert list(ran.outcomes.values()) == ["skipped"]


@pytest.mark.parametrize(
    ("death", "reruns"),
    [
        pytest.param("os._exit(3)", "0", id="exit"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "0", id="kill"),
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", "0", id="segfault"),
    ],
)
def test_test_that_kills_its_worker_is_crashed_with_its_type(
    pytester: pytest.Pytester, run: Run, death: str, reruns: str
) -> None:
    pytester.makepyfile(
        f"""
        import os, signal, pytest
        pytestmark = pytest.mark.unit
        def test_dies(): {death}
        @pytest.mark.parametrize("n", range(4))
        def test_other(n): pass
        """
    )

    ran = run("-n2", "--reruns", reruns)

    assert ran.outcomes == {"test_dies": "crashed", **{f"test_other[{n}]": "passed" for n in range(4)}}
    assert ran.tests["test_dies"]["type"] == "unit"
    assert ran.tests["test_dies"]["line"] is None or ran.tests["test_dies"]["line"] > 0
    assert "crashed while running" in ran.tests["test_dies"]["message"]


def test_crash_in_set_up_of_the_first_report_still_has_its_type(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.fixture
        def deadly(): os._exit(1)

        @pytest.mark.smoke
        def test_dies(deadly): pass
        """
    )

    assert {name: test["type"] for name, test in run("-n1").tests.items()} == {"test_dies": "smoke"}


def test_crash_that_is_repeated_and_passes_is_flaky(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, pytest

        @pytest.mark.unit(retries=1)
        def test_one():
            flag = pathlib.Path("crashed-once")
            if not flag.exists():
                flag.touch()
                os._exit(1)
        """
    )

    test = run("-n1").tests["test_one"]

    assert test["rawStatus"] == "flaky"
    assert [attempt["extra"]["rawStatus"] for attempt in test["retryAttempts"]] == ["crashed"]
    assert [attempt["extra"]["worker"] for attempt in test["retryAttempts"]] == ["gw0"]
    assert test["threadId"] == "gw1"


def test_exitfirst_says_why_the_run_stopped(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_a(): assert False\ndef test_b(): pass")

    ran = run("-x")

    assert ran.document is not None
    assert ran.outcomes == {"test_a": "failed"}
    assert ran.document["results"]["extra"]["stopped"] == "stopping after 1 failures"
    assert ran.document["results"]["extra"]["collected"] == 2


def test_session_timeout_says_why_the_run_stopped(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import time\ndef test_a(): time.sleep(0.3)\ndef test_b(): pass")

    ran = run("--session-timeout=0.1")

    assert ran.document is not None
    assert ran.outcomes == {"test_a": "passed"}
    assert ran.document["results"]["extra"]["stopped"] == "session-timeout: 0.1 sec exceeded"


def test_the_same_test_twice_is_two_tests(pytester: pytest.Pytester, run: Run) -> None:
    path = pytester.makepyfile("def test_one(): pass")

    ran = run("--keep-duplicates", path.name, path.name)

    assert ran.document is not None
    assert [test["rawStatus"] for test in ran.document["results"]["tests"]] == ["passed", "passed"]


def test_dist_each_records_every_worker(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_one(): pass")

    ran = run("--dist=each", "--tx=2*popen")

    assert ran.document is not None
    tests = ran.document["results"]["tests"]
    assert [(test["rawStatus"], test["type"]) for test in tests] == [("passed", "unit")] * 2
    assert {test["threadId"] for test in tests} == {"gw0", "gw1"}


def test_retry_on_repeats_only_after_the_named_exceptions_and_what_derives_from_them(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        """
        import pytest
        seen = {"refused": 0, "value": 0}

        @pytest.mark.unit(retries=2, retry_on=[ConnectionError])
        def test_refused():
            seen["refused"] += 1
            if seen["refused"] == 1: raise ConnectionRefusedError("not yet")

        @pytest.mark.unit(retries=2, retry_on="ConnectionError")
        def test_value():
            raise ValueError("a defect")
        """
    )

    ran = run()

    assert ran.outcomes == {"test_refused": "flaky", "test_value": "failed"}
    assert "retries" not in ran.tests["test_value"]


INTERRUPTED = """
import time, pytest

@pytest.mark.unit(retries={retries})
def test_done(): pass

@pytest.mark.unit(retries={retries})
def test_running(): time.sleep(30)
"""
# Says when the process that records knows of both: the reports of a worker arrive later than its tests run.
ANNOUNCES = """
import pathlib, pytest
missing = {"test_done", "test_running"}

def seen(config, node_id):
    missing.discard(node_id.partition("::")[2])
    if not missing and not hasattr(config, "workerinput"):
        pathlib.Path("ready").write_text("ready")

def pytest_configure(config):
    class Watch:
        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logstart(self, nodeid):
            if nodeid.endswith("test_running"): seen(config, nodeid)
        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logreport(self, report):
            if report.when == "teardown": seen(config, report.nodeid)
    config.pluginmanager.register(Watch())
"""


@pytest.mark.parametrize("workers", PARALLEL)
@pytest.mark.parametrize("retries", [0, 1])
def test_ctrl_c_keeps_what_was_done_and_names_what_was_running(
    pytester: pytest.Pytester, workers: tuple[str, ...], retries: int
) -> None:
    pytester.makepyfile(INTERRUPTED.format(retries=retries))
    pytester.makeconftest(ANNOUNCES)
    os.mkfifo("ready")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--sergas-ctrf", "run.json", *workers]

    # A session of its own, because Ctrl-C on a terminal reaches every process of the group.
    with subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.PIPE, start_new_session=True) as process:
        Path("ready").read_text("ascii")
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)

    assert process.returncode == pytest.ExitCode.INTERRUPTED
    results = json.loads(Path(pytester.path, "run.json").read_text("utf-8"))["results"]
    assert [test["name"] for test in results["tests"]] == ["test_done"]
    assert results["extra"]["stopped"] == "KeyboardInterrupt"
    assert [node_id.partition("::")[2] for node_id in results["extra"]["unfinished"]] == ["test_running"]


def test_session_timeout_with_workers_is_not_an_abort_by_the_user(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import time\ndef test_a(): time.sleep(0.3)\ndef test_b(): time.sleep(0.3)\ndef test_c(): pass")

    ran = run("-n1", "--session-timeout=0.1")

    assert ran.document is not None
    assert "session-timeout: 0.1 sec exceeded" in ran.document["results"]["extra"]["stopped"]


def test_exitfirst_with_workers_says_why_the_run_stopped(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_a(n): assert n")

    ran = run("-n1", "-x")

    assert ran.document is not None
    assert ran.outcomes["test_a[0]"] == "failed"
    assert ran.document["results"]["extra"]["stopped"] == "stopping after 1 failures"


def test_crash_with_restarts_disabled_ends_the_run_and_is_recorded(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pytest
        @pytest.mark.smoke
        def test_a(): os._exit(1)
        @pytest.mark.smoke
        def test_b(): pass
        """
    )

    ran = run("-n1", "--max-worker-restart=0")

    assert ran.outcomes["test_a"] == "crashed"
    assert ran.tests["test_a"]["line"] == 2
    assert ran.document is not None
    assert ran.document["results"]["extra"]["collected"] == 2


def test_repeated_crashes_are_counted_as_attempts(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import os, pytest\n@pytest.mark.unit(retries=2)\ndef test_one(): os._exit(1)")

    test = run("-n1", "--max-worker-restart=5").tests["test_one"]

    assert test["rawStatus"] == "crashed"
    assert [attempt["extra"]["rawStatus"] for attempt in test["retryAttempts"]] == ["crashed", "crashed"]


def test_crash_after_reported_failures_counts_every_attempt(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, pytest

        @pytest.mark.unit(retries=3)
        def test_one():
            counter = pathlib.Path("counter")
            attempt = int(counter.read_text()) + 1 if counter.exists() else 1
            counter.write_text(str(attempt))
            if attempt == 2:
                os._exit(1)
            assert attempt == 4, attempt
        """
    )

    test = run("-n1").tests["test_one"]

    assert test["rawStatus"] == "flaky"
    assert [attempt["extra"]["rawStatus"] for attempt in test["retryAttempts"]] == ["failed", "crashed", "failed"]
