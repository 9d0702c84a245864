"""What calls took in earlier runs: what is kept, for how long, and what a broken file says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.baselines import (
    KEPT,
    BaselinesError,
    Sample,
    added,
    attempts,
    from_json,
    judged_by,
    measured,
    replaced,
    to_json,
)
from pytest_sergas.core.kinds import YEAR_S
from pytest_sergas.core.measurement import Measurement, Use
from pytest_sergas.core.records import AttemptRecord, Outcome
from tests.publishers.conftest import attempt, record

pytestmark = pytest.mark.unit

NOW_S = 1_800_000_000.0
SAMPLES = st.builds(
    Sample,
    st.integers(0, int(NOW_S)).map(float),
    st.integers(0, 10**6).map(lambda number: number / 2**7),
    st.text(max_size=5),
)
BASELINES = st.dictionaries(
    st.text(max_size=5), st.dictionaries(st.text(max_size=5), st.lists(SAMPLES, max_size=3).map(tuple), max_size=3)
)


def took(seconds: float, outcome: Outcome = Outcome.PASSED, budget: str = "max_regression") -> AttemptRecord:
    return attempt(outcome, measured=Measurement("wall", 9.0, seconds, 0.0, uses=(Use(budget, 0.0, 0.2),)))


@given(BASELINES)
def test_file_is_read_back_as_it_was_written(baselines: dict[str, dict[str, tuple[Sample, ...]]]) -> None:
    assert from_json(to_json(baselines), NOW_S) == (baselines, 0)


def test_passing_test_leaves_the_median_of_its_attempts() -> None:
    test = record("a", took(3.0, Outcome.OVER_BUDGET), took(1.0, Outcome.OVER_BUDGET), took(2.0))

    assert measured([test], NOW_S, "main") == {"a": Sample(NOW_S, 2.0, "main")}


def test_what_a_slow_core_added_is_not_kept() -> None:
    slow = attempt(measured=took(2.0).measured._replace(paced_s=1.5))  # type: ignore[union-attr]  # it is measured

    assert measured([record("a", slow)], NOW_S, "main") == {"a": Sample(NOW_S, 1.5, "main")}
    assert attempts(record("a", slow), NOW_S, "main") == (Sample(NOW_S, 1.5, "main"),)


@pytest.mark.parametrize(
    "attempts_made",
    [
        pytest.param([took(1.0, Outcome.OVER_BUDGET)], id="over budget"),
        pytest.param([took(1.0, Outcome.FAILED)], id="failed"),
        pytest.param([took(1.0, Outcome.FAILED), took(1.0)], id="flaky"),
        pytest.param([took(1.0, budget="max_duration")], id="another budget"),
        pytest.param([attempt()], id="not measured"),
    ],
)
def test_other_tests_leave_nothing(attempts_made: list[AttemptRecord]) -> None:
    assert measured([record("a", *attempts_made)], NOW_S, "main") == {}


def test_newest_samples_of_each_branch_are_kept() -> None:
    known: dict[str, dict[str, tuple[Sample, ...]]] = {}
    for number in range(KEPT + 3):
        known = added(known, "m", {"a": Sample(float(number), 1.0, "main")})
    known = added(known, "m", {"a": Sample(99.0, 2.0, "other")})

    kept = known["m"]["a"]
    assert [one.when_s for one in kept] == [*map(float, range(3, KEPT + 3)), 99.0]
    assert judged_by(kept) == (*[1.0] * (KEPT - 1), 2.0)


def test_sample_of_another_machine_is_no_history_here() -> None:
    known = added({"other": {"a": (Sample(1.0, 1.0),)}}, "m", {"a": Sample(2.0, 5.0)})

    assert known == {"other": {"a": (Sample(1.0, 1.0),)}, "m": {"a": (Sample(2.0, 5.0),)}}


def test_sample_is_forgotten_after_a_year() -> None:
    known = added({"m": {"a": (Sample(0.0, 1.0),)}}, "m", {"a": Sample(YEAR_S + 1, 2.0)})

    assert known == {"m": {"a": (Sample(YEAR_S + 1, 2.0),)}}


def test_baseline_that_is_set_replaces_what_was_known() -> None:
    samples = attempts(record("a", took(3.0, Outcome.OVER_BUDGET), took(2.0)), NOW_S, "main")
    known = {"m": {"a": (Sample(1.0, 9.0),), "b": (Sample(1.0, 9.0),)}}

    assert [one.seconds for one in replaced(known, "m", {"a": samples})["m"]["a"]] == [2.0, 3.0]
    assert replaced(known, "m", {"a": samples})["m"]["b"] == known["m"]["b"]


def test_samples_from_the_future_are_left_out_and_counted() -> None:
    known = {"m": {"a": (Sample(NOW_S, 1.0), Sample(NOW_S + 2 * 86_400, 2.0))}}

    assert from_json(to_json(known), NOW_S) == ({"m": {"a": (Sample(NOW_S, 1.0),)}}, 1)


def document(**changed: object) -> bytes:
    return json.dumps({"format": "sergas-history", "version": 1, "machines": {}, **changed}).encode()


@pytest.mark.parametrize(
    ("data", "message", "newer"),
    [
        pytest.param(b"{", "is not whole JSON (JSONDecodeError)", False, id="half"),
        pytest.param(b"\xff", "is not whole JSON (UnicodeDecodeError)", False, id="bytes"),
        pytest.param(b"[" * 100_000, "is not whole JSON (RecursionError)", False, id="deep"),
        pytest.param(b"[]", 'is not a history: "format" is not "sergas-history"', False, id="list"),
        pytest.param(document(version=2), 'has another "version" than 1: 2', True, id="later version"),
        pytest.param(document(version="x"), "has another \"version\" than 1: 'x'", False, id="no version"),
        pytest.param(document(machines=[]), 'has no table "machines" of tables', False, id="no machines"),
        pytest.param(document(machines={"m": 1}), 'has no table "machines" of tables', False, id="no tests"),
        pytest.param(
            document(machines={"m": {"a": 1}}), "has an entry that is no list of samples: 'a'", False, id="no list"
        ),
        *(
            pytest.param(
                document(machines={"m": {"a": [entry]}}), "has an entry that is no sample: 'a'", False, id=str(entry)
            )
            for entry in ([1, 2], [1, -1, "b"], [-1, 1, "b"], [1, float("nan"), "b"], [1, 1, None], "x")
        ),
    ],
)
def test_file_that_is_none_says_why(data: bytes, message: str, newer: bool) -> None:  # noqa: FBT001
    with pytest.raises(BaselinesError) as caught:
        from_json(data, NOW_S)

    assert (str(caught.value), caught.value.newer) == (message, newer)
