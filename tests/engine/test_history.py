"""The history: what is selected is kept, what vanished ends at once, and nothing grows without end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.clock import Now
from pytest_sergas.core.series import LOOKBACK_S, Labels, Matcher, Series, canonical
from pytest_sergas.engine.history import History, HistoryError, Selection

pytestmark = pytest.mark.unit

Page = Mapping[str, Sequence[tuple[Labels, float]]]


def at(second: float) -> Now:
    return Now(second, 1_700_000_000 + second)


def history(*, limit: int = 1_000, max_age_s: float = 3_600.0, series_limit: int = 1_000) -> History:
    return History(limit=limit, max_age_s=max_age_s, series_limit=series_limit)


def named(name: str, **labels: str) -> tuple[Matcher, ...]:
    return (Matcher("__name__", "=", name), *(Matcher(label, "=", value) for label, value in labels.items()))


def page(*names: str, value: float = 1.0, **labels: str) -> Page:
    return {name: [(canonical(labels.items()), value)] for name in names}


def shown(found: Sequence[Series], second: float) -> dict[str, float | None]:
    """Series as people write them → value."""
    return {
        f"{series.name}{{{','.join(f'{label}={value}' for label, value in series.labels)}}}": series.at(second)
        for series in found
    }


def own_metrics(kept: History) -> dict[str, float]:
    return {family.name: sample.value for family in kept.families(at(0)) for sample in family.samples}


def test_what_is_selected_is_kept_with_its_samples() -> None:
    kept = history()
    selection = kept.select(named("up", job="shop"))
    for second in range(3):
        kept.record("x", at(second), page("up", value=second, job="shop"))

    [series] = kept.find(selection)
    assert (series.name, series.labels) == ("up", (("job", "shop"),))
    assert [list(part) for part in series.window(0, 2)] == [[0, 1, 2], [0, 1, 2]]


def test_what_nobody_selects_is_not_kept() -> None:
    kept = history()
    selection = kept.select(named("up", job="shop"))
    kept.record("x", at(0), {**page("up", job="node"), **page("down", job="shop")})

    assert shown(kept.find(selection), 0) == {}
    assert own_metrics(kept)["sergas_history_series"] == 0


@pytest.mark.parametrize(
    ("matchers", "found"),
    [
        pytest.param((("__name__", "=", "up"),), {"up{job=a}", "up{job=b,zone=1}", "up{}"}, id="name alone"),
        pytest.param((("job", "=", "a"),), {"up{job=a}", "load{job=a}"}, id="no name"),
        pytest.param((("__name__", "=~", "lo.*"),), {"load{job=a}"}, id="name as a regular expression"),
        pytest.param((("__name__", "=", "up"), ("zone", "=", "")), {"up{job=a}", "up{}"}, id="label not there"),
        pytest.param((("__name__", "=", "up"), ("job", "!=", "a")), {"up{job=b,zone=1}", "up{}"}, id="not equal"),
        pytest.param((("__name__", "=", "up"), ("job", "!~", "a|b")), {"up{}"}, id="not matching"),
        pytest.param((("job", "=~", ".+"), ("zone", "=", "1")), {"up{job=b,zone=1}"}, id="several"),
        pytest.param((("__name__", "=", "up"), ("job", "=", "a"), ("job", "=", "b")), set(), id="contradiction"),
    ],
)
@pytest.mark.parametrize("first", ["select", "record"])
def test_matchers_select_as_in_promql(
    matchers: tuple[tuple[str, Literal["=", "!=", "=~", "!~"], str], ...], found: set[str], first: str
) -> None:
    kept = history()
    present: Page = {
        "up": [((("job", "a"),), 1.0), ((("job", "b"), ("zone", "1")), 1.0), ((), 1.0)],
        "load": [((("job", "a"),), 1.0)],
    }
    everything = kept.select([Matcher("__name__", "=~", ".+")]) if first == "record" else None
    if everything is not None:
        kept.record("x", at(0), present)
    selection = kept.select(Matcher(*matcher) for matcher in matchers)
    kept.record("x", at(1), present)

    assert set(shown(kept.find(selection), 1)) == found


def test_selecting_later_takes_over_the_samples_that_somebody_else_kept() -> None:
    kept = history()
    kept.select(named("up"))
    kept.record("x", at(0), page("up", job="shop"))
    later = kept.select(named("up", job="shop"))

    assert [list(series.times_s) for series in kept.find(later)] == [[0.0]]


def test_selecting_later_what_nobody_kept_begins_with_the_next_record() -> None:
    kept = history()
    kept.select(named("up", job="node"))
    kept.record("x", at(0), page("up", job="shop"))
    later = kept.select(named("up", job="shop"))
    kept.record("x", at(1), page("up", job="shop"))

    assert [list(series.times_s) for series in kept.find(later)] == [[1.0]]


def test_same_matchers_in_any_order_are_one_selection() -> None:
    kept = history()

    assert kept.select(named("up", a="1", b="2")) is kept.select(reversed(named("up", a="1", b="2")))


def test_selection_is_kept_until_its_last_user_has_released_it() -> None:
    kept = history()
    first, second = kept.select(named("up")), kept.select(named("up"))
    kept.record("x", at(0), page("up"))
    kept.release(first)
    kept.record("x", at(1), page("up"))
    assert own_metrics(kept) == {
        "sergas_history_series": 1,
        "sergas_history_samples": 2,
        "sergas_history_refused_total": 0,
    }

    kept.release(second)
    kept.record("x", at(2), page("up"))

    assert own_metrics(kept) == {
        "sergas_history_series": 0,
        "sergas_history_samples": 0,
        "sergas_history_refused_total": 0,
    }
    assert not kept.wants("up")


def test_released_series_that_another_selection_has_stays() -> None:
    kept = history()
    wide, narrow = kept.select(named("up"), window_s=3_000), kept.select(named("up", job="a"), window_s=600)
    kept.record("x", at(0), page("up", job="a"))
    kept.release(wide)
    kept.record("x", at(1), page("up", job="a"))

    [series] = kept.find(narrow)
    assert (len(series.times_s), series.keep_s) == (2, 600)


def test_series_that_its_source_does_not_bring_again_ends_at_once() -> None:
    kept = history()
    selection = kept.select(named("up"))
    kept.record("x", at(0), {"up": [((("job", "a"),), 1.0), ((("job", "b"),), 1.0)]})
    kept.record("x", at(1), page("up", job="b"))

    assert shown(kept.find(selection), 1) == {"up{job=a}": None, "up{job=b}": 1.0}
    assert shown(kept.find(selection), 0.5) == {"up{job=a}": 1.0, "up{job=b}": 1.0}


def test_name_that_its_source_does_not_bring_again_ends_at_once() -> None:
    kept = history()
    selection = kept.select(named("up"))
    kept.record("x", at(0), page("up"))
    kept.record("x", at(1), {})

    assert shown(kept.find(selection), 1) == {"up{}": None}


def test_samples_of_what_has_ended_stay_for_the_windows_that_reach_them() -> None:
    kept = history()
    selection = kept.select(named("up"), window_s=600)
    kept.record("x", at(0), page("up"))
    kept.record("x", at(1), {})
    kept.record("x", at(599), {})

    [series] = kept.find(selection)
    assert list(series.window(0, 600)[0]) == [0.0]


def test_what_has_ended_is_forgotten_when_no_window_reaches_it() -> None:
    kept = history()
    selection = kept.select(named("up"), window_s=600)
    kept.record("x", at(0), page("up"))
    kept.record("x", at(1), {})
    kept.record("x", at(700), {})

    assert shown(kept.find(selection), 700) == {}
    assert own_metrics(kept)["sergas_history_samples"] == 0


def test_series_that_comes_back_goes_on() -> None:
    kept = history()
    selection = kept.select(named("up"))
    kept.record("x", at(0), page("up"))
    kept.record("x", at(1), {})
    kept.record("x", at(2), page("up"))

    [series] = kept.find(selection)
    assert list(series.times_s) == [0.0, 2.0]
    assert [series.at(second) for second in (0, 1, 2)] == [1.0, None, 1.0]


def test_part_of_a_page_leaves_the_other_names_as_they_are() -> None:
    kept = history()
    up, load = kept.select(named("up")), kept.select(named("load"))
    kept.record("x", at(0), page("up", "load"))
    kept.record("x", at(1), {"up": []}, partial=True)

    assert shown(kept.find(up), 1) == {"up{}": None}
    assert shown(kept.find(load), 1) == {"load{}": 1.0}


def test_an_update_takes_what_has_changed_and_leaves_the_other_series_as_they_are() -> None:
    kept = history()
    selection = kept.select(named("up"))
    first, second, third = (canonical([("job", job)]) for job in ("a", "b", "c"))
    kept.record("x", at(0), {"up": [(first, 1.0), (second, 1.0)]})
    kept.update("x", at(1), "up", [(second, 2.0), (third, 3.0)], ())

    assert shown(kept.find(selection), 1) == {"up{job=a}": 1.0, "up{job=b}": 2.0, "up{job=c}": 3.0}


def test_an_update_ends_what_has_vanished() -> None:
    kept = history()
    selection = kept.select(named("up"))
    kept.record("x", at(0), {"up": [(canonical([("job", job)]), 1.0) for job in ("a", "b")]})
    kept.update("x", at(1), "up", [], [canonical([("job", "a")]), canonical([("job", "unknown")])])

    assert shown(kept.find(selection), 1) == {"up{job=a}": None, "up{job=b}": 1.0}


def test_an_update_does_not_take_the_series_of_another_source() -> None:
    kept = history()
    selection = kept.select(named("up"))
    kept.record("x", at(0), page("up", job="a"))
    kept.update("y", at(1), "up", [(canonical([("job", "a")]), 7.0)], ())

    assert shown(kept.find(selection), 1) == {"up{job=a}": 1.0}


def test_an_update_of_what_nobody_selects_is_not_kept() -> None:
    kept = history()
    kept.update("x", at(0), "up", [((), 1.0)], ())

    assert own_metrics(kept)["sergas_history_series"] == 0


def test_selections_of_a_series_are_known() -> None:
    kept = history()
    both, one = kept.select(named("up")), kept.select(named("up", job="a"))
    kept.select(named("up", job="b"))

    assert list(kept.selecting("up", (("job", "a"),))) in ([one, both], [both, one])


def test_sources_end_their_own_series_only() -> None:
    kept = history()
    selection = kept.select(named("up"))
    kept.record("a", at(0), page("up", job="a"))
    kept.record("b", at(0), page("up", job="b"))
    kept.record("a", at(1), {})

    assert shown(kept.find(selection), 1) == {"up{job=a}": None, "up{job=b}": 1.0}


def test_series_of_another_source_is_not_taken_from_it_until_it_ends_there() -> None:
    kept = history()
    selection = kept.select(named("up"))
    kept.record("a", at(0), page("up", value=1))
    kept.record("b", at(1), page("up", value=2))
    assert shown(kept.find(selection), 1) == {"up{}": 1.0}

    kept.record("a", at(2), {})
    kept.record("b", at(3), page("up", value=2))

    assert shown(kept.find(selection), 3) == {"up{}": 2.0}


def test_of_a_series_that_stands_twice_on_a_page_the_first_counts() -> None:
    kept = history()
    selection = kept.select(named("up"))
    kept.record("a", at(0), {"up": [((), 1.0), ((), 2.0)]})
    kept.record("a", at(1), {"up": [((), 1.0), ((), 2.0)]})

    assert [list(series.values) for series in kept.find(selection)] == [[1.0, 1.0]]


def test_longest_window_of_all_selections_decides_how_long_samples_are_kept() -> None:
    kept = history(max_age_s=3_600)
    short, long = kept.select(named("up"), window_s=400), kept.select(named("up", job="a"), window_s=3_600)
    for second in range(0, 5_000, 100):
        kept.record("x", at(second), {"up": [((("job", "a"),), 1.0), ((("job", "b"),), 1.0)]})

    counts = {series.labels[0][1]: len(series.window(0, 5_000)[0]) for series in kept.find(short)}
    assert counts["a"] in range(37, 43)
    assert counts["b"] in range(5, 7)
    assert len(kept.find(long)) == 1


@pytest.mark.parametrize(
    "again", [pytest.param(named("up"), id="same"), pytest.param(named("up", job="a"), id="other")]
)
def test_longer_window_that_is_asked_for_later_holds_for_series_that_are_there(again: tuple[Matcher, ...]) -> None:
    kept = history(max_age_s=3_600)
    selection = kept.select(named("up"), window_s=400)
    kept.record("x", at(0), page("up", job="a"))
    kept.select(again, window_s=3_600)
    for second in range(100, 3_000, 100):
        kept.record("x", at(second), page("up", job="a"))

    [series] = kept.find(selection)
    assert series.times_s[0] == 0


def test_samples_are_kept_at_least_as_long_as_an_instant_value_looks_back() -> None:
    kept = history()
    selection = kept.select(named("up"), window_s=0)
    kept.record("x", at(0), page("up"))
    kept.record("x", at(LOOKBACK_S), page("up"))

    assert [len(series.times_s) for series in kept.find(selection)] == [2]


def test_window_that_is_longer_than_the_history_is_refused() -> None:
    with pytest.raises(HistoryError) as raised:
        history(max_age_s=3_600).select(named("up"), window_s=7_200)

    assert str(raised.value) == (
        "a window of 7200 s is longer than the history, 3600 s; shorten it, or make max_age of [collect] longer"
    )


def test_no_more_samples_of_a_series_than_the_limit() -> None:
    kept = history(limit=10)
    selection = kept.select(named("up"))
    for second in range(100):
        kept.record("x", at(second), page("up"))
        assert own_metrics(kept)["sergas_history_samples"] == len(kept.find(selection)[0].times_s) <= 10


def test_new_series_beyond_the_limit_are_refused_and_counted() -> None:
    kept = history(series_limit=2)
    selection = kept.select(named("up"))
    kept.record("x", at(0), {"up": [((("job", str(job)),), 1.0) for job in range(5)]})

    assert len(kept.find(selection)) == 2
    assert own_metrics(kept)["sergas_history_series"] == 2
    assert own_metrics(kept)["sergas_history_refused_total"] == 3


def test_what_has_ended_makes_room_for_what_is_new() -> None:
    kept = history(series_limit=2)
    selection = kept.select(named("up"))
    for second in range(10):
        kept.record("x", at(second), page("up", job=str(second)))

    assert shown(kept.find(selection), 9)["up{job=9}"] == 1.0
    assert own_metrics(kept)["sergas_history_refused_total"] == 0


class Counted(Selection):
    """Counts how often it is compared with a series."""

    __slots__ = ()
    comparisons = 0

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        Counted.comparisons += 1
        return super().matches(name, labels)


@pytest.mark.parametrize("first", ["select", "record"])
def test_new_series_are_compared_with_few_of_many_selections(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    monkeypatch.setattr("pytest_sergas.engine.history.Selection", Counted)
    monkeypatch.setattr(Counted, "comparisons", 0)
    kept = history(series_limit=100_000)
    series = [
        (canonical((("branch", branch), ("job", f"job {job}"))), 1.0)
        for job in range(1_000)
        for branch in ("main", "other")
    ]
    if first == "record":
        kept.select(named("tests"))
        kept.record("x", at(0), {"tests": series})
    for job in range(1_000):
        kept.select(named("tests", branch="main", job=f"job {job}"))
    kept.record("x", at(1), {"tests": series})
    first_time = Counted.comparisons
    kept.record("x", at(2), {"tests": series})

    # Without an index they would be two million.
    assert first_time < 10_000
    assert Counted.comparisons == first_time


jobs = st.sampled_from(["a", "b", "c"])
pages = st.lists(st.tuples(st.sampled_from(["x", "y"]), st.sets(jobs)), max_size=30)


@given(pages)
def test_series_that_has_a_value_is_one_that_its_source_brought_last(records: list[tuple[str, set[str]]]) -> None:
    kept = history()
    selection = kept.select(named("up"))
    last: dict[str, set[str]] = {"x": set(), "y": set()}
    for second, (source, present) in enumerate(records):
        kept.record(source, at(second), {"up": [((("job", f"{source}{job}"),), 1.0) for job in present]})
        last[source] = present
        there = {series.labels[0][1] for series in kept.find(selection) if series.at(second) is not None}
        assert there == {f"{name}{job}" for name, names in last.items() for job in names}
        assert own_metrics(kept)["sergas_history_samples"] == sum(len(s.times_s) for s in kept.find(selection))
