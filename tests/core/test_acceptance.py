"""What a run has to meet as a whole: how many of its tests may be flaky."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.acceptance import ALL, covered, listed, percent, too_flaky, too_little_covered
from pytest_sergas.core.records import Outcome, Refusal
from tests.publishers.conftest import record

pytestmark = pytest.mark.unit

FLAKY = (Outcome.FAILED, Outcome.PASSED)


@given(st.integers(0, 8), st.integers(0, 8))
def test_type_is_refused_when_more_of_its_tests_are_flaky_than_may_be(flaky: int, allowed: int) -> None:
    tests = [record(f"a.py::{number}", *FLAKY) for number in range(flaky)]

    assert bool(too_flaky(tests, {"unit": allowed})) is (flaky > allowed)


def test_each_type_is_counted_by_itself() -> None:
    tests = [record("a.py::a", *FLAKY), record("a.py::b", *FLAKY, type="e2e"), record("a.py::c", *FLAKY, type="load")]

    assert [refusal.type for refusal in too_flaky(tests, {"unit": 0, "e2e": 1})] == ["unit"]


def test_failed_tests_are_not_flaky_ones() -> None:
    assert too_flaky([record("a.py::a", Outcome.FAILED), record("a.py::b")], {"unit": 0}) == ()


def test_text_names_the_tests_the_limit_and_what_to_do() -> None:
    tests = [record(f"a.py::test_{number}", *FLAKY) for number in range(7)]

    assert too_flaky(tests, {"unit": 2}) == (
        Refusal(
            "unit",
            "unit: 7 tests are flaky, and max_flaky = 2: a.py::test_0, a.py::test_1, a.py::test_2, a.py::test_3, "
            "a.py::test_4 and 2 more; mend what fails at first, or put it into quarantine",
        ),
    )


def test_one_flaky_test_is_one() -> None:
    (refusal,) = too_flaky([record("a.py::a", *FLAKY)], {"unit": 0})

    assert refusal.text.startswith("unit: 1 test is flaky, and max_flaky = 0: a.py::a; ")


@given(st.lists(st.text(min_size=1), max_size=9))
def test_list_of_names_counts_those_that_it_leaves_out(names: list[str]) -> None:
    assert listed(names).endswith(f" and {len(names) - 5} more") is (len(names) > 5)


def test_type_that_covers_too_little_is_refused_with_what_it_covers() -> None:
    assert too_little_covered({ALL: 90.0, "unit": 79.99, "e2e": 50.0}, {"unit": 80, "e2e": 50, "load": 100}) == (
        Refusal(
            "unit",
            "unit: its tests cover 79.9%, and min_coverage = 80; test more with this type, or ask for less",
        ),
    )


def test_type_whose_coverage_is_not_known_is_refused_with_the_reason() -> None:
    assert too_little_covered({ALL: 90.0, "e2e": 50.0}, {"unit": 80, "e2e": 50}, "No data to report") == (
        Refusal(
            "unit",
            "unit: its coverage is not known (No data to report), and min_coverage = 80; "
            "let it be known, or ask for none",
        ),
    )


def test_coverage_that_nobody_measures_is_not_judged() -> None:
    assert too_little_covered({}, {"unit": 80}) == ()


@given(st.floats(0, 100), st.integers(0, 100))
def test_percentage_below_a_limit_is_shown_below_it(value: float, limit: int) -> None:
    assert (float(percent(value).removesuffix("%")) < limit) is (value < limit)


@pytest.mark.parametrize(
    ("coverage", "text"),
    [
        ({}, ""),
        ({ALL: 81.25}, "81.2%"),
        ({ALL: 100.0, "unit": 75.0, "e2e": 50.0}, "100.0% (unit 75.0%, e2e 50.0%)"),
    ],
)
def test_percentages_stand_in_one_line(coverage: dict[str, float], text: str) -> None:
    assert covered(coverage) == text
