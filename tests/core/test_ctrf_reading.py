"""What was written as CTRF is read back as it was, and what is no CTRF says why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core import ctrf
from pytest_sergas.core.causes import Cause
from pytest_sergas.core.ctrf_reading import CtrfError, from_json
from pytest_sergas.core.measurement import Measurement, Use
from pytest_sergas.core.records import AttemptRecord, Environment, Outcome, Refusal, RunRecord
from tests.publishers.conftest import attempt, record, run_of

pytestmark = pytest.mark.unit

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
# Seconds that CTRF's whole milliseconds hold without loss.
MOMENTS = st.integers(1, 10**12).map(lambda ms: ms / 1000)
SECONDS = st.none() | st.integers(0, 10**9).map(lambda eighths: eighths / 8)
EIGHTHS = st.integers(0, 10**6).map(lambda eighths: eighths / 8)
MEASURED = st.builds(
    Measurement,
    st.sampled_from(["schedstat+VmHWM", "wall+sampling"]),
    EIGHTHS,
    EIGHTHS,
    EIGHTHS,
    EIGHTHS,
    st.none() | st.integers(0, 10**12),
    st.none() | EIGHTHS,
    st.just(()) | st.builds(Use, st.just("max_duration"), EIGHTHS, EIGHTHS).map(lambda use: (use,)),
)
CAUSES = st.builds(
    Cause, st.just("1:0f"), st.just("call"), TEXTS, st.just("") | TEXTS, st.none() | st.integers(1, 9), TEXTS
)
ATTEMPTS = st.builds(
    AttemptRecord,
    st.sampled_from(sorted(set(Outcome) - {Outcome.FLAKY})),
    MOMENTS,
    SECONDS,
    SECONDS,
    SECONDS,
    st.sampled_from(["", "gw0"]),
    st.just("") | TEXTS,
    measured=st.none() | MEASURED,
    cause=st.none() | CAUSES,
)
RECORDS = st.builds(
    lambda name, attempts, type_, line, exclusive: record(
        f"a.py::{name}", *attempts, type=type_, line=line, exclusive=exclusive
    ),
    TEXTS,
    st.lists(ATTEMPTS, min_size=1, max_size=3),
    st.sampled_from(["unit", "untyped"]),
    st.integers(1) | st.none(),
    st.booleans(),
)
ENVIRONMENTS = st.builds(
    Environment,
    **{name: st.just("") | TEXTS for name in ("provider", "branch", "commit", "build_id", "python", "machine")},
)
RUNS = st.builds(
    lambda tests, environment, started_s, notes: run_of(
        *tests,
        environment=environment,
        started_s=started_s,
        finished_s=(round(started_s * 1000) + 60_000) / 1000,
        notes=tuple(notes),
        shard="2/5",
        split="abc",
        version="1",
        exit_status=1,
        workers=2,
        stopped="^C",
        coverage={"all": 81.25, "unit": 75.0},
        refused=(Refusal("unit", "too flaky"), Refusal("", "quarantine")),
        unfinished=("a.py::z",),
    ),
    st.lists(RECORDS, max_size=4),
    ENVIRONMENTS,
    MOMENTS,
    st.lists(TEXTS, max_size=2),
)


@given(RUNS)
def test_run_is_read_back_as_it_was_written(run: RunRecord) -> None:
    assert from_json(ctrf.to_json(run)) == run


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_phases_are_read_back_to_the_microsecond(setup_s: float, call_s: float, teardown_s: float) -> None:
    read = from_json(ctrf.to_json(run_of(record("a", attempt(setup_s=setup_s, call_s=call_s, teardown_s=teardown_s)))))

    last = read.tests[0].last
    assert (last.setup_s, last.call_s, last.teardown_s) == (round(setup_s, 6), round(call_s, 6), round(teardown_s, 6))


def test_collection_without_a_name_has_none_again() -> None:
    assert from_json(ctrf.to_json(run_of(record("", Outcome.ERROR)))).tests[0].node_id == ""


FOREIGN: dict[str, Any] = {
    "reportFormat": "CTRF",
    "specVersion": "0.0.0",
    "results": {
        "tool": {"name": "jest"},
        "summary": {"tests": 1, "start": 1000, "stop": 2000},
        "tests": [{"name": "adds", "status": "passed", "duration": 1500}],
    },
}


def foreign_run(**extra: Any) -> bytes:
    """Return the document of another tool that says this of its run."""
    return json.dumps({**FOREIGN, "results": {**FOREIGN["results"], "extra": extra}}).encode()


def foreign(**test: Any) -> bytes:
    """Return the document of another tool with one test."""
    results = {**FOREIGN["results"], "tests": [{**FOREIGN["results"]["tests"][0], **test}]}
    return json.dumps({**FOREIGN, "results": results}).encode()


def test_document_of_another_tool_is_read_as_far_as_ctrf_goes() -> None:
    run = from_json(foreign())

    assert (run.started_s, run.finished_s, run.collected) == (1.0, 2.0, 1)
    assert run.tests == (
        record("adds", AttemptRecord(Outcome.PASSED, call_s=1.5), type="untyped", line=None)._replace(file=""),
    )


@pytest.mark.parametrize(
    ("status", "flaky", "outcome"),
    [
        ("passed", False, Outcome.PASSED),
        ("passed", True, Outcome.FLAKY),
        ("failed", False, Outcome.FAILED),
        ("failed", True, Outcome.FAILED),
        ("skipped", False, Outcome.SKIPPED),
        ("pending", False, Outcome.SKIPPED),
        ("other", False, Outcome.SKIPPED),
    ],
)
def test_status_decides_without_raw_status(status: str, outcome: Outcome, *, flaky: bool) -> None:
    assert from_json(foreign(status=status, flaky=flaky, rawStatus="ok")).tests[0].outcome is outcome


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is not JSON (JSONDecodeError)", id="empty"),
        pytest.param(b"\xff\xfe\xff", "is not JSON (UnicodeDecodeError)", id="not text"),
        pytest.param(b"[" * 100_000, "is not JSON (RecursionError)", id="too deep"),
        pytest.param(b"[]", 'is not CTRF: "reportFormat" is not "CTRF"', id="a list"),
        pytest.param(b'{"reportFormat": "JUnit"}', 'is not CTRF: "reportFormat" is not "CTRF"', id="another format"),
        pytest.param(b'{"reportFormat": "CTRF"}', "results is missing", id="no results"),
        pytest.param(b'{"reportFormat": "CTRF", "results": 1}', "results is not an object", id="no object"),
        pytest.param(foreign(name=None), "results.tests[0].name is missing", id="no name"),
        pytest.param(foreign(name=1), "results.tests[0].name is not a text", id="a number as name"),
        pytest.param(
            foreign(status="good"),
            "results.tests[0].status is 'good'; allowed: passed, failed, skipped, pending, other",
            id="unknown status",
        ),
        pytest.param(foreign(line=True), "results.tests[0].line is not a whole number", id="a truth value as line"),
        pytest.param(
            foreign(extra={"exclusive": 1}),
            "results.tests[0].extra.exclusive is not true or false",
            id="no truth value",
        ),
        pytest.param(foreign(duration="1"), "results.tests[0].duration is not a number of a time", id="duration"),
        pytest.param(foreign(start=1e300), "results.tests[0].start is not a number of a time", id="absurd"),
        pytest.param(foreign(start=10**400), "results.tests[0].start is not a number of a time", id="no float"),
        pytest.param(
            foreign(extra={"measured": {"method": "wall+sampling"}}),
            "results.tests[0].extra.measured.wallSeconds is missing",
            id="half a measurement",
        ),
        pytest.param(
            foreign_run(refused=[1]), "results.extra.refused[0] is not an object", id="refusal that is no object"
        ),
        pytest.param(
            foreign_run(refused=[{"type": "unit"}]), "results.extra.refused[0].text is missing", id="refusal of nothing"
        ),
        pytest.param(
            foreign_run(coverage={"unit": "much"}),
            "results.extra.coverage.unit is not a number of a time",
            id="coverage",
        ),
        pytest.param(foreign(retryAttempts={}), "results.tests[0].retryAttempts is not a list", id="no list"),
        pytest.param(foreign(retryAttempts=[1]), "results.tests[0].retryAttempts[0] is not an object", id="no attempt"),
    ],
)
def test_what_is_no_ctrf_says_why(data: bytes, message: str) -> None:
    with pytest.raises(CtrfError) as caught:
        from_json(data)

    assert str(caught.value) == message


@pytest.mark.parametrize("foreign", ["a text", 7, ["a list"], {"of": "another tool"}])
def test_cause_of_another_tool_is_left_alone(foreign: object) -> None:
    document = ctrf.to_ctrf(run_of(record("a.py::t", Outcome.FAILED)))
    document["results"]["tests"][0]["extra"]["cause"] = foreign

    assert from_json(json.dumps(document).encode()).tests[0].last.cause is None
