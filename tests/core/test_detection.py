"""What trials say about a test, how many are made, and of which tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.detection import Nature, Side, Tried, alone_needed, chosen, expected_trials, trials

pytestmark = pytest.mark.unit

SIDES = st.integers(1, 10).flatmap(lambda tried: st.builds(Side, st.just(tried), st.integers(0, tried)))


def tried(together: tuple[int, int], alone: tuple[int, int]) -> Tried:
    """Return trials: (tried, failed) each."""
    return Tried(Side(*together), Side(*alone))


@pytest.mark.parametrize(
    ("seconds", "number"), [(0.0, 10), (5.0, 10), (5.1, 5), (10.0, 5), (30.0, 3), (31.0, 2), (9999.0, 2)]
)
def test_longer_tests_are_tried_less_often(seconds: float, number: int) -> None:
    assert trials(seconds) == number


@pytest.mark.parametrize(
    ("trials_made", "nature"),
    [
        pytest.param(tried((10, 0), (1, 0)), Nature.STEADY, id="all passed"),
        pytest.param(tried((10, 10), (10, 10)), Nature.BROKEN, id="all failed"),
        pytest.param(tried((10, 6), (10, 0)), Nature.ORDER, id="fails in company"),
        pytest.param(tried((10, 10), (10, 0)), Nature.ORDER, id="always fails in company"),
        pytest.param(tried((10, 0), (10, 10)), Nature.ORDER, id="needs company"),
        pytest.param(tried((10, 4), (10, 10)), Nature.ORDER, id="passes only in company"),
        pytest.param(tried((10, 3), (10, 2)), Nature.FLAKY, id="fails on both sides"),
        pytest.param(tried((10, 1), (10, 0)), Nature.UNCLEAR, id="failed once, by chance together"),
        pytest.param(tried((10, 0), (10, 1)), Nature.UNCLEAR, id="failed once, by chance alone"),
        pytest.param(tried((2, 2), (2, 0)), Nature.UNCLEAR, id="too few to tell"),
        pytest.param(tried((10, 9), (10, 10)), Nature.FLAKY, id="passed once"),
        pytest.param(tried((10, 5), (0, 0)), Nature.UNCLEAR, id="never tried alone"),
    ],
)
def test_nature_follows_from_where_the_failures_are(trials_made: Tried, nature: Nature) -> None:
    assert trials_made.nature is nature


@given(SIDES, SIDES)
def test_only_what_passes_always_is_steady_and_what_never_does_is_broken(together: Side, alone: Side) -> None:
    failed, made = together.failed + alone.failed, together.tried + alone.tried
    nature = Tried(together, alone).nature

    assert (nature is Nature.STEADY) is (failed == 0)
    assert (nature is Nature.BROKEN) is (failed == made)


@given(SIDES, SIDES)
def test_which_side_is_which_does_not_matter_for_the_order(together: Side, alone: Side) -> None:
    assert (Tried(together, alone).nature is Nature.ORDER) is (Tried(alone, together).nature is Nature.ORDER)


def test_trials_are_counted() -> None:
    assert Side().and_one(passed=True).and_one(passed=False) == Side(2, 1)


def test_trials_are_told_in_a_sentence() -> None:
    assert str(tried((10, 6), (10, 0))) == (
        "depends on the order: failed 6 of 10 times in random order, 0 of 10 times alone"
    )


@pytest.mark.parametrize(
    ("trials_made", "needed"),
    [
        (tried((10, 0), (0, 0)), True),
        (tried((10, 0), (1, 0)), False),
        (tried((10, 0), (1, 1)), True),
        (tried((10, 1), (9, 0)), True),
        (tried((10, 1), (10, 0)), False),
    ],
)
def test_test_that_never_failed_is_tried_alone_once(trials_made: Tried, needed: bool) -> None:  # noqa: FBT001
    assert alone_needed(trials_made, 10) is needed


RAN = {"a::slow": 3.0, "a::old": 1.0, "a::quick": 0.1}


@pytest.mark.parametrize(
    ("known", "selects", "most", "expected"),
    [
        pytest.param({"a::old"}, False, 9, (("a::quick", "a::slow"), ""), id="new ones"),
        pytest.param(
            {"a::old"},
            False,
            1,
            (("a::quick",), "detect-flaky: not tried, because they are too many: 1 more"),
            id="no more than so many",
        ),
        pytest.param(set(), True, 9, (("a::quick", "a::old", "a::slow"), ""), id="named ones"),
        pytest.param(
            set(),
            False,
            9,
            ((), "detect-flaky: no earlier run is known, so nothing is new; name tests to try them all the same"),
            id="no baseline",
        ),
        pytest.param(
            set(RAN),
            False,
            9,
            ((), "detect-flaky: no test is new since earlier runs; name tests to try them all the same"),
            id="nothing new",
        ),
    ],
)
def test_new_or_named_tests_are_tried(
    known: set[str],
    selects: bool,  # noqa: FBT001
    most: int,
    expected: tuple[tuple[str, ...], str],
) -> None:
    assert chosen(RAN, known, selects=selects, most=most) == expected


def test_expected_trials_are_those_together_and_alone_once_or_after_a_failure_as_often() -> None:
    wanted = {"a": 10, "b": 5}

    assert expected_trials({name: tried((0, 0), (0, 0)) for name in wanted}, wanted) == 12
    assert expected_trials({"a": tried((10, 0), (1, 0)), "b": tried((5, 1), (0, 0))}, wanted) == 16
    assert expected_trials({"a": tried((10, 0), (1, 1)), "b": tried((5, 0), (1, 0))}, wanted) == 21
