"""The search for tests, and one test over its runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.ctrf_reading import CtrfError, from_json
from pytest_sergas.core.measurement import MIB
from pytest_sergas.core.plots import Axes, Point, line
from pytest_sergas.core.records import AttemptRecord
from pytest_sergas.core.standing import Standing, assess, is_failure
from pytest_sergas.engine import past
from pytest_sergas.engine.past import PastTest
from pytest_sergas.engine.runs import Runs
from pytest_sergas.engine.standings import find
from pytest_sergas.engine.store import Store
from pytest_sergas.sidecar.answers import QueryError, text, whole
from pytest_sergas.sidecar.pages.answer import NotThereError, page, show

SHOWN = 100
_RUNS = 20
_MOST_RUNS = 100
_TEST_RUNS = 100
_ID_LIMIT = 4_096


class Parts(Protocol):
    """What the pages ask: the engine, once it has started."""

    @property
    def runs(self) -> Runs: ...

    @property
    def store(self) -> Store: ...


def routes(engine: Parts) -> list[Route]:
    """Return the routes of the pages of tests."""

    async def search(request: Request) -> Response:
        asked, branch, wanted = text(request, "q"), text(request, "branch"), text(request, "class")
        if wanted and wanted not in list(Standing):
            raise QueryError(f"class: allowed: {', '.join(Standing)}")
        runs = whole(request, "runs", _RUNS, _MOST_RUNS)
        histories = await engine.runs.tests(runs, branch=branch)
        found = await asyncio.to_thread(find, histories, asked)
        counts = {standing: sum(one.assessment.standing is standing for one in found) for standing in Standing}
        found = [one for one in found if not wanted or one.assessment.standing == wanted]
        values = {
            "title": "Tests",
            "found": found[:SHOWN],
            "count": len(found),
            "counts": counts,
            "asked": asked,
            "branch": branch,
            "branches": await past.branches(engine.store),
            "wanted": wanted,
            "runs": runs,
        }
        return show(request, "tests.html", values)

    async def one(request: Request) -> Response:
        test_id, branch = request.query_params.get("id", "")[:_ID_LIMIT], text(request, "branch")
        newest_first = await past.test_over_runs(engine.store, test_id, _TEST_RUNS, branch=branch)
        if not newest_first:
            raise NotThereError(f"no test of this name ran in the newest {_TEST_RUNS} runs")
        failure, run_id = await _latest_failure(engine.store, test_id, newest_first)
        values = {
            "title": "Test",
            "test_id": test_id,
            "branch": branch,
            "newest_first": newest_first,
            "assessment": assess([test.seen for test in newest_first]),
            "plots": plots(newest_first),
            "failure": failure,
            "failed_in": run_id,
        }
        return show(request, "test.html", values)

    return [page("/tests", search), page("/tests/one", one)]


def plots(newest_first: Sequence[PastTest]) -> list[tuple[str, str]]:
    """Return name → plot for what is known of a test over its runs: duration, and memory where it was measured."""
    ran = [test for test in reversed(newest_first) if test.outcome not in {"skipped", "pending"}]
    if not ran:
        return []
    newest = newest_first[0]
    names = ((0.0, "oldest"), (float(len(ran) - 1), "newest")) if len(ran) > 1 else ()
    largest_s = max([test.duration_s for test in ran] + [newest.allowed_s or 0.0])
    factor, unit = (1.0, " s") if largest_s >= 1 else (1_000.0, " ms")
    budget = None if newest.allowed_s is None else newest.allowed_s * factor
    durations = [Point(index, test.duration_s * factor, _mark(test), _says(test)) for index, test in enumerate(ran)]
    found = [("Duration", line("Duration", durations, Axes(unit, budget, names)))]
    memory = [None if test.peak_memory_bytes is None else test.peak_memory_bytes / MIB for test in ran]
    if any(value is not None for value in memory):
        points = [
            Point(index, value, _mark(test), _says(test))
            for index, (value, test) in enumerate(zip(memory, ran, strict=True))
        ]
        found.append(("Peak memory", line("Peak memory", points, Axes(" MiB", newest.allowed_mb, names))))
    return found


def _mark(test: PastTest) -> str:
    return "failed" if is_failure(test.outcome) else "flaky" if test.outcome == "flaky" else "passed"


def _says(test: PastTest) -> str:
    return f"{test.outcome}, {test.duration_s:.3f} s"


async def _latest_failure(
    store: Store, test_id: str, newest_first: Sequence[PastTest]
) -> tuple[AttemptRecord | None, str]:
    """Return the newest attempt that failed, with its text, and the run that it was in."""
    troubled = [test for test in newest_first if is_failure(test.outcome) or test.outcome == "flaky"]
    if not troubled:
        return None, ""
    run_id = troubled[0].run.run_id
    documents = await past.documents(store, (run_id,))

    def work() -> AttemptRecord | None:
        attempts = [
            attempt
            for document in documents
            for test in from_json(document).tests
            if test.node_id == test_id
            for attempt in test.attempts
            if is_failure(attempt.outcome)
        ]
        return attempts[-1] if attempts else None

    try:
        return await asyncio.to_thread(work), run_id
    except CtrfError:
        return None, run_id  # another tool wrote it, and says less
