"""What happened: one `TestRecord` for each test with every attempt, and one `RunRecord` for the run.

An attempt's outcome is folded from its phases (set-up, call, teardown), the worst phase last to speak:

    crashed > timeout > failed (call) > error (set-up, teardown) > over_budget > what the call said

A test's outcome is that of its last attempt, except that a test which passed after a failed attempt is
``flaky``, never ``passed``. An attempt that only its time budget failed is a sample, no failure, when others follow.

Small values are named tuples here and in what else every run loads: to define and to make one costs a run a quarter of
what a frozen dataclass does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from pytest_sergas.core.causes import Cause
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.measurement import Measurement

if TYPE_CHECKING:
    from pytest_sergas.core.dependencies import Dependency

MESSAGE_LIMIT = 2_000
TRACE_LIMIT = 16_000
NAME_LIMIT = 1_000
UNTYPED = "untyped"
# How the message of a failure begins that a quarantine hides.
MASKED = "in quarantine until"


class TestType(StrEnum):
    """The ten kinds of test; each is a pytest marker of the same name."""

    __test__ = False

    UNIT = "unit"
    INTEGRATION = "integration"
    PERFORMANCE = "performance"
    SECURITY = "security"
    LOAD = "load"
    REGRESSION = "regression"
    SMOKE = "smoke"
    E2E = "e2e"
    COMPATIBILITY = "compatibility"
    STRESS = "stress"


class Outcome(StrEnum):
    """How a test, or one attempt at it, ended."""

    __test__ = False  # its other name is TestStatus

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    FLAKY = "flaky"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    OVER_BUDGET = "over_budget"
    QUARANTINED = "quarantined"


FAILURES = frozenset({Outcome.FAILED, Outcome.ERROR, Outcome.TIMEOUT, Outcome.CRASHED, Outcome.OVER_BUDGET})
SUCCESSES = frozenset({Outcome.PASSED, Outcome.FLAKY, Outcome.XFAILED, Outcome.XPASSED})

# What an attempt may be without making its test flaky.
_SAMPLES = frozenset({Outcome.OVER_BUDGET})

# The worst phase decides; everything that is not a failure yields to any failure.
_SEVERITY = {
    Outcome.CRASHED: 5,
    Outcome.TIMEOUT: 4,
    Outcome.FAILED: 3,
    Outcome.ERROR: 2,
    Outcome.OVER_BUDGET: 1,
}


class Phase(StrEnum):
    """The parts of an attempt, as pytest reports them; ``CRASH`` is pytest-xdist's ``???``."""

    SETUP = "setup"
    CALL = "call"
    TEARDOWN = "teardown"
    CRASH = "???"


def phase_outcome(
    phase: str, reported: str, *, expected_to_fail: bool, timed_out: bool, over_budget: bool = False
) -> Outcome:
    """Return what one report says about its attempt.

    Args:
        phase: a value of `Phase`.
        reported: pytest's word: ``passed``, ``failed``, ``skipped``, or ``rerun`` (a failure that is
            about to be repeated).
        expected_to_fail: the report carries an xfail reason.
        timed_out: the attempt met its timeout.
        over_budget: nothing but a budget failed the call.
    """
    if phase == Phase.CRASH:
        return Outcome.TIMEOUT if timed_out else Outcome.CRASHED
    if reported == "passed":
        return Outcome.XPASSED if expected_to_fail else Outcome.PASSED
    if reported == "skipped":
        return Outcome.XFAILED if expected_to_fail else Outcome.SKIPPED
    if timed_out:
        return Outcome.TIMEOUT
    if over_budget:
        return Outcome.OVER_BUDGET
    return Outcome.FAILED if phase == Phase.CALL else Outcome.ERROR


def worse(so_far: Outcome, phase: Outcome) -> Outcome:
    """Fold the outcome of a later phase into that of an attempt.

    A failure beats everything milder; without one, the first phase that was not plainly ``passed`` stands
    (a passing teardown does not undo a skip).
    """
    if _SEVERITY.get(phase, 0) > _SEVERITY.get(so_far, 0):
        return phase
    return phase if so_far is Outcome.PASSED else so_far


class AttemptRecord(NamedTuple):
    """One whole try at a test: set-up, call and teardown with fresh fixtures.

    Attributes:
        outcome: how the attempt ended; never ``flaky``.
        start_s: seconds since the Unix epoch; 0 when the process died before it could say.
        setup_s, call_s, teardown_s: seconds; None for a phase that did not run or did not end.
        worker: the pytest-xdist worker, or "" for the only process.
        message: what went wrong, or why it was skipped; at most `MESSAGE_LIMIT` characters.
        trace: the failure as pytest shows it; at most `TRACE_LIMIT` characters.
        measured: what its call cost; None where it was not measured.
        cause: by which it is grouped with others; None where it did not fail.
    """

    outcome: Outcome
    start_s: float = 0.0
    setup_s: float | None = None
    call_s: float | None = None
    teardown_s: float | None = None
    worker: str = ""
    message: str = ""
    trace: str = ""
    measured: Measurement | None = None
    cause: Cause | None = None

    @property
    def duration_s(self) -> float:
        return (self.setup_s or 0.0) + (self.call_s or 0.0) + (self.teardown_s or 0.0)


class _TestFields(NamedTuple):
    node_id: str
    type: str
    outcome: Outcome
    attempts: tuple[AttemptRecord, ...]
    file: str = ""
    line: int | None = None
    exclusive: bool = False


class TestRecord(_TestFields):
    """One test with all its attempts, oldest first; there is at least one.

    Attributes:
        node_id: as pytest prints it; at most `NAME_LIMIT` characters.
        type: a value of `TestType`, or `UNTYPED`.
        file: relative to the root directory, with forward slashes.
        line: counted from 1; None where there is none.
        exclusive: whether no other test of the run ran meanwhile, because its policy says so; False without workers.
    """

    __test__ = False
    __slots__ = ()

    @property
    def last(self) -> AttemptRecord:
        return self.attempts[-1]

    @property
    def retries(self) -> int:
        """How often it was repeated because it had failed; samples for a time budget are not counted."""
        return sum(attempt.outcome is not Outcome.OVER_BUDGET for attempt in self.attempts[:-1])

    @property
    def repeated(self) -> bool:
        """Whether there is more than one attempt, for whatever reason."""
        return len(self.attempts) > 1

    @property
    def start_s(self) -> float:
        return self.attempts[0].start_s

    @property
    def duration_s(self) -> float:
        """Seconds of the attempt that decided; the repeated ones are not counted."""
        return self.attempts[-1].duration_s

    @property
    def name(self) -> str:
        """The node id without its file: ``TestClass::test_name[parameter]``."""
        return self.node_id.partition("::")[2] or self.node_id


def final_outcome(attempts: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a test from those of its attempts, oldest first.

    Raises:
        IndexError: there is no attempt.
    """
    last = attempts[-1]
    if last is Outcome.PASSED and len(attempts) > 1 and not (FAILURES - _SAMPLES).isdisjoint(attempts[:-1]):
        return Outcome.FLAKY
    return last


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a run took place; a field that nobody told us is empty.

    Attributes:
        machine: the kind of machine, by which histories are told apart; only of a run with relative budgets.
    """

    provider: str = ""
    branch: str = ""
    commit: str = ""
    job: str = ""
    build_id: str = ""
    build_url: str = ""
    pull_request: str = ""
    repository: str = ""
    python: str = ""
    platform: str = ""
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run fails although its tests alone would not make it fail.

    Attributes:
        type: whose tests are meant; "" for the whole run.
        text: what was found, what is allowed, and what to do.
    """

    type: str
    text: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A whole run.

    Attributes:
        run_id: unique for each run.
        project: the job under which the run is pushed.
        started_s, finished_s: seconds since the Unix epoch.
        exit_status: pytest's own.
        stopped: why the run ended early ("stopping after 1 failures", "KeyboardInterrupt"), or "".
        unfinished: node ids of the tests that were running when the run was stopped.
        collected: how many tests were to be run.
        workers: how many pytest-xdist workers ran tests; 0 for the only process.
        notes: sentences about the run that its reader should see.
        refused: what the run as a whole was to meet, and did not.
        coverage: type → percent of the lines that its tests ran, ``all`` for those of the run; empty where nobody
            measured it.
        shard: which part of the suite ran ("2/5"), or "" for all of it.
        split: the fingerprint of the split that the shard is a part of, or "".
        dependencies: what its tests needed, and whether it was there.
    """

    run_id: str
    project: str
    started_s: float
    finished_s: float
    tests: tuple[TestRecord, ...] = ()
    exit_status: int = 0
    stopped: str = ""
    unfinished: tuple[str, ...] = ()
    collected: int = 0
    workers: int = 0
    environment: Environment = Environment()
    notes: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    coverage: Mapping[str, float] = field(default_factory=dict)
    version: str = ""
    shard: str = ""
    split: str = ""
    dependencies: tuple[Dependency, ...] = ()
