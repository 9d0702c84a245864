"""What runs leave for the next ones: merged with decay, forgotten when gone, and read back as written."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.durations import (
    KEPT_RUNS,
    Duration,
    DurationsError,
    from_json,
    from_served,
    measured,
    merge,
    to_json,
)
from pytest_sergas.core.kinds import YEAR_S
from pytest_sergas.core.records import AttemptRecord, Outcome, TestRecord
from tests.publishers.conftest import attempt, record

pytestmark = pytest.mark.unit

SECONDS = st.floats(0, YEAR_S).map(lambda seconds: round(seconds, 4))
DURATIONS = st.dictionaries(
    st.text(st.characters(exclude_categories=()), max_size=10),
    st.builds(Duration, SECONDS, SECONDS, st.integers(0, KEPT_RUNS)),
    max_size=5,
)


def took(node_id: str, seconds: float, setup_s: float = 0.0) -> TestRecord:
    """Return a test that passed in ``seconds``, its set-up included."""
    return record(node_id, attempt(setup_s=setup_s, call_s=seconds - setup_s, teardown_s=0.0))


def everything(node_id: str) -> bool:
    del node_id
    return True


def nothing(node_id: str) -> bool:
    del node_id
    return False


@given(DURATIONS)
def test_durations_are_read_back_as_written(durations: dict[str, Duration]) -> None:
    assert from_json(to_json(durations)) == durations


@given(DURATIONS)
def test_equal_durations_are_equal_bytes(durations: dict[str, Duration]) -> None:
    assert to_json(dict(reversed(durations.items()))) == to_json(durations)


def test_file_has_a_line_for_each_test() -> None:
    data = to_json({"b.py::test_b": Duration(1.23456, 0.00001), "a.py::test_a": Duration(0.25, 0.125, 3)})

    assert data.decode() == (
        '{"format": "sergas-durations", "version": 1, "tests": {\n'
        '"a.py::test_a": [0.25, 0.125, 3],\n'
        '"b.py::test_b": [1.2346, 0.0, 0]\n'
        "}}\n"
    )


@given(DURATIONS.filter(bool), st.data())
def test_every_truncated_file_is_refused(durations: dict[str, Duration], data: st.DataObject) -> None:
    whole = to_json(durations).rstrip()
    length = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(DurationsError, match=r"^is not whole JSON \(JSONDecodeError\)$"):
        from_json(whole[:length])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is not whole JSON (JSONDecodeError)", id="empty"),
        pytest.param("\xff", "is not whole JSON (UnicodeDecodeError)", id="not UTF-8"),
        pytest.param("[" * 100_000, "is not whole JSON (RecursionError)", id="too deep"),
        pytest.param("[]", 'is not a file of durations: "format" is not "sergas-durations"', id="a list"),
        pytest.param("{}", 'is not a file of durations: "format" is not "sergas-durations"', id="something else"),
        pytest.param(
            '{"format": "sergas-durations", "version": 2}', 'has another "version" than 1: 2', id="another version"
        ),
        pytest.param('{"format": "sergas-durations", "version": 1}', 'has no table "tests"', id="no tests"),
        pytest.param(
            '{"format": "sergas-durations", "version": 1, "tests": {"a": [1, -1, 0]}}',
            "has an entry that is no duration: 'a'",
            id="negative",
        ),
        pytest.param(
            '{"format": "sergas-durations", "version": 1, "tests": {"a": [NaN, 1, 0]}}',
            "has an entry that is no duration: 'a'",
            id="not a number",
        ),
        pytest.param(
            '{"format": "sergas-durations", "version": 1, "tests": {"a": 1}}',
            "has an entry that is no duration: 'a'",
            id="no list",
        ),
    ],
)
def test_what_is_no_file_of_durations_says_why(text: str, message: str) -> None:
    with pytest.raises(DurationsError) as caught:
        from_json(text.encode("latin-1"))

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("attempts", "found"),
    [
        pytest.param([attempt()], [Duration(0.5, 0.125)], id="passed"),
        pytest.param([attempt(Outcome.XPASSED)], [Duration(0.5, 0.125)], id="passed unexpectedly"),
        pytest.param([attempt(Outcome.FAILED), attempt(call_s=1.75)], [Duration(2.0, 0.125)], id="the last attempt"),
        pytest.param([attempt(Outcome.FAILED)], [], id="failed"),
        pytest.param([attempt(Outcome.SKIPPED)], [], id="skipped"),
        pytest.param([attempt(Outcome.TIMEOUT)], [], id="timed out"),
        pytest.param([attempt(call_s=None)], [], id="no call"),
        pytest.param([attempt(setup_s=-5.0)], [Duration(0.0, 0.0)], id="a clock that was set back"),
        pytest.param([attempt(call_s=1e300)], [Duration(YEAR_S, 0.125)], id="absurd"),
    ],
)
def test_attempt_that_passed_is_a_measurement(attempts: Sequence[AttemptRecord], found: list[Duration]) -> None:
    assert [duration for _, duration in measured([record("a.py::test_a", *attempts)])] == found


def test_new_value_counts_three_tenths() -> None:
    merged = merge({"a": Duration(1.0, 0.0)}, [took("a", 2.0)], everything)

    assert merged["a"].total_s == pytest.approx(1.3)


def test_set_up_rises_at_once() -> None:
    assert merge({"a": Duration(1.0, 0.0)}, [took("a", 6.0, 5.0)], everything)["a"].setup_s == 5.0


def test_set_up_falls_slowly() -> None:
    merged = merge({"a": Duration(6.0, 5.0)}, [took("a", 1.0, 0.0)], everything)

    assert merged["a"].setup_s == pytest.approx(3.5)


def test_test_that_failed_keeps_what_was_known() -> None:
    known = {"a": Duration(1.0, 0.5)}

    assert merge(known, [record("a", Outcome.FAILED)], everything) == known


def test_test_that_is_gone_is_forgotten_after_some_runs() -> None:
    durations = {"a": Duration(1.0, 0.5), "b": Duration(1.0, 0.5)}
    for _ in range(KEPT_RUNS - 1):
        durations = merge(durations, [took("b", 1.0)], everything)
    assert durations["a"] == Duration(1.0, 0.5, KEPT_RUNS - 1)

    assert "a" not in merge(durations, [took("b", 1.0)], everything)


def test_test_that_came_back_begins_to_be_missing_anew() -> None:
    assert merge({"a": Duration(1.0, 0.5, 19)}, [record("a", Outcome.SKIPPED)], everything)["a"].missing == 0


def test_test_that_was_not_asked_for_is_not_missing() -> None:
    known = {"a": Duration(1.0, 0.5)}

    assert merge(known, [took("b", 1.0)], nothing)["a"] == known["a"]


@given(DURATIONS, st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.floats(0, 1e9)), max_size=4))
def test_merged_durations_can_be_written_and_read(known: dict[str, Duration], ran: list[tuple[str, float]]) -> None:
    merged = merge(known, [took(node_id, seconds) for node_id, seconds in ran], everything)

    assert from_json(to_json(merged)).keys() == merged.keys()
    assert all(duration.setup_s >= 0 for duration in merged.values())
    assert json.loads(to_json(merged))["version"] == 1


@given(st.dictionaries(st.text(max_size=10), SECONDS, max_size=5))
def test_what_a_sidecar_answers_is_read(durations: dict[str, float]) -> None:
    assert from_served(json.dumps({"durations": durations}).encode()) == durations


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(b'{"durations": {"a": 1', "what it answered is not whole JSON (JSONDecodeError)", id="half"),
        pytest.param(b"\xff", "what it answered is not whole JSON (UnicodeDecodeError)", id="bytes"),
        pytest.param(b"[" * 100_000, "what it answered is not whole JSON (RecursionError)", id="deep"),
        pytest.param(b"[]", 'what it answered has no table "durations"', id="list"),
        pytest.param(b'{"tests": {}}', 'what it answered has no table "durations"', id="another document"),
        pytest.param(
            b'{"durations": {"a": -1}}', "what it answered has an entry that is no duration: 'a'", id="negative"
        ),
        pytest.param(
            b'{"durations": {"a": NaN}}', "what it answered has an entry that is no duration: 'a'", id="no number"
        ),
        pytest.param(
            b'{"durations": {"a": true}}', "what it answered has an entry that is no duration: 'a'", id="a truth"
        ),
        pytest.param(
            b'{"durations": {"a": 1e300}}', "what it answered has an entry that is no duration: 'a'", id="huge"
        ),
    ],
)
def test_answer_that_holds_no_durations_says_why(answer: bytes, expected: str) -> None:
    with pytest.raises(DurationsError) as raised:
        from_served(answer)

    assert str(raised.value) == expected
