"""Shards of a suite: every test in exactly one, the same with workers, and an empty one is no failure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_sergas.core.durations import Duration, from_json, to_json
from tests.plugin.conftest import Ran, Run
from tests.servers.pushgateway import pushgateway

pytestmark = pytest.mark.integration

TESTS = """
    import pytest

    @pytest.fixture(scope="class")
    def shared():
        return 1

    class TestTogether:
        pytestmark = pytest.mark.unit

        @pytest.mark.parametrize("number", range(3))
        def test_one(self, shared, number):
            pass

    @pytest.mark.unit
    @pytest.mark.parametrize("number", range(6))
    def test_two(number):
        pass
"""
ALL = sorted([*(f"TestTogether::test_one[{number}]" for number in range(3)), *(f"test_two[{n}]" for n in range(6))])


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Path:
    pytester.makepyfile(test_a=TESTS)
    return pytester.path


def names(runs: Sequence[Ran]) -> list[str]:
    return sorted(name for ran in runs for name in ran.tests)


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="two workers")])
def test_each_test_is_in_exactly_one_shard(run: Run, workers: tuple[str, ...]) -> None:
    runs = [run(*workers, "--sergas-shard", f"{number}/3") for number in (1, 2, 3)]

    assert names(runs) == ALL
    assert [ran.result.ret for ran in runs] == [0, 0, 0]


@pytest.mark.usefixtures("suite")
def test_workers_and_a_single_process_have_the_same_shard(run: Run) -> None:
    alone, parallel = run("--sergas-shard", "1/2"), run("-n2", "--sergas-shard", "1/2")

    assert parallel.tests.keys() == alone.tests.keys()
    assert alone.document is not None
    assert parallel.document is not None
    assert alone.document["results"]["extra"]["split"] == parallel.document["results"]["extra"]["split"] != ""


# The fixture of the class is too expensive to be set up twice.
TOGETHER = {
    f"test_a.py::TestTogether::test_one[{number}]": Duration(100.0, 90.0 * (number == 0)) for number in range(3)
}


def test_tests_that_share_an_expensive_fixture_stay_together(suite: Path, run: Run) -> None:
    (suite / "shared.json").write_bytes(to_json(TOGETHER))
    runs = [run("--sergas-durations=shared.json", "--sergas-shard", f"{number}/9") for number in range(1, 10)]

    together = [len([name for name in ran.tests if name.startswith("TestTogether")]) for ran in runs if ran.tests]
    assert max(together) == 3


@pytest.mark.usefixtures("suite")
def test_order_of_another_plugin_changes_no_shard(pytester: pytest.Pytester, run: Run) -> None:
    before = run("--sergas-shard", "1/2").tests.keys()
    pytester.makeconftest("def pytest_collection_modifyitems(items): items.reverse()")

    assert run("--sergas-shard", "1/2").tests.keys() == before


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="two workers")])
def test_shared_file_balances_shards_by_time(suite: Path, run: Run, workers: tuple[str, ...]) -> None:
    times = {f"test_a.py::test_two[{number}]": Duration(0.01, 0.0) for number in range(6)}
    (suite / "shared.json").write_bytes(to_json(times | TOGETHER))

    first, second = (
        run(*workers, "--sergas-durations", "shared.json", "--sergas-shard", f"{number}/2") for number in (1, 2)
    )

    assert sorted(first.tests) == [name for name in ALL if name.startswith("TestTogether")]
    assert sorted(second.tests) == [name for name in ALL if name.startswith("test_two")]


def test_own_cache_changes_no_shard(suite: Path, run: Run) -> None:
    before = run("--sergas-shard", "1/2").tests.keys()
    cached = suite / ".pytest_cache" / "d" / "sergas" / "durations.json"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(to_json({"test_a.py::test_two[0]": Duration(100.0, 0.0)}))

    assert run("-p", "cacheprovider", "--sergas-shard", "1/2").tests.keys() == before


def test_shard_forgets_no_duration_of_the_other_shards(suite: Path, run: Run) -> None:
    cached = suite / ".pytest_cache" / "d" / "sergas" / "durations.json"
    cached.parent.mkdir(parents=True)
    known = {f"test_a.py::{name}": Duration(100.0, 0.0) for name in ALL}
    cached.write_bytes(to_json(known))

    own = run("-p", "cacheprovider", "--sergas-shard", "1/2").tests.keys()

    after = from_json(cached.read_bytes())
    assert after.keys() == known.keys()
    assert {name for name in ALL if after[f"test_a.py::{name}"] != known[f"test_a.py::{name}"]} == own < set(ALL)


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="two workers")])
def test_empty_shard_is_no_failure(run: Run, workers: tuple[str, ...]) -> None:
    ran = run(*workers, "--sergas-shard", "20/20")

    assert (ran.tests, ran.result.ret) == ({}, pytest.ExitCode.OK)
    assert ran.document is not None
    assert ran.document["results"]["extra"]["exitStatus"] == 0


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="two workers")])
def test_selection_that_fits_nothing_is_a_failure_in_every_shard(run: Run, workers: tuple[str, ...]) -> None:
    ran = run(*workers, "-k", "nothing", "--sergas-shard", "1/20")

    assert ran.result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.usefixtures("suite")
def test_shard_stands_in_the_record(run: Run) -> None:
    ran = run("--sergas-shard", "2/3")

    assert ran.document is not None
    assert ran.document["results"]["extra"]["shard"] == "2/3"


@pytest.mark.usefixtures("suite")
def test_shard_is_a_label_of_the_pushed_group(pytester: pytest.Pytester, run: Run) -> None:
    with pushgateway(pytester.path) as gateway:
        run("--sergas-shard", "2/3", "--sergas-push", gateway.url)

        assert [group["labels"]["shard"] for group in gateway.groups] == ["2/3"]


@pytest.mark.usefixtures("suite")
def test_label_of_the_configuration_comes_first(pytester: pytest.Pytester, run: Run) -> None:
    (pytester.path / "sergas.toml").write_text('push_labels = {shard = "second"}\n')
    with pushgateway(pytester.path) as gateway:
        run("--sergas-shard", "2/3", "--sergas-push", gateway.url)

        assert [group["labels"]["shard"] for group in gateway.groups] == ["second"]


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize(
    ("shard", "allowed"),
    [
        pytest.param("0/5", "allowed: a number from 1 to 5, such as 1/5", id="none"),
        pytest.param("6/5", "allowed: a number from 1 to 5, such as 1/5", id="behind the last"),
        pytest.param("a/b", "allowed: NUMBER/OF, such as 2/5 for the second of five shards", id="no numbers"),
        pytest.param("", "allowed: NUMBER/OF, such as 2/5 for the second of five shards", id="empty"),
    ],
)
def test_what_is_no_shard_is_a_fault_before_the_run(run: Run, shard: str, allowed: str) -> None:
    ran = run(f"--sergas-shard={shard}", record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"error: argument --sergas-shard: {shard!r} cannot be used; {allowed}" in ran.result.stderr.str()


def test_broken_shared_file_is_a_fault_before_the_run(suite: Path, run: Run) -> None:
    (suite / "shared.json").write_text("{")

    ran = run("--sergas-durations", "shared.json", "--sergas-shard", "1/2", record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        f"durations = '{suite}/shared.json': is not whole JSON (JSONDecodeError); "
        "a shard needs the same file on each machine"
    ) in ran.result.stderr.str()


def test_missing_shared_file_is_said(suite: Path, run: Run) -> None:
    ran = run("--sergas-durations", "shared.json", "--sergas-shard", "1/2")

    assert ran.document is not None
    assert ran.document["results"]["extra"]["notes"] == [
        f"durations: {suite}/shared.json does not exist yet; the shards are cut by the number of tests"
    ]
