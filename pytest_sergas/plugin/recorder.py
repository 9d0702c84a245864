"""Reports become records, in the only process or on the controller.

What pytest reports is a stream, interleaved over the workers. Of one test it brings, for every attempt, a
set-up report, call reports (several with subtests) and a teardown report; a failure that will be repeated
says ``rerun`` instead of ``failed``, and ``retried`` where pytest-retry repeats it. A subtest reports at
once, and so before its set-up when the other reports are kept back for a possible repetition. A worker that
dies leaves an attempt open, and pytest-xdist says so in a report of its own (`pytest_sergas.plugin.crashes`). So:

- a second set-up report, or any report without an open attempt, opens an attempt;
- it belongs to the same test as the attempt before it if that one announced a repetition; otherwise the
  same node id was collected twice, and it is a test of its own;
- under ``--dist each`` every worker runs every test, and each pair is a test of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pytest

from pytest_sergas.core.measurement import Measurement, Use
from pytest_sergas.core.records import (
    FAILURES,
    MESSAGE_LIMIT,
    NAME_LIMIT,
    TRACE_LIMIT,
    UNTYPED,
    AttemptRecord,
    Outcome,
    Phase,
    TestRecord,
    final_outcome,
    phase_outcome,
    worse,
)
from pytest_sergas.core.text import clean
from pytest_sergas.plugin.causes import CauseReader
from pytest_sergas.plugin.starts import Starts
from pytest_sergas.plugin.timers import MARK

if TYPE_CHECKING:
    from pytest_sergas.core.causes import Cause
    from pytest_sergas.plugin.measuring import OnReport


# What is said of a test that was set up and torn down, and of which nothing else was reported: --setup-only does that,
# and so do plugins.
NOT_CALLED = "it was not called"


class Running(NamedTuple):
    """A test that has begun and not ended.

    Attributes:
        worker: "" where there is none, or before it is known which.
        start_s: seconds since the Unix epoch; 0 when that is not known.
        called: whether its call is over, so that it is being torn down.
    """

    node_id: str
    worker: str
    start_s: float
    called: bool = False


class _Attempt:
    """An attempt while it grows: what is not known yet is as it stands here, and costs an attempt nothing."""

    outcome = Outcome.PASSED
    setup_s: float | None = None
    call_s: float | None = None
    teardown_s: float | None = None
    message = ""
    trace = ""
    measured: OnReport | None = None
    cause: Cause | None = None
    ended = False
    repeated = False

    def __init__(self, start_s: float, worker: str) -> None:
        self.start_s = start_s
        self.worker = worker


class _Test:
    """A test while it grows.

    Attributes:
        place: where it stands among the tests of the run.
    """

    __slots__ = ("attempts", "file", "line", "node_id", "place", "type")

    def __init__(self, place: int, node_id: str, test_type: str, file: str, line: int | None) -> None:
        self.place = place
        self.node_id = node_id
        self.type = test_type
        self.file = file
        self.line = line
        self.attempts: list[_Attempt] = []


# A test that passed at once, when it is over: node id, type, file, line, start, seconds of the three phases, worker,
# measurement. Nearly all of a suite is such tests. The garbage collector leaves a tuple of nothing but numbers and
# texts alone; objects it would look through over and over while the run grows.
_Passed: TypeAlias = (
    "tuple[str, str, str, int | None, float, float | None, float | None, float | None, str, OnReport | None]"
)


class Recorder:
    """Collects the tests of a run.

    Args:
        types: node id → type; filled by whoever collects, read when a test is first seen.
        starts: the tests that have begun; taken from there with their first report.
        root, invocation: the root directory, and where the command was typed.
        each: whether every worker runs every test.
    """

    def __init__(
        self, types: Mapping[str, str], starts: Starts, root: str = "", invocation: str = "", *, each: bool = False
    ) -> None:
        self._causes = CauseReader(root, invocation)
        self._types = types
        self._starts = starts
        self._each = each
        self._tests: list[_Test | _Passed] = []
        self._open: dict[object, _Test] = {}  # those whose last attempt has not ended or will be repeated
        self._files: dict[str, str] = {}
        self._seen: tuple[object, str] = (None, "")
        self.workers: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # This runs three times for each test: what is needed once stands in _begin, what is seldom needed in _judge.
        location, node_id = self._seen
        # Without workers the reports of a test share one location; to ask a report for its node id takes three calls.
        if report.location is not location or location is None:
            node_id = report.nodeid
            self._seen = (report.location, node_id)
        key: object = (node_id, _worker(report)) if self._each else node_id
        test = self._open.get(key)
        attempt = test.attempts[-1] if test is not None else None
        # In its own dictionary it is found out in a tenth of the time that a report has not got something.
        known, when = report.__dict__, report.when
        if attempt is None or attempt.ended or (when == "setup" and attempt.setup_s is not None):
            attempt = self._begin(key, test, node_id, report)
        if when == "setup":
            attempt.setup_s = report.duration
        elif when == "teardown":
            attempt.teardown_s = report.duration
            attempt.ended = True
        elif "context" not in known:  # a subtest's time is part of the call's
            attempt.call_s = known.get("duration")
            attempt.measured = known.get("sergas")
        if report.outcome != "passed" or "wasxfail" in known:
            self._judge(attempt, report)
        if attempt.ended and not attempt.repeated:
            if attempt.call_s is None and attempt.outcome is Outcome.PASSED:
                attempt.outcome, attempt.message = Outcome.SKIPPED, NOT_CALLED
            test = self._open.pop(key)
            if attempt.outcome is Outcome.PASSED and not attempt.message and len(test.attempts) == 1:
                where = test.node_id, test.type, test.file, test.line
                times_s = attempt.start_s, attempt.setup_s, attempt.call_s, attempt.teardown_s
                self._tests[test.place] = (*where, *times_s, attempt.worker, attempt.measured)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome == "passed":
            return
        node_id = report.nodeid
        file = self._file(node_id.partition("::")[0])
        test = _Test(len(self._tests), node_id, self._types.get(node_id, UNTYPED), file, None)
        attempt = _Attempt(0.0, "")
        attempt.outcome = Outcome.ERROR if report.outcome == "failed" else Outcome.SKIPPED
        attempt.message, attempt.trace = _describe(report)
        if attempt.outcome is Outcome.ERROR:
            attempt.cause = self._cause(report, "collect")
        attempt.ended = True
        test.attempts.append(attempt)
        self._tests.append(test)

    def running(self) -> tuple[int, tuple[Running, ...]]:
        """Return how many tests have reported something, and what runs now; may be called from any thread."""
        found = [
            Running(test.node_id, last.worker, last.start_s, last.call_s is not None)
            for test in list(self._open.values())  # a copy at once: the run goes on meanwhile
            if not (last := test.attempts[-1]).ended
        ]
        begun = [Running(node_id, "", start_s) for node_id, (start_s, _) in self._starts.open]
        return len(self._tests), (*found, *begun)

    def finish(self) -> tuple[tuple[TestRecord, ...], tuple[str, ...]]:
        """Return the tests in the order in which they began, and the node ids of those that did not end.

        What was collected is given away: a second call returns nothing.
        """
        self._open.clear()
        # Each test is let go when its record is made: with both alive, the garbage collector would start over
        # and over to look through the objects of the whole run.
        waiting, self._tests = self._tests[::-1], []
        records: list[TestRecord] = []
        unfinished: list[str] = []
        while waiting:
            test = waiting.pop()
            if isinstance(test, tuple):
                records.append(_passed(test))
            elif test.attempts[-1].ended:
                records.append(_record(test))
            else:
                unfinished.append(test.node_id)
        running = (clean(node_id, NAME_LIMIT) for node_id in (*unfinished, *self._starts.node_ids))
        return tuple(records), tuple(dict.fromkeys(running))

    def _begin(self, key: object, known: _Test | None, node_id: str, report: pytest.TestReport) -> _Attempt:
        begun_s, (file, line, _) = getattr(report, "start", 0.0), report.location
        start = self._starts.take(node_id)
        if start is not None and not begun_s:  # a crash: pytest-xdist knows neither
            begun_s, (file, line, _) = start
        worker = _worker(report)
        attempt = _Attempt(begun_s, worker)
        if known is not None and known.attempts[-1].repeated:
            known.attempts.append(attempt)
            return attempt
        test = _Test(len(self._tests), node_id, self._types.get(node_id, UNTYPED), self._file(file), line)
        test.attempts.append(attempt)
        self._tests.append(test)
        self._open[key] = test
        if worker:
            self.workers.add(worker)
        return attempt

    def _file(self, name: str) -> str:
        """Return a file's name as records have it; the tests of a file share it."""
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = clean(name.replace("\\", "/"), NAME_LIMIT)
        return file

    def _cause(self, report: pytest.TestReport | pytest.CollectReport, phase: str) -> Cause:
        """Return the cause of a failure; the report says it too, for what is printed of it."""
        cause = self._causes.read(report, phase)
        report.sergas_cause = cause.fingerprint  # type: ignore[union-attr]  # a report takes what it is given
        return cause

    def _judge(self, attempt: _Attempt, report: pytest.TestReport) -> None:
        when: str = Phase.CRASH if "sergas_crash" in report.__dict__ else report.when or ""
        masked: str = getattr(report, "sergas_masked", "")
        reported: str = masked or report.outcome  # pytest-xdist and pytest-rerunfailures know more words than pytest
        if hasattr(report, "context") and reported in {"passed", "skipped"}:
            return  # a subtest that was skipped, or that met the test's xfail mark, says nothing about the test
        message, trace = _describe(report)
        timed_out = MARK in report.__dict__
        outcome = phase_outcome(
            when,
            reported,
            expected_to_fail=hasattr(report, "wasxfail") and not masked,
            timed_out=timed_out,
            over_budget=when == Phase.CALL and attempt.measured is not None and attempt.measured[-1],
        )
        phase = "crash" if when == Phase.CRASH else when
        cause = self._cause(report, phase) if outcome in FAILURES else None
        folded = outcome if timed_out else worse(attempt.outcome, outcome)
        if folded is not attempt.outcome or not attempt.message:
            attempt.outcome, attempt.message, attempt.trace, attempt.cause = folded, message, trace, cause
        if when == Phase.CRASH:
            attempt.ended = True
        # With a failed subtest, the call's own report repeats the attempt although it passed.
        if reported == "rerun":
            attempt.repeated = True
        elif reported == "retried":  # pytest-retry's word, and all that it reports of such an attempt
            attempt.repeated = attempt.ended = True


def _worker(report: pytest.TestReport) -> str:
    """Return the worker that ran the test, or "" for the only process."""
    worker: str = report.__dict__.get("worker_id", "")
    if worker or "node" not in report.__dict__:
        return worker
    # What pytest-xdist itself reports of a worker that died names it only by its connection.
    return str(report.node.gateway.id)


def _describe(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str]:
    """Return message and trace of a report that is not plainly passed."""
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):
        return clean(longrepr[2].removeprefix("Skipped: "), MESSAGE_LIMIT), ""
    wasxfail = getattr(report, "wasxfail", None)
    if wasxfail is not None and not hasattr(report, "sergas_masked"):
        return clean(wasxfail.removeprefix("reason: "), MESSAGE_LIMIT), ""
    if longrepr is None:
        return "", ""
    trace = str(longrepr)
    crash = getattr(longrepr, "reprcrash", None)
    message = crash.message if crash is not None else trace
    return clean(message, MESSAGE_LIMIT), clean(trace, TRACE_LIMIT)


def _passed(test: _Passed) -> TestRecord:
    node_id, test_type, file, line, start_s, setup_s, call_s, teardown_s, worker, measured = test
    cost = None if measured is None else _measurement(measured)
    attempt = AttemptRecord(Outcome.PASSED, start_s, setup_s, call_s, teardown_s, worker, "", "", cost)
    return TestRecord(clean(node_id, NAME_LIMIT), test_type, Outcome.PASSED, (attempt,), file, _line(line))


def _line(counted_from_0: int | None) -> int | None:
    return None if counted_from_0 is None else counted_from_0 + 1


def _record(test: _Test) -> TestRecord:
    attempts = tuple(map(_attempt, test.attempts))
    return TestRecord(
        clean(test.node_id, NAME_LIMIT),
        test.type,
        final_outcome([attempt.outcome for attempt in attempts]),
        attempts,
        test.file,
        _line(test.line),
    )


def _attempt(attempt: _Attempt) -> AttemptRecord:
    return AttemptRecord(
        attempt.outcome,
        attempt.start_s,
        attempt.setup_s,
        attempt.call_s,
        attempt.teardown_s,
        attempt.worker,
        attempt.message,
        attempt.trace,
        None if attempt.measured is None else _measurement(attempt.measured),
        attempt.cause,
    )


def _measurement(found: OnReport) -> Measurement:
    taken, uses, _ = found
    return Measurement(*taken, uses=tuple([Use(*use) for use in uses]))  # type: ignore[misc]  # six or seven others
