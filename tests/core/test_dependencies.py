"""What tests need, and what is said about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.ci import is_ci
from pytest_sergas.core.dependencies import Availability, Dependency, Need, joined, needs, reason, unknown
from pytest_sergas.core.policy import Source, resolve
from pytest_sergas.core.records import TestType

pytestmark = pytest.mark.unit

THERE = Dependency("database", Availability.AVAILABLE, "fine")
GONE = Dependency("redis", Availability.UNAVAILABLE, "connection refused")
LOST = Dependency("broker", Availability.LOST, "no answer within 1 s")


def test_check_that_several_types_need_is_one_need_with_the_longest_wait() -> None:
    policies = [
        resolve(TestType.INTEGRATION, [(Source.MARKER, {"dependencies": ("database", "redis"), "wait_s": 5.0})]),
        resolve(TestType.E2E, [(Source.MARKER, {"dependencies": ("database",), "wait_s": 30.0})]),
        resolve(TestType.UNIT, []),
    ]

    assert needs(policies) == (
        Need("database", 30.0, ("integration", "e2e")),
        Need("redis", 5.0, ("integration",)),
    )


@pytest.mark.parametrize(
    ("one", "text"),
    [
        pytest.param(THERE, "database is available", id="there"),
        pytest.param(
            Dependency("database", Availability.AVAILABLE, "fine", waited_s=3.14),
            "database is available after 3.1 s",
            id="waited for",
        ),
        pytest.param(GONE, "redis is unavailable: connection refused", id="unavailable"),
        pytest.param(
            Dependency("redis", Availability.UNAVAILABLE, "connection refused", waited_s=30),
            "redis is unavailable after 30.0 s: connection refused",
            id="waited for in vain",
        ),
        pytest.param(LOST, "broker became unavailable during the run: no answer within 1 s", id="lost"),
    ],
)
def test_dependency_says_what_became_of_it(one: Dependency, text: str) -> None:
    assert one.text == text


def test_reason_names_every_dependency_that_is_not_there() -> None:
    known = {one.name: one for one in (THERE, GONE, LOST)}

    assert reason(["database"], known) == ""
    assert reason(["redis", "database", "broker"], known) == f"{GONE.text}; {LOST.text}"


@pytest.mark.parametrize(
    ("checks", "hint"),
    [
        pytest.param(["database", "redis"], "did you mean 'database'?", id="near"),
        pytest.param(["broker"], "there are: 'broker'", id="others"),
        pytest.param([], "there are no [[checks]] in the configuration", id="none"),
    ],
)
def test_unknown_dependency_is_told_what_there_is(checks: list[str], hint: str) -> None:
    assert unknown("databse", checks) == f"dependencies = 'databse': there is no check of that name; {hint}"


DEPENDENCIES = st.builds(
    Dependency, st.sampled_from("ab"), st.sampled_from(Availability), st.just("m"), st.just(("unit",)), st.floats(0, 9)
)


@given(st.lists(DEPENDENCIES))
def test_joined_runs_have_the_worst_of_each_name(found: list[Dependency]) -> None:
    order = list(Availability)
    together = {one.name: order.index(one.availability) for one in joined(found)}

    assert together == {
        name: max(order.index(one.availability) for one in found if one.name == name)
        for name in {one.name for one in found}
    }


def test_joined_runs_keep_the_message_of_the_worse_and_the_types_of_both() -> None:
    one = Dependency("database", Availability.AVAILABLE, "fine", ("unit",), 1.0)
    other = Dependency("database", Availability.LOST, "gone", ("e2e", "unit"), 2.0)

    assert joined([one, other]) == (Dependency("database", Availability.LOST, "gone", ("unit", "e2e"), 2.0),)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"CI": ""}, False),
        ({"CI": "false"}, False),
        ({"CI": "true"}, True),
        ({"CI": "1"}, True),
        ({"JENKINS_URL": "https://ci.example"}, True),
        ({"TF_BUILD": "True"}, True),
    ],
)
def test_ci_is_recognised(environ: dict[str, str], *, expected: bool) -> None:
    assert is_ci(environ) is expected
