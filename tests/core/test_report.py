"""CTRF documents from anybody: what is read from them, and what is said about those that cannot be kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.ctrf import to_ctrf
from pytest_sergas.core.records import Environment, Outcome
from pytest_sergas.core.report import Report, ReportedTest, ReportError, read_report, success_percent
from tests.core.json_values import JSON_VALUES
from tests.publishers.conftest import record, run_of

pytestmark = pytest.mark.unit


def document(*tests: dict[str, Any], **top: Any) -> dict[str, Any]:
    """Return the least that is a run, with these tests."""
    return {"reportFormat": "CTRF", "runId": "r1", "results": {"tests": list(tests)}, **top}


def faults(value: object) -> tuple[str, ...]:
    with pytest.raises(ReportError) as caught:
        read_report(value)
    assert str(caught.value) == "; ".join(caught.value.faults)
    return caught.value.faults


def test_run_of_the_plugin_is_read_back() -> None:
    run = run_of(
        record("tests/a.py::test_a"),
        record("tests/a.py::test_b", Outcome.FAILED, Outcome.PASSED, type="integration"),
        record("tests/a.py::test_c", Outcome.TIMEOUT),
        environment=Environment(branch="main", commit="abc"),
    )

    assert read_report(to_ctrf(run)) == Report(
        "r1",
        "shop",
        "main",
        "abc",
        1_000.0,
        1_060.0,
        (
            ReportedTest("tests/a.py::test_a", "unit", "passed", "passed", 0.5, flaky=False),
            ReportedTest("tests/a.py::test_b", "integration", "passed", "flaky", 0.5, flaky=True),
            ReportedTest("tests/a.py::test_c", "unit", "failed", "timeout", 0.5, flaky=False),
        ),
    )


def test_least_document_of_another_tool_is_read() -> None:
    found = read_report(document({"name": "adds", "status": "passed", "duration": 1500}))

    test = ReportedTest("adds", "untyped", "passed", "passed", 1.5, flaky=False)
    assert found == Report("r1", "", "", "", None, None, (test,))


def test_report_id_stands_in_for_a_run_id() -> None:
    assert read_report({"reportFormat": "CTRF", "reportId": "a-b", "results": {"tests": []}}).run_id == "a-b"


def test_figures_are_counted_and_not_believed() -> None:
    made = document(
        {"name": "a", "status": "passed", "duration": 0, "flaky": True},
        {"name": "b", "status": "failed", "duration": 0},
    )
    made["results"]["summary"] = {"passed": 50, "failed": 0}

    report = read_report(made)

    assert (report.by_status, report.flaky) == ({"passed": 1, "failed": 1}, 1)


@pytest.mark.parametrize(
    ("by_status", "percent"),
    [({"passed": 3, "failed": 1, "skipped": 9}, 75.0), ({"skipped": 1}, None), ({}, None)],
)
def test_success_rate(by_status: dict[str, int], percent: float | None) -> None:
    assert success_percent(by_status) == percent


RUN_ID = "allowed: 1 to 200 letters, digits and . _ : @ + -, the first a letter or digit"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param([], "the document: allowed: an object", id="list"),
        pytest.param(document(reportFormat="JUnit"), "reportFormat = 'JUnit': allowed: 'CTRF'", id="format"),
        pytest.param(document(runId="a/b"), f"runId = 'a/b': {RUN_ID}", id="path"),
        pytest.param(document(runId=""), f"runId = '': {RUN_ID}", id="empty id"),
        pytest.param(document(runId=1), f"runId = 1: {RUN_ID}", id="number as id"),
        pytest.param(document(results=1), "results: allowed: an object", id="results"),
        pytest.param(document(results={}), "results.tests is missing: allowed: a list", id="no tests"),
        pytest.param(document(1), "results.tests[0]: allowed: an object", id="no test"),  # type: ignore[arg-type]
        pytest.param(
            document({"status": "passed", "duration": 1}),
            "results.tests[0].name is missing: allowed: text, not empty",
            id="no name",
        ),
        pytest.param(
            document({"name": "a", "status": "ok", "duration": 1}),
            "results.tests[0].status = 'ok': allowed: passed, failed, skipped, pending, other",
            id="status",
        ),
        pytest.param(
            document({"name": "a", "status": "passed", "duration": -1}),
            "results.tests[0].duration = -1: allowed: milliseconds, at least 0",
            id="negative",
        ),
        pytest.param(
            document({"name": "a", "status": "passed"}),
            "results.tests[0].duration is missing: allowed: milliseconds, at least 0",
            id="no duration",
        ),
        pytest.param(
            document({"name": "a", "status": "passed", "duration": 1, "type": 1}),
            "results.tests[0].type = 1: allowed: text",
            id="type",
        ),
        pytest.param(
            document(results={"tests": [], "environment": {"branchName": 5}}),
            "results.environment.branchName = 5: allowed: text",
            id="branch",
        ),
        pytest.param(
            document(results={"tests": [], "summary": {"start": "now"}}),
            "results.summary.start = 'now': allowed: milliseconds, at least 0",
            id="time",
        ),
    ],
)
def test_fault(value: object, fault: str) -> None:
    found = faults(value)

    assert fault in found


def test_missing_id_is_a_fault() -> None:
    assert faults({"reportFormat": "CTRF", "results": {"tests": []}}) == (f"reportId is missing: {RUN_ID}",)


def test_many_faults_are_cut() -> None:
    found = faults(document(*[{"name": ""}] * 50))

    assert len(found) == 11
    assert found[-1] == "and 40 more"


def test_texts_are_bounded_and_on_one_line() -> None:
    made = document({"name": "x" * 10_000, "status": "passed", "duration": 1, "type": "a\n\x1b[31mb"})
    made["results"]["environment"] = {"appName": "y" * 500}

    report = read_report(made)

    assert (len(report.tests[0].id), report.tests[0].type, len(report.project)) == (4_096, "a b", 200)


@given(st.dictionaries(st.sampled_from(["reportFormat", "runId", "results", "x"]), JSON_VALUES) | JSON_VALUES)
def test_any_json_is_read_or_refused(value: object) -> None:
    try:
        report = read_report(value)
    except ReportError:
        return
    json.dumps([test.id for test in report.tests]).encode()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": st.text(min_size=1),
                "status": st.sampled_from(["passed", "failed", "skipped", "pending", "other"]),
                "duration": st.floats(0, 1e9),
            },
            optional={"type": st.text(), "rawStatus": st.text(), "testId": st.text(), "flaky": st.booleans()},
        )
    )
)
def test_every_test_of_a_right_document_is_counted_once(tests: list[dict[str, Any]]) -> None:
    report = read_report(document(*tests))

    assert sum(report.by_status.values()) == len(tests)
    for test in report.tests:
        test.id.encode()
        test.outcome.encode()
