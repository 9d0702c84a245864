"""Series: labels as Prometheus has them, values at a moment and in a window, bounded by count and age."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.series import LOOKBACK_S, Labels, Matcher, Series, canonical, honored, seen

pytestmark = pytest.mark.unit

MANY = 10_000
TARGET: Labels = (("instance", "db:9100"), ("job", "node"))


def series(*times_s: float, keep_s: float = 1e9, limit: int = MANY) -> Series:
    """Return a series whose values are its times."""
    filled = Series("up", (), keep_s)
    for time_s in times_s:
        filled.append(time_s, time_s, limit)
    return filled


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param((), (("instance", "db:9100"), ("job", "node")), id="none"),
        pytest.param((("job", "shop"),), (("instance", "db:9100"), ("job", "shop")), id="the page's own stays"),
        pytest.param((("instance", ""),), (("job", "node"),), id="empty keeps the target's away"),
        pytest.param((("b", "2"), ("a", "")), (("b", "2"), ("instance", "db:9100"), ("job", "node")), id="empty goes"),
    ],
)
def test_labels_of_the_page_are_honored(labels: Labels, expected: Labels) -> None:
    assert honored(labels, TARGET) == expected


@given(st.permutations([("a", "1"), ("b", "2"), ("c", "")]))
def test_canonical_labels_do_not_depend_on_their_order(labels: list[tuple[str, str]]) -> None:
    assert canonical(labels) == (("a", "1"), ("b", "2"))


def test_series_of_a_family_have_the_names_of_its_samples() -> None:
    family = Family("d", "histogram", "", (Sample((("le", "1"),), 2, "_bucket"), Sample((), 3, "_count")))

    assert seen([family], ()) == {"d_bucket": [((("le", "1"),), 2)], "d_count": [((), 3)]}


@pytest.mark.parametrize(
    ("op", "value", "given_value", "holds"),
    [
        pytest.param("=", "a", "a", True, id="equal"),
        pytest.param("=", "a", "ab", False, id="not equal"),
        pytest.param("=", "", "", True, id="not there is empty"),
        pytest.param("!=", "a", "b", True, id="different"),
        pytest.param("!=", "a", "a", False, id="not different"),
        pytest.param("=~", "a|bc", "bc", True, id="regex"),
        pytest.param("=~", "b", "abc", False, id="regex matches the whole value"),
        pytest.param("=~", "a|b.*", "a\n", False, id="regex and a newline"),
        pytest.param("!~", "a.*", "b", True, id="no match"),
        pytest.param("!~", "a.*", "ab", False, id="match"),
    ],
)
def test_matcher(op: Literal["=", "!=", "=~", "!~"], value: str, given_value: str, holds: bool) -> None:  # noqa: FBT001
    assert Matcher("x", op, value).predicate()(given_value) is holds


def test_matcher_with_a_bad_regular_expression_says_why() -> None:
    with pytest.raises(
        ValueError, match=r"^not a regular expression of RE2: '\(\?=a\)': invalid perl operator: \(\?=$"
    ):
        Matcher("x", "=~", "(?=a)").predicate()


@pytest.mark.parametrize(
    ("time_s", "value"),
    [
        pytest.param(9.9, None, id="before the first"),
        pytest.param(10.0, 10.0, id="at a sample"),
        pytest.param(15.0, 10.0, id="between"),
        pytest.param(20.0 + LOOKBACK_S, 20.0, id="as old as may be"),
        pytest.param(20.1 + LOOKBACK_S, None, id="too old"),
    ],
)
def test_value_at_a_moment_is_that_of_the_last_sample(time_s: float, value: float | None) -> None:
    assert series(10.0, 20.0).at(time_s) == value


def test_series_that_has_ended_has_no_value_until_it_is_back() -> None:
    gone = series(10.0)
    gone.end(15.0)

    assert [gone.at(time_s) for time_s in (14.0, 15.0, 100.0)] == [10.0, None, None]

    gone.append(20.0, 20.0, MANY)

    assert [gone.at(time_s) for time_s in (14.0, 15.0, 19.0, 20.0)] == [10.0, None, None, 20.0]


def test_series_that_ends_with_its_last_sample_has_no_value() -> None:
    gone = series(10.0)
    gone.end(10.0)

    assert gone.at(10.0) is None


def test_series_that_is_back_at_the_moment_of_its_end_has_not_ended() -> None:
    back = series(10.0)
    back.end(20.0)
    back.append(20.0, 7.0, MANY)

    assert back.at(20.0) == 7.0


def test_window_holds_both_of_its_ends_and_looks_past_the_end_of_a_series() -> None:
    gone = series(10.0, 20.0, 30.0)
    gone.end(35.0)

    assert [list(part) for part in gone.window(20.0, 40.0)] == [[20.0, 30.0], [20.0, 30.0]]
    assert [list(part) for part in gone.window(31.0, 40.0)] == [[], []]


def test_second_sample_of_a_moment_replaces_the_first() -> None:
    twice = series(10.0)

    assert twice.append(10.0, 5.0, MANY) == 0
    assert (list(twice.times_s), list(twice.values)) == ([10.0], [5.0])


def test_nan_is_a_value() -> None:
    odd = Series("up", ())
    odd.append(1.0, math.nan, MANY)

    value = odd.at(1.0)
    assert value is not None
    assert math.isnan(value)


@given(st.lists(st.floats(0, 100), min_size=1), st.integers(2, 50))
def test_no_more_samples_than_the_limit_and_the_last_ones_are_kept(gaps_s: list[float], limit: int) -> None:
    filled = Series("up", (), 1e9)
    time_s, kept = 0.0, 0
    all_times = []
    for gap_s in gaps_s:
        time_s += gap_s + 0.001
        all_times.append(time_s)
        kept += filled.append(time_s, time_s, limit)

    assert kept == len(filled.times_s) <= limit
    assert list(filled.times_s) == all_times[-len(filled.times_s) :]
    assert len(filled.times_s) >= min(len(all_times), limit - max(1, limit // 8))


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(1, 500))
def test_samples_within_the_age_are_kept_and_much_older_ones_are_not(gaps_s: list[float], keep_s: float) -> None:
    filled = Series("up", (), keep_s)
    time_s = 0.0
    all_times = []
    for gap_s in gaps_s:
        time_s += gap_s + 0.001
        all_times.append(time_s)
        filled.append(time_s, time_s, MANY)

    assert list(filled.times_s)[-1] == time_s
    within = [moment for moment in all_times if moment >= time_s - keep_s]
    assert list(filled.window(time_s - keep_s, time_s)[0]) == within
    assert filled.times_s[0] >= time_s - 1.125 * keep_s - 1e-6


def test_ends_that_nobody_can_see_any_more_are_dropped() -> None:
    flapping = Series("up", (), 10.0)
    for second in range(1_000):
        flapping.append(second, 1.0, MANY)
        flapping.end(second + 0.5)

    assert len(flapping.ends_s) <= 13


moments = st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=60)


@given(moments, st.integers(0, 3_000))
def test_value_at_any_moment_is_what_a_list_of_events_says(events: list[tuple[bool, int]], when: int) -> None:
    """The model: the last event at or before the moment decides, a sample gives its value, an end none."""
    subject = Series("up", (), 1e9)
    model: dict[int, int | None] = {}
    time_s = 0
    for is_sample, gap in events:
        time_s += gap
        if is_sample:
            subject.append(time_s, time_s, MANY)
            model[time_s] = time_s
        elif any(value is not None for value in model.values()):
            subject.end(time_s)
            model[time_s] = None

    before = [moment for moment in model if moment <= when]
    last = max(before, default=None)
    expected = None if last is None else model[last]
    if expected is not None and expected < when - LOOKBACK_S:
        expected = None
    assert subject.at(when) == expected
