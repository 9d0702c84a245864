"""Runs that belong together become one; others, and what is there twice or not at all, are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.ctrf import to_ctrf
from pytest_sergas.core.merging import MergeError, merge
from pytest_sergas.core.records import Environment, Outcome, Refusal, RunRecord
from tests.publishers.conftest import attempt, record, run_of

pytestmark = pytest.mark.unit

SPLIT = "split (the shards were cut from other tests or by other durations)"


def shard(number: int, of: int, *names: str, **fields: object) -> RunRecord:
    """Return the run of a shard with tests of these names."""
    tests = [record(f"a.py::{name}") for name in names]
    return run_of(*tests, **{"run_id": f"r{number}", "shard": f"{number}/{of}", "split": "s", **fields})


def faults(*runs: RunRecord, incomplete: bool = False) -> list[str]:
    with pytest.raises(MergeError) as caught:
        merge({f"{number}.json": run for number, run in enumerate(runs, start=1)}, incomplete=incomplete)
    assert str(caught.value) == "; ".join(caught.value.faults)
    return list(caught.value.faults)


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=12))
def test_each_test_of_the_shards_is_in_the_run_once(places: list[int]) -> None:
    names = [[f"test_{n}" for n, place in enumerate(places) if place == number] for number in (1, 2, 3)]
    joined = merge({str(number): shard(number, 3, *names[number - 1]) for number in (1, 2, 3)})

    assert sorted(test.node_id for test in joined.tests) == sorted(f"a.py::test_{n}" for n in range(len(places)))
    assert to_ctrf(joined)["results"]["summary"]["tests"] == len(places)


def test_summary_is_counted_anew() -> None:
    one = run_of(record("a.py::a", Outcome.FAILED), run_id="r1", exit_status=1)
    two = run_of(record("a.py::b", Outcome.FAILED, Outcome.PASSED), record("b.py::c", Outcome.SKIPPED), run_id="r2")

    summary = to_ctrf(merge({"1": one, "2": two}))["results"]["summary"]

    assert {name: summary[name] for name in ("tests", "passed", "failed", "skipped", "flaky", "suites")} == {
        "tests": 3,
        "passed": 1,
        "failed": 1,
        "skipped": 1,
        "flaky": 1,
        "suites": 2,
    }


def test_run_begins_with_the_first_and_ends_with_the_last() -> None:
    one = run_of(run_id="r1", started_s=10.0, finished_s=20.0, workers=2, exit_status=0, stopped="^C", notes=("n",))
    two = run_of(run_id="r2", started_s=5.0, finished_s=15.0, workers=1, exit_status=1, unfinished=("a",), notes=("n",))

    joined = merge({"1": one, "2": two})

    assert (joined.started_s, joined.finished_s, joined.workers, joined.exit_status) == (5.0, 20.0, 3, 1)
    assert (joined.stopped, joined.unfinished, joined.notes, joined.shard) == ("^C", ("a",), ("n",), "")


def test_whole_is_refused_for_what_its_parts_were_refused_for() -> None:
    one, two = Refusal("unit", "too flaky"), Refusal("", "expired")

    joined = merge({"1": run_of(run_id="r1", refused=(one, two)), "2": run_of(run_id="r2", refused=(two,))})

    assert joined.refused == (one, two)


def test_tests_stand_in_the_order_in_which_they_began() -> None:
    one = run_of(record("a.py::late", attempt(start_s=9.0)), run_id="r1")
    two = run_of(record("a.py::early", attempt(start_s=3.0)), run_id="r2")

    assert [test.name for test in merge({"1": one, "2": two}).tests] == ["early", "late"]


def test_run_id_does_not_depend_on_the_order_of_the_files() -> None:
    one, two = shard(1, 2, "a"), shard(2, 2, "b")

    assert (
        merge({"1": one, "2": two}).run_id
        == merge({"2": two, "1": one}).run_id
        != merge({"1": one}, incomplete=True).run_id
    )


def test_environment_keeps_what_all_say() -> None:
    one = run_of(run_id="r1", environment=Environment(commit="c", job="test (1)", python="3.11", branch="main"))
    two = run_of(run_id="r2", environment=Environment(commit="c", job="test (2)", python="3.11", branch="main"))

    assert merge({"1": one, "2": two}).environment == Environment(commit="c", python="3.11", branch="main")


@pytest.mark.parametrize(
    ("machines", "expected"), [(("a", "", "a"), "a"), (("b", "a", ""), "a; b"), (("", "", ""), "")]
)
def test_machines_of_the_shards_are_all_named(machines: tuple[str, ...], expected: str) -> None:
    parts = {
        name: run_of(run_id=name, environment=Environment(machine=one))
        for name, one in zip("abc", machines, strict=True)
    }

    assert merge(parts).environment.machine == expected


def test_file_that_could_not_be_collected_is_counted_once() -> None:
    broken = record("b.py", Outcome.ERROR)

    joined = merge({"1": run_of(broken, run_id="r1"), "2": run_of(broken, run_id="r2")})

    assert [test.node_id for test in joined.tests] == ["b.py"]


@pytest.mark.parametrize(
    ("what", "fields", "other", "shown"),
    [
        pytest.param("project", {"project": "shop"}, {"project": "bank"}, ("shop", "bank"), id="project"),
        pytest.param(
            "commit",
            {"environment": Environment(commit="a")},
            {"environment": Environment(commit="b")},
            ("a", "b"),
            id="commit",
        ),
        pytest.param(
            "build",
            {"environment": Environment(build_id="7")},
            {"environment": Environment(build_id="8")},
            ("7", "8"),
            id="build",
        ),
        pytest.param(
            "repository",
            {"environment": Environment(repository="a")},
            {"environment": Environment(repository="b")},
            ("a", "b"),
            id="repository",
        ),
        pytest.param(SPLIT, {"split": "s"}, {"split": "t"}, ("s", "t"), id="split"),
        pytest.param("number of shards", {"shard": "1/2"}, {"shard": "2/3"}, ("2", "3"), id="number of shards"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    what: str, fields: dict[str, object], other: dict[str, object], shown: tuple[str, str]
) -> None:
    found = faults(run_of(run_id="r1", **fields), run_of(run_id="r2", **other))

    assert found == [f"not of one run: 1.json and 2.json differ in their {what}: {shown[0]!r} and {shown[1]!r}"]


def test_what_only_one_of_them_says_keeps_nobody_apart() -> None:
    one, two = run_of(run_id="r1", environment=Environment(commit="a")), run_of(run_id="r2")

    assert merge({"1": one, "2": two}).environment.commit == "a"


def test_test_in_two_files_is_refused() -> None:
    assert faults(shard(1, 2, "a"), shard(2, 2, "a", "b")) == ["a.py::a is in 1.json and in 2.json"]


def test_of_many_tests_in_two_files_some_are_named() -> None:
    names = [f"t{number}" for number in range(7)]

    found = faults(shard(1, 2, *names), shard(2, 2, *names))

    assert found == [
        *(f"a.py::t{number} is in 1.json and in 2.json" for number in range(5)),
        "and 2 more are in two files",
    ]


def test_shard_in_two_files_is_refused() -> None:
    assert faults(shard(1, 1), shard(1, 1)) == ["shard 1/1 is in 1.json and in 2.json"]


def test_missing_shards_are_refused() -> None:
    assert faults(shard(2, 4, "a")) == [
        "missing: shard 1/4, 3/4, 4/4; name its file too, or join without it with --incomplete"
    ]


def test_missing_shards_are_said_where_they_may_be_missing() -> None:
    joined = merge({"1": shard(1, 9, "a")}, incomplete=True)

    assert joined.notes == ("joined without shard 2/9, 3/9, 4/9, 5/9, 6/9 and 3 more",)
