"""What tests do to their own process beyond one function: time stopped for a session, files closed, services mocked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

STOPPED = {
    "freezegun": 'from freezegun import freeze_time\nSTOP = lambda: freeze_time("2021-03-04")',
    "time-machine": 'import time_machine\nSTOP = lambda: time_machine.travel("2021-03-04", tick=False)',
}

BUDGETS = """
import time
import pytest
{stop}

@pytest.fixture(scope={scope!r}, autouse=True)
def stopped():
    with STOP() as clock:
        yield clock

@pytest.mark.unit(max_duration=0.05, budget_attempts=1)
def test_slow():
    end = time.thread_time_ns() + 300_000_000
    while time.thread_time_ns() < end:
        pass

@pytest.mark.unit(max_duration=0.05, budget_attempts=1)
def test_quick(stopped):
    getattr(stopped, "tick", getattr(stopped, "shift", None))(60)

@pytest.mark.unit(timeout=30)
def test_parts(subtests):
    with subtests.test("one"):
        assert 1 == 2
    sum(range(2_000_000))
    with subtests.test("two"):
        assert 1 == 3
"""


@pytest.mark.parametrize("library", STOPPED)
@pytest.mark.parametrize("scope", ["function", "session"])
def test_stopped_time_changes_no_budget_timeout_or_record(
    pytester: pytest.Pytester, run: Run, library: str, scope: str
) -> None:
    pytester.makepyfile(BUDGETS.format(stop=STOPPED[library], scope=scope))

    ran = run()

    assert ran.outcomes == {"test_slow": "over_budget", "test_quick": "passed", "test_parts": "failed"}
    assert "Timeout" not in ran.text
    document: dict[str, Any] = ran.document or {}
    summary = document["results"]["summary"]
    assert 0 <= (summary["stop"] - summary["start"]) < 60_000
    years = {test["start"] // (365 * 24 * 3600 * 1000) for test in ran.tests.values()}
    assert years == {summary["start"] // (365 * 24 * 3600 * 1000)}
    measured = ran.tests["test_slow"]["extra"]["measured"]
    assert 0.3 <= measured["wallSeconds"] < 30


def test_files_that_a_test_closes_are_opened_again_and_no_file_of_its_own_is_written_to(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        """
        import os, pytest

        pytestmark = pytest.mark.unit(max_memory_mb=500)
        OWN = []

        def test_closes():
            os.closerange(800, 1200)
            OWN.append(os.open("own.txt", os.O_RDWR | os.O_CREAT))
            os.write(OWN[0], b"mine")

        def test_after(): pass

        def test_still_mine():
            assert os.pread(OWN[0], 10, 0) == b"mine"
        """
    )

    ran = run()

    assert set(ran.outcomes.values()) == {"passed"}
    assert "peakMemoryBytes" in ran.tests["test_after"]["extra"]["measured"]


def test_checks_after_a_failure_do_not_meet_the_patches_of_the_test_that_failed(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makefile(".toml", sergas='[[checks]]\nname = "shop"\ntype = "sqlite"\npath = "shop.sqlite3"\n')
    pytester.makepyfile(
        """
        import sqlite3, pytest
        sqlite3.connect("shop.sqlite3").close()

        @pytest.mark.unit(dependencies=["shop"])
        def test_fails(monkeypatch):
            def refuse(*arguments, **keywords):
                raise sqlite3.OperationalError("patched")
            monkeypatch.setattr(sqlite3, "connect", refuse)
            assert 1 == 2

        @pytest.mark.unit(dependencies=["shop"])
        def test_after(): pass
        """
    )

    assert run().outcomes == {"test_fails": "failed", "test_after": "passed"}


def test_timer_goes_on_after_pytest_within_the_test_has_used_the_signal_for_its_own(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makeconftest("pytest_plugins = ['pytester']")
    pytester.makepyfile(
        """
        import time, pytest

        @pytest.mark.unit(timeout=3)
        def test_outer(pytester):
            pytester.makepyfile("def test_inner(): pass")  # untyped: its timer is that of pytest-timeout
            pytester.runpytest_inprocess("-p", "no:cacheprovider", "--timeout=60").assert_outcomes(passed=1)
            time.sleep(20)
        """
    )

    assert run().outcomes == {"test_outer": "timeout"}
