"""A suite of tests of one type, and what came of running it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from pytest_sergas.core import kinds
from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.records import FAILURES, Outcome, RunRecord, TestRecord, TestType
from pytest_sergas.core.summary import summarise
from pytest_sergas.monitoring.arguments import RETRIES, TIMEOUT, WORKERS, checked
from pytest_sergas.monitoring.covered import Covered, union

TestResult = TestRecord
TestStatus = Outcome


@dataclass(frozen=True, slots=True)
class TestSuite:
    """The tests of one type, and how they are run; None leaves a setting to the runner, and then to the configuration.

    Args:
        name: for people.
        test_type: a `TestType`, or its value.
        timeout: seconds that an attempt at a test may take; 0 for none.
        parallel: whether several workers run it.
        max_workers: how many; never more than the runner has.
        retries: how often a failed test is repeated.
        paths: directories or files, relative to the runner's root; none for those that pytest would choose.
        coverage: packages or directories whose coverage is measured; none for no coverage.

    Raises:
        ConfigurationError: with every fault.
    """

    __test__ = False

    name: str
    test_type: TestType
    timeout: float | str | None = None
    parallel: bool = True
    max_workers: int | None = None
    retries: int | None = None
    paths: Sequence[str | Path] = ()
    coverage: Sequence[str] = ()

    def __init_subclass__(cls) -> None:
        cls.__test__ = True  # a test class of somebody else's is collected as ever

    def __post_init__(self) -> None:
        wanted = {
            "test_type": kinds.one_of(*(known.value for known in TestType)),
            "timeout": TIMEOUT,
            "parallel": kinds.boolean,
            "max_workers": WORKERS,
            "retries": RETRIES,
            "coverage": kinds.texts,
        }
        given = {key: (kind, getattr(self, key)) for key, kind in wanted.items()}
        found = checked(f"TestSuite({self.name!r})", given)
        object.__setattr__(self, "test_type", TestType(self.test_type))
        object.__setattr__(self, "timeout", found["timeout"])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        node_id: of the test that has just ended, or "" when only their number is known.
        outcome: how it ended.
        done: how many tests have ended.
        total: how many are to be run; 0 before that is known.
    """

    node_id: str
    outcome: Outcome | None
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class SuiteResults(Sequence[TestRecord]):
    """The tests of a suite that ran, in the order in which they did, and the run as a whole.

    Attributes:
        run: with everything that is known of it; `run.stopped` says why it ended early.
        covered: what was covered of the code that coverage was asked for; None where it was not, or got lost with a
            process that died.
        output: the end of what pytest printed.
    """

    suite: TestSuite | None
    run: RunRecord
    covered: Covered | None = None
    output: str = ""

    @property
    def name(self) -> str:
        """The suite's, or ``all`` for all tests."""
        return self.suite.name if self.suite else "all"

    @property
    def coverage_percent(self) -> float | None:
        """Percent of the code that was covered, as coverage.py counts it; None where that is not known."""
        return None if self.covered is None else self.covered.percent

    @property
    def succeeded(self) -> bool:
        """Whether nothing failed and nothing was left out."""
        return not self.run.stopped and self.run.exit_status in {0, 5}

    @overload
    def __getitem__(self, index: int) -> TestRecord: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[TestRecord]: ...

    def __getitem__(self, index: int | slice) -> TestRecord | Sequence[TestRecord]:
        return self.run.tests[index]

    def __len__(self) -> int:
        return len(self.run.tests)


def summary(results: Iterable[SuiteResults]) -> dict[str, Any]:
    """Return the figures of several runs for JSON, in the documented form.

    ``success_rate`` is percent of the tests that succeeded or failed, 0.0 where none did either. ``coverage`` is the
    percent of the code that any of the suites covered, or None. ``results`` are the tests of each suite, as in CTRF.
    """
    runs = list(results)
    tests = [test for one in runs for test in one]
    counts = Counter(test.outcome for test in tests)
    types = {
        kind.type: _figures(kind.counts, kind.success_percent)
        for kind in summarise(RunRecord("", "", 0.0, 0.0, tests=tuple(tests)))
    }
    failed = sum(counts[outcome] for outcome in FAILURES)
    judged = failed + sum(counts[outcome] for outcome in _SUCCEEDED)
    covered = union(one.covered for one in runs)
    return {
        "summary": {
            **_figures(counts, 100.0 * (judged - failed) / judged if judged else 0.0),
            "duration": sum(one.run.finished_s - one.run.started_s for one in runs),
            "coverage": None if covered is None else covered.percent,
            "stopped": [one.run.stopped for one in runs if one.run.stopped],
        },
        "by_type": types,
        "results": {one.name: json.loads(to_json(one.run))["results"]["tests"] for one in runs},
    }


_SUCCEEDED = (Outcome.PASSED, Outcome.FLAKY, Outcome.XFAILED, Outcome.XPASSED)


def _figures(counts: Mapping[Outcome, int], percent: float | None) -> dict[str, Any]:
    return {
        "total": sum(counts.values()),
        "passed": sum(counts[outcome] for outcome in _SUCCEEDED),
        "failed": sum(counts[outcome] for outcome in FAILURES),
        "skipped": counts[Outcome.SKIPPED],
        "flaky": counts[Outcome.FLAKY],
        "success_rate": percent or 0.0,
        "by_status": {outcome.value: count for outcome, count in counts.items() if count},
    }
