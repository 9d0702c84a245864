"""Which policy applies, and what is said about a marker's keywords."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.policy import (
    BUILT_IN,
    DEFAULTS,
    KEYWORDS,
    MARKER_KEYWORDS,
    Choice,
    Layer,
    Source,
    read_keywords,
    resolve,
)
from pytest_sergas.core.records import TestType
from tests.core.json_values import JSON_VALUES

pytestmark = pytest.mark.unit

VALUES = st.dictionaries(st.sampled_from(sorted(KEYWORDS)), st.integers(0, 9), max_size=5)
LAYERS = st.lists(st.tuples(st.sampled_from([source for source in Source if source != Source.BUILT_IN]), VALUES))


@given(st.sampled_from(TestType), LAYERS)
def test_first_place_that_says_anything_decides(test_type: TestType, layers: list[Layer]) -> None:
    policy = resolve(test_type, layers)

    asked = [*layers, (Source.BUILT_IN, BUILT_IN[test_type])]
    expected = {
        name: next(Choice(values[name], source) for source, values in asked if name in values)
        for name in {name for _, values in asked for name in values}
    }
    assert policy.choices == expected
    assert policy.type == test_type.value


@given(st.sampled_from(TestType), LAYERS)
def test_what_every_attempt_needs_is_always_there(test_type: TestType, layers: list[Layer]) -> None:
    assert set(DEFAULTS) <= set(resolve(test_type, layers).choices)


@pytest.mark.parametrize("test_type", list(TestType))
def test_built_in_policy_is_five_minutes_and_no_retries(test_type: TestType) -> None:
    policy = resolve(test_type, ())

    assert (policy.timeout_s, policy.retries, policy.retry_delay_s, policy.retry_on) == (300.0, 0, 0.0, ())


@pytest.mark.parametrize(
    ("test_type", "values", "most"),
    [
        pytest.param(TestType.UNIT, {}, None, id="any number"),
        pytest.param(TestType.UNIT, {"parallel": False}, 1, id="not parallel"),
        pytest.param(TestType.UNIT, {"parallel": True}, None, id="parallel"),
        pytest.param(TestType.UNIT, {"max_workers": 3}, 3, id="a number"),
        pytest.param(TestType.UNIT, {"parallel": True, "max_workers": 3}, 3, id="parallel, a number"),
        pytest.param(TestType.E2E, {"parallel": False}, 1, id="not parallel, a number built in"),
    ],
)
def test_type_that_is_not_parallel_has_one_worker(
    test_type: TestType, values: dict[str, object], most: int | None
) -> None:
    assert resolve(test_type, [(Source.TYPE_TABLE, values)]).max_workers == most


def test_performance_load_and_stress_are_exclusive_and_e2e_has_two_workers() -> None:
    more = {test_type: dict(values.items() - DEFAULTS.items()) for test_type, values in BUILT_IN.items()}

    assert {test_type.value: values for test_type, values in more.items() if values} == {
        "performance": {"exclusive": True},
        "load": {"exclusive": True},
        "stress": {"exclusive": True},
        "e2e": {"max_workers": 2},
    }


@pytest.mark.parametrize("test_type", list(TestType))
def test_built_in_values_are_of_their_kinds(test_type: TestType) -> None:
    assert {name: KEYWORDS[name].kind(value) for name, value in BUILT_IN[test_type].items()} == BUILT_IN[test_type]


@pytest.mark.parametrize(
    ("source", "is_engine"),
    [
        pytest.param(Source.ENGINE_MARKER, True, id="engine marker"),
        pytest.param(Source.MARKER, False, id="type marker"),
        pytest.param(Source.COMMAND_LINE, True, id="command line"),
        pytest.param(Source.TYPE_TABLE, False, id="type table"),
        pytest.param(Source.GENERAL, False, id="general"),
        pytest.param(Source.ENGINE_INI, True, id="engine ini"),
        pytest.param(Source.BUILT_IN, False, id="built-in"),
    ],
)
def test_engine_knows_by_itself(source: Source, is_engine: bool) -> None:  # noqa: FBT001  a column of the table
    assert source.is_engine is is_engine


@pytest.mark.parametrize(
    ("given_keywords", "fault"),
    [
        pytest.param({"timeuot": 5}, "(timeuot=5): unknown keyword; did you mean 'timeout'?", id="misspelt"),
        pytest.param(
            {"xyz": 5},
            "(xyz=5): unknown keyword; allowed: timeout, retries, retry_delay, retry_on, max_duration, max_memory_mb, "
            "max_cpu, max_regression, budget_attempts, dependencies, exclusive",
            id="unlike any",
        ),
        pytest.param(
            {"paths": ["a"]},
            "(paths=['a']): 'paths' is not for a single test; it belongs into the type's table, [tool.sergas.types]",
            id="of the type's table",
        ),
        pytest.param(
            {"timeout": -1},
            "(timeout=-1): allowed: seconds (0 for none), at least 0 and at most 31622400, such as 90 or '1h30m'",
            id="negative",
        ),
        pytest.param(
            {"timeout": float("nan")},
            "(timeout=nan): allowed: seconds (0 for none), at least 0 and at most 31622400, such as 90 or '1h30m'",
            id="no number",
        ),
        pytest.param(
            {"timeout": 10**5000},
            "(timeout=<int>): allowed: seconds (0 for none), at least 0 and at most 31622400, such as 90 or '1h30m'",
            id="more digits than Python shows",
        ),
        pytest.param(
            {"max_duration": 0},
            "(max_duration=0): allowed: seconds, more than 0 and at most 31622400, such as 90 or '1h30m'",
            id="budget of nothing",
        ),
        pytest.param(
            {"retries": True}, "(retries=True): allowed: repetitions, a whole number from 0 to 100", id="truth"
        ),
        pytest.param({"retries": 101}, "(retries=101): allowed: repetitions, a whole number from 0 to 100", id="huge"),
        pytest.param({"exclusive": "yes"}, "(exclusive='yes'): allowed: true or false", id="text as a truth"),
    ],
)
def test_fault_names_marker_keyword_value_and_what_is_allowed(given_keywords: dict[str, Any], fault: str) -> None:
    assert read_keywords("unit", given_keywords) == ({}, (f"@pytest.mark.unit{fault}",))


class Unprintable:
    """A value that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


def test_value_that_cannot_be_shown_is_named_by_its_class() -> None:
    _, faults = read_keywords("unit", {"timeout": Unprintable()})

    assert faults == (
        (
            "@pytest.mark.unit(timeout=<Unprintable>): allowed: seconds (0 for none), at least 0 and at most 31622400"
            ", such as 90 or '1h30m'"
        ),
    )


def test_secret_of_an_unknown_keyword_is_not_shown() -> None:
    _, faults = read_keywords("api", {"token": "hunter2"})

    assert faults[0].startswith("@pytest.mark.api(token='***'): unknown keyword; ")


@given(st.dictionaries(st.sampled_from(sorted(KEYWORDS)) | st.text(), JSON_VALUES, max_size=4))
def test_every_keyword_is_either_taken_or_a_fault(given_keywords: dict[str, Any]) -> None:
    values, faults = read_keywords("unit", given_keywords)

    assert len(values) + len(faults) == len(given_keywords)
    assert set(values) <= set(MARKER_KEYWORDS)
    assert all(len(fault.splitlines()) == 1 for fault in faults if fault.isprintable())
