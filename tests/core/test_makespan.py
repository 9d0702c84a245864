"""How long a plan takes: within the bounds of list scheduling, stages one after the other, caps kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.makespan import makespan_s
from pytest_sergas.core.plan import Collected, History, Rules, plan

pytestmark = pytest.mark.unit


def estimate_s(seconds: list[float], workers: int, *, types: list[str] | None = None, **caps: int) -> float:
    names = types or ["unit"] * len(seconds)
    tests = [Collected(str(place), name, exclusive=name == "load") for place, name in enumerate(names)]
    rules = Rules(caps=caps)
    history = History({str(place): duration for place, duration in enumerate(seconds)})
    return makespan_s(plan(tests, rules, history, workers=workers), workers)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.integers(1, 8))
def test_estimate_is_at_most_the_longest_unit_above_the_mean(seconds: list[float], workers: int) -> None:
    bound_s = max(sum(seconds) / workers, *seconds)

    assert bound_s * (1 - 1e-9) <= estimate_s(seconds, workers) <= (sum(seconds) / workers + max(seconds)) * (1 + 1e-9)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_one_worker_takes_the_sum(seconds: list[float]) -> None:
    assert estimate_s(seconds, 1) == pytest.approx(sum(seconds))


def test_capped_type_takes_no_more_workers() -> None:
    assert estimate_s([1.0] * 4, 4, types=["e2e"] * 4, e2e=2) == 2.0


def test_others_run_beside_a_capped_type() -> None:
    assert estimate_s([1.0] * 4, 2, types=["e2e", "e2e", "unit", "unit"], e2e=1) == 2.0


def test_exclusive_tests_run_one_after_the_other_behind_the_others() -> None:
    assert estimate_s([1.0, 1.0, 2.0, 2.0], 2, types=["unit", "unit", "load", "load"]) == 5.0


def test_nothing_takes_no_time() -> None:
    assert makespan_s(plan([], Rules(), History(), workers=2), 2) == 0.0
