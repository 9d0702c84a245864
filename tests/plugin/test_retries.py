"""How often a failed test is repeated, by whom that is decided, and what the engine's own settings keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

FAILS = "import pytest\n{marks}\ndef test_one(): assert False"


@pytest.mark.parametrize(
    ("arguments", "toml", "marks", "retries"),
    [
        pytest.param((), "", "@pytest.mark.unit", 0, id="built-in is none"),
        pytest.param((), "", "@pytest.mark.unit(retries=2)", 2, id="marker"),
        pytest.param((), "retries = 1", "@pytest.mark.unit", 1, id="general key"),
        pytest.param((), "test_retry_count = 1", "@pytest.mark.unit", 1, id="specification's key"),
        pytest.param(
            (), "retries = 1\n[types.unit]\nretries = 2", "@pytest.mark.unit", 2, id="table beats general key"
        ),
        pytest.param(("--reruns=1",), "retries = 3", "@pytest.mark.unit", 1, id="command line beats file"),
        pytest.param(("--reruns=1",), "", "@pytest.mark.unit(retries=3)", 3, id="marker beats command line"),
        pytest.param(("--reruns=2",), "", "@pytest.mark.unit(retries=0)", 0, id="zero is a setting"),
        pytest.param(("-o", "reruns=2"), "", "@pytest.mark.unit", 2, id="ini beats built-in"),
        pytest.param(("-o", "reruns=2"), "retries = 1", "@pytest.mark.unit", 1, id="file beats ini"),
        pytest.param((), "", "@pytest.mark.flaky(reruns=1)\n@pytest.mark.unit(retries=3)", 3, id="closer keyword wins"),
        pytest.param(
            (), "", "@pytest.mark.unit(retries=3)\n@pytest.mark.flaky(reruns=1)", 1, id="closer engine marker wins"
        ),
        pytest.param((), "retries = 2", "", 0, id="untyped has no policy"),
    ],
)
def test_closest_and_most_explicit_number_wins(
    pytester: pytest.Pytester, run: Run, arguments: tuple[str, ...], toml: str, marks: str, retries: int
) -> None:
    pytester.makefile(".toml", sergas=toml)
    pytester.makepyfile(FAILS.format(marks=marks))

    test = run(*arguments).tests["test_one"]

    assert test["rawStatus"] == "failed"
    assert test.get("retries", 0) == retries


def test_no_marker_is_put_where_nothing_is_repeated(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit
        def test_one(request):
            assert [mark.name for mark in request.node.iter_markers()] == ["unit"]
        """
    )

    assert run().outcomes == {"test_one": "passed"}


def test_marker_keeps_delay_and_backoff_of_the_command_line(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit(retries=2)
        def test_one(request):
            assert request.node.get_closest_marker("flaky").kwargs == {
                "reruns": 2, "reruns_delay": 0.25, "reruns_delay_backoff_factor": 3.0
            }
        """
    )

    ran = run("--reruns-delay=0.25", "--reruns-delay-backoff-factor=3")

    assert ran.outcomes == {"test_one": "passed"}


def test_delay_of_a_type_is_added_to_the_number_of_the_command_line(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas="[types.unit]\nretry_delay = 0.125\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit
        def test_one(request):
            assert request.node.get_closest_marker("flaky").kwargs == {"reruns": 3, "reruns_delay": 0.125}
        """
    )

    assert run("--reruns=3").outcomes == {"test_one": "passed"}


def test_filters_of_the_command_line_stay_in_force(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit(retries=1)
        def test_value(): raise ValueError("a defect")

        @pytest.mark.unit(retries=1)
        def test_connection(): raise ConnectionError("not yet")
        """
    )

    tests = run("--only-rerun=ConnectionError").tests

    assert {name: test.get("retries", 0) for name, test in tests.items()} == {"test_value": 0, "test_connection": 1}


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_retry_on_looks_at_what_failed_subtests_raised(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.unit(retries=1, retry_on=[ConnectionError])
        seen = []

        def test_refused(subtests):
            seen.append(1)
            with subtests.test("not it"): pass
            with subtests.test("it"):
                if len(seen) == 1: raise ConnectionRefusedError("not yet")

        def test_value(subtests):
            with subtests.test("it"): raise ValueError("a defect")
        """
    )

    ran = run(*workers)

    assert ran.outcomes == {"test_refused": "flaky", "test_value": "failed"}
    assert "retries" not in ran.tests["test_value"]


def test_debugger_gets_no_retries(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        quiet="import pdb\nclass Debugger(pdb.Pdb):\n    def interaction(self, *ignored): print('DEBUGGING')",
        test_it=FAILS.format(marks="@pytest.mark.unit(retries=2)"),
    )

    ran = run("--pdb", "--pdbcls=quiet:Debugger")

    assert "DEBUGGING" in ran.text
    assert ran.outcomes == {"test_one": "failed"}
    assert "retries" not in ran.tests["test_one"]


def test_retries_are_left_to_another_plugin_with_a_flaky_marker(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        flaky="def pytest_runtest_protocol(item, nextitem): return None",
        test_it=FAILS.format(marks="@pytest.mark.unit(retries=2)"),
    )

    ran = run("-p", "flaky")

    assert "retries" not in ran.tests["test_one"]
    assert ran.document is not None
    assert ran.document["results"]["extra"]["notes"] == [
        "retries are left to the plugin 'flaky', which has its own flaky marker"
    ]


def test_retries_are_left_to_an_installed_pytest_retry(pytester: pytest.Pytester, run: Run) -> None:
    # As pip leaves it: the name under which pytest loads it is that of its entry point.
    information = pytester.mkdir("pytest_retry-1.7.0.dist-info")
    information.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: pytest-retry\nVersion: 1.7.0\n")
    information.joinpath("entry_points.txt").write_text("[pytest11]\npytest-retry = stand_in\n")
    pytester.makepyfile(stand_in="", test_it=FAILS.format(marks="@pytest.mark.unit(retries=2)"))

    ran = run()

    assert "retries" not in ran.tests["test_one"]
    assert "retries are left to the plugin 'pytest-retry', which has its own flaky" in ran.text


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_attempts_that_pytest_retry_reports_are_recorded(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    # It reports the call that failed, and after it only that of the last attempt.
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if call.when != "call" or report.passed:
                return report
            report.outcome = "retried"
            item.ihook.pytest_runtest_logreport(report=report)
            return pytest.TestReport.from_item_and_call(item, pytest.CallInfo.from_call(item.runtest, "call"))
        """
    )
    pytester.makepyfile(
        """
        seen = []

        def test_passes_then():
            seen.append(1)
            assert len(seen) > 1

        def test_never_passes(): assert False
        """
    )

    ran = run(*workers)

    assert ran.outcomes == {"test_passes_then": "flaky", "test_never_passes": "failed"}
    assert [test["retries"] for test in ran.tests.values()] == [1, 1]


def test_suite_wide_cap_of_the_engine_holds(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit(retries=5)
        @pytest.mark.parametrize("n", [1, 2])
        def test_one(n): assert False
        """
    )

    tests = run("--max-suite-reruns=3").tests

    assert sum(test.get("retries", 0) for test in tests.values()) == 3


def test_attempts_are_told_apart_in_the_order_in_which_they_were_made(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import json, pathlib, pytest, time
        starts = []

        @pytest.mark.unit(retries=2)
        def test_one():
            starts.append(time.time())
            pathlib.Path("starts.json").write_text(json.dumps(starts))
            assert len(starts) > 2
        """
    )

    test = run().tests["test_one"]

    real = json.loads(Path(pytester.path, "starts.json").read_text("utf-8"))
    recorded = [attempt["start"] for attempt in test["retryAttempts"]] + [test["start"]]
    # A start lies before what the test itself read, and after what the attempt before it read.
    assert recorded == sorted(recorded)
    assert all(start <= at * 1000 + 1 for start, at in zip(recorded, real, strict=True))
    assert all(start >= at * 1000 - 1 for start, at in zip(recorded[1:], real, strict=False))
