"""A CTRF document as a `RunRecord`: what `pytest_sergas.core.ctrf` has written, read back.

Documents of other tools are read as far as CTRF goes: without ``rawStatus`` the status decides, without phases
the duration is the call's. What a document does not say is empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pytest_sergas.core.causes import Cause
from pytest_sergas.core.dependencies import Availability, Dependency
from pytest_sergas.core.measurement import Measurement, Use
from pytest_sergas.core.records import (
    UNTYPED,
    AttemptRecord,
    Environment,
    Outcome,
    Refusal,
    RunRecord,
    TestRecord,
)
from pytest_sergas.core.text import public_url

T = TypeVar("T")

_OUTCOMES = {
    "passed": Outcome.PASSED,
    "failed": Outcome.FAILED,
    "skipped": Outcome.SKIPPED,
    "pending": Outcome.SKIPPED,
    "other": Outcome.SKIPPED,
}
_NAMELESS = "(session)"


class CtrfError(ValueError):
    """A text is no CTRF document; the text of the error says why, without naming the file."""


def from_json(data: bytes) -> RunRecord:
    """Read a CTRF document.

    Raises:
        CtrfError: it is none.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CtrfError(f"is not JSON ({type(error).__name__})") from error
    if not isinstance(document, dict) or document.get("reportFormat") != "CTRF":
        raise CtrfError('is not CTRF: "reportFormat" is not "CTRF"')
    results = _field(document, "results", dict, "results")
    summary = _field(results, "summary", dict, "results.summary")
    tests = _field(results, "tests", list, "results.tests")
    extra = _optional(results, "extra", dict, {}, "results.extra")
    environment = _optional(results, "environment", dict, {}, "results.environment")
    tool = _optional(_field(results, "tool", dict, "results.tool"), "extra", dict, {}, "results.tool.extra")
    where = "results.extra"
    return RunRecord(
        run_id=_optional(document, "runId", str, "", "runId"),
        project=_optional(environment, "appName", str, "", "results.environment.appName"),
        started_s=_ms(summary, "start", "results.summary"),
        finished_s=_ms(summary, "stop", "results.summary"),
        tests=tuple(_test(test, f"results.tests[{number}]") for number, test in enumerate(tests)),
        exit_status=_optional(extra, "exitStatus", int, 0, f"{where}.exitStatus"),
        stopped=_optional(extra, "stopped", str, "", f"{where}.stopped"),
        unfinished=_texts(extra, "unfinished", where),
        collected=_optional(extra, "collected", int, len(tests), f"{where}.collected"),
        workers=_optional(extra, "workers", int, 0, f"{where}.workers"),
        environment=_environment(environment),
        notes=_texts(extra, "notes", where),
        refused=_refused(extra, where),
        coverage=_coverage(extra, f"{where}.coverage"),
        version=_optional(tool, "pluginVersion", str, "", "results.tool.extra.pluginVersion"),
        shard=_optional(extra, "shard", str, "", f"{where}.shard"),
        split=_optional(extra, "split", str, "", f"{where}.split"),
        dependencies=tuple(
            _dependency(entry, f"{where}.dependencies[{number}]")
            for number, entry in enumerate(_optional(extra, "dependencies", list, [], f"{where}.dependencies"))
        ),
    )


def _test(test: object, where: str) -> TestRecord:
    if not isinstance(test, dict):
        raise CtrfError(f"{where} is not an object")
    file = _optional(test, "filePath", str, "", f"{where}.filePath")
    node_id = _optional(test, "testId", str, "", f"{where}.testId") or _field(test, "name", str, f"{where}.name")
    retried = _optional(test, "retryAttempts", list, [], f"{where}.retryAttempts")
    attempts = [_attempt(entry, f"{where}.retryAttempts[{number}]") for number, entry in enumerate(retried)]
    outcome = _outcome(test, _optional(test, "rawStatus", str, "", f"{where}.rawStatus"), where)
    if outcome is Outcome.PASSED and test.get("flaky") is True:
        outcome = Outcome.FLAKY
    extra = _optional(test, "extra", dict, {}, f"{where}.extra")
    last = _attempt_of(test, _last_outcome(test, outcome, where), where)
    return TestRecord(
        "" if node_id == _NAMELESS else node_id,
        _optional(test, "type", str, UNTYPED, f"{where}.type"),
        outcome,
        (*attempts, last),
        file,
        _optional(test, "line", int, None, f"{where}.line"),
        exclusive=bool(_optional(extra, "exclusive", bool, None, f"{where}.extra.exclusive")),
    )


def _last_outcome(test: Mapping[str, Any], outcome: Outcome, where: str) -> Outcome:
    """Return what the last attempt was: it is never flaky, and a test in quarantine says it beside its outcome."""
    if outcome is not Outcome.QUARANTINED:
        return Outcome.PASSED if outcome is Outcome.FLAKY else outcome
    extra = _optional(test, "extra", dict, {}, f"{where}.extra")
    result = _optional(extra, "result", str, "", f"{where}.extra.result")
    return Outcome(result) if result in list(Outcome) else outcome


def _dependency(entry: object, where: str) -> Dependency:
    if not isinstance(entry, dict):
        raise CtrfError(f"{where} is not an object")
    name, found = (_field(entry, key, str, f"{where}.{key}") for key in ("name", "availability"))
    if found not in list(Availability):
        raise CtrfError(f"{where}.availability is {found!r:.40}; allowed: {', '.join(Availability)}")
    return Dependency(
        name,
        Availability(found),
        _optional(entry, "message", str, "", f"{where}.message"),
        _texts(entry, "types", where),
        _seconds(entry, "waitedSeconds", where) or 0.0,
    )


def _attempt(entry: object, where: str) -> AttemptRecord:
    if not isinstance(entry, dict):
        raise CtrfError(f"{where} is not an object")
    extra = _optional(entry, "extra", dict, {}, f"{where}.extra")
    raw = _optional(extra, "rawStatus", str, "", f"{where}.extra.rawStatus")
    return _attempt_of(entry, _outcome(entry, raw, where), where)


def _attempt_of(entry: Mapping[str, Any], outcome: Outcome, where: str) -> AttemptRecord:
    extra = _optional(entry, "extra", dict, {}, f"{where}.extra")
    setup_s, call_s, teardown_s = (
        _seconds(extra, f"{name}Seconds", f"{where}.extra") for name in ("setup", "call", "teardown")
    )
    if setup_s is None and call_s is None and teardown_s is None and entry.get("duration"):
        call_s = _ms(entry, "duration", where)
    return AttemptRecord(
        outcome,
        _ms(entry, "start", where) if "start" in entry else 0.0,
        setup_s=setup_s,
        call_s=call_s,
        teardown_s=teardown_s,
        worker=_optional(entry, "threadId", str, "", f"{where}.threadId")
        or _optional(extra, "worker", str, "", f"{where}.extra.worker"),
        message=_optional(entry, "message", str, "", f"{where}.message"),
        trace=_optional(entry, "trace", str, "", f"{where}.trace"),
        measured=_measurement(_optional(extra, "measured", dict, {}, f"{where}.extra.measured"), where),
        cause=_cause(extra.get("cause"), f"{where}.extra.cause"),
    )


def _measurement(cost: Mapping[str, Any], attempt: str) -> Measurement | None:
    if not cost:
        return None
    where = f"{attempt}.extra.measured"
    budgets = _optional(cost, "budgets", dict, {}, f"{where}.budgets")
    uses = []
    for budget in budgets:
        use = _field(budgets, budget, dict, f"{where}.budgets.{budget}")
        used, allowed = (_needed(use, name, f"{where}.budgets.{budget}") for name in ("used", "allowed"))
        uses.append(Use(budget, used, allowed))
    return Measurement(
        _field(cost, "method", str, f"{where}.method"),
        _needed(cost, "wallSeconds", where),
        _needed(cost, "undisturbedSeconds", where),
        _needed(cost, "cpuSeconds", where),
        _seconds(cost, "childrenCpuSeconds", where) or 0.0,
        _optional(cost, "peakMemoryBytes", int, None, f"{where}.peakMemoryBytes"),
        _seconds(cost, "pacedSeconds", where),
        tuple(uses),
    )


def _cause(found: object, where: str) -> Cause | None:
    if not isinstance(found, dict) or "fingerprint" not in found:
        return None  # not ours: under this name another tool may say anything
    return Cause(
        _field(found, "fingerprint", str, f"{where}.fingerprint"),
        _field(found, "phase", str, f"{where}.phase"),
        _optional(found, "exception", str, "", f"{where}.exception"),
        _optional(found, "file", str, "", f"{where}.file"),
        _optional(found, "line", int, None, f"{where}.line"),
        _optional(found, "function", str, "", f"{where}.function"),
    )


def _needed(table: Mapping[str, Any], name: str, where: str) -> float:
    value = _seconds(table, name, where)
    if value is None:
        raise CtrfError(f"{where}.{name} is missing")
    return value


def _outcome(entry: Mapping[str, Any], raw: str, where: str) -> Outcome:
    if raw in list(Outcome):
        return Outcome(raw)
    status = _field(entry, "status", str, f"{where}.status")
    if status not in _OUTCOMES:
        raise CtrfError(f"{where}.status is {status!r:.40}; allowed: {', '.join(_OUTCOMES)}")
    return _OUTCOMES[status]


def _environment(raw: Mapping[str, Any]) -> Environment:
    where = "results.environment"
    extra = _optional(raw, "extra", dict, {}, f"{where}.extra")

    def text(table: Mapping[str, Any], name: str) -> str:
        found: str = _optional(table, name, str, "", f"{where}.{name}")
        return found

    return Environment(
        provider=text(extra, "provider"),
        branch=text(raw, "branchName"),
        commit=text(raw, "commit"),
        job=text(raw, "buildName"),
        build_id=text(raw, "buildId"),
        build_url=public_url(text(raw, "buildUrl")),
        pull_request=text(extra, "pullRequest"),
        repository=text(raw, "repositoryName"),
        python=text(extra, "python"),
        platform=text(raw, "osPlatform"),
        machine=text(extra, "machine"),
    )


def _field(table: Mapping[str, Any], name: str, kind: type[T], where: str) -> T:
    value = table.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise CtrfError(f"{where} is {'missing' if value is None else 'not ' + _NAMES[kind]}")
    return value


def _optional(table: Mapping[str, Any], name: str, kind: type[T], default: Any, where: str) -> Any:
    return default if table.get(name) is None else _field(table, name, kind, where)


def _texts(table: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    found = _optional(table, name, list, [], f"{where}.{name}")
    if not all(isinstance(text, str) for text in found):
        raise CtrfError(f"{where}.{name} is not a list of texts")
    return tuple(found)


def _refused(extra: Mapping[str, Any], where: str) -> tuple[Refusal, ...]:
    found = _optional(extra, "refused", list, [], f"{where}.refused")
    refused = []
    for number, entry in enumerate(found):
        place = f"{where}.refused[{number}]"
        if not isinstance(entry, dict):
            raise CtrfError(f"{place} is not an object")
        test_type = _optional(entry, "type", str, "", f"{place}.type")
        refused.append(Refusal(test_type, _field(entry, "text", str, f"{place}.text")))
    return tuple(refused)


def _coverage(extra: Mapping[str, Any], where: str) -> dict[str, float]:
    found = _optional(extra, "coverage", dict, {}, where)
    return {name: _needed(found, name, where) for name in found}


def _ms(table: Mapping[str, Any], name: str, where: str) -> float:
    value = _number(table.get(name), f"{where}.{name}")
    if value is None:
        raise CtrfError(f"{where}.{name} is missing")
    return value / 1000


def _seconds(table: Mapping[str, Any], name: str, where: str) -> float | None:
    return _number(table.get(name), f"{where}.{name}")


def _number(value: object, where: str) -> float | None:
    if value is None:
        return None
    # Compared before it is converted: a whole number of 400 digits has no float, and NaN is in no range.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e15 <= value <= 1e15:
        raise CtrfError(f"{where} is not a number of a time")
    return float(value)


_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    bool: "true or false",
}
