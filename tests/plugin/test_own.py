"""Whatever a test patches in its own process, and leaves patched: no verdict, no duration and no record changes."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pytest_sergas
from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

ALONE, WORKERS = pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")
PLUGIN = Path(pytest_sergas.__file__).parent / "plugin"
# What pytest, pytest-xdist or the interpreter themselves call while a test runs: a run without us does not survive it.
OF_PYTEST = {
    ("os", "fspath"),
    ("os", "environ"),
    ("os", "getcwd"),
    ("re", "compile"),
    ("re", "match"),
    ("sys", "stdout"),
    ("sys", "modules"),
    ("sys", "getrecursionlimit"),
    ("contextlib", "suppress"),
    ("contextlib", "contextmanager"),
    ("functools", "partial"),
    ("functools", "lru_cache"),
    ("functools", "cache"),
    ("dataclasses", "dataclass"),
    ("warnings", "catch_warnings"),
    ("warnings", "simplefilter"),
    ("threading", "Lock"),
    ("threading", "Event"),
    ("threading", "get_ident"),
}


def used() -> Iterator[tuple[str, str]]:
    """Return module and attribute of what the plugin's modules call of the standard library by its module."""
    for file in sorted([*PLUGIN.glob("*.py"), PLUGIN.parent / "own.py"]):
        tree = ast.parse(file.read_text("utf-8"))
        imported = {
            alias.name: alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
                yield node.value.id, node.attr


def callable_names() -> list[tuple[str, str]]:
    found = []
    for module, name in sorted(set(used()) - OF_PYTEST):
        loaded = sys.modules.get(module)
        if module in sys.stdlib_module_names and isinstance(loaded, ModuleType):
            value = getattr(loaded, name, None)
            if callable(value) and not isinstance(value, type):
                found.append((module, name))
    return found


@pytest.mark.parametrize("workers", [ALONE, WORKERS])
def test_every_function_that_the_plugin_calls_may_be_patched(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    names = callable_names()
    assert {("os", "pwrite"), ("time", "perf_counter"), ("json", "dumps"), ("threading", "get_native_id")} <= set(names)
    pytester.makefile(".toml", sergas='[types.unit]\npaths = ["."]\ntimeout = 60\nretries = 1\n')
    pytester.makepyfile(
        f"""
        import importlib
        import pytest

        @pytest.mark.parametrize("module, name", {names})
        def test_refuses(monkeypatch, module, name):
            def no(*args, **kwargs):
                raise RuntimeError("not to be called here")
            monkeypatch.setattr(importlib.import_module(module), name, no)

        def test_budget():
            assert sum(range(10)) == 45
        """
    )

    without = run(*workers, "-p", "no:sergas", record=False).result.parseoutcomes()
    ran = run(*workers)

    assert ran.result.parseoutcomes() == without
    assert set(ran.outcomes.values()) == {"passed"}
    assert len(ran.outcomes) == len(names) + 1


LEFT_PATCHED = """
import json, logging, os, random, sys, time
import pytest
from unittest.mock import Mock

pytestmark = pytest.mark.unit
"""


@pytest.mark.parametrize("workers", [ALONE, WORKERS])
@pytest.mark.parametrize(
    "patch",
    [
        pytest.param("json.dumps = Mock(side_effect=OSError('patched'))", id="json"),
        pytest.param("time.time = lambda: 0.0", id="clock"),
        pytest.param("os.chdir('/')", id="directory"),
        pytest.param("os.environ.clear()", id="environment"),
        pytest.param("logging.disable(logging.CRITICAL)", id="logging"),
        pytest.param("random.seed(0)", id="random"),
        pytest.param("os.replace = Mock(side_effect=OSError('patched'))", id="replace"),
        pytest.param("sys.setrecursionlimit(150)", id="recursion"),
    ],
)
def test_what_is_never_undone_changes_no_record(
    pytester: pytest.Pytester, run: Run, patch: str, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(LEFT_PATCHED + f"def test_patches():\n    {patch}\ndef test_other(): assert 1 == 2\n")

    ran = run(*workers)

    assert ran.outcomes == {"test_patches": "passed", "test_other": "failed"}
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    assert ran.document is not None
    summary = ran.document["results"]["summary"]
    assert 0 <= (summary["stop"] - summary["start"]) / 1000 < 100


FROZEN = """
import time
import pytest

@pytest.fixture
def clock():
    {enter}
        yield frozen

@pytest.mark.performance(max_duration=0.05)
def test_slow(clock):
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        pass

@pytest.mark.performance(max_duration=0.05)
def test_quick(clock):
    {tick}

@pytest.mark.unit(timeout=30)
def test_parts(subtests, clock):
    with subtests.test("one"):
        assert 1 == 2
    total = sum(range(1_000_000))
    with subtests.test("two"):
        assert total == 0
"""


@pytest.mark.parametrize("workers", [ALONE, WORKERS])
@pytest.mark.parametrize(
    ("enter", "tick"),
    [
        pytest.param(
            "import freezegun\n    with freezegun.freeze_time('2021-03-04') as frozen:",
            "clock.tick(60)",
            id="freezegun",
        ),
        pytest.param(
            "import time_machine\n    with time_machine.travel('2021-03-04') as frozen:",
            "clock.shift(60)",
            id="time-machine",
        ),
    ],
)
def test_frozen_time_changes_no_budget_no_timeout_and_no_record(
    pytester: pytest.Pytester, run: Run, enter: str, tick: str, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(FROZEN.format(enter=enter, tick=tick))

    ran = run(*workers)

    assert ran.outcomes == {"test_slow": "over_budget", "test_quick": "passed", "test_parts": "failed"}
    assert 250 < ran.tests["test_slow"]["duration"] < 60_000
    assert ran.tests["test_quick"]["duration"] < 50_000
    assert ran.document is not None
    assert ran.document["results"]["summary"]["start"] > 1_700_000_000_000


@pytest.mark.parametrize("workers", [ALONE, WORKERS])
def test_a_faked_file_system_changes_no_record(pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(
        """
        import os
        import pytest
        pytestmark = pytest.mark.unit(max_memory_mb=100, retries=1)

        @pytest.fixture(scope="session", autouse=True)
        def faked():
            from pyfakefs.fake_filesystem_unittest import Patcher
            with Patcher() as patcher:
                yield patcher.fs

        def test_writes(faked):
            faked.create_file("/shop/list", contents="tea")
            assert open("/shop/list").read() == "tea"

        def test_fails(): assert not os.path.exists("/shop/list")
        """
    )

    ran = run(*workers, "-p", "pyfakefs.pytest_plugin")

    assert ran.result.ret in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
    assert ran.outcomes["test_writes"] == "passed"
    assert ran.tests.keys() == {"test_writes", "test_fails"}


PHASES = """
import http.client, json, os, signal, sys, time, urllib.request
import pytest

pytestmark = pytest.mark.unit(timeout=60)

def no(*args, **kwargs):
    raise RuntimeError("not to be called here")

CLOCKS = ((time, "perf_counter"), (time, "monotonic"), (time, "time"), (json, "dumps"), (os, "getpid"), (os, "replace"))

@pytest.fixture
def in_setup(monkeypatch):
    for owner, name in CLOCKS:
        monkeypatch.setattr(owner, name, no)

@pytest.fixture
def in_teardown(monkeypatch):
    yield
    for owner, name in CLOCKS:
        monkeypatch.setattr(owner, name, no)

def test_setup(in_setup): assert sum(range(10)) == 45

def test_signals():
    for name in ("signal", "getsignal", "setitimer"):
        setattr(signal, name, no)

def test_closed():
    sys.stdout.flush()
    sys.stdout = open(os.devnull, "w")
    sys.stdout.close()

@pytest.mark.unit(timeout=0.3)
def test_times_out():
    while True: pass

def test_network(): urllib.request.urlopen = http.client.HTTPConnection = no

def test_teardown(in_teardown): assert 1 == 2
"""


@pytest.mark.parametrize("workers", [ALONE, WORKERS])
def test_patches_of_every_phase_change_no_verdict(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(PHASES)

    ran = run(*workers, "--sergas-push=http://127.0.0.1:1")

    assert ran.outcomes == {
        "test_setup": "passed",
        "test_signals": "passed",
        "test_closed": "passed",
        "test_times_out": "timeout",
        "test_network": "passed",
        "test_teardown": "failed",
    }
    assert 250 < ran.tests["test_times_out"]["duration"] < 30_000
    assert "not sent: pushgateway: http://127.0.0.1:1: unit: connection refused" in ran.text
