"""The line of progress: what is counted, how long it takes still, and how much of it fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.progress import Expected, Progress

pytestmark = pytest.mark.unit

TESTS = [
    *(Expected(f"unit_{n}", "unit", 2.0) for n in range(4)),
    Expected("e2e_0", "e2e", 30.0),
    Expected("load_0", "load", 60.0, alone=True),
]


def progress(*over: str, tests: list[Expected] | None = None) -> Progress:
    made = Progress(TESTS if tests is None else tests)
    for node_id in over:
        made.over(node_id)
    return made


def test_line_tells_each_type_and_the_time_left() -> None:
    assert progress("unit_0", "unit_1", "unit_2").line(1, 200) == (
        "unit 3 done, 1 left | e2e 0 done, 1 left | load 0 done, 1 left | about 92.0 s left"
    )


def test_exclusive_tests_are_not_shared_by_the_workers() -> None:
    assert progress().line(2, 200).endswith("about 79.0 s left")


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        pytest.param(79, "unit 1/4 | e2e 0/1 | load 0/1 | about 96.0 s left", id="short"),
        pytest.param(40, "1 done, 5 left | about 96.0 s left", id="all together"),
        pytest.param(20, "", id="none"),
    ],
)
def test_line_has_as_much_detail_as_fits(width: int, expected: str) -> None:
    assert progress("unit_0").line(1, width) == expected


def test_test_without_a_duration_counts_as_the_mean_of_the_others() -> None:
    tests = [Expected("a", "unit", 4.0), Expected("b", "unit", 8.0), Expected("c", "unit")]

    assert progress("a", "b", tests=tests).line(1, 80) == "unit 2 done, 1 left | about 6.0 s left"


def test_without_any_duration_no_time_is_told() -> None:
    assert progress(tests=[Expected("a", "unit")]).line(1, 80) == "unit 0 done, 1 left"


def test_test_counts_once_and_what_is_not_expected_not_at_all() -> None:
    assert progress("unit_0", "unit_0", "somewhere else").line(1, 200).startswith("unit 1 done, 3 left")


def test_nothing_left_has_no_line() -> None:
    assert progress(*(test.node_id for test in TESTS)).line(1, 80) == ""
    assert progress(tests=[]).line(1, 80) == ""


@given(
    st.lists(st.tuples(st.sampled_from(["unit", "e2e"]), st.none() | st.floats(0, 1e9), st.booleans()), max_size=9),
    st.data(),
    st.integers(1, 9),
    st.integers(1, 200),
)
def test_line_always_fits_and_its_counts_add_up(
    drawn: list[tuple[str, float | None, bool]], data: st.DataObject, workers: int, width: int
) -> None:
    tests = [Expected(f"t{place}", *test) for place, test in enumerate(drawn)]
    over = data.draw(st.sets(st.sampled_from([test.node_id for test in tests]))) if tests else set()

    made = progress(*over, tests=tests)

    assert len(made.line(workers, width)) <= width
    if len(over) < len(tests):
        parts = [part.split() for part in made.line(workers, 500).split(" | ") if "done" in part]
        assert sum(int(part[1]) for part in parts) == len(over)
        assert sum(int(part[3]) for part in parts) == len(tests) - len(over)
