"""A run as a CTRF document: what stands where, and that it is always JSON in UTF-8."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.ctrf import to_ctrf, to_json
from pytest_sergas.core.records import Environment, Outcome, TestRecord
from tests.publishers.conftest import attempt, record, run_of

pytestmark = pytest.mark.unit


def one(*arguments: Any, **fields: Any) -> dict[str, Any]:
    """Return the entry of a test as it is read back."""
    tests = json.loads(to_json(run_of(record(*arguments, **fields))))["results"]["tests"]
    return dict(tests[0])


@pytest.mark.parametrize(
    ("attempts", "status", "raw", "flaky"),
    [
        pytest.param([Outcome.PASSED], "passed", "passed", None, id="passed"),
        pytest.param([Outcome.FAILED], "failed", "failed", None, id="failed"),
        pytest.param([Outcome.ERROR], "failed", "error", None, id="error"),
        pytest.param([Outcome.SKIPPED], "skipped", "skipped", None, id="skipped"),
        pytest.param([Outcome.XFAILED], "passed", "xfailed", None, id="xfailed"),
        pytest.param([Outcome.XPASSED], "passed", "xpassed", None, id="xpassed"),
        pytest.param([Outcome.TIMEOUT], "failed", "timeout", None, id="timeout"),
        pytest.param([Outcome.CRASHED], "failed", "crashed", None, id="crashed"),
        pytest.param([Outcome.OVER_BUDGET], "failed", "over_budget", None, id="over budget"),
        pytest.param([Outcome.QUARANTINED], "other", "quarantined", None, id="quarantined"),
        pytest.param([Outcome.FAILED, Outcome.PASSED], "passed", "flaky", True, id="flaky"),
        pytest.param([Outcome.FAILED, Outcome.TIMEOUT], "failed", "timeout", False, id="failed twice"),
    ],
)
def test_outcome_becomes_status_and_raw_status(
    attempts: list[Outcome], status: str, raw: str, *, flaky: bool | None
) -> None:
    entry = one("a.py::test_a", *attempts)

    assert (entry["status"], entry["rawStatus"], entry.get("flaky")) == (status, raw, flaky)


def test_test_says_what_when_and_how_long() -> None:
    assert one("tests/test_shop.py::TestPay::test_card[visa]", attempt(worker="gw1")) == {
        "testId": "tests/test_shop.py::TestPay::test_card[visa]",
        "name": "TestPay::test_card[visa]",
        "status": "passed",
        "rawStatus": "passed",
        "duration": 500,
        "start": 1_000_000,
        "stop": 1_000_500,
        "type": "unit",
        "filePath": "tests/test_shop.py",
        "suite": ["tests/test_shop.py"],
        "line": 7,
        "threadId": "gw1",
        "extra": {"setupSeconds": 0.125, "callSeconds": 0.25, "teardownSeconds": 0.125},
    }


def test_repeated_attempts_keep_message_trace_and_worker() -> None:
    entry = one(
        "a.py::test_a", attempt(Outcome.TIMEOUT, message="late", trace="at 1", worker="gw0", teardown_s=None), attempt()
    )

    assert entry["retries"] == 1
    assert entry["retryAttempts"] == [
        {
            "attempt": 1,
            "status": "failed",
            "duration": 375,
            "start": 1_000_000,
            "stop": 1_000_375,
            "message": "late",
            "trace": "at 1",
            "extra": {"rawStatus": "timeout", "worker": "gw0", "setupSeconds": 0.125, "callSeconds": 0.25},
        }
    ]
    assert "message" not in entry


def test_summary_counts_by_status() -> None:
    run = run_of(
        record("a.py::a"),
        record("a.py::b", Outcome.FAILED),
        record("b.py::c", Outcome.SKIPPED),
        record("b.py::d", Outcome.FAILED, Outcome.PASSED),
    )

    assert to_ctrf(run)["results"]["summary"] == {
        "tests": 4,
        "passed": 2,
        "failed": 1,
        "skipped": 1,
        "pending": 0,
        "other": 0,
        "flaky": 1,
        "suites": 2,
        "start": 1_000_000,
        "stop": 1_060_000,
        "duration": 60_000,
    }


def test_run_says_where_it_took_place_and_how_it_ended() -> None:
    environment = Environment(
        provider="github", branch="main", commit="abc", job="test", pull_request="7", python="3.11"
    )
    run = run_of(environment=environment, exit_status=2, stopped="^C", unfinished=("a.py::a",), notes=("n",), workers=2)

    document = to_ctrf(run)

    assert document["results"]["environment"] == {
        "appName": "shop",
        "buildName": "test",
        "commit": "abc",
        "branchName": "main",
        "extra": {"provider": "github", "pullRequest": "7", "python": "3.11"},
    }
    assert document["results"]["extra"] == {
        "exitStatus": 2,
        "collected": 0,
        "workers": 2,
        "stopped": "^C",
        "unfinished": ["a.py::a"],
        "notes": ["n"],
    }


def test_report_id_belongs_to_the_run() -> None:
    ids = {to_ctrf(run_of(run_id=run_id))["reportId"] for run_id in ("r1", "r1", "r2")}

    assert len(ids) == 2


def test_failed_collection_without_a_name_has_one() -> None:
    entry = one("", Outcome.ERROR)

    assert (entry["testId"], entry["name"], entry["suite"]) == ("(session)", "(session)", ["(session)"])


_SECONDS = st.none() | st.floats(0, 1e6)
_TEXTS = st.text(max_size=8)
_ATTEMPTS = st.builds(
    attempt,
    st.sampled_from(sorted(set(Outcome) - {Outcome.FLAKY})) | st.just(Outcome.PASSED),
    start_s=st.floats(0, 1e10),
    setup_s=_SECONDS,
    call_s=_SECONDS,
    teardown_s=_SECONDS,
    worker=st.sampled_from(["", "gw0", 'a "worker"']),
    message=st.just("") | _TEXTS,
    trace=st.just("") | _TEXTS,
)
# Seldom hit upon by chance, and what most tests are.
_PLAIN = st.lists(
    st.builds(
        attempt,
        st.sampled_from([Outcome.PASSED, Outcome.XFAILED]),
        setup_s=st.floats(0, 1),
        call_s=st.floats(0, 1),
        teardown_s=st.floats(0, 1),
        message=st.sampled_from(["", "m"]),
        trace=st.sampled_from(["", "t"]),
    ),
    min_size=1,
    max_size=2,
)
_RECORDS = st.builds(
    lambda node_id, attempts, type_, line, exclusive: record(
        node_id, *attempts, type=type_, line=line, exclusive=exclusive
    ),
    st.sampled_from(["", "a.py", "a.py::test_a", '"tests":[]', "::", "a.py::"]) | _TEXTS,
    _PLAIN | st.lists(_ATTEMPTS, min_size=1, max_size=3),
    st.sampled_from(["unit", "untyped"]),
    st.integers(1) | st.none(),
    st.booleans(),
)


@given(st.lists(_RECORDS, max_size=5), st.sampled_from(["shop", '"tests":[]', "\\"]) | _TEXTS)
def test_json_is_the_document(tests: list[TestRecord], project: str) -> None:
    run = run_of(*tests, project=project)

    assert json.loads(to_json(run).decode()) == to_ctrf(run)


def test_json_has_no_space_and_no_line_that_nobody_needs() -> None:
    encoded = to_json(run_of(record("a.py::test_a"), record("a.py::test_b", Outcome.FAILED), version="1")).decode()

    assert re.findall(r"\s", encoded) == [" "]  # "pytest-sergas 1"


@given(st.lists(st.characters(exclude_categories=()) | st.sampled_from('\ud800\udcff\\"'), max_size=20).map("".join))
def test_halves_of_characters_are_written_in_words(text: str) -> None:
    decoded = json.loads(to_json(run_of(notes=("note", text))).decode())["results"]["extra"]["notes"][1]

    assert decoded == text.encode("utf-8", "backslashreplace").decode()
