"""A suite without types that asks for nothing: none of us is in its runs, whatever it looks at."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

THREADS = """
import threading
import pytest

def pytest_sessionstart(session):
    session.config.at_start = set(threading.enumerate())

@pytest.fixture(autouse=True)
def no_threads_left(request):
    yield
    assert set(threading.enumerate()) == request.config.at_start
"""
TWO = "def test_one(): pass\ndef test_two(): pass\n"
WORKERS = [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")]


def test_suite_that_counts_its_threads_passes(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(THREADS)
    pytester.makepyfile(TWO)

    run(record=False).result.assert_outcomes(passed=2)


TIMERS = """
ARMED = {}

def pytest_timeout_set_timer(item, settings):
    ARMED[item.nodeid] = settings.timeout
    return True

def pytest_timeout_cancel_timer(item):
    del ARMED[item.nodeid]
    return True
"""


@pytest.mark.parametrize("workers", WORKERS)
def test_suite_with_a_timer_of_its_own_is_not_asked_to_cancel_it(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makeconftest(TIMERS)
    pytester.makepyfile(TWO)

    run(*workers, record=False).result.assert_outcomes(passed=2)


# What is there while the tests run, in the process that runs them and in the one that only controls.
LOOK = """
import json, os, sys, threading
import pytest

def seen(config):
    modules = sorted(name for name in sys.modules if name.startswith("pytest_sergas"))
    hooks = {}
    for plugin in config.pluginmanager.get_plugins():
        if type(plugin).__module__.startswith("pytest_sergas."):
            hooks[type(plugin).__name__] = [name for name in dir(plugin) if name.startswith("pytest_runtest")]
    threads = [thread.name for thread in threading.enumerate()]
    return {"modules": modules, "hooks": hooks, "threads": threads}

def pytest_runtest_logreport(report):
    if report.when == "call":
        with open(f"seen-{os.getpid()}.json", "w") as file:
            json.dump(seen(CONFIG[0]), file)

CONFIG = []

def pytest_configure(config):
    CONFIG.append(config)
"""
ALWAYS = {
    "pytest_sergas",
    "pytest_sergas.own",
    "pytest_sergas.plugin",
    "pytest_sergas.plugin.fixture",
    "pytest_sergas.plugin.markers",
    "pytest_sergas.plugin.options",
    "pytest_sergas.plugin.role",
    "pytest_sergas.plugin.start",
    "pytest_sergas.version",
}


def looked(directory: Path) -> list[dict[str, list[str]]]:
    return [json.loads(path.read_text()) for path in directory.glob("seen-*.json")]


def test_nothing_is_loaded_but_options_markers_and_a_fixture(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(LOOK)
    pytester.makepyfile(TWO)

    run(record=False).result.assert_outcomes(passed=2)

    (seen,) = looked(pytester.path)
    assert set(seen["modules"]) <= ALWAYS
    assert not any(seen["hooks"].values())  # type: ignore[attr-defined]
    assert not any("sergas" in name for name in seen["threads"])


def test_with_workers_only_the_controller_loads_what_waits_for_them(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(LOOK)
    pytester.makepyfile(TWO)

    run("-n1", record=False).result.assert_outcomes(passed=2)

    found = looked(pytester.path)
    assert len(found) == 2
    for seen in found:
        ours = {name for name in seen["modules"] if not name.startswith("pytest_sergas.core")}
        waiting = {"pytest_sergas.plugin.waiting", "pytest_sergas.plugin.exchange", "pytest_sergas.errors"}
        assert ours <= ALWAYS | waiting
        assert not any(seen["hooks"].values())  # type: ignore[attr-defined]
        assert not any("sergas" in name for name in seen["threads"])


SCHEDULER = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    if not hasattr(report, "node"):
        return
    with open("scheduler", "a") as file:
        print(type(SESSION[0].config.pluginmanager.get_plugin("dsession").sched).__name__, file=file)

SESSION = []

def pytest_sessionstart(session):
    SESSION.append(session)
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(TWO, "LoadScheduling", id="no types"),
        pytest.param(f"import pytest\npytestmark = pytest.mark.unit\n{TWO}", "PlannedScheduling", id="types"),
    ],
)
def test_scheduler_is_pytest_xdists_own_unless_there_are_types(
    pytester: pytest.Pytester, run: Run, text: str, name: str
) -> None:
    pytester.makeconftest(SCHEDULER)
    pytester.makepyfile(text)

    run("-n2", record=False).result.assert_outcomes(passed=2)

    assert set((pytester.path / "scheduler").read_text().split()) == {name}


def test_types_that_workers_meet_bring_record_and_table(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.unit
        def test_one(): pass

        @pytest.mark.integration(retries=1)
        def test_two(tmp_path_factory):
            been = tmp_path_factory.getbasetemp().parent / "been here"
            if not been.exists():
                been.touch()
                raise AssertionError("the first time")
        """
    )
    pytester.makepyfile(test_broken="import nowhere_to_be_found")

    ran = run("-n2", "--continue-on-collection-errors", record=False)

    assert re.search(r"^unit +1 +1 ", ran.text, re.MULTILINE)
    assert re.search(r"^integration +1 +- +- +1 ", ran.text, re.MULTILINE)
    assert re.search(r"^untyped +1 +- +1 ", ran.text, re.MULTILINE)  # reported before it was known that there are types


def test_no_directory_is_made_for_workers_that_have_nothing_to_say(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(place))
    pytester.makeconftest(
        "import os\ndef pytest_runtest_logreport(report):\n"
        f"    names = os.listdir({str(place)!r})\n    assert not [name for name in names if 'sergas' in name], names\n"
    )
    pytester.makepyfile(TWO)

    run("-n2", record=False).result.assert_outcomes(passed=2)


def test_directory_of_workers_with_types_is_removed(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(place))
    pytester.makepyfile(f"import pytest\npytestmark = pytest.mark.unit\n{TWO}")

    run("-n2", record=False).result.assert_outcomes(passed=2)

    assert not [name for name in os.listdir(place) if name.startswith("sergas-")]  # noqa: PTH208  pathlib does not say
    assert tempfile.gettempdir() != str(place)


FAULTS = [
    pytest.param("def pytest_collection_modifyitems(): 1 / 0", id="collection_modifyitems"),
    pytest.param("def pytest_collection_finish(): 1 / 0", id="collection_finish"),
    pytest.param("def pytest_runtestloop(): 1 / 0", id="runtestloop"),
    pytest.param("def pytest_runtest_protocol(item): 1 / 0", id="runtest_protocol"),
    pytest.param("def pytest_runtest_logreport(report): 1 / 0", id="logreport"),
    pytest.param("def pytest_sessionfinish(): 1 / 0", id="sessionfinish"),
    pytest.param("def pytest_collect_file(): 1 / 0", id="collect_file"),
    pytest.param("def pytest_configure(): 1 / 0", id="configure"),
]


@pytest.mark.parametrize("conftest", FAULTS)
@pytest.mark.parametrize("workers", WORKERS)
def test_no_line_of_ours_stands_in_an_internal_error(
    pytester: pytest.Pytester, run: Run, conftest: str, workers: tuple[str, ...]
) -> None:
    pytester.makeconftest(conftest)
    pytester.makepyfile(TWO)

    ran = run(*workers, record=False)

    text = ran.text + ran.result.stderr.str()
    assert workers or "ZeroDivisionError" in text  # pytest-xdist does not call all of these
    assert "pytest_sergas" not in text


@pytest.mark.parametrize("style", ["--tb=native", "--full-trace", "--tb=long"])
def test_traceback_of_a_failure_is_that_of_a_run_without_the_plugin(
    pytester: pytest.Pytester, run: Run, style: str
) -> None:
    pytester.makepyfile("def test_one(): assert 1 == 2")

    def trace(*arguments: str) -> str:
        return re.sub(
            r"0x[0-9a-f]+|\d+\.\d\ds|<[^<>]* object at [^>]*>", "...", run(style, *arguments, record=False).text
        )

    without = trace("-p", "no:sergas", "-o", "asyncio_default_fixture_loop_scope=function")
    with_us = trace("-o", "asyncio_default_fixture_loop_scope=function")

    assert _failures(with_us) == _failures(without)


def _failures(text: str) -> str:
    return text[text.index("= FAILURES =") :]


def test_benchmark_fixture_is_there(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_one(benchmark): assert benchmark(lambda: 2) == 2")

    ran = run("-p", "no:benchmark", record=False)

    ran.result.assert_outcomes(passed=1)
    assert "sergas" not in ran.text.partition("collected")[2]


def test_record_that_is_asked_for_has_the_collection_errors(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import nowhere_to_be_found")

    ran = run()

    assert list(ran.outcomes.values()) == ["error"]


def test_project_that_only_depends_on_us_is_not_configured(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyprojecttoml(
        """
        [project]
        name = "shop"
        dependencies = ["pytest-sergas"]

        [tool.other]
        text = "tool.sergas"
        """
    )
    pytester.makeconftest(LOOK)
    pytester.makepyfile(TWO)

    run(record=False).result.assert_outcomes(passed=2)

    (seen,) = looked(pytester.path)
    assert set(seen["modules"]) <= ALWAYS


def test_workers_are_not_fewer_than_without_the_plugin(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(
        """
        import pytest
        from pytest_sergas.plugin import quota

        quota.quota_workers = lambda: 1

        @pytest.hookimpl(tryfirst=True)
        def pytest_xdist_auto_num_workers():
            return 3
        """
    )
    pytester.makepyfile(TWO)

    assert "created: 3/3 workers" in run("-n", "auto", "-v", record=False).text


LOADERS = """
import sys
import pytest

def test_modules_are_found_past_pytest():
    ours = [module for name, module in sys.modules.items() if name.startswith("pytest_sergas")]
    found = [module for module in ours if "assertion" in type(module.__spec__.loader).__module__]
    assert len(ours) > len(found)
    assert [module.__name__ for module in found if "PYTEST_DONT_REWRITE" not in module.__doc__] == []
"""
NESTED = """
def test_inner(pytester):
    pytester.makepyfile(%r)
    pytester.inline_run().assertoutcome(passed=1)
"""
TYPE = "pytestmark = pytest.mark.unit\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LOADERS, id="untyped"),
        pytest.param(LOADERS + TYPE, id="typed"),
        pytest.param(NESTED % (LOADERS + TYPE), id="first typed in a second session of the process"),
    ],
)
def test_none_of_our_modules_is_rewritten_by_pytest(pytester: pytest.Pytester, run: Run, text: str) -> None:
    pytester.makepyfile(text)

    run("-p", "pytester", record=False).result.assert_outcomes(passed=1)
