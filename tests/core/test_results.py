"""How tests ended in their latest runs: what is kept, and what a broken file says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.records import Outcome
from pytest_sergas.core.results import KEPT, ResultsError, from_json, merge, of, to_json
from tests.publishers.conftest import record

pytestmark = pytest.mark.unit

RESULTS = st.dictionaries(st.text(max_size=5), st.text("pkf", min_size=1, max_size=KEPT))


def never(node_id: str) -> bool:
    del node_id
    return False


def always(node_id: str) -> bool:
    del node_id
    return True


@given(RESULTS)
def test_file_is_read_back_as_it_was_written(results: dict[str, str]) -> None:
    assert from_json(to_json(results)) == results


@pytest.mark.parametrize(
    ("outcomes", "letters"),
    [
        ([Outcome.PASSED], ["p"]),
        ([Outcome.XPASSED], ["p"]),
        ([Outcome.FAILED, Outcome.PASSED], ["k"]),
        ([Outcome.FAILED], ["f"]),
        ([Outcome.CRASHED], ["f"]),
        ([Outcome.SKIPPED], []),
        ([Outcome.XFAILED], []),
    ],
)
def test_tests_that_were_judged_leave_a_letter(outcomes: list[Outcome], letters: list[str]) -> None:
    assert [letter for _, letter in of([record("a.py::a", *outcomes)])] == letters


@pytest.mark.parametrize(
    ("outcomes", "letter"),
    [([Outcome.FAILED], "f"), ([Outcome.PASSED], "p"), ([Outcome.FAILED, Outcome.PASSED], "k")],
)
def test_test_in_quarantine_leaves_what_it_was(outcomes: list[Outcome], letter: str) -> None:
    test = record("a.py::a", *outcomes)._replace(outcome=Outcome.QUARANTINED)

    assert list(of([test])) == [("a.py::a", letter)]


def test_file_that_could_not_be_collected_is_no_test() -> None:
    assert list(of([record("a.py", Outcome.ERROR)])) == []


def test_newest_run_comes_first_and_the_oldest_goes() -> None:
    known = {"a.py::a": "p" * KEPT}

    assert merge(known, [record("a.py::a", Outcome.FAILED)], never) == {"a.py::a": "f" + "p" * (KEPT - 1)}


def test_test_that_should_have_been_there_is_forgotten() -> None:
    known = {"a.py::gone": "p", "a.py::skipped": "p"}
    skipped = [record("a.py::skipped", Outcome.SKIPPED)]

    assert merge(known, skipped, always) == {"a.py::skipped": "p"}
    assert merge(known, skipped, never) == known


def document(**changed: object) -> bytes:
    return json.dumps({"format": "sergas-results", "version": 1, "tests": {}, **changed}).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"{", "is not whole JSON (JSONDecodeError)", id="half"),
        pytest.param(b"[" * 100_000, "is not whole JSON (RecursionError)", id="deep"),
        pytest.param(b"[]", 'is not a file of results: "format" is not "sergas-results"', id="list"),
        pytest.param(document(version=2), 'has another "version" than 1: 2', id="later version"),
        pytest.param(document(tests=[]), 'has no table "tests"', id="no tests"),
        *(
            pytest.param(document(tests={"a": runs}), "has an entry that is no list of runs: 'a'", id=str(runs))
            for runs in ("", "p", "x1", "p1234", 1)
        ),
    ],
)
def test_file_that_is_none_says_why(data: bytes, message: str) -> None:
    with pytest.raises(ResultsError) as caught:
        from_json(data)

    assert str(caught.value) == message
