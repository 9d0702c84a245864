"""Failures on the page of a run stand by their cause."""

from __future__ import annotations

import pytest

from pytest_sergas.core.causes import Frame, cause_of
from pytest_sergas.core.records import Outcome
from pytest_sergas.sidecar.pages.report import report
from tests.publishers.conftest import attempt, record, run_of
from tests.sidecar.pages import made

pytestmark = pytest.mark.integration


def test_failures_of_one_cause_are_one_entry_with_the_names_of_its_tests() -> None:
    cause = cause_of("setup", "ConnectionError: no route", Frame(made.HARM, 5, "db"))
    broken = attempt(Outcome.ERROR, message="ConnectionError: no route", trace="the traceback", cause=cause)
    tests = [record(f"a.py::t{number}", broken) for number in range(25)]

    page = report(run_of(record("a.py::alone", attempt(Outcome.FAILED, message="first")), *tests))
    failures = page.partition('<h2 id="failures">')[2].partition("<h2>")[0]

    assert failures.count("<details") == 2
    assert failures.count("the traceback") == 1
    assert "25 tests, setup: ConnectionError at &lt;img src=x" in failures
    assert made.HARM not in page
    assert failures.count("<li>") == 20
    assert "and 5 more" in failures
    assert failures.index("a.py::alone") < failures.index("25 tests")
