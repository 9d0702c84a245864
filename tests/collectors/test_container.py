"""cgroup v2: the kernel's files as tables, and a hierarchy of them in a directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.collectors.container import (
    Container,
    find,
    parse_cores,
    parse_keyed,
    parse_limit,
    parse_own,
)
from pytest_sergas.errors import CollectError
from tests.collectors.conftest import by_name, plenty, values

pytestmark = pytest.mark.unit

MIB = 1024**2


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        pytest.param("max\n", None, id="none"),
        pytest.param("536870912\n", 536_870_912, id="bytes"),
        pytest.param("0\n", 0, id="zero"),
    ],
)
def test_memory_limit(text: str, limit: int | None) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        pytest.param("max 100000\n", None, id="none"),
        pytest.param("50000 100000\n", 0.5, id="half"),
        pytest.param("400000 100000\n", 4.0, id="four"),
        pytest.param("max\n", None, id="none without a period"),
        pytest.param("50000\n", 0.5, id="the kernel's period"),
    ],
)
def test_cpu_limit(text: str, cores: float | None) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize("text", ["", "\n", "half 100000", "1 0", "1 x", "1 2 3"])
def test_cpu_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_cores(text)


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_cpu_limit_is_quota_by_period(quota: int, period: int) -> None:
    assert parse_cores(f"{quota} {period}\n") == quota / period


@given(st.dictionaries(st.from_regex(r"[a-z_.]+", fullmatch=True), st.integers(0, 2**64)))
def test_keyed_numbers_are_read_as_they_are_written(numbers: dict[str, int]) -> None:
    assert parse_keyed("".join(f"{key} {number}\n" for key, number in numbers.items())) == numbers


@pytest.mark.parametrize(
    ("text", "group"),
    [
        pytest.param("0::/\n", "/", id="a namespace of its own"),
        pytest.param("0::/system.slice/shop.service\n", "/system.slice/shop.service", id="a service"),
        pytest.param("12:cpu:/x\n1:name=systemd:/y\n0::/z\n", "/z", id="both versions"),
        pytest.param("12:cpu,cpuacct:/x\n", None, id="version 1 alone"),
        pytest.param("0::/a:b\n", "/a:b", id="a colon in its name"),
        pytest.param("0::/../other\n", None, id="outside of the namespace"),
        pytest.param("", None, id="empty"),
    ],
)
def test_own_group(text: str, group: str | None) -> None:
    assert parse_own(text) == group


def files(directory: Path, **texts: str) -> None:
    """Write ``memory_max`` as ``memory.max``, and so on."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name.replace("_", ".", 1)).write_text(text, encoding="utf-8")


def test_container_shows_limits_and_use(tmp_path: Path) -> None:
    files(
        tmp_path,
        memory_current=f"{128 * MIB}\n",
        memory_max=f"{512 * MIB}\n",
        memory_events="low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n",
        cpu_max="150000 100000\n",
        cpu_stat="usage_usec 2500000\nuser_usec 2000000\nthrottled_usec 750000\n",
    )

    assert values(Container(tmp_path, tmp_path).collect(plenty)) == {
        "container_memory_usage_bytes{}": 128 * MIB,
        "container_memory_limit_bytes{}": 512 * MIB,
        "container_memory_usage_percent{}": 25.0,
        "container_oom_kills_total{}": 1,
        "container_cpu_limit_cores{}": 1.5,
        "container_cpu_usage_seconds_total{}": 2.5,
        "container_cpu_throttled_seconds_total{}": 0.75,
    }


def test_counters_are_counters_and_limits_are_gauges(tmp_path: Path) -> None:
    files(tmp_path, memory_current="1", memory_events="oom_kill 1\n", cpu_stat="usage_usec 1\n")

    types = {name: family.type for name, family in by_name(Container(tmp_path, tmp_path).collect(plenty)).items()}

    assert types == {
        "container_memory_usage_bytes": "gauge",
        "container_oom_kills_total": "counter",
        "container_cpu_usage_seconds_total": "counter",
    }


def test_without_limits_there_are_no_limits_and_no_percent(tmp_path: Path) -> None:
    files(tmp_path, memory_current=f"{MIB}\n", memory_max="max\n", cpu_max="max 100000\n")

    assert values(Container(tmp_path, tmp_path).collect(plenty)) == {"container_memory_usage_bytes{}": MIB}


def test_limit_of_zero_is_a_limit_but_nothing_is_a_percentage_of_it(tmp_path: Path) -> None:
    files(tmp_path, memory_current="1\n", memory_max="0\n")

    assert values(Container(tmp_path, tmp_path).collect(plenty)) == {
        "container_memory_usage_bytes{}": 1,
        "container_memory_limit_bytes{}": 0,
    }


def test_lowest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    group = tmp_path / "system.slice" / "shop.service"
    files(tmp_path / "system.slice", memory_max=f"{64 * MIB}\n", cpu_max="200000 100000\n")
    files(group, memory_current=f"{32 * MIB}\n", memory_max=f"{512 * MIB}\n", cpu_max="max 100000\n")

    found = values(Container(tmp_path, group).collect(plenty))

    assert found["container_memory_limit_bytes{}"] == 64 * MIB
    assert found["container_memory_usage_percent{}"] == 50.0
    assert found["container_cpu_limit_cores{}"] == 2.0


def test_file_that_is_not_what_the_kernel_writes_is_said(tmp_path: Path) -> None:
    files(tmp_path, memory_current="much\n")

    with pytest.raises(CollectError) as raised:
        Container(tmp_path, tmp_path).collect(plenty)

    assert str(raised.value) == (
        f"{tmp_path}/memory.current is not what cgroup v2 writes there: "
        "invalid literal for int() with base 10: 'much\\n'"
    )


def test_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "memory.current").mkdir()

    with pytest.raises(CollectError) as raised:
        Container(tmp_path, tmp_path).collect(plenty)

    assert str(raised.value) == f"{tmp_path}/memory.current cannot be read: Is a directory"


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "self"
    path.write_text(text, encoding="utf-8")
    return path


def test_group_is_found_where_the_process_says(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    files(root / "a" / "b", memory_current="1\n")

    assert find(root, own(tmp_path, "0::/a/b\n")) == Container(root, root / "a" / "b")


def test_group_that_lies_outside_of_the_mount_is_the_mount_itself(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    files(root, cpu_max="max 100000\n")

    assert find(root, own(tmp_path, "0::/kubepods/pod1\n")) == Container(root, root)


@pytest.mark.parametrize("text", ["0::/\n", "1:cpu:/\n"], ids=["no controllers", "version 1"])
def test_without_anything_that_accounts_there_is_no_container(tmp_path: Path, text: str) -> None:
    (tmp_path / "cgroup").mkdir()

    assert find(tmp_path / "cgroup", own(tmp_path, text)) is None


def test_system_without_cgroups_has_no_container(tmp_path: Path) -> None:
    assert find(tmp_path / "cgroup", tmp_path / "missing") is None
