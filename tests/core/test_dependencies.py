"""What tests need, and what is said about it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.config import load_sections
from pytest_sergas.config.file import ConfigFile
from pytest_sergas.core.ci import is_ci
from pytest_sergas.core.dependencies import Availability, Dependency, Need, joined, lines_to_add, needs, reason, unknown
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


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        pytest.param(
            "database",
            "",
            'Add a check to sergas.toml, such as:\n\n    [[checks]]\n    type = "postgresql"\n    name = "database"\n'
            '    url = "postgresql://shop@127.0.0.1:5432/shop"',
            id="database",
        ),
        pytest.param(
            "redis",
            "pyproject.toml",
            "Add a check to pyproject.toml, such as:\n\n    [[tool.sergas.checks]]\n"
            '    type = "redis"\n    name = "redis"\n    url = "redis://127.0.0.1:6379/0"',
            id="redis",
        ),
        pytest.param(
            "shop",
            "sergas.toml",
            'Add a check to sergas.toml, such as:\n\n    [[checks]]\n    type = "http"\n    name = "shop"\n'
            '    url = "http://127.0.0.1:8080/health"',
            id="anything else",
        ),
    ],
)
def test_lines_to_add_are_a_check_of_the_kind_that_the_name_suggests(name: str, file: str, expected: str) -> None:
    assert lines_to_add(name, file) == expected


@pytest.mark.parametrize(("name", "file"), [("database", ""), ("cache", ""), ("sqlite", ""), ("shop", "")])
def test_lines_to_add_can_be_used_as_they_are(name: str, file: str) -> None:
    text = "\n".join(line.strip() for line in lines_to_add(name, file).splitlines()[2:])
    document = tomllib.loads(text)

    [check] = load_sections(ConfigFile(Path(), "sergas.toml", (), document), ("checks",), environ={})[
        "checks"
    ].settings.checks
    assert check.name == name


def test_missing_dependency_is_named_on_one_line() -> None:
    missing = Dependency("database", Availability.MISSING, "there is no check\nAdd one")

    assert reason(["database"], {"database": missing}) == "there is no check"
