"""A `RunRecord` in the Common Test Report Format, version 0.0.0 (https://ctrf.io).

CTRF knows five statuses; the finer outcome stands in ``rawStatus``, and what CTRF has no field for under
``extra``. Durations and times are whole milliseconds there.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_sergas.core.records import FAILURES, SUCCESSES, AttemptRecord, Environment, Outcome, RunRecord, TestRecord

if TYPE_CHECKING:
    from pytest_sergas.core.dependencies import Dependency

SPEC_VERSION = "0.0.0"

_STATUS = {
    **dict.fromkeys(SUCCESSES, "passed"),
    **dict.fromkeys(FAILURES, "failed"),
    Outcome.SKIPPED: "skipped",
    Outcome.QUARANTINED: "other",
}


# The collection itself has no name when it fails; the schema wants one.
_NAMELESS = "(session)"

# Half of a character, which is how Python carries a byte that is not UTF-8.
_SURROGATE = "[\ud800-\udfff]"

# What `json.dumps` calls for a text with ``ensure_ascii=False``.
_quote: Callable[[str], str] = json.encoder.encode_basestring


def to_json(run: RunRecord) -> bytes:
    r"""Return ``run`` as a CTRF document: what `to_ctrf` returns, as compact JSON in UTF-8.

    A suite is mostly tests that passed at once: those are written straight into a line of text, at a third of
    what a dictionary for each costs that is thrown away again.

    A byte that is not UTF-8 (in a branch, a path, a note) is written in words, ``\\udcff``: neither as it is
    nor as JSON's own escape would strict readers take the file.
    """
    before, tests, after = _dumps(_document(run, tests=[])).partition('"tests":[]')
    quoted: dict[str, str] = {}
    lines = ",".join([_passed_at_once(test, quoted) or _dumps(_test(test)) for test in run.tests])
    return _utf8(f"{before}{tests[:-1]}{lines}]{after}")


def to_ctrf(run: RunRecord) -> dict[str, Any]:
    """Return ``run`` as a CTRF document in Python's own types."""
    return _document(run, [_test(test) for test in run.tests])


def _document(run: RunRecord, tests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the document round ``tests``, which are all those of ``run`` or still to be filled in."""
    outcomes = Counter([test.outcome for test in run.tests])
    statuses = dict.fromkeys(("passed", "failed", "skipped", "pending", "other"), 0)
    for outcome, number in outcomes.items():
        statuses[_STATUS[outcome]] += number
    return {
        "reportFormat": "CTRF",
        "specVersion": SPEC_VERSION,
        # One document per run and shard: a name-based UUID keeps the conversion free of randomness.
        "reportId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"pytest-sergas:{run.run_id}")),
        "runId": run.run_id,
        "generatedBy": f"pytest-sergas {run.version}".strip(),
        "results": {
            "tool": {"name": "pytest", "extra": {"plugin": "pytest-sergas", "pluginVersion": run.version}},
            "summary": {
                "tests": len(run.tests),
                **statuses,
                "flaky": outcomes[Outcome.FLAKY],
                "suites": len({test.file for test in run.tests}),
                "start": _ms(run.started_s),
                "stop": _ms(run.finished_s),
                "duration": _ms(run.finished_s) - _ms(run.started_s),
            },
            "tests": tests,
            "environment": _environment(run.project, run.environment),
            "extra": {
                "exitStatus": run.exit_status,
                "collected": run.collected,
                "workers": run.workers,
                **_present(
                    stopped=run.stopped,
                    unfinished=list(run.unfinished),
                    notes=list(run.notes),
                    refused=[{"type": refusal.type, "text": refusal.text} for refusal in run.refused],
                    coverage={name: round(percent, 4) for name, percent in run.coverage.items()},
                    shard=run.shard,
                    split=run.split,
                    dependencies=[_dependency(one) for one in run.dependencies],
                ),
            },
        },
    }


def _test(test: TestRecord) -> dict[str, Any]:
    last = test.last
    duration, start = _ms(last.duration_s), _ms(last.start_s)
    node_id = test.node_id or _NAMELESS
    document: dict[str, Any] = {
        "testId": node_id,
        "name": test.name or _NAMELESS,
        "status": _STATUS[test.outcome],
        "rawStatus": test.outcome.value,
        "duration": duration,
        "start": start,
        "stop": start + duration,
        "type": test.type,
        "filePath": test.file,
        "suite": [test.file or node_id],
    }
    if test.line is not None:
        document["line"] = test.line
    if last.worker:
        document["threadId"] = last.worker
    if last.message:
        document["message"] = last.message
    if last.trace:
        document["trace"] = last.trace
    if test.repeated:
        document["retries"] = test.retries
        document["flaky"] = test.outcome is Outcome.FLAKY
        document["retryAttempts"] = [
            _attempt(number, attempt) for number, attempt in enumerate(test.attempts[:-1], start=1)
        ]
    document["extra"] = {**_phases(last), **_measured(last), **_cause(last), **_present(exclusive=test.exclusive)}
    if test.outcome is Outcome.QUARANTINED:
        document["extra"]["result"] = last.outcome.value
    return document


def _passed_at_once(test: TestRecord, quoted: dict[str, str]) -> str:
    """Return `_test` of ``test`` as JSON if it passed at the first attempt and there is no more to say, else "".

    Args:
        quoted: a file or a type → its JSON, remembered from test to test.
    """
    last = test.attempts[-1]
    setup_s, call_s, teardown_s = last.setup_s, last.call_s, last.teardown_s
    if test.outcome is not Outcome.PASSED or len(test.attempts) > 1 or last.message or last.trace:
        return ""
    if setup_s is None or call_s is None or teardown_s is None or test.line is None or not test.file:
        return ""
    duration, start = _ms(setup_s + call_s + teardown_s), _ms(last.start_s)
    node_id = _quote(test.node_id)
    # Each character is quoted for itself: the end of what is quoted is the end, quoted.
    name = node_id.partition("::")[2].removesuffix('"') or node_id[1:-1]
    file = quoted.get(test.file) or quoted.setdefault(test.file, _quote(test.file))
    test_type = quoted.get(test.type) or quoted.setdefault(test.type, _quote(test.type))
    worker = f',"threadId":{_quote(last.worker)}' if last.worker else ""
    measured = f",{_dumps(_measured(last))[1:-1]}" if last.measured is not None else ""
    exclusive = ',"exclusive":true' if test.exclusive else ""
    return (
        f'{{"testId":{node_id},"name":"{name}","status":"passed","rawStatus":"passed",'
        f'"duration":{duration},"start":{start},"stop":{start + duration},"type":{test_type},"filePath":{file},'
        f'"suite":[{file}],"line":{test.line}{worker},"extra":{{"setupSeconds":{setup_s:.6f},'
        f'"callSeconds":{call_s:.6f},"teardownSeconds":{teardown_s:.6f}{measured}{exclusive}}}}}'
    )


def _attempt(number: int, attempt: AttemptRecord) -> dict[str, Any]:
    duration, start = _ms(attempt.duration_s), _ms(attempt.start_s)
    return {
        "attempt": number,
        "status": _STATUS[attempt.outcome],
        "duration": duration,
        "start": start,
        "stop": start + duration,
        **_present(message=attempt.message, trace=attempt.trace),
        "extra": {
            "rawStatus": attempt.outcome.value,
            **_present(worker=attempt.worker),
            **_phases(attempt),
            **_measured(attempt),
            **_cause(attempt),
        },
    }


def _phases(attempt: AttemptRecord) -> dict[str, float]:
    phases = {}
    if attempt.setup_s is not None:
        phases["setupSeconds"] = round(attempt.setup_s, 6)
    if attempt.call_s is not None:
        phases["callSeconds"] = round(attempt.call_s, 6)
    if attempt.teardown_s is not None:
        phases["teardownSeconds"] = round(attempt.teardown_s, 6)
    return phases


def _measured(attempt: AttemptRecord) -> dict[str, Any]:
    measured = attempt.measured
    if measured is None:
        return {}
    cost: dict[str, Any] = {
        "method": measured.method,
        "wallSeconds": round(measured.wall_s, 6),
        "undisturbedSeconds": round(measured.undisturbed_s, 6),
        "cpuSeconds": round(measured.cpu_s, 6),
        "childrenCpuSeconds": round(measured.children_cpu_s, 6),
    }
    if measured.paced_s is not None:
        cost["pacedSeconds"] = round(measured.paced_s, 6)
    if measured.peak_memory_bytes is not None:
        cost["peakMemoryBytes"] = measured.peak_memory_bytes
    if measured.uses:
        cost["budgets"] = {
            use.budget: {"used": round(use.used, 6), "allowed": round(use.allowed, 6)} for use in measured.uses
        }
    return {"measured": cost}


def _cause(attempt: AttemptRecord) -> dict[str, Any]:
    cause = attempt.cause
    if cause is None:
        return {}
    found = {"fingerprint": cause.fingerprint, "phase": cause.phase}
    place = _present(file=cause.file, line=cause.line, function=cause.function)
    return {"cause": {**found, **_present(exception=cause.exception), **place}}


def _dependency(one: Dependency) -> dict[str, Any]:
    found = {"name": one.name, "availability": one.availability.value, "types": list(one.types)}
    return {**found, **_present(message=one.message, waitedSeconds=round(one.waited_s, 6))}


def _environment(project: str, environment: Environment) -> dict[str, Any]:
    fields = _present(
        appName=project,
        buildId=environment.build_id,
        buildName=environment.job,
        buildUrl=environment.build_url,
        repositoryName=environment.repository,
        commit=environment.commit,
        branchName=environment.branch,
        osPlatform=environment.platform,
    )
    extra = _present(
        provider=environment.provider,
        pullRequest=environment.pull_request,
        python=environment.python,
        machine=environment.machine,
    )
    return {**fields, "extra": extra} if extra else fields


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return re.sub(_SURROGATE, lambda half: f"\\\\u{ord(half[0]):04x}", text).encode()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
