"""Coverage by type, in real runs of pytest-cov: alone, with workers, and when one of them dies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.plugin.conftest import Ran, Run

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])
# Ten statements: four run when it is imported, then two for each function.
CODE = "".join(f"def {name}():\n    a = 1\n    return a\n" for name in ("one", "two", "three")) + "DONE = True\n"
TESTS = """
import os
import pytest
import code_under_test as code

@pytest.mark.unit
def test_one(): code.one()

@pytest.mark.unit
def test_one_again(): code.one()

@pytest.mark.integration
def test_two(): code.one(); code.two()

@pytest.mark.smoke
def test_nothing(): pass

def test_three(): code.three()
"""
COVERAGE = {"all": 100.0, "unit": 60.0, "integration": 80.0, "smoke": 40.0, "untyped": 60.0}
COV = ("--cov=code_under_test", "--cov-report=")
CORES = ["ctrace", "pytrace", *(["sysmon"] if sys.version_info >= (3, 12) else [])]


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(code_under_test=CODE, test_it=TESTS)
    return pytester


def coverage(ran: Ran) -> dict[str, float]:
    assert ran.document is not None
    found: dict[str, float] = ran.document["results"]["extra"].get("coverage", {})
    return found


def extra(ran: Ran, name: str) -> list[object]:
    assert ran.document is not None
    found: list[object] = ran.document["results"]["extra"].get(name, [])
    return found


@BOTH
@pytest.mark.parametrize("context", [(), ("--cov-context=test",)], ids=["our contexts", "pytest-cov's contexts"])
@pytest.mark.usefixtures("suite")
def test_each_type_covers_what_its_tests_ran(run: Run, workers: tuple[str, ...], context: tuple[str, ...]) -> None:
    ran = run(*COV, *workers, *context)

    assert coverage(ran) == COVERAGE
    assert "coverage: 100.0% (unit 60.0%, integration 80.0%, smoke 40.0%, untyped 60.0%)" in ran.text


@pytest.mark.usefixtures("suite")
def test_reports_of_pytest_cov_are_of_the_whole_run(run: Run) -> None:
    assert "TOTAL                   10      0   100%" in run("--cov=code_under_test", "--cov-report=term").text


@BOTH
def test_type_that_covers_too_little_fails_the_run(suite: pytest.Pytester, run: Run, workers: tuple[str, ...]) -> None:
    suite.makefile(".toml", sergas="[types.unit]\nmin_coverage = 60.5\n[types.integration]\nmin_coverage = 80\n")

    ran = run(*COV, *workers)

    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    assert extra(ran, "refused") == [
        {
            "type": "unit",
            "text": "unit: its tests cover 60.0%, and min_coverage = 60.5; test more with this type, or ask for less",
        }
    ]


def test_type_that_did_not_run_is_not_judged(suite: pytest.Pytester, run: Run) -> None:
    suite.makefile(".toml", sergas="[types.unit]\nmin_coverage = 100\n")

    assert run(*COV, "-m", "smoke").result.ret == pytest.ExitCode.OK


def test_minimum_that_nobody_measures_is_said(suite: pytest.Pytester, run: Run) -> None:
    suite.makefile(".toml", sergas="[types.unit]\nmin_coverage = 100\n")

    for arguments in ((), (*COV, "--no-cov")):
        ran = run(*arguments)

        assert ran.result.ret == pytest.ExitCode.OK
        assert extra(ran, "notes") == ["min_coverage of unit is not judged: nobody measures; add --cov"]


def test_worker_that_dies_fails_nothing_for_its_coverage(suite: pytest.Pytester, run: Run) -> None:
    suite.makefile(".toml", sergas="[types.unit]\nmin_coverage = 100\n[types.e2e]\nretries = 1\n")
    suite.makepyfile(
        test_z_crash="""
        import os, pathlib, pytest

        @pytest.mark.e2e
        def test_crash():
            first = not pathlib.Path("crashed").exists()
            pathlib.Path("crashed").touch()
            if first:
                os._exit(3)
        """
    )

    ran = run(*COV, "--cov-fail-under=100", "-n", "1")

    assert ran.tests["test_crash"]["rawStatus"] == "flaky"
    assert ran.result.ret == pytest.ExitCode.OK
    (note,) = [note for note in extra(ran, "notes") if str(note).startswith("coverage")]
    assert note == "coverage: the data of worker gw0, which died, is missing; no minimum of it is judged"
    assert "fail-under" not in ran.text


@BOTH
@pytest.mark.parametrize("context", [(), ("--cov-context=test",)], ids=["our contexts", "pytest-cov's contexts"])
@pytest.mark.parametrize("core", CORES)
def test_every_core_of_coverage_counts_alike(
    suite: pytest.Pytester, run: Run, workers: tuple[str, ...], context: tuple[str, ...], core: str
) -> None:
    Path(suite.path, ".coveragerc").write_text(f"[run]\ncore = {core}\n")
    suite.makefile(".toml", sergas="[types.unit]\nmin_coverage = 60\n[types.integration]\nmin_coverage = 80\n")
    # What pytest-cov itself does with contexts is for its user to know.
    strict = () if context else ("-W", "error")

    ran = run(*COV, *workers, *context, *strict)

    assert coverage(ran) == COVERAGE
    assert ran.result.ret == pytest.ExitCode.OK
    assert context or "CoverageWarning" not in ran.text + ran.result.stderr.str()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.usefixtures("suite")
def test_core_that_the_environment_names_counts_alike(run: Run, core: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERAGE_CORE", core)

    assert coverage(run(*COV)) == COVERAGE


@BOTH
@pytest.mark.parametrize("context", [(), ("--cov-context=test",)], ids=["our contexts", "pytest-cov's contexts"])
def test_static_context_of_the_user_stands_before_the_type(
    suite: pytest.Pytester, run: Run, workers: tuple[str, ...], context: tuple[str, ...]
) -> None:
    Path(suite.path, ".coveragerc").write_text("[run]\ncontext = nightly (1+1)\n")

    assert coverage(run(*COV, *workers, *context)) == COVERAGE


def test_contexts_that_somebody_else_sets_are_left_alone(suite: pytest.Pytester, run: Run) -> None:
    Path(suite.path, ".coveragerc").write_text("[run]\ndynamic_context = test_function\n")

    ran = run(*COV)

    assert coverage(ran) == {"all": 100.0}
    assert extra(ran, "notes") == ["coverage: with dynamic_context in its configuration, it is not known by type"]


def test_minimum_that_contexts_of_somebody_else_hide_is_a_usage_error(suite: pytest.Pytester, run: Run) -> None:
    Path(suite.path, ".coveragerc").write_text("[run]\ndynamic_context = test_function\n")
    suite.makefile(".toml", sergas="[types.unit]\nmin_coverage = 50\n[types.smoke]\nmin_coverage = 10\n")

    ran = run(*COV)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: sergas: min_coverage of unit, smoke cannot be judged, because the configuration of coverage has "
        "dynamic_context = 'test_function'; remove one of the two"
    ) in ran.result.stderr.str()
    assert "test_it.py" not in ran.text


def test_contexts_off_are_contexts_of_ours(suite: pytest.Pytester, run: Run) -> None:
    Path(suite.path, ".coveragerc").write_text("[run]\ndynamic_context = none\n")

    assert coverage(run(*COV)) == COVERAGE


@pytest.mark.parametrize("later", [("--cov-append",), ("--cov-append", "-n", "2")], ids=["alone", "with workers"])
def test_data_of_an_earlier_run_is_not_taken_for_that_of_a_type(
    suite: pytest.Pytester, run: Run, later: tuple[str, ...]
) -> None:
    first = run(*COV, "--cov-append", "-m", "unit")  # joins nothing: there is nothing yet
    assert coverage(first) == {"all": 60.0, "unit": 60.0}

    ran = run(*COV, *later, "-m", "integration")

    assert coverage(ran) == {"all": 80.0}
    (note,) = [note for note in extra(ran, "notes") if str(note).startswith("coverage")]
    assert note == "coverage: with the data of an earlier run in '.coverage', it is not known by type"

    suite.makefile(".toml", sergas="[types.integration]\nmin_coverage = 10\n")
    refused = run(*COV, *later)
    assert refused.result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: sergas: min_coverage of integration cannot be judged, because --cov-append adds the data of an earlier "
        "run in '.coverage'; run without it, or remove min_coverage"
    ) in refused.result.stderr.str()
    assert run(*COV).result.ret == pytest.ExitCode.OK


def test_minimum_whose_contexts_prove_unknown_in_the_end_fails_the_run(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(
        switching="""
        import coverage

        class Switching(coverage.CoveragePlugin):
            def dynamic_context(self, frame):
                return "theirs" if frame.f_code.co_name == "one" else None

        def coverage_init(reg, options):
            reg.add_dynamic_context(Switching())
        """
    )
    Path(suite.path, ".coveragerc").write_text("[run]\ncore = ctrace\nplugins = switching\n")
    suite.makefile(".toml", sergas="[types.unit]\nmin_coverage = 10\n")

    ran = run(*COV, "-p", "switching")

    reason = "with contexts such as 'theirs', which are not of this run"
    assert extra(ran, "notes") == [f"coverage: {reason}, it is not known by type"]
    assert extra(ran, "refused") == [
        {
            "type": "unit",
            "text": f"unit: its coverage is not known ({reason}), and min_coverage = 10; "
            "let it be known, or ask for none",
        }
    ]
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.usefixtures("suite")
def test_coverage_of_nothing_is_not_known(run: Run) -> None:
    ran = run("--cov=there_is_no_such_module", "--cov-report=", "-W", "ignore")

    assert coverage(ran) == {}
    assert extra(ran, "notes") == ["coverage is not known: No data to report."]
