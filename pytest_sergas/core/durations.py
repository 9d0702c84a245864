"""How long tests usually take: what runs leave for the next ones, merged over runs, and the file that it is kept in.

A test's duration follows the runs with decay: a new value counts `WEIGHT`, what was known before the rest. Its
set-up rises at once and falls as slowly: only the first test that uses a shared fixture sets it up, and in
another order it is another one, so that the highest of recent values is what the fixture takes.

The file is JSON with a line for each test, sorted, so that a version control system can merge it:

    {"format": "sergas-durations", "version": 1, "tests": {
    "tests/test_shop.py::test_pay": [0.25, 0.01, 0]
    }}

The numbers are seconds of the whole test, seconds of its set-up, and in how many runs in a row it was missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pytest_sergas.core.kinds import YEAR_S
from pytest_sergas.core.records import AttemptRecord, Outcome, TestRecord

FORMAT = "sergas-durations"
VERSION = 1
WEIGHT = 0.3
# Runs in a row without a test after which it is taken to be gone for good.
KEPT_RUNS = 20

_DIGITS = 4  # tenths of a millisecond: finer ones would only make the file change
_USABLE = frozenset({Outcome.PASSED, Outcome.XPASSED})


class DurationsError(ValueError):
    """A text is no file of durations; the text of the error says why, without naming the file."""


class Duration(NamedTuple):
    """What is known of one test.

    Attributes:
        total_s: seconds of set-up, call and teardown.
        setup_s: seconds of the set-up, shared fixtures included where the test was the first to use them.
        missing: in how many runs in a row that should have had the test it was not there.
    """

    total_s: float
    setup_s: float
    missing: int = 0


Durations = Mapping[str, Duration]


def measured(tests: Iterable[TestRecord]) -> Iterator[tuple[str, Duration]]:
    """Return node id → duration of the tests that passed in the end; what failed or was skipped says nothing."""
    for test in tests:
        last = test.last
        if last.outcome in _USABLE and _is_whole(last):
            yield test.node_id, Duration(_sane(last.duration_s), _sane(last.setup_s or 0.0))


def merge(known: Durations, tests: Iterable[TestRecord], expected: Callable[[str], bool]) -> dict[str, Duration]:
    """Return what is known after a run.

    Args:
        known: what was known before.
        tests: of the run.
        expected: whether the run would have had a test of this node id if it still existed.
    """
    records = tuple(tests)
    merged = dict(known)
    present = {test.node_id for test in records}
    for node_id, duration in known.items():
        if node_id in present:
            merged[node_id] = Duration(duration.total_s, duration.setup_s)
        elif expected(node_id):
            merged[node_id] = Duration(duration.total_s, duration.setup_s, duration.missing + 1)
    for node_id, new in measured(records):
        old = merged.get(node_id)
        merged[node_id] = new if old is None else _followed(old, new)
    return {node_id: duration for node_id, duration in merged.items() if duration.missing < KEPT_RUNS}


def to_json(durations: Durations) -> bytes:
    """Return the file; equal durations give equal bytes."""
    # ASCII, because a node id may carry bytes that are not UTF-8.
    lines = ",\n".join(f"{json.dumps(node_id)}: {_entry(durations[node_id])}" for node_id in sorted(durations))
    head = f'{{"format": "{FORMAT}", "version": {VERSION}, "tests": {{'
    return f"{head}\n{lines}\n}}}}\n".encode("ascii") if lines else f"{head}}}}}\n".encode("ascii")


def from_json(data: bytes) -> dict[str, Duration]:
    """Read a file.

    Raises:
        DurationsError: it is none, or half of one.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DurationsError(f"is not whole JSON ({type(error).__name__})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DurationsError(f'is not a file of durations: "format" is not "{FORMAT}"')
    if document.get("version") != VERSION:
        raise DurationsError(f'has another "version" than {VERSION}: {document.get("version")!r:.20}')
    tests = document.get("tests")
    if not isinstance(tests, dict):
        raise DurationsError('has no table "tests"')
    return {node_id: _read(node_id, entry) for node_id, entry in tests.items()}


def from_served(data: bytes) -> dict[str, float]:
    """Read what a sidecar answers: ``{"durations": {node id: seconds}}``.

    Raises:
        DurationsError: it is something else.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DurationsError(f"what it answered is not whole JSON ({type(error).__name__})") from error
    found = document.get("durations") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise DurationsError('what it answered has no table "durations"')
    for node_id, seconds in found.items():
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= YEAR_S:
            raise DurationsError(f"what it answered has an entry that is no duration: {node_id!r:.100}")
    return {node_id: float(seconds) for node_id, seconds in found.items()}


def _read(node_id: str, entry: object) -> Duration:
    match entry:
        case [int() | float() as total_s, int() | float() as setup_s, int() as missing] if (
            0 <= total_s <= YEAR_S and 0 <= setup_s <= YEAR_S and missing >= 0
        ):
            return Duration(float(total_s), float(setup_s), missing)
    raise DurationsError(f"has an entry that is no duration: {node_id!r:.100}")


def _entry(duration: Duration) -> str:
    numbers = [round(duration.total_s, _DIGITS), round(duration.setup_s, _DIGITS), duration.missing]
    return json.dumps(numbers)


def _followed(old: Duration, new: Duration) -> Duration:
    setup_s = max(new.setup_s, old.setup_s + WEIGHT * (new.setup_s - old.setup_s))
    return Duration(old.total_s + WEIGHT * (new.total_s - old.total_s), setup_s)


def _is_whole(attempt: AttemptRecord) -> bool:
    return attempt.setup_s is not None and attempt.call_s is not None


def _sane(seconds: float) -> float:
    """Return a duration that a clock may have got wrong as one that can be added up."""
    return min(max(seconds, 0.0), YEAR_S)
