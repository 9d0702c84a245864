"""A CTRF document from anybody, judged and condensed: what is asked about later without reading it again.

What the schema of CTRF (https://ctrf.io) requires and what is used here is checked; everything else may be there. The
figures are counted from the tests: a summary that says otherwise is not believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sergas.core.text import clean, one_line, public_url, show_value
from pytest_sergas.errors import SergasError

STATUSES = ("passed", "failed", "skipped", "pending", "other")
FAULT_LIMIT = 10

_TEXT_LIMIT = 200
_ID_LIMIT = 4_096
_URL_LIMIT = 2_000
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,199}")
_RUN_ID_ALLOWED = "allowed: 1 to 200 letters, digits and . _ : @ + -, the first a letter or digit"
LATEST_MS = 253_402_300_799_999  # the end of the year 9999


class ReportError(SergasError):
    """A document is no CTRF that can be kept; ``faults`` says why, at most `FAULT_LIMIT` of them."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


@dataclass(frozen=True, slots=True)
class ReportedTest:
    """One test; `outcome` is finer than `status` where the document says more.

    Attributes:
        peak_memory_bytes: what its call added; None where that was not measured.
        allowed_s, allowed_mb: its budgets of time, in seconds, and of memory, in MiB; None for no budget.
        message: the first line of how it failed, or "".
        cause: the fingerprint that it shares with other failures of the same cause, or "".
    """

    id: str
    type: str
    status: str
    outcome: str
    duration_s: float
    flaky: bool
    peak_memory_bytes: float | None = None
    allowed_s: float | None = None
    allowed_mb: float | None = None
    message: str = ""
    cause: str = ""

    @property
    def alike(self) -> str:
        """What failures of one cause have in common; without a cause, what this test alone has."""
        return self.cause or self.id


@dataclass(frozen=True, slots=True)
class Report:
    """One run; a text is empty and a time None where the document says nothing.

    Attributes:
        build_url: where the CI shows it, as `public_url` leaves it; may be any text.
        shard, split: which part of the suite it is ("2/5"), and of which split.
    """

    run_id: str
    project: str
    branch: str
    commit: str
    started_s: float | None
    finished_s: float | None
    tests: tuple[ReportedTest, ...]
    build_url: str = ""
    shard: str = ""
    split: str = ""

    @property
    def by_status(self) -> Mapping[str, int]:
        """How many tests have each status; those that none has are not there."""
        found = [test.status for test in self.tests]
        return {status: found.count(status) for status in STATUSES if status in found}

    @property
    def flaky(self) -> int:
        return sum(test.flaky for test in self.tests)


def success_percent(by_status: Mapping[str, int]) -> float | None:
    """Return percent of the tests that passed of those that passed or failed; None when none did either."""
    passed, failed = by_status.get("passed", 0), by_status.get("failed", 0)
    return 100.0 * passed / (passed + failed) if passed + failed else None


def figures_by_type(report: Report) -> dict[str, dict[str, float]]:
    """Return type → its tests by status, how many were flaky, and the seconds that they took together."""
    figures: dict[str, dict[str, float]] = {}
    for test in report.tests:
        own = figures.setdefault(test.type, {"flaky": 0, "seconds": 0.0})
        own[test.status] = own.get(test.status, 0) + 1
        own["flaky"] += test.flaky
        own["seconds"] += test.duration_s
    return {name: {**own, "seconds": round(own["seconds"], 3)} for name, own in figures.items()}


def read_report(document: object) -> Report:
    """Return what ``document``, parsed JSON, reports.

    Raises:
        ReportError: it is no CTRF, or has no id that tells it from other runs.
    """
    faults: list[str] = []
    top = _Table(document, "", faults)
    if top.table.get("reportFormat") != "CTRF":
        top.fault("reportFormat", "allowed: 'CTRF'")
    run_id = _run_id(top)
    results = top.inner("results")
    environment = results.inner("environment", required=False)
    extra = results.table.get("extra")
    summary = results.inner("summary", required=False)
    report = Report(
        run_id,
        environment.text("appName"),
        environment.text("branchName"),
        environment.text("commit"),
        summary.moment("start"),
        summary.moment("stop"),
        tuple(_tests(results)),
        public_url(environment.text("buildUrl", limit=_URL_LIMIT)),
        _own_text(extra, "shard"),
        _own_text(extra, "split"),
    )
    if faults:
        more = len(faults) - FAULT_LIMIT
        raise ReportError((*faults[:FAULT_LIMIT], *([f"and {more} more"] if more > 0 else [])))
    return report


def _run_id(top: _Table) -> str:
    key = "runId" if "runId" in top.table else "reportId"
    value = top.table.get(key)
    if not isinstance(value, str) or not _RUN_ID.fullmatch(value):
        top.fault(key, _RUN_ID_ALLOWED)
        return ""
    return value


def _tests(results: _Table) -> Iterator[ReportedTest]:
    listed = results.table.get("tests")
    if not isinstance(listed, list):
        results.fault("tests", "allowed: a list")
        return
    for number, entry in enumerate(listed):
        test = _Table(entry, f"{results.path}tests[{number}]", results.faults)
        if not isinstance(name := test.table.get("name"), str) or not name:
            test.fault("name", "allowed: text, not empty")
            continue
        if (status := test.table.get("status")) not in STATUSES:
            test.fault("status", f"allowed: {', '.join(STATUSES)}")
            continue
        measured = _at(test.table, "extra", "measured")
        yield ReportedTest(
            clean(test.text("testId", limit=_ID_LIMIT) or name, _ID_LIMIT),
            test.text("type") or "untyped",
            status,
            test.text("rawStatus") or status,
            test.number("duration") / 1000,
            test.table.get("flaky") is True,
            _own_number(measured, "peakMemoryBytes"),
            _own_number(measured, "budgets", "max_duration", "allowed"),
            _own_number(measured, "budgets", "max_memory_mb", "allowed"),
            _first_line(test.table.get("message")),
            _own_text(test.table, "extra", "cause", "fingerprint"),
        )


def _first_line(value: object) -> str:
    lines = value.strip().splitlines() if isinstance(value, str) else []
    return one_line(lines[0], _TEXT_LIMIT) if lines else ""


def _at(value: object, *path: str) -> object:
    """Return what lies at ``path``, or None: under ``extra`` every tool has things of its own."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _own_text(value: object, *path: str) -> str:
    found = _at(value, *path)
    return one_line(found, _TEXT_LIMIT) if isinstance(found, str) else ""


def _own_number(value: object, *path: str) -> float | None:
    found = _at(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= LATEST_MS:
        return None
    return float(found)


class _Table:
    """An object of the document, the path to it, and where its faults go."""

    def __init__(self, value: object, path: str, faults: list[str]) -> None:
        self.faults = faults
        self.path = f"{path}." if path else ""
        self.table: Mapping[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self.faults.append(f"{path or 'the document'}: allowed: an object")

    def fault(self, key: str, text: str) -> None:
        shown = f" = {show_value(key, self.table[key])}" if key in self.table else " is missing"
        self.faults.append(f"{self.path}{key}{shown}: {text}")

    def inner(self, key: str, *, required: bool = True) -> _Table:
        if key not in self.table and not required:
            return _Table({}, f"{self.path}{key}", self.faults)
        return _Table(self.table.get(key), f"{self.path}{key}", self.faults)

    def text(self, key: str, *, limit: int = _TEXT_LIMIT) -> str:
        value = self.table.get(key, "")
        if not isinstance(value, str):
            self.fault(key, "allowed: text")
            return ""
        return one_line(value, limit)

    def number(self, key: str) -> float:
        value = self.table.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_MS:
            self.fault(key, "allowed: milliseconds, at least 0")
            return 0.0
        return float(value)

    def moment(self, key: str) -> float | None:
        """Return seconds since the epoch."""
        return self.number(key) / 1000 if key in self.table else None
