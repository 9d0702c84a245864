"""Runs with other versions of pytest and its plugins: a name that is gone costs one line and one feature, and no run.

Another version of a package is a copy of the one that is installed, with a name replaced, before it on the path.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_rerunfailures

from pytest_sergas.plugin import foreign
from tests.plugin.conftest import Ran, Run

pytestmark = pytest.mark.integration

SUITE = """
import os, time, pytest

@pytest.fixture(scope="module")
def shared(): return object()

@pytest.mark.unit
def test_a(shared): pass

@pytest.mark.unit
@pytest.mark.parametrize("n", [1], scope="module")
def test_b(shared, n): pass

@pytest.mark.unit(max_duration=5)
def test_budget(): pass

@pytest.mark.unit(max_duration=0.001)
@pytest.mark.xfail(strict=False)
def test_expected(): time.sleep(0.01)

@pytest.mark.unit
@pytest.mark.timeout(60)
def test_own_timeout(): pass

@pytest.mark.unit(retries=1)
def test_retried(): pass
"""
PASSED = {**dict.fromkeys(("test_a", "test_b[1]", "test_budget", "test_own_timeout", "test_retried"), "passed")}

AnotherVersion = Callable[[str, str, str], None]


@pytest.fixture
def another_version(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> AnotherVersion:
    place = pytester.mkdir("another")

    def change(package: str, old: str, new: str) -> None:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        home = Path(spec.origin).parent
        files = [Path(spec.origin)] if not spec.submodule_search_locations else list(home.rglob("*.py"))
        changed = 0
        for file in files:
            text, count = re.subn(old, new, file.read_text("utf-8"))
            changed += count
            copy = place / (file.relative_to(home.parent) if spec.submodule_search_locations else file.name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, encoding="utf-8")
        assert changed
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(place), os.environ.get("PYTHONPATH", ""))))

    return change


def said(ran: Ran) -> list[str]:
    """Return what the record says about changed packages."""
    assert ran.document is not None
    notes: list[str] = ran.document["results"]["extra"].get("notes", [])
    return [note for note in notes if " is not as expected: " in note]


WORKERS = ("-n2",)
COV = ("--cov=test_it", "--cov-report=")
ONE_ATTEMPT = "a time budget is judged by one attempt, and a failure of it is repeated like any other"
BY_TYPE = "coverage is not known by type, and no minimum of it is judged"


@pytest.mark.parametrize(
    ("package", "name", "options", "line"),
    [
        pytest.param(
            "_pytest",
            "xfailed_key",
            (),
            "_pytest.skipping.xfailed_key is missing; the budgets of tests with an xfail mark are not judged",
            id="xfail",
        ),
        pytest.param(
            "_pytest",
            "_fixtureinfo",
            WORKERS,
            "Function._fixtureinfo.name2fixturedefs is missing; "
            "tests that share fixtures are distributed as if they shared none",
            id="fixtures",
        ),
        pytest.param(
            "_pytest",
            "get_direct_param_fixture_func",
            WORKERS,
            "_pytest.python.get_direct_param_fixture_func is missing; "
            "tests that share a parameter of a wider scope run on one worker",
            id="parameters",
        ),
        pytest.param(
            "xdist",
            "LoadScheduling",
            WORKERS,
            "xdist.scheduler.LoadScheduling is missing; the tests are scheduled by pytest-xdist",
            id="scheduler",
        ),
        pytest.param(
            "xdist",
            "report_collection_diff",
            WORKERS,
            "xdist.report.report_collection_diff is missing; "
            "where workers collect different tests, the difference is not shown",
            id="difference of collections",
        ),
        pytest.param(
            "xdist",
            "_summary_report",
            WORKERS,
            "DSession._summary_report is missing; a run that gave up because workers died is not marked as incomplete",
            id="why it gave up",
        ),
        pytest.param(
            "pytest_timeout",
            "get_env_settings",
            (),
            "pytest_timeout.get_env_settings is missing; types bring no timeout; pytest-timeout's own settings apply",
            id="timeouts",
        ),
        pytest.param(
            "pytest_timeout",
            "func_only",
            (),
            "pytest_timeout.Settings.func_only is missing; types bring no timeout; pytest-timeout's own settings apply",
            id="settings of a timeout",
        ),
        pytest.param(
            "pytest_timeout",
            "_get_item_settings",
            (),
            "pytest_timeout._get_item_settings is missing; "
            "timeout marks guard only the first attempt of a test, and no teardown after a failure",
            id="timeout marks",
        ),
        pytest.param(
            "pytest_rerunfailures",
            "get_reruns_count",
            ("-k", "not budget and not expected"),
            "pytest_rerunfailures.get_reruns_count is missing; "
            "types bring no retries; pytest-rerunfailures' own settings apply",
            id="retries",
        ),
        pytest.param(
            "pytest_rerunfailures",
            "_get_rerun_filter_regex",
            (),
            f"pytest_rerunfailures._get_rerun_filter_regex is missing; {ONE_ATTEMPT}",
            id="filters of retries",
        ),
        pytest.param(
            "pytest_rerunfailures",
            "execution_count",
            (),
            f"pytest_rerunfailures.pytest_runtest_protocol does not keep execution_count; {ONE_ATTEMPT}",
            id="number of an attempt",
        ),
        pytest.param(
            "pytest_rerunfailures",
            "try_increment_suite_reruns",
            ("--max-suite-reruns=1",),
            "ServerStatusDB.try_increment_suite_reruns is missing; "
            "under a cap of repetitions, a time budget is judged by one attempt",
            id="cap of repetitions",
        ),
        pytest.param(
            "pytest_cov", "cov_controller", COV, f"CovPlugin.cov_controller is missing; {BY_TYPE}", id="coverage"
        ),
        pytest.param(
            "pytest_cov",
            "failed_workers",
            (*COV, *WORKERS),
            f"DistMaster.failed_workers is missing; {BY_TYPE}",
            id="failed workers",
        ),
    ],
)
def test_name_that_is_gone_costs_one_line_and_no_run(
    pytester: pytest.Pytester,
    run: Run,
    another_version: AnotherVersion,
    package: str,
    name: str,
    options: tuple[str, ...],
    line: str,
) -> None:
    pytester.makepyfile(test_it=SUITE)
    another_version(package, rf"\b{name}", "renamed")

    ran = run(*options)

    (note,) = said(ran)
    assert note.partition(" is not as expected: ")[2] == line
    assert f"note: {note}" in " ".join(ran.text.split())
    assert ran.result.ret == pytest.ExitCode.OK
    assert {
        name: outcome for name, outcome in ran.outcomes.items() if name != "test_expected"
    }.items() <= PASSED.items()


@pytest.mark.parametrize(
    "name",
    [
        "get_reruns_count",
        "get_reruns_delay",
        "get_reruns_delay_backoff_factor",
        "_get_global_reruns",
        "_matches_any_rerun_error",
        "_matches_any_rerun_except_error",
        "evaluate_condition",
    ],
)
def test_every_function_for_several_attempts_is_looked_at(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = pytester.parseconfig()
    # Not longer than that: the run to which this test belongs calls it as well.
    with monkeypatch.context() as patched:
        patched.delattr(pytest_rerunfailures, name)
        assert foreign.reruns(config) is None

    assert [line.partition(": ")[2] for line in foreign.lost(config)] == [
        f"pytest_rerunfailures.{name} is missing; {ONE_ATTEMPT}"
    ]


def test_failed_teardowns_are_looked_at(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    config = pytester.parseconfig()
    with monkeypatch.context() as patched:
        patched.setattr(pytest_rerunfailures, "pytest_runtest_makereport", lambda item, call: (item, call))
        assert foreign.reruns(config) is None

    assert [line.partition(": ")[2] for line in foreign.lost(config)] == [
        f"pytest_rerunfailures.pytest_runtest_makereport does not keep _test_failed_statuses; {ONE_ATTEMPT}"
    ]


@pytest.mark.parametrize("name", ["decrement_suite_reruns", "get_suite_reruns"])
def test_every_function_under_a_cap_is_looked_at(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = pytester.parseconfig()
    count = pytest_rerunfailures.StatusDB()
    config.failures_db = count  # type: ignore[attr-defined]  # where pytest-rerunfailures keeps it
    assert foreign.reruns_of_run(config) is count
    with monkeypatch.context() as patched:
        patched.delattr(pytest_rerunfailures.StatusDB, name)
        assert foreign.reruns_of_run(config) is None

    assert [line.partition(": ")[2] for line in foreign.lost(config)] == [
        f"StatusDB.{name} is missing; under a cap of repetitions, a time budget is judged by one attempt"
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda item: item, id="fewer"),
        pytest.param(lambda item, name, more: (item, name, more), id="more"),
        pytest.param(lambda item, name, *, more: (item, name, more), id="more by name"),
    ],
)
def test_function_that_takes_other_arguments_is_not_called(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, other: Callable[..., object]
) -> None:
    config = pytester.parseconfig()
    with monkeypatch.context() as patched:
        patched.setattr(pytest_rerunfailures, "_get_rerun_filter_regex", other)
        assert foreign.reruns(config) is None

    assert [line.partition(": ")[2] for line in foreign.lost(config)] == [
        f"pytest_rerunfailures._get_rerun_filter_regex takes other arguments; {ONE_ATTEMPT}"
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda *both: both, id="any"),
        pytest.param(lambda item, name, more=None: (item, name, more), id="one more that may be left out"),
        pytest.param(lambda item, name, *, more=None: (item, name, more), id="one more by name that may be left out"),
    ],
)
def test_function_that_can_be_called_as_before_is_as_expected(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, other: Callable[..., object]
) -> None:
    config = pytester.parseconfig()
    with monkeypatch.context() as patched:
        patched.setattr(pytest_rerunfailures, "_get_rerun_filter_regex", other)
        assert foreign.reruns(config) is not None

    assert foreign.lost(config) == ()


def test_worker_that_dies_is_reported_without_its_process(
    pytester: pytest.Pytester, run: Run, another_version: AnotherVersion
) -> None:
    pytester.makepyfile("import os, pytest\n@pytest.mark.unit\ndef test_dies(): os._exit(3)\ndef test_b(): pass")
    another_version("execnet", r"\b_io\b", "_stream")

    ran = run("-n1")

    assert ran.outcomes == {"test_dies": "crashed", "test_b": "passed"}
    assert [note.partition(": ")[2] for note in said(ran)] == [
        "Gateway._io.popen is missing; why a worker died is not known"
    ]


def test_reason_of_a_skipped_test_is_shown_without_its_line(
    pytester: pytest.Pytester, run: Run, another_version: AnotherVersion
) -> None:
    pytester.makefile(
        ".toml",
        sergas='[types.unit]\ndependencies = ["db"]\non_unavailable = "skip"\n'
        '[[checks]]\nname = "db"\ntype = "tcp"\nhost = "127.0.0.1"\nport = 1\n',
    )
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_a(): pass")
    another_version("_pytest", "_use_item_location", "at_item")

    ran = run()

    assert ran.outcomes == {"test_a": "skipped"}
    assert [note.partition(": ")[2] for note in said(ran)] == [
        "Skipped takes no _use_item_location; tests that are skipped for a dependency are shown with a line of sergas"
    ]


def test_terminal_without_a_file_of_its_own_has_no_line_of_progress() -> None:
    writer = pytest.Stash  # as any object without the name
    config: Any = SimpleNamespace(stash=pytest.Stash(), get_terminal_writer=lambda: writer)

    assert foreign.terminal_file(config) is None
    assert [line.partition(": ")[2] for line in foreign.lost(config)] == [
        "TerminalWriter._file is missing; there is no line of progress"
    ]


def test_run_that_does_not_say_what_was_typed_is_left_to_xdist(
    pytester: pytest.Pytester, run: Run, another_version: AnotherVersion
) -> None:
    pytester.makepyfile(test_it=SUITE)
    another_version("_pytest", "known_args_namespace", "typed_options")

    ran = run("-n2", "-p", "no:pytest_cov")

    assert ran.result.ret == pytest.ExitCode.OK
    assert [note.partition(": ")[2] for note in said(ran)] == [
        "Config.known_args_namespace is missing; the tests are scheduled by pytest-xdist"
    ]


def test_statistics_without_a_median_are_not_used(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig()
    calls = SimpleNamespace(stats=SimpleNamespace(stats=SimpleNamespace(mean=1.0)))

    assert foreign.plugin_median_s(config, calls) is None
    assert [line.partition(": ")[2] for line in foreign.lost(config)] == [
        "BenchmarkFixture.stats.stats.median is missing; budgets are judged by all rounds together"
    ]
