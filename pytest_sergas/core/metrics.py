"""A run as Prometheus metrics: families of samples, in no particular format.

Every value is that of the last run, so all of them are gauges, but for the histogram of durations, which
counts the tests of that run. Outcomes that did not occur are there with 0, so that a rule can tell "none
failed" from "did not run". Node ids appear only in the bounded list of the slowest tests; run ids and
commits nowhere: each would be a new series for every run.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_sergas.core.acceptance import ALL
from pytest_sergas.core.records import Outcome, RunRecord
from pytest_sergas.core.summary import TypeSummary
from pytest_sergas.core.text import one_line

FamilyType = Literal["gauge", "counter", "histogram", "summary", "untyped"]

LAST_SUCCESS = "sergas_last_success_timestamp_seconds"

# Labels that only some of the samples have; as part of a grouping key they would make them collide.
SAMPLE_LABELS = frozenset({"budget", "dependency", "outcome", "le", "test"})

# From a trivial unit test to the built-in timeout.
DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
TEST_LABEL_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """One value.

    Attributes:
        suffix: what a histogram or summary adds to its family's name.
        timestamp_ms: milliseconds since the Unix epoch, where the one who exposes it says when it was taken.
    """

    labels: tuple[tuple[str, str], ...]
    value: float
    suffix: str = ""
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name."""

    name: str
    type: FamilyType
    help: str
    samples: tuple[Sample, ...]


HELP: dict[str, tuple[FamilyType, str]] = {
    "sergas_tests": ("gauge", "Tests of the last run by outcome."),
    "sergas_success_rate_percent": ("gauge", "Percent of the judged tests that succeeded; NaN when all were skipped."),
    "sergas_retries": ("gauge", "Repetitions of failed tests in the last run."),
    "sergas_wall_seconds": ("gauge", "Seconds during which at least one test of the type was running."),
    "sergas_test_duration_seconds": ("histogram", "Durations of the tests of the last run."),
    "sergas_slowest_test_seconds": ("gauge", "Durations of the slowest tests of the last run."),
    "sergas_test_cpu_seconds": ("gauge", "CPU seconds that the calls of the tests of the last run used together."),
    "sergas_test_peak_memory_bytes": (
        "gauge",
        "Most memory that the call of a test of the last run added at its peak.",
    ),
    "sergas_budget_use_ratio": (
        "gauge",
        "Largest share of a budget that a test of the last run used; above 1 is over.",
    ),
    "sergas_dependency_up": ("gauge", "Whether what tests of the last run needed was available, until its end."),
    "sergas_coverage_percent": ("gauge", "Percent of the code that the tests of the type ran in the last run."),
    "sergas_run_coverage_percent": ("gauge", "Percent of the code that all tests of the last run ran together."),
    "sergas_last_run_timestamp_seconds": ("gauge", "When the last run ended, in seconds since the Unix epoch."),
    LAST_SUCCESS: ("gauge", "When the last run without a failure ended."),
}


def succeeded(run: RunRecord, summary: TypeSummary) -> bool:
    """Whether the tests of one type were all run, at least one was judged, and none failed.

    An exit status above 1 is a run that was interrupted or broke down: nobody knows what it left out.
    """
    if any(refusal.type in {"", summary.type} for refusal in run.refused):
        return False
    return not run.stopped and run.exit_status <= 1 and summary.failed == 0 and summary.succeeded > 0


def run_families(run: RunRecord, summaries: Sequence[TypeSummary]) -> tuple[Family, ...]:
    """Return the metrics of ``summaries`` (one for each type) as families, in the order of `HELP`.

    The family of the last success is missing when no type succeeded: pushed with POST, the value of an
    earlier run then stays, which is what "no success for a day" needs.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in HELP}
    for summary in summaries:
        _add(samples, run, summary)
    return tuple(Family(name, kind, text, tuple(samples[name])) for name, (kind, text) in HELP.items() if samples[name])


def with_label(families: Sequence[Family], name: str, value: str) -> tuple[Family, ...]:
    """Return ``families`` with one more label, the first, on every sample."""
    return tuple(
        replace(
            family,
            samples=tuple(replace(sample, labels=((name, value), *sample.labels)) for sample in family.samples),
        )
        for family in families
    )


def merged(now: Sequence[Family], earlier: Sequence[Family]) -> tuple[Family, ...]:
    """Return ``now`` and what is to be kept of ``earlier``, as groups that are pushed with POST would have it.

    That is everything about types that ``now`` does not mention, and the last success of the others where
    ``now`` has none. Both are families of `run_families`.
    """
    own = {family.name: family.samples for family in now}
    ran = {_type(sample) for samples in own.values() for sample in samples}
    renewed = {_type(sample) for sample in own.get(LAST_SUCCESS, ())}
    kept: dict[str, dict[object, Sample]] = {name: {} for name in HELP}
    for family in earlier:
        replaced = renewed if family.name == LAST_SUCCESS else ran
        for sample in family.samples:
            if _type(sample) not in replaced:
                kept[family.name][sample.suffix, frozenset(sample.labels)] = sample
    samples = {name: (*own.get(name, ()), *kept[name].values()) for name in HELP}
    return tuple(Family(name, *HELP[name], samples[name]) for name in HELP if samples[name])


def _type(sample: Sample) -> str:
    return dict(sample.labels)["type"]


def _add(samples: dict[str, list[Sample]], run: RunRecord, summary: TypeSummary) -> None:
    key = (("type", summary.type),)
    percent = summary.success_percent
    samples["sergas_tests"] += [
        Sample((*key, ("outcome", outcome.value)), summary.counts[outcome]) for outcome in Outcome
    ]
    samples["sergas_success_rate_percent"].append(Sample(key, float("nan") if percent is None else percent))
    samples["sergas_retries"].append(Sample(key, summary.retries))
    samples["sergas_wall_seconds"].append(Sample(key, summary.wall_s))
    samples["sergas_test_duration_seconds"] += _histogram(key, [test.duration_s for test in summary.tests])
    slowest: dict[str, float] = {}
    for test in summary.slowest:
        slowest.setdefault(one_line(test.node_id, TEST_LABEL_LIMIT), test.duration_s)
    samples["sergas_slowest_test_seconds"] += [
        Sample((*key, ("test", name)), duration) for name, duration in slowest.items()
    ]
    _add_measured(samples, key, summary)
    for name, of in (("sergas_coverage_percent", summary.type), ("sergas_run_coverage_percent", ALL)):
        if of in run.coverage:
            samples[name].append(Sample(key, run.coverage[of]))
    samples["sergas_dependency_up"] += [
        Sample((*key, ("dependency", one.name)), float(one.is_there))
        for one in run.dependencies
        if summary.type in one.types
    ]
    samples["sergas_last_run_timestamp_seconds"].append(Sample(key, run.finished_s))
    if succeeded(run, summary):
        samples[LAST_SUCCESS].append(Sample(key, run.finished_s))


def _add_measured(samples: dict[str, list[Sample]], key: tuple[tuple[str, str], ...], summary: TypeSummary) -> None:
    """Add what the attempts cost that decided; nothing where nothing was measured."""
    measured = [test.last.measured for test in summary.tests if test.last.measured is not None]
    if not measured:
        return
    samples["sergas_test_cpu_seconds"].append(Sample(key, sum(cost.all_cpu_s for cost in measured)))
    peaks = [cost.peak_memory_bytes for cost in measured if cost.peak_memory_bytes is not None]
    if peaks:
        samples["sergas_test_peak_memory_bytes"].append(Sample(key, max(peaks)))
    ratios: dict[str, float] = {}
    for use in (use for cost in measured for use in cost.uses):
        ratios[use.budget] = max(use.ratio, ratios.get(use.budget, 0.0))
    samples["sergas_budget_use_ratio"] += [
        Sample((*key, ("budget", budget)), ratio) for budget, ratio in sorted(ratios.items())
    ]


def _histogram(key: tuple[tuple[str, str], ...], values: Sequence[float]) -> list[Sample]:
    below = [0] * (len(DURATION_BUCKETS_S) + 1)
    for value in values:
        below[bisect_left(DURATION_BUCKETS_S, value)] += 1
    samples = []
    count = 0
    for bound, here in zip((*map(str, DURATION_BUCKETS_S), "+Inf"), below, strict=True):
        count += here
        samples.append(Sample((*key, ("le", bound)), count, "_bucket"))
    return [*samples, Sample(key, sum(values), "_sum"), Sample(key, count, "_count")]
