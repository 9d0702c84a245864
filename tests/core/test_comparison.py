"""A run beside the one before it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_sergas.core.comparison import Change, compare
from pytest_sergas.core.records import AttemptRecord, Outcome, TestRecord
from tests.publishers.conftest import run_of

pytestmark = pytest.mark.unit


def made(name: str, outcome: Outcome = Outcome.PASSED, call_s: float = 0.1) -> TestRecord:
    attempt = AttemptRecord(Outcome.PASSED if outcome is Outcome.FLAKY else outcome, call_s=call_s)
    return TestRecord(name, "unit", outcome, (attempt,))


def names(tests: Iterable[TestRecord | Change]) -> list[str]:
    return [(test.now if isinstance(test, Change) else test).node_id for test in tests]


def test_what_succeeded_before_and_fails_now_broke() -> None:
    found = compare(
        run_of(made("a", Outcome.FAILED), made("b", Outcome.TIMEOUT), made("c", Outcome.FAILED), made("d")),
        run_of(made("a"), made("b", Outcome.FLAKY), made("c", Outcome.ERROR), made("d")),
    )

    assert names(found.broke) == ["a", "b"]
    assert not found.repaired


def test_what_failed_before_and_succeeds_now_is_repaired() -> None:
    found = compare(
        run_of(made("a"), made("b", Outcome.FLAKY), made("c", Outcome.SKIPPED)),
        run_of(made("a", Outcome.FAILED), made("b", Outcome.CRASHED), made("c", Outcome.FAILED)),
    )

    assert names(found.repaired) == ["a", "b"]


def test_what_only_one_of_them_has_came_or_went() -> None:
    found = compare(run_of(made("a"), made("new")), run_of(made("a"), made("old")))

    assert (names(found.added), names(found.gone)) == (["new"], ["old"])


def test_what_takes_half_as_long_again_is_slower_the_greatest_loss_first() -> None:
    found = compare(
        run_of(made("a", call_s=0.2), made("b", call_s=3.0), made("c", call_s=0.14), made("d", Outcome.FAILED, 9.0)),
        run_of(made("a"), made("b", call_s=1.0), made("c"), made("d")),
    )

    assert names(found.slower) == ["b", "a"]
    assert found.took_s == pytest.approx((12.34, 1.3))


def test_milliseconds_are_not_slower() -> None:
    found = compare(run_of(made("a", call_s=0.04)), run_of(made("a", call_s=0.001)))

    assert found.is_empty


def test_same_run_differs_in_nothing() -> None:
    run = run_of(made("a"), made("b", Outcome.FAILED))

    assert compare(run, run).is_empty
