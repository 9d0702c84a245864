"""A `RunRecord` in the Common Test Report Format, version 0.0.0 (https://ctrf.io).

CTRF knows five statuses; the finer outcome stands in ``rawStatus``, and what CTRF has no field for under
``extra``. Durations and times are whole milliseconds there.
"""

from __future__ import annotations

import uuid
from typing import Any

from pytest_sergas.core.records import FAILURES, SUCCESSES, AttemptRecord, Environment, Outcome, RunRecord, TestRecord

SPEC_VERSION = "0.0.0"

_STATUS = {
    **dict.fromkeys(SUCCESSES, "passed"),
    **dict.fromkeys(FAILURES, "failed"),
    Outcome.SKIPPED: "skipped",
    Outcome.QUARANTINED: "other",
}


def to_ctrf(run: RunRecord) -> dict[str, Any]:
    """Return ``run`` as a CTRF document, ready for `json.dumps`."""
    tests = [_test(test) for test in run.tests]
    statuses = [test["status"] for test in tests]
    names = ("passed", "failed", "skipped", "pending", "other")
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
                "tests": len(tests),
                **{name: statuses.count(name) for name in names},
                "flaky": sum(test.outcome is Outcome.FLAKY for test in run.tests),
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
                **_present(stopped=run.stopped, unfinished=list(run.unfinished), notes=list(run.notes)),
            },
        },
    }


def _test(test: TestRecord) -> dict[str, Any]:
    last = test.last
    document: dict[str, Any] = {
        "testId": test.node_id,
        "name": test.name,
        "status": _STATUS[test.outcome],
        "rawStatus": test.outcome.value,
        "duration": _ms(last.duration_s),
        "start": _ms(last.start_s),
        "stop": _ms(last.start_s) + _ms(last.duration_s),
        "type": test.type,
        "filePath": test.file,
        "suite": [test.file or test.node_id],
    }
    if test.line is not None:
        document["line"] = test.line
    if last.worker:
        document["threadId"] = last.worker
    if last.message:
        document["message"] = last.message
    if last.trace:
        document["trace"] = last.trace
    if test.retries:
        document["retries"] = test.retries
        document["flaky"] = test.outcome is Outcome.FLAKY
        document["retryAttempts"] = [
            _attempt(number, attempt) for number, attempt in enumerate(test.attempts[:-1], start=1)
        ]
    document["extra"] = _phases(last)
    return document


def _attempt(number: int, attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "attempt": number,
        "status": _STATUS[attempt.outcome],
        "duration": _ms(attempt.duration_s),
        "start": _ms(attempt.start_s),
        "stop": _ms(attempt.start_s) + _ms(attempt.duration_s),
        **_present(message=attempt.message, trace=attempt.trace),
        "extra": {"rawStatus": attempt.outcome.value, **_present(worker=attempt.worker), **_phases(attempt)},
    }


def _phases(attempt: AttemptRecord) -> dict[str, float]:
    phases = {"setup": attempt.setup_s, "call": attempt.call_s, "teardown": attempt.teardown_s}
    return {f"{name}Seconds": round(seconds, 6) for name, seconds in phases.items() if seconds is not None}


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
    extra = _present(provider=environment.provider, pullRequest=environment.pull_request, python=environment.python)
    return {**fields, "extra": extra} if extra else fields


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
