"""What values a key may take."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core import kinds
from pytest_sergas.core.policy import KEYWORDS
from tests.core.json_values import JSON_VALUES

pytestmark = pytest.mark.unit

KINDS = {
    **{name: keyword.kind for name, keyword in KEYWORDS.items()},
    "number": kinds.number(-1, 1, "things"),
    "whole": kinds.whole(-3, 3, "things"),
    "text": kinds.text,
    "texts": kinds.texts,
    "one_of": kinds.one_of("a", "b"),
}


class Custom(BaseException):
    """An exception that is no Exception."""


def read(kind: kinds.Kind, value: object) -> Any:
    """Return what a kind makes of ``value``, or the text of its refusal."""
    try:
        return kind(value)
    except kinds.NotAllowed as wrong:
        return str(wrong)


@given(st.sampled_from(sorted(KINDS)), JSON_VALUES)
def test_kind_takes_a_value_or_says_what_is_allowed(name: str, value: object) -> None:
    taken = read(KINDS[name], value)

    assert isinstance(taken, bool | int | float | tuple) or taken == value or "allowed: " in taken


@given(st.sampled_from(sorted(KINDS)), JSON_VALUES)
def test_kind_takes_again_what_it_has_made(name: str, value: object) -> None:
    try:
        taken = KINDS[name](value)
    except kinds.NotAllowed:
        return
    assert KINDS[name](taken) == taken


@given(st.floats() | st.integers(), st.booleans())
def test_number_is_within_its_bounds(value: float, open_below: bool) -> None:  # noqa: FBT001  hypothesis passes by name
    taken = read(kinds.number(0, 10, "seconds", open_below=open_below), value)

    within = (0 < value <= 10) if open_below else (0 <= value <= 10)
    assert (taken == value and math.isfinite(taken)) if within else isinstance(taken, str)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("0", 0.0),
        (" 1.5 ", 1.5),
        ("5ms", 0.005),
        ("5m", 300.0),
        ("1h30m", 5_400.0),
        ("1h 30m", 5_400.0),
        ("1.5h", 5_400.0),
        ("1d12h", 129_600.0),
        ("2w", 1_209_600.0),
        ("0s", 0.0),
        ("1m500ms", 60.5),
    ],
)
def test_length_of_time_is_written_as_people_do(text: str, seconds: float) -> None:
    assert kinds.duration(0, kinds.YEAR_S, "seconds")(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "ms", "h", "1x", "1m1h", "1h1h", "-5s", "1,5h", "5 minutes", "nan", "inf", "1e3"]
)
def test_text_that_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(kinds.NotAllowed, match="allowed: seconds, at least 0 and at most 60, such as 90 or '1h30m'"):
        kinds.duration(0, 60, "seconds")(text)


@pytest.mark.parametrize("value", [61, "61", "2m", -1, True, None, [5], math.nan])
def test_length_of_time_keeps_its_bounds(value: object) -> None:
    with pytest.raises(kinds.NotAllowed):
        kinds.duration(0, 60, "seconds")(value)


@pytest.mark.parametrize(("value", "days"), [(30, 30.0), ("30", 30.0), ("36h", 1.5), ("2w", 14.0)])
def test_number_counts_the_units_of_its_key_and_a_text_names_its_own(value: object, days: float) -> None:
    assert kinds.duration(0, 90, "days", unit_s=86_400)(value) == pytest.approx(days)


@given(st.integers(0, 364), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_units_add_up(days: int, hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s{milliseconds}ms"

    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds + milliseconds / 1000
    assert kinds.duration(0, kinds.YEAR_S, "seconds")(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        pytest.param(
            kinds.number(0, 10, "seconds", open_below=True),
            0,
            "allowed: seconds, more than 0 and at most 10",
            id="number at an open bound",
        ),
        pytest.param(
            kinds.number(0, kinds.YEAR_S, "seconds"),
            -1,
            "allowed: seconds, at least 0 and at most 31622400",
            id="negative number",
        ),
        pytest.param(kinds.number(0, 10, "x"), "5", "allowed: x, at least 0 and at most 10", id="text as a number"),
        pytest.param(kinds.number(0, 10, "x"), True, "allowed: x, at least 0 and at most 10", id="truth as a number"),
        pytest.param(kinds.number(0, 10, "x"), math.nan, "allowed: x, at least 0 and at most 10", id="no number"),
        pytest.param(kinds.whole(0, 9, "x"), 1.0, "allowed: x, a whole number from 0 to 9", id="fraction"),
        pytest.param(kinds.whole(0, 9, "x"), False, "allowed: x, a whole number from 0 to 9", id="truth as a whole"),
        pytest.param(kinds.boolean, 1, "allowed: true or false", id="number as a truth"),
        pytest.param(
            kinds.text, " \t", "allowed: text on one line, not empty, of at most 4096 characters", id="blank text"
        ),
        pytest.param(
            kinds.text, "a\nb", "allowed: text on one line, not empty, of at most 4096 characters", id="two lines"
        ),
        pytest.param(
            kinds.text, "a" * 4097, "allowed: text on one line, not empty, of at most 4096 characters", id="long text"
        ),
        pytest.param(kinds.texts, {"a": 1}, "allowed: a list of texts", id="table as a list"),
        pytest.param(
            kinds.texts,
            ["a", 1],
            "in the list allowed: text on one line, not empty, of at most 4096 characters",
            id="number in a list",
        ),
        pytest.param(kinds.one_of("fail", "skip"), "Skip", "allowed: 'fail', 'skip'", id="other word"),
        pytest.param(
            kinds.exceptions,
            "requests.Timeout",
            'allowed: a list of exceptions without their modules, such as ["ConnectionError"]',
            id="exception with its module",
        ),
        pytest.param(
            kinds.exceptions,
            int,
            'allowed: a list of exceptions without their modules, such as ["ConnectionError"]',
            id="class that is no exception",
        ),
        pytest.param(
            kinds.share,
            "0%",
            'allowed: a share such as "20%" or 0.2, more than 0% and at most 1000%',
            id="nothing as a share",
        ),
    ],
)
def test_refusal_says_what_is_allowed(kind: kinds.Kind, value: object, text: str) -> None:
    assert read(kind, value) == text


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        pytest.param(kinds.texts, "a", ("a",), id="one text is a list of one"),
        pytest.param(kinds.texts, [], (), id="empty list"),
        pytest.param(kinds.exceptions, [], (), id="no exceptions"),
        pytest.param(kinds.exceptions, Custom, ("Custom",), id="one class"),
        pytest.param(kinds.exceptions, (OSError, "Custom"), ("OSError", "Custom"), id="classes and names"),
        pytest.param(kinds.share, "20%", 0.2, id="percent"),
        pytest.param(kinds.share, "12.5 %", 0.125, id="percent with a space"),
        pytest.param(kinds.share, 10, 10.0, id="ten times"),
        pytest.param(kinds.number(0, 10, "x"), 10, 10.0, id="closed bound"),
        pytest.param(kinds.text, "\udcff.json", "\udcff.json", id="file name that is not UTF-8"),
    ],
)
def test_value_is_taken_as(kind: kinds.Kind, value: object, taken: object) -> None:
    assert kind(value) == taken


def test_wrong_entries_of_a_table_are_one_text() -> None:
    inside = kinds.WrongInside((kinds.Wrong(("a", "b"), 1, "too small"), kinds.Wrong(("c",), 2, "too large")), {})

    assert str(inside) == "a.b: too small; c: too large"


@pytest.mark.parametrize(
    ("word", "near"),
    [
        pytest.param("timeuot", "timeout", id="letters in another order"),
        pytest.param("TIMEOUT", "timeout", id="capitals"),
        pytest.param("retry-delay", "retry_delay", id="hyphen"),
        pytest.param("xyz", "", id="nothing near"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_nearest_word(word: str, near: str) -> None:
    assert kinds.nearest(word, ["timeout", "retry_delay", "gate"]) == near


@given(st.text(), st.lists(st.text()))
def test_nearest_word_is_one_of_the_known(word: str, known: list[str]) -> None:
    assert kinds.nearest(word, known) in {*known, ""}
