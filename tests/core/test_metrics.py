"""A run becomes families of samples, and what earlier runs said is kept where it still holds."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.dependencies import Availability, Dependency
from pytest_sergas.core.measurement import Measurement, Use
from pytest_sergas.core.metrics import (
    DURATION_BUCKETS_S,
    HELP,
    LAST_SUCCESS,
    SAMPLE_LABELS,
    TEST_LABEL_LIMIT,
    Family,
    merged,
    run_families,
    succeeded,
    with_label,
)
from pytest_sergas.core.records import Outcome, Refusal, RunRecord, TestRecord
from pytest_sergas.core.summary import summarise
from tests.publishers.conftest import attempt, record, run_of

pytestmark = pytest.mark.unit


def families_of(run: RunRecord, slowest: int = 3) -> tuple[Family, ...]:
    return run_families(run, summarise(run, slowest=slowest))


def values(families: tuple[Family, ...]) -> dict[str, float]:
    """Series as people write them → value."""
    return {
        f"{family.name}{sample.suffix}{{{', '.join(f'{name}={value}' for name, value in sample.labels)}}}": sample.value
        for family in families
        for sample in family.samples
    }


def lasting(seconds: float, name: str = "test") -> TestRecord:
    return record(f"tests/test_a.py::{name}", attempt(setup_s=0.0, call_s=seconds, teardown_s=0.0))


def test_every_outcome_is_there_with_zeros() -> None:
    found = values(families_of(run_of(record(), record("b.py::test_b", Outcome.FAILED))))

    assert {outcome: found[f"sergas_tests{{type=unit, outcome={outcome}}}"] for outcome in Outcome} == {
        **dict.fromkeys(Outcome, 0),
        Outcome.PASSED: 1,
        Outcome.FAILED: 1,
    }


def test_dependency_stands_with_the_types_that_need_it_and_is_up_only_when_it_was_there_until_the_end() -> None:
    needed = (
        Dependency("database", Availability.AVAILABLE, types=("unit", "smoke")),
        Dependency("broker", Availability.LOST, types=("unit",)),
        Dependency("redis", Availability.UNAVAILABLE, types=("load",)),
    )
    found = values(families_of(run_of(record(), record("b.py::test_b", type="smoke"), dependencies=needed)))

    assert {name: value for name, value in found.items() if name.startswith("sergas_dependency_up")} == {
        "sergas_dependency_up{type=unit, dependency=database}": 1,
        "sergas_dependency_up{type=unit, dependency=broker}": 0,
        "sergas_dependency_up{type=smoke, dependency=database}": 1,
    }


def test_measured_cost_is_that_of_the_attempts_that_decided() -> None:
    def costing(cpu_s: float, peak: int, used_s: float) -> TestRecord:
        measured = Measurement("schedstat+VmHWM", 1, 1, cpu_s, 0.5, peak, uses=(Use("max_duration", used_s, 2.0),))
        earlier = attempt(Outcome.OVER_BUDGET, measured=Measurement("schedstat+VmHWM", 90, 90, 90, 90, 90_000))
        return record(f"a.py::test_{cpu_s}", earlier, attempt(measured=measured))

    found = values(families_of(run_of(costing(1.0, 500, 1.0), costing(2.0, 300, 3.0), record())))

    assert found["sergas_test_cpu_seconds{type=unit}"] == 4.0
    assert found["sergas_test_peak_memory_bytes{type=unit}"] == 500
    assert found["sergas_budget_use_ratio{type=unit, budget=max_duration}"] == 1.5


def test_nothing_is_said_of_what_was_not_measured() -> None:
    names = {family.name for family in families_of(run_of(record()))}

    assert not names & {"sergas_test_cpu_seconds", "sergas_test_peak_memory_bytes", "sergas_budget_use_ratio"}


def test_success_rate_is_in_percent_of_the_judged_tests() -> None:
    run = run_of(record(), record("b.py::b"), record("c.py::c", Outcome.FAILED), record("d.py::d", Outcome.SKIPPED))

    assert values(families_of(run))["sergas_success_rate_percent{type=unit}"] == pytest.approx(200 / 3)


def test_success_rate_is_not_a_number_when_all_were_skipped() -> None:
    assert math.isnan(
        values(families_of(run_of(record("a.py::a", Outcome.SKIPPED))))["sergas_success_rate_percent{type=unit}"]
    )


def test_repetitions_are_counted() -> None:
    run = run_of(record("a.py::a", Outcome.FAILED, Outcome.FAILED, Outcome.PASSED), record("b.py::b"))

    assert values(families_of(run))["sergas_retries{type=unit}"] == 2


@given(st.lists(st.floats(0, 1_000), max_size=30))
def test_histogram_counts_what_is_at_most_the_bound(durations: list[float]) -> None:
    run = run_of(lasting(0.0), *(lasting(seconds) for seconds in durations))
    all_s = [0.0, *durations]

    found = values(families_of(run, slowest=0))

    name = "sergas_test_duration_seconds"
    assert {bound: found[f"{name}_bucket{{type=unit, le={bound}}}"] for bound in DURATION_BUCKETS_S} == {
        bound: sum(seconds <= bound for seconds in all_s) for bound in DURATION_BUCKETS_S
    }
    assert found[f"{name}_bucket{{type=unit, le=+Inf}}"] == len(all_s)
    assert found[f"{name}_count{{type=unit}}"] == len(all_s)
    assert found[f"{name}_sum{{type=unit}}"] == pytest.approx(sum(all_s))


def test_as_many_of_the_slowest_are_named_as_asked_for() -> None:
    run = run_of(*(lasting(seconds, f"test_{seconds}") for seconds in (1, 3, 2)))

    found = values(families_of(run, slowest=2))

    assert {series: value for series, value in found.items() if "slowest" in series} == {
        "sergas_slowest_test_seconds{type=unit, test=tests/test_a.py::test_3}": 3,
        "sergas_slowest_test_seconds{type=unit, test=tests/test_a.py::test_2}": 2,
    }


def test_tests_whose_shortened_names_are_the_same_are_one_series() -> None:
    run = run_of(lasting(1, f"test[{'x' * 500}a]"), lasting(2, f"test[{'x' * 500}b]"))

    family = {family.name: family for family in families_of(run)}["sergas_slowest_test_seconds"]

    assert [sample.value for sample in family.samples] == [2]


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=300))
def test_label_of_a_test_is_bounded_and_on_one_line(name: str) -> None:
    labels = [dict(sample.labels) for family in families_of(run_of(lasting(1, name))) for sample in family.samples]

    texts = [one["test"] for one in labels if "test" in one]
    assert len(texts) == 1
    assert len(texts[0]) <= TEST_LABEL_LIMIT
    assert texts[0].splitlines() == [texts[0]]
    assert texts[0].encode()


def test_no_label_but_the_slowest_test_tells_tests_runs_or_commits_apart() -> None:
    measured = Measurement("schedstat+VmHWM", 1, 1, 1, uses=(Use("max_cpu", 1, 2),))
    tests = (record(), record("b.py::test_b", attempt(measured=measured), type="smoke"))
    needed = Dependency("database", Availability.AVAILABLE, types=("unit",))
    families = families_of(run_of(*tests, run_id="r-secret", dependencies=(needed,)))

    names = {name for family in families for sample in family.samples for name, _ in sample.labels}

    assert names == {"type", *SAMPLE_LABELS}
    assert {family.name for family in families if any("test" in dict(one.labels) for one in family.samples)} == {
        "sergas_slowest_test_seconds"
    }


@pytest.mark.parametrize(
    ("tests", "fields", "expected"),
    [
        pytest.param([Outcome.PASSED, Outcome.SKIPPED, Outcome.XFAILED], {}, True, id="none failed"),
        pytest.param([Outcome.PASSED], {"exit_status": 1}, True, id="another type failed"),
        pytest.param([Outcome.PASSED, Outcome.FAILED], {"exit_status": 1}, False, id="one failed"),
        pytest.param([Outcome.PASSED, Outcome.CRASHED], {"exit_status": 1}, False, id="one crashed"),
        pytest.param([Outcome.SKIPPED], {}, False, id="all skipped"),
        pytest.param([Outcome.PASSED], {"stopped": "KeyboardInterrupt", "exit_status": 2}, False, id="stopped"),
        pytest.param([Outcome.PASSED], {"exit_status": 3}, False, id="broke down"),
    ],
)
def test_last_success_is_there_only_after_a_success(
    tests: list[Outcome], fields: dict[str, object], *, expected: bool
) -> None:
    run = run_of(*(record(f"a.py::test_{outcome}", outcome) for outcome in tests), **fields)

    found = values(families_of(run))

    assert (found.get(f"{LAST_SUCCESS}{{type=unit}}") == run.finished_s) is expected
    assert found["sergas_last_run_timestamp_seconds{type=unit}"] == run.finished_s


def test_run_without_tests_has_no_families() -> None:
    assert families_of(run_of()) == ()


def test_names_follow_the_rules_for_prometheus() -> None:
    assert all(re.fullmatch(r"sergas_[a-z_]+", name) and text.endswith(".") for name, (_, text) in HELP.items())


def test_label_is_added_to_every_sample_as_the_first() -> None:
    families = with_label(families_of(run_of(record())), "project", "shop")

    assert all(sample.labels[0] == ("project", "shop") for family in families for sample in family.samples)


RUNS = st.builds(
    lambda tests, finished_s, stopped: run_of(
        *(record(f"a.py::test_{index}", outcome, type=kind) for index, (kind, outcome) in enumerate(tests)),
        finished_s=finished_s,
        stopped=stopped,
    ),
    st.lists(
        st.tuples(st.sampled_from(["unit", "smoke", "untyped"]), st.sampled_from([Outcome.PASSED, Outcome.FAILED])),
        max_size=4,
    ),
    st.integers(1, 10**9),
    st.sampled_from(["", "interrupted"]),
)


@given(RUNS, RUNS)
def test_merged_says_what_a_pushgateway_would_say(first: RunRecord, second: RunRecord) -> None:
    # POST replaces, in the group of a type, the families that are sent.
    groups: dict[tuple[str, str], dict[str, float]] = {}
    for run in (first, second):
        for summary in summarise(run):
            for family in run_families(run, (summary,)):
                groups[summary.type, family.name] = values((family,))

    found = merged(families_of(second), families_of(first))

    assert values(found) == {series: value for group in groups.values() for series, value in group.items()}
    assert [family.name for family in found] == [name for name in HELP if any(name == key[1] for key in groups)]


@given(RUNS)
def test_merging_the_same_again_changes_nothing(run: RunRecord) -> None:
    families = families_of(run)

    assert values(merged(families, families)) == values(families)


def test_series_that_the_earlier_file_has_twice_is_kept_once() -> None:
    families = families_of(run_of(record()))

    found = merged((), (*families, *families))

    assert [len(family.samples) for family in found] == [len(family.samples) for family in families]


@pytest.mark.parametrize(("refused", "expected"), [("unit", False), ("", False), ("e2e", True)])
def test_type_for_which_the_run_fails_has_no_success(refused: str, expected: bool) -> None:  # noqa: FBT001
    run = run_of(record("a"), refused=(Refusal(refused, "too flaky"),))

    assert succeeded(run, summarise(run)[0]) is expected


def test_coverage_of_the_type_and_of_the_run_stand_beside_each_other() -> None:
    run = run_of(record("a"), record("b", type="e2e"), coverage={"all": 90.0, "unit": 60.0})

    values = {
        (family.name, sample.labels[0][1]): sample.value
        for family in run_families(run, summarise(run))
        if "coverage" in family.name
        for sample in family.samples
    }
    assert values == {
        ("sergas_coverage_percent", "unit"): 60.0,
        ("sergas_run_coverage_percent", "unit"): 90.0,
        ("sergas_run_coverage_percent", "e2e"): 90.0,
    }
