"""How tests ended in their latest runs, and the file that it is kept in.

The file is JSON with a line for each test: its runs, newest first, as letters with their counts. ``p`` passed, ``k``
was flaky, ``f`` failed; what was skipped or expected to fail says nothing.

    {"format": "sergas-results", "version": 1, "tests": {
    "tests/test_shop.py::test_pay": "p12k1p7f1"
    }}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

from pytest_sergas.core.records import FAILURES, Outcome, TestRecord, final_outcome

FORMAT = "sergas-results"
VERSION = 1
KEPT = 100

_LETTERS = {Outcome.PASSED: "p", Outcome.XPASSED: "p", Outcome.FLAKY: "k", **dict.fromkeys(FAILURES, "f")}
OUTCOMES = {"p": Outcome.PASSED, "k": Outcome.FLAKY, "f": Outcome.FAILED}
_RUNS = re.compile(r"(?:[pkf]\d{1,3})+")

# Node id → a letter for each run, newest first.
Results = Mapping[str, str]


class ResultsError(ValueError):
    """A text is no file of results; the text of the error says why, without naming the file."""


def of(tests: Iterable[TestRecord]) -> Iterator[tuple[str, str]]:
    """Return node id → letter of the tests that were judged; of one in quarantine, what it really was."""
    for test in tests:
        outcome = test.outcome
        if outcome is Outcome.QUARANTINED:
            outcome = final_outcome([attempt.outcome for attempt in test.attempts])
        if (letter := _LETTERS.get(outcome)) is not None and "::" in test.node_id:
            yield test.node_id, letter


def merge(known: Results, tests: Iterable[TestRecord], expected: Callable[[str], bool]) -> dict[str, str]:
    """Return what is known after a run.

    Args:
        expected: whether the run would have had a test of this node id if it still existed; then it is forgotten.
    """
    records = tuple(tests)
    present = {test.node_id for test in records}
    merged = {node_id: runs for node_id, runs in known.items() if node_id in present or not expected(node_id)}
    for node_id, letter in of(records):
        merged[node_id] = f"{letter}{merged.get(node_id, '')}"[:KEPT]
    return merged


def to_json(results: Results) -> bytes:
    """Return the file; equal results give equal bytes."""
    # ASCII, because a node id may carry bytes that are not UTF-8.
    lines = ",\n".join(f'{json.dumps(node_id)}: "{_shortened(results[node_id])}"' for node_id in sorted(results))
    return f'{{"format": "{FORMAT}", "version": {VERSION}, "tests": {{\n{lines}\n}}}}\n'.encode("ascii")


def from_json(data: bytes) -> dict[str, str]:
    """Read a file.

    Raises:
        ResultsError: it is none, or half of one.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"is not whole JSON ({type(error).__name__})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ResultsError(f'is not a file of results: "format" is not "{FORMAT}"')
    if document.get("version") != VERSION:
        raise ResultsError(f'has another "version" than {VERSION}: {document.get("version")!r:.20}')
    tests = document.get("tests")
    if not isinstance(tests, dict):
        raise ResultsError('has no table "tests"')
    return {node_id: _read(node_id, runs) for node_id, runs in tests.items()}


def _shortened(runs: str) -> str:
    return "".join(f"{letter}{len(list(same))}" for letter, same in groupby(runs))


def _read(node_id: str, runs: object) -> str:
    if not isinstance(runs, str) or not _RUNS.fullmatch(runs):
        raise ResultsError(f"has an entry that is no list of runs: {node_id!r:.100}")
    return "".join(letter * int(count) for letter, count in re.findall(r"([pkf])(\d+)", runs))[:KEPT]
