"""The interval in which a share lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.proportion import Interval, wilson

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [  # R's prop.test(count, total, correct = FALSE)
        pytest.param(1, 10, 0.017876, 0.404150, id="few"),
        pytest.param(50, 100, 0.403832, 0.596168, id="half"),
        pytest.param(0, 10, 0.0, 0.277533, id="none"),
        pytest.param(10, 10, 0.722467, 1.0, id="all"),
    ],
)
def test_interval_is_wilsons(count: int, total: int, low: float, high: float) -> None:
    found = wilson(count, total)

    assert [found.low, found.high] == pytest.approx([low, high], abs=5e-7)


def test_nothing_seen_may_be_anything() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)


@given(st.integers(1, 10**6).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_interval_holds_the_share_and_lies_between_0_and_1(seen: tuple[int, int]) -> None:
    count, total = seen
    found = wilson(count, total)

    assert 0.0 <= found.low <= count / total <= found.high <= 1.0


@given(st.integers(1, 1_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_interval_of_what_did_not_happen_is_the_mirror(seen: tuple[int, int]) -> None:
    count, total = seen
    one, other = wilson(count, total), wilson(total - count, total)

    assert [1 - one.low, 1 - one.high] == pytest.approx([other.high, other.low])


@given(st.integers(1, 1_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_more_of_the_same_makes_surer(seen: tuple[int, int]) -> None:
    count, total = seen
    few, many = wilson(count, total), wilson(10 * count, 10 * total)

    assert many.high - many.low < few.high - few.low
