"""What the kernel's files say about CPU time, as workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.quota import Group, parse_cfs, parse_groups, parse_max, workers

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        pytest.param("200000 100000\n", 2.0, id="two"),
        pytest.param("50000 100000\n", 0.5, id="a half"),
        pytest.param("150000\n", 1.5, id="the usual period"),
        pytest.param("max 100000\n", None, id="no limit"),
        pytest.param("", None, id="no file"),
        pytest.param("0 100000", None, id="nothing"),
        pytest.param("100000 0", None, id="no period"),
        pytest.param("many 100000", None, id="no number"),
        pytest.param("100000 100000 100000", None, id="one too many"),
    ],
)
def test_cpu_max(text: str, cpus: float | None) -> None:
    assert parse_max(text) == cpus


@pytest.mark.parametrize(
    ("quota", "period", "cpus"),
    [
        pytest.param("300000\n", "100000\n", 3.0, id="three"),
        pytest.param("-1\n", "100000\n", None, id="no limit"),
        pytest.param("", "", None, id="no files"),
        pytest.param("100000", "0", None, id="no period"),
    ],
)
def test_cfs_quota(quota: str, period: str, cpus: float | None) -> None:
    assert parse_cfs(quota, period) == cpus


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        pytest.param("0::/\n", [Group(2, "/")], id="version 2"),
        pytest.param("0::/a/b:c\n", [Group(2, "/a/b:c")], id="a colon in the name"),
        pytest.param(
            "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/x\n",
            [Group(1, "/docker/1"), Group(2, "/x")],
            id="both versions",
        ),
        pytest.param("3:cpuset:/a\n", [], id="cpuset limits no time"),
        pytest.param("nonsense\n\n", [], id="nonsense"),
    ],
)
def test_groups(text: str, groups: list[Group]) -> None:
    assert parse_groups(text) == groups


@pytest.mark.parametrize(
    ("limits", "number"),
    [
        pytest.param([], None, id="none"),
        pytest.param([None, None], None, id="no limit"),
        pytest.param([4.0, None, 2.0], 2, id="the lowest"),
        pytest.param([1.5], 2, id="a part counts as one"),
        pytest.param([0.01], 1, id="at least one"),
    ],
)
def test_workers_of_limits(limits: list[float | None], number: int | None) -> None:
    assert workers(limits) == number


@given(st.text(), st.text(), st.text())
def test_nothing_that_a_file_says_is_an_error(one: str, other: str, third: str) -> None:
    limits = [parse_max(one), parse_cfs(one, other)]

    assert (workers(limits) or 1) >= 1
    assert parse_groups(third) == parse_groups(third)
