"""Who ran what when."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from pytest_sergas.core.records import AttemptRecord, Outcome, TestRecord, final_outcome
from pytest_sergas.core.timeline import timeline
from tests.publishers.conftest import run_of

pytestmark = pytest.mark.unit


def ran(name: str, *attempts: tuple[str, float, float, Outcome]) -> TestRecord:
    tried = tuple(
        AttemptRecord(outcome, start_s=start_s, call_s=call_s, worker=worker)
        for worker, start_s, call_s, outcome in attempts
    )
    return TestRecord(name, "unit", final_outcome([attempt.outcome for attempt in tried]), tried)


P, F = Outcome.PASSED, Outcome.FAILED


def classes(svg: str) -> list[str]:
    return [element.get("class", "") for element in ET.fromstring(svg).iter("path")]  # noqa: S314  our own


def test_each_worker_has_a_row_in_the_order_of_their_numbers() -> None:
    found = timeline(run_of(*(ran(f"t{n}", (f"gw{n}", 100.0, 1.0, P)) for n in (10, 9, 0))))

    assert found is not None
    assert found.workers == ("gw0", "gw9", "gw10")
    assert classes(found.svg).count("lane") == 3


def test_end_with_one_busy_worker_is_marked() -> None:
    run = run_of(ran("a", ("gw0", 100.0, 2.0, P)), ran("b", ("gw1", 100.0, 2.0, P)), ran("c", ("gw1", 102.0, 4.0, P)))

    found = timeline(run)

    assert found is not None
    assert (found.took_s, found.alone_s) == (6.0, 4.0)
    assert "alone" in classes(found.svg)


def test_single_process_is_never_marked() -> None:
    found = timeline(run_of(ran("a", ("", 100.0, 2.0, P))))

    assert found is not None
    assert (found.workers, found.alone_s) == (("the only process",), 0.0)
    assert "alone" not in classes(found.svg)


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
