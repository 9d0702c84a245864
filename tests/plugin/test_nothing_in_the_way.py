"""A suite that uses nothing of ours runs exactly as it would without us."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

SUITE = """
import unittest, warnings
import pytest

@pytest.fixture(scope="module")
def shared():
    yield 1

@pytest.fixture
def leaky():
    yield
    raise RuntimeError("no teardown")

def test_passes(shared): pass
def test_fails(): assert 1 == 2
def test_skips(): pytest.skip("not today")
@pytest.mark.xfail(reason="known")
def test_xfails(): assert False
@pytest.mark.xfail(reason="known")
def test_xpasses(): pass
def test_warns(): warnings.warn("old", DeprecationWarning, stacklevel=1)
def test_error_in_teardown(leaky): pass
def test_missing_fixture(nowhere): pass
def test_prints():
    print("some output")
    assert False
@pytest.mark.parametrize("n", [2, 1])
def test_parameter(n, record_property): record_property("n", n)
async def test_coroutine(): pass
def test_subtests(subtests):
    for number in range(2):
        with subtests.test(number=number): assert number
class Case(unittest.TestCase):
    def test_unittest(self): pass
    def test_unittest_fails(self): self.fail("no")
"""
_CHANGES = re.compile(r"\d+\.\d\ds|(?:created: )?\d/\d workers|0x[0-9a-f]+|gw\d|/[^ ]*/pytest-of-[^ ]*")


def lines(result: pytest.RunResult) -> list[str]:
    """The output without what differs from run to run, and without what lists plugins and their fixtures."""
    kept = (line for line in result.outlines if not line.startswith(("plugins: ", ">       available fixtures: ")))
    return [_CHANGES.sub("...", line).strip("= ") for line in kept]


FLAGS = [
    pytest.param((), id="plain"),
    pytest.param(("-v", "-ra"), id="verbose"),
    pytest.param(("-q",), id="quiet"),
    pytest.param(("-x",), id="exit first"),
    pytest.param(("--maxfail=3",), id="maxfail"),
    pytest.param(("-W", "error"), id="warnings as errors"),
    pytest.param(("-p", "no:terminal"), id="no terminal"),
    pytest.param(("-p", "no:xdist"), id="no xdist"),
    pytest.param(("-p", "no:timeout"), id="no timeout"),
    pytest.param(("-p", "no:rerunfailures"), id="no rerunfailures"),
    pytest.param(("-p", "no:asyncio"), id="no asyncio"),
    pytest.param(("-p", "no:logging"), id="no logging"),
    pytest.param(("--strict-markers", "--strict-config"), id="strict"),
    pytest.param(("-o", "strict=true"), id="strict mode"),
    pytest.param(("--timeout=60", "--reruns=1"), id="engines"),
    pytest.param(("-k", "passes or parameter"), id="selection"),
    pytest.param(("--co", "-q"), id="collect only"),
    pytest.param(("--setup-plan",), id="setup plan"),
    pytest.param(("-p", "no:python"), id="no tests"),
    pytest.param(("no_such_file.py",), id="usage error"),
]


@pytest.mark.parametrize("flags", FLAGS)
def test_output_and_exit_status_are_those_of_a_run_without_the_plugin(
    pytester: pytest.Pytester, run: Run, flags: tuple[str, ...]
) -> None:
    pytester.makepyfile(SUITE)
    # pytest-asyncio ends a run with warnings as errors by itself; that we mend it is another test's matter.
    mend = ("-o", "asyncio_default_fixture_loop_scope=function") if "no:asyncio" not in flags else ()

    without = run("-p", "no:sergas", *mend, *flags, record=False).result
    with_us = run(*mend, *flags, record=False).result

    assert with_us.ret == without.ret
    assert lines(with_us) == lines(without)
    assert with_us.errlines == without.errlines


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="plain"),
        pytest.param(("-W", "error"), id="warnings as errors"),
        pytest.param(("-p", "no:terminal"), id="no terminal"),
        pytest.param(("--reruns=1",), id="reruns"),
        pytest.param(("--dist=loadfile",), id="loadfile"),
    ],
)
def test_outcomes_and_exit_status_with_workers_are_those_of_a_run_without_the_plugin(
    pytester: pytest.Pytester, run: Run, flags: tuple[str, ...]
) -> None:
    pytester.makepyfile(SUITE)
    mend = ("-o", "asyncio_default_fixture_loop_scope=function")

    without = run("-p", "no:sergas", *mend, "-n2", "-ra", *flags, record=False).result
    with_us = run(*mend, "-n2", "-ra", *flags, record=False).result

    assert with_us.ret == without.ret
    assert sorted(_summary(with_us)) == sorted(_summary(without))


# On the controller alone, where the reports of all workers arrive.
REPORTS = """
class Reports:
    def pytest_runtest_logreport(self, report):
        with open("reports", "a") as file:
            print(report.nodeid, report.when, report.outcome, hasattr(report, "wasxfail"), file=file)

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reports())
"""


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_reports_without_a_terminal_are_those_of_a_run_without_the_plugin(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(SUITE)
    pytester.makeconftest(REPORTS)
    file = pytester.path / "reports"

    def reports(*flags: str) -> list[str]:
        run("-p", "no:terminal", *workers, *flags, record=False)
        found = file.read_text("utf-8").splitlines()
        file.unlink()
        return sorted(found) if workers else found

    without = reports("-p", "no:sergas", "-o", "asyncio_default_fixture_loop_scope=function")

    assert len(without) > 3 * SUITE.count("def test_")
    assert reports("-o", "asyncio_default_fixture_loop_scope=function") == without


SECOND = [
    pytest.param((), id="plain"),
    pytest.param(("--lf",), id="last failed"),
    pytest.param(("--ff",), id="failed first"),
    pytest.param(("--nf",), id="new first"),
    pytest.param(("--sw",), id="stepwise"),
]


@pytest.mark.parametrize("flags", SECOND)
def test_second_run_with_a_cache_is_that_of_one_without_the_plugin(
    pytester: pytest.Pytester, run: Run, flags: tuple[str, ...]
) -> None:
    pytester.makepyfile(SUITE)
    settings = ("-p", "cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")

    def runs(*plugin: str) -> list[pytest.RunResult]:
        first = run(*plugin, *settings, record=False).result
        second = run(*plugin, *settings, *flags, record=False).result
        shutil.rmtree(pytester.path / ".pytest_cache")
        return [first, second]

    without, with_us = runs("-p", "no:sergas"), runs()

    assert [result.ret for result in with_us] == [result.ret for result in without]
    assert [lines(result) for result in with_us] == [lines(result) for result in without]


def _summary(result: pytest.RunResult) -> list[str]:
    text = lines(result)
    start = next((number for number, line in enumerate(text) if "short test summary" in line), 0)
    return text[start:]


def test_warnings_as_errors_do_not_end_a_run_because_of_our_own_dependency(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_one(): pass")

    assert run("-p", "no:sergas", "-W", "error", record=False).result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert run("-W", "error", record=False).result.ret == pytest.ExitCode.OK


def test_run_leaves_no_file_of_ours(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_one(): pass")
    run("-p", "no:sergas", record=False)
    without = _files(pytester)

    run(record=False)

    assert _files(pytester) == without


def _files(pytester: pytest.Pytester) -> set[str]:
    """Everything that runs have left, but for the directories that pytester itself makes for them."""
    found = (path.relative_to(pytester.path) for path in pytester.path.rglob("*"))
    return {path.as_posix() for path in found if not path.parts[0].startswith("runpytest-")}


def test_no_sergas_leaves_only_the_markers(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        seen = []

        @pytest.mark.unit(retries=2)
        def test_one():
            seen.append(1)
            assert len(seen) > 1
        """
    )

    ran = run("--no-sergas", "--strict-markers")

    ran.result.assert_outcomes(failed=1)
    assert ran.document is None


@pytest.mark.parametrize(
    "setting", [pytest.param("max_workers = 1", id="ours"), pytest.param("max_test_workers = 1", id="specification")]
)
def test_auto_starts_no_more_workers_than_allowed(pytester: pytest.Pytester, run: Run, setting: str) -> None:
    pytester.makefile(".toml", sergas=setting)
    pytester.makepyfile("def test_a(): pass\ndef test_b(): pass")

    ran = run("-n", "auto", "-v")

    assert "created: 1/1 worker" in ran.text


TYPED = """
import asyncio
import pytest

pytestmark = pytest.mark.unit

def test_one(): pass

@pytest.mark.timeout(30)
def test_own_timeout(): pass

@pytest.mark.flaky(reruns=1)
@pytest.mark.integration(timeout=20, retries=1, retry_on=[ConnectionError])
def test_own_retries(): pass
"""


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param((), id="none"),
        pytest.param(("-o", "timeout=60"), id="timeout in the ini file"),
        pytest.param(("-o", "timeout=60", "-o", "timeout_method=thread"), id="thread method"),
        pytest.param(("-o", "timeout=60", "-o", "timeout_func_only=true"), id="function only"),
        pytest.param(("--timeout=60", "--reruns=1", "--only-rerun=OSError"), id="engines on the command line"),
        pytest.param(("-n2",), id="workers"),
        pytest.param(("-p", "no:asyncio"), id="no asyncio"),
        pytest.param(("-p", "no:logging"), id="no logging"),
        pytest.param(("-p", "no:timeout"), id="no timeout"),
        pytest.param(("-p", "no:rerunfailures"), id="no rerunfailures"),
        pytest.param(("-p", "no:xdist"), id="no xdist"),
        pytest.param(("-p", "no:terminal"), id="no terminal"),
        pytest.param(("-o", "asyncio_mode=auto"), id="asyncio in auto mode"),
    ],
)
def test_typed_suite_warns_of_nothing_under_the_settings_of_real_suites(
    pytester: pytest.Pytester, run: Run, settings: tuple[str, ...]
) -> None:
    pytester.makepyfile(TYPED)

    # Markers of an engine that is switched off are unknown to pytest, whoever wrote them.
    known = ("-o", "markers=timeout\nflaky") if any(setting.startswith("no:") for setting in settings) else ()
    ran = run("-W", "error", "-o", "strict=true", *known, *settings)

    assert ran.result.ret == pytest.ExitCode.OK
    assert ran.outcomes == {"test_one": "passed", "test_own_timeout": "passed", "test_own_retries": "passed"}
