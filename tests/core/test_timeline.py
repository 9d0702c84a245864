"""Who ran what when."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from pytest_sergas.core.records import AttemptRecord, Outcome, TestRecord, final_outcome
from pytest_sergas.core.timeline import timeline
from tests.publishers.conftest import run_of

pytestmark = pytest.mark.unit


def ran(name: str, *attempts: tuple[str, float, float, Outcome], exclusive: bool = False) -> TestRecord:
    tried = tuple(
        AttemptRecord(outcome, start_s=start_s, call_s=call_s, worker=worker)
        for worker, start_s, call_s, outcome in attempts
    )
    outcome = final_outcome([attempt.outcome for attempt in tried])
    return TestRecord(name, "unit", outcome, tried, exclusive=exclusive)


P, F = Outcome.PASSED, Outcome.FAILED


def classes(svg: str) -> list[str]:
    return [element.get("class", "") for element in ET.fromstring(svg).iter("path")]  # noqa: S314  our own


def test_each_worker_has_a_row_in_the_order_of_their_numbers() -> None:
    found = timeline(run_of(*(ran(f"t{n}", (f"gw{n}", 100.0, 1.0, P)) for n in (10, 9, 0))))

    assert found is not None
    assert found.workers == ("gw0", "gw9", "gw10")
    assert classes(found.svg).count("lane") == 3


def marked(svg: str) -> list[str]:
    return [element.get("d", "") for element in ET.fromstring(svg).iter("path") if element.get("class") == "alone"]  # noqa: S314  our own


def test_exclusive_tests_that_follow_one_another_are_marked_as_one() -> None:
    run = run_of(
        ran("a", ("gw0", 100.0, 2.0, P)),
        ran("b", ("gw1", 100.0, 4.0, P)),
        ran("c", ("gw1", 104.0, 2.0, P), exclusive=True),
        ran("d", ("gw1", 106.0, 1.0, F), ("gw1", 107.0, 1.0, P), exclusive=True),
        ran("e", ("gw0", 108.0, 2.0, P)),
    )

    found = timeline(run)

    assert found is not None
    assert (found.took_s, found.exclusive_s) == (10.0, 4.0)
    assert marked(found.svg) == ["M400 0h400v38h-400z"]


def test_ordinary_test_that_outlasts_the_others_is_not_marked() -> None:
    found = timeline(run_of(ran("a", ("gw0", 100.0, 1.0, P)), ran("b", ("gw1", 100.0, 9.0, P))))

    assert found is not None
    assert (found.exclusive_s, marked(found.svg)) == (0.0, [])


def test_exclusive_test_of_a_shard_is_marked_over_the_rows_of_this_shard() -> None:
    run = run_of(
        ran("a", ("1/2 gw0", 100.0, 10.0, P)),
        ran("b", ("2/2 gw0", 100.0, 1.0, P)),
        ran("c", ("2/2 gw1", 105.0, 5.0, P), exclusive=True),
    )

    found = timeline(run)

    assert found is not None
    assert (found.exclusive_s, marked(found.svg)) == (5.0, ["M500 22h500v38h-500z"])


def test_single_process_has_one_row() -> None:
    found = timeline(run_of(ran("a", ("", 100.0, 2.0, P))))

    assert found is not None
    assert found.workers == ("the only process",)


def test_attempts_are_shown_by_what_became_of_them() -> None:
    run = run_of(
        ran("a", ("", 100.0, 1.0, P)),
        ran("b", ("", 101.0, 1.0, F)),
        ran("c", ("", 102.0, 1.0, F), ("", 103.0, 1.0, P)),
        ran("d", ("", 104.0, 0.0, Outcome.SKIPPED)),
    )

    found = timeline(run)

    assert found is not None
    assert classes(found.svg) == ["lane", "passed", "skipped", "failed", "flaky"]
    assert "<title>b: failed, 1.0 s</title>" in found.svg
    assert "<title>c: failed, 1.0 s</title>" in found.svg


def test_two_thousand_tests_are_a_few_shapes() -> None:
    found = timeline(run_of(*(ran(f"t{n}", ("", 100.0 + n, 0.5, P)) for n in range(2_000))))

    assert found is not None
    assert classes(found.svg) == ["lane", "passed"]


def test_run_that_says_no_times_has_no_timeline() -> None:
    assert timeline(run_of(ran("a", ("", 0.0, 1.0, P)))) is None
    assert timeline(run_of()) is None
