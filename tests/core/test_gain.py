"""When a run with workers is said to have been no gain."""

from __future__ import annotations

import pytest

from pytest_sergas.core.gain import WorkerTimes, no_gain
from pytest_sergas.core.records import Outcome, TestRecord
from tests.publishers.conftest import attempt, record

pytestmark = pytest.mark.unit


def took(seconds: float, *, start_s: float = 1_000.0) -> TestRecord:
    return record("a", attempt(start_s=start_s, setup_s=0.0, call_s=seconds, teardown_s=0.0))


def test_small_tests_that_take_longer_with_workers_are_no_gain() -> None:
    workers = [WorkerTimes(9.0, 12.0), WorkerTimes(10.0, 13.0)]

    assert no_gain([took(0.0002)] * 1000, workers, 82.0) == (
        "parallel was no gain: 82.0 s with workers, about 35.0 s without (10.0 s to collect, 25.0 s for the tests)"
    )


@pytest.mark.parametrize(
    ("tests", "computed_s"),
    [
        pytest.param([took(60.0), took(60.0)], 1.0, id="tests that wait"),
        pytest.param([took(0.001)], 119.0, id="tests that cost pytest more than themselves"),
        pytest.param(
            [
                record(
                    "a",
                    attempt(Outcome.FAILED, start_s=0.0, setup_s=0.0, call_s=1.0, teardown_s=0.0),
                    attempt(start_s=119.0, setup_s=0.0, call_s=1.0, teardown_s=0.0),
                )
            ],
            1.0,
            id="delay between attempts",
        ),
    ],
)
def test_what_the_tests_take_alone_is_not_held_against_the_workers(tests: list[TestRecord], computed_s: float) -> None:
    workers = [WorkerTimes(2.0, computed_s)]

    assert no_gain(tests, workers, 121.0) == ""
    assert no_gain(tests, workers, 150.0)


@pytest.mark.parametrize(
    ("alone_s", "wall_s", "said"),
    [
        pytest.param(1.0, 10.9, False, id="little time"),
        pytest.param(1.0, 11.1, True, id="enough time"),
        pytest.param(1_000.0, 1_099.0, False, id="small share"),
        pytest.param(1_000.0, 1_101.0, True, id="enough share"),
    ],
)
def test_loss_must_be_worth_a_line(alone_s: float, wall_s: float, said: bool) -> None:  # noqa: FBT001
    assert bool(no_gain([took(alone_s)], [WorkerTimes(0.0, 0.0)], wall_s)) == said


def test_nothing_is_said_where_no_worker_reached_its_end() -> None:
    assert no_gain([took(1.0)], [], 1_000.0) == ""


def test_nothing_is_said_where_the_end_of_a_test_is_not_known() -> None:
    crashed = record("a", attempt(Outcome.CRASHED, setup_s=None, call_s=None, teardown_s=None))

    assert no_gain([crashed], [WorkerTimes(1.0, 1.0)], 1_000.0) == ""
