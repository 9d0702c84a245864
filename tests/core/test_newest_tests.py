"""Which tests of which run an alert is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sergas.core.newest_tests import LINES, NewestTests
from pytest_sergas.core.report import Report, ReportedTest, read_report

pytestmark = pytest.mark.unit

FAILED = {"job": "shop", "type": "unit"}


def one(name: str, status: str = "failed", outcome: str = "", kind: str = "unit") -> ReportedTest:
    return ReportedTest(name, kind, status, outcome or status, 1.0, outcome == "flaky")


def run(run_id: str, *tests: ReportedTest, branch: str = "main", project: str = "shop") -> Report:
    return Report(run_id, project, branch, "c1", 0.0, 1.0, tests)


def found(newest: NewestTests, word: str = "failed", **labels: str) -> dict[str, list[str]]:
    runs = newest.find({**FAILED, **labels})
    return {of.run_id: [test.id for test in of.tests.get(word, ())] for of in runs}


def test_first_five_that_failed_in_any_way_in_their_order() -> None:
    newest = NewestTests()
    ways = [("a", "failed"), ("b", "timeout"), ("c", "crashed"), ("d", "error"), ("e", "failed"), ("f", "failed")]
    newest.take(run("r1", one("ok", "passed"), *(one(name, "failed", outcome) for name, outcome in ways)))

    assert found(newest) == {"r1": ["a", "b", "c", "d", "e"]}
    assert found(newest, "error") == {"r1": ["d"]}


def test_run_that_came_last_counts_even_when_nothing_failed_in_it() -> None:
    newest = NewestTests()
    newest.take(run("r1", one("a")))
    newest.take(run("r2", one("a", "passed")))

    assert found(newest) == {"r2": []}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, {"r3": ["c"]}),
        ({"branch": "main"}, {"r1": ["a"]}),
        ({"branch": "other"}, {}),
        ({"type": "e2e"}, {"r1": ["e"]}),
        ({"type": "load"}, {}),
        ({"job": "till"}, {"r2": ["b"]}),
        ({"job": "nobody"}, {}),
    ],
)
def test_labels_say_which_run(labels: dict[str, str], expected: dict[str, list[str]]) -> None:
    newest = NewestTests()
    newest.take(run("r1", one("a"), one("e", kind="e2e")))
    newest.take(run("r2", one("b"), project="till"))
    newest.take(run("r3", one("c"), branch="feature"))

    assert found(newest, **labels) == expected


def test_shards_of_one_commit_are_one_run() -> None:
    newest = NewestTests()
    first, second = run("r1", one("a")), run("r2", one("b", "passed"))
    newest.take(replace(first, shard="1/2", split="s"))
    newest.take(replace(second, shard="2/2", split="s"))

    assert found(newest) == {"r2": [], "r1": ["a"]}
    assert found(newest, shard="1/2") == {"r1": ["a"]}
    newest.take(replace(second, run_id="r3", commit="c2", shard="2/2", split="s"))
    assert found(newest) == {"r3": []}


def test_number_of_lines_is_bounded() -> None:
    newest = NewestTests()
    for number in range(LINES + 2):
        newest.take(run(f"r{number}", one("a"), branch=f"b{number}"))

    assert [bool(newest.find({**FAILED, "branch": f"b{number}"})) for number in (0, 1, 2, LINES + 1)] == [
        *(False, False, True, True)
    ]


@pytest.mark.parametrize(("written", "expected"), [("  assert 1 == 2\n  more", "assert 1 == 2"), ("", ""), (7, "")])
def test_message_of_a_test_is_its_first_line_and_its_cause_a_fingerprint(written: object, expected: str) -> None:
    test = {"name": "a", "status": "failed", "duration": 1, "message": written}
    test["extra"] = {"cause": {"fingerprint": "1:0f"}}
    results = {"tool": {"name": "pytest"}, "summary": {}, "tests": [test]}

    [read] = read_report({"reportFormat": "CTRF", "runId": "r", "results": results}).tests

    assert (read.message, read.cause) == (expected, "1:0f")
