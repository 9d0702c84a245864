"""Whether a call became slower: ranks and medians together."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.budgets import ATTEMPTS
from pytest_sergas.core.regression import ALPHA, LEAST_HISTORY, chance, compare

pytestmark = pytest.mark.unit

FEW = st.lists(st.integers(0, 20).map(float), min_size=1, max_size=4)


def counted(before: list[float], now: list[float]) -> float:
    """Return the same by looking at every order."""
    greater = sum(one > other for one in now for other in before)
    places = range(len(before) + len(now))
    orders = [set(chosen) for chosen in combinations(places, len(now))]
    as_high = [
        chosen for chosen in orders if sum(one > other for one in chosen for other in set(places) - chosen) >= greater
    ]
    return len(as_high) / len(orders)


@given(FEW, FEW)
def test_chance_is_the_share_of_orders_that_rank_as_high(before: list[float], now: list[float]) -> None:
    assert chance(before, now) == pytest.approx(counted(before, now))


@given(FEW, FEW)
def test_chance_is_one(before: list[float], now: list[float]) -> None:
    assert 0 < chance(before, now) <= 1


@given(FEW)
def test_equal_values_are_never_slower(values: list[float]) -> None:
    assert chance([values[0]] * 9, [values[0]] * 5) == 1.0


def test_least_history_is_the_least_with_which_three_attempts_can_be_sure() -> None:
    assert 1 / comb(ATTEMPTS + LEAST_HISTORY, ATTEMPTS) <= ALPHA < 1 / comb(ATTEMPTS + LEAST_HISTORY - 1, ATTEMPTS)


def test_one_outlier_does_not_make_slower() -> None:
    found = compare([1.0] * 10, [1.0, 1.0, 50.0])

    assert (found.slower_by, found.is_sure) == (0.0, False)


def test_slower_is_said_at_the_median() -> None:
    found = compare([1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98], [1.3, 1.25, 9.0])

    assert (found.before_s, found.now_s, found.is_sure) == (1.0, 1.3, True)
    assert found.slower_by == pytest.approx(0.3)


def test_faster_is_not_slower() -> None:
    assert compare([2.0] * 7, [1.0] * 3).slower_by == 0.0


def test_what_took_no_time_cannot_become_slower() -> None:
    assert compare([0.0] * 7, [1.0] * 3).slower_by == 0.0
