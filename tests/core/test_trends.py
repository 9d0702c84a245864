"""Five minutes of a series, an hour of them as bytes, and when a disk will be full."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.trends import (
    BUCKET_S,
    HOUR_BYTES,
    HOUR_S,
    NOTHING,
    Bucket,
    Outlook,
    bucket,
    coarser,
    hour_of,
    put,
    united,
    until_used_up,
)

pytestmark = pytest.mark.unit

VALUES = st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.integers(0, HOUR_S - 1)


def joined(at_s: float, values: Sequence[float]) -> Bucket:
    first, *rest = (bucket(at_s, value) for value in values)
    for one in rest:
        first = first.joined(one)
    return first


def test_bucket_has_least_mean_and_greatest() -> None:
    assert joined(1_234.5, [3, 1, 8]) == Bucket(1_200, 1, 4, 8, 3)


@given(st.lists(VALUES, min_size=1, max_size=30))
def test_mean_is_finite_and_between_the_bounds_however_large_the_values(values: list[float]) -> None:
    found = joined(0, values)

    assert (found.least, found.greatest, found.count) == (min(values), max(values), len(values))
    assert found.least <= found.mean <= found.greatest
    assert math.isfinite(found.mean)


@given(st.lists(st.tuples(MOMENTS, st.floats(-1e6, 1e6)), max_size=60))
def test_hour_of_bytes_has_what_was_put_there(found: list[tuple[int, float]]) -> None:
    hour = NOTHING
    for at_s, value in found:
        hour = put(hour, bucket(7_200 + at_s, value))

    buckets = hour_of(7_200, hour)
    assert len(hour) == HOUR_BYTES
    assert [one.start_s for one in buckets] == sorted({7_200 + int(at_s // BUCKET_S) * BUCKET_S for at_s, _ in found})
    for one in buckets:
        values = [value for at_s, value in found if one.start_s <= 7_200 + at_s < one.start_s + BUCKET_S]
        assert (one.least, one.greatest, one.count) == (min(values), max(values), len(values))
        assert one.mean == pytest.approx(sum(values) / len(values), abs=1e-3)


def test_what_waits_is_joined_with_what_is_stored_and_counts_once() -> None:
    before, here, just_stored = bucket(0, 1), bucket(300, 5), bucket(600, 7)

    found = united([before, here, just_stored], [bucket(300, 3), just_stored, bucket(900, 9)])

    assert found == [before, Bucket(300, 3, 4, 5, 2), just_stored, bucket(900, 9)]


def test_coarser_buckets_keep_the_extremes() -> None:
    found = coarser([bucket(0, 1), bucket(300, 9), bucket(900, 4)], 900)

    assert found == [Bucket(0, 1, 5, 9, 2), Bucket(900, 4, 4, 4)]


HOURS = [300.0 * number for number in range(25)]


@pytest.mark.parametrize(
    ("points", "outlook", "left_s"),
    [
        pytest.param(
            [(at, 10_000 - at) for at in HOURS], Outlook.SHRINKING, pytest.approx(2_800), id="one byte a second"
        ),
        pytest.param(
            [(at, 10_000 - at + 100 * (-1) ** n) for n, at in enumerate(HOURS)],
            Outlook.SHRINKING,
            pytest.approx(2_900, rel=0.05),
            id="with noise",
        ),
        pytest.param([(at, -at) for at in HOURS], Outlook.SHRINKING, 0, id="used up"),
        pytest.param([(at, 5.0) for at in HOURS], Outlook.STEADY, None, id="constant"),
        pytest.param([(at, at) for at in HOURS], Outlook.STEADY, None, id="grows"),
        pytest.param(
            [(at, 9_000 - 5_000 * (n % 5) / 4) for n, at in enumerate(HOURS)], Outlook.UNSTEADY, None, id="a sawtooth"
        ),
        pytest.param([(at, 9_000 - at) for at in HOURS[:12]], Outlook.TOO_SHORT, None, id="less than an hour"),
        pytest.param([(0, 9), (9_000, 8)], Outlook.TOO_SHORT, None, id="two values"),
        pytest.param([], Outlook.TOO_SHORT, None, id="nothing"),
    ],
)
def test_time_until_used_up_is_that_of_a_line(
    points: list[tuple[float, float]], outlook: Outlook, left_s: float | None
) -> None:
    found = until_used_up(points)

    assert (found.outlook, found.left_s) == (outlook, left_s)


@given(st.lists(st.tuples(st.floats(0, 1e10), VALUES), max_size=40))
def test_every_past_has_an_outlook(points: list[tuple[float, float]]) -> None:
    found = until_used_up(sorted(points))

    assert found.left_s is None or found.left_s >= 0
