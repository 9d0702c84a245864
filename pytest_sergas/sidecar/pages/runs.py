"""The list of runs, and one run: its workers, its failures, and what differs from the run before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.ctrf_reading import CtrfError, from_json
from pytest_sergas.core.merging import MergeError, merge
from pytest_sergas.core.records import RunRecord, TestRecord
from pytest_sergas.core.report import success_percent
from pytest_sergas.core.text import one_line
from pytest_sergas.engine import past
from pytest_sergas.engine.past import PastRun
from pytest_sergas.engine.store import Store
from pytest_sergas.sidecar.answers import text, whole
from pytest_sergas.sidecar.pages.answer import NotThereError, page, show
from pytest_sergas.sidecar.pages.run_view import FAILURES_SHOWN, TESTS_SHOWN, RunView, view

_LISTED = 50
_MOST_LISTED = 1_000
_NEAR = 300  # runs among which the other shards of one are looked for


class Parts(Protocol):
    """What the pages ask: the engine, once it has started."""

    @property
    def store(self) -> Store: ...


@dataclass(frozen=True, slots=True)
class Suite:
    """A run as the list has it: one, or the shards of one; there is at least one part."""

    parts: tuple[PastRun, ...]

    @property
    def head(self) -> PastRun:
        return self.parts[0]

    @property
    def by_status(self) -> dict[str, int]:
        names = {name for part in self.parts for name in part.by_status}
        return {name: sum(part.by_status.get(name, 0) for part in self.parts) for name in names}

    @property
    def total(self) -> int:
        return sum(self.by_status.values())

    @property
    def failed(self) -> int:
        return self.by_status.get("failed", 0)

    @property
    def flaky(self) -> int:
        return sum(part.flaky for part in self.parts)

    @property
    def success_percent(self) -> float | None:
        return success_percent(self.by_status)

    @property
    def state(self) -> str:
        if self.failed:
            return "failed"
        return "flaky" if self.flaky else "passed" if self.by_status.get("passed") else "skipped"

    @property
    def when_s(self) -> float:
        return max(part.when_s for part in self.parts)

    @property
    def took_s(self) -> float | None:
        """From the start of the first part to the end of the last, as far as they say."""
        starts = [part.started_s for part in self.parts if part.started_s is not None]
        ends = [part.finished_s for part in self.parts if part.finished_s is not None]
        return max(max(ends) - min(starts), 0.0) if starts and ends else None

    @property
    def shards(self) -> str:
        """How many shards there are: ``""``, ``3 shards``, ``2 of 3 shards``."""
        if not self.head.shard:
            return ""
        of = self.head.shard.partition("/")[2]
        return f"{of} shards" if of == str(len(self.parts)) else f"{len(self.parts)} of {of} shards"


@dataclass(frozen=True, slots=True)
class _Document:
    """Runs that belong together, read; ``note`` says why they are not whole."""

    run: RunRecord
    note: str = ""


def routes(engine: Parts) -> list[Route]:
    """Return the routes of the pages of runs."""

    async def listed(request: Request) -> Response:
        branch, project = text(request, "branch"), text(request, "project")
        limit = whole(request, "limit", _LISTED, _MOST_LISTED)
        found = await past.runs(engine.store, limit, project=project, branch=branch)
        values = {
            "title": "Runs",
            "suites": suites(found),
            "branches": await past.branches(engine.store),
            "branch": branch,
            "project": project,
            "limit": limit,
            "more": len(found) == limit and limit < _MOST_LISTED,
        }
        return show(request, "runs.html", values)

    async def one(request: Request) -> Response:
        run = await past.run(engine.store, request.path_params["run_id"])
        if run is None:
            raise NotThereError("there is no such run; it may be too old by now")
        near = await past.runs(engine.store, _NEAR, project=run.project, branch=run.branch)
        suite = Suite(past.shards_of(near, run))
        earlier = await past.run_before(engine.store, min(suite.parts, key=lambda part: part.received_s))
        before = None if earlier is None else Suite(past.shards_of(near, earlier))
        try:
            shown, note = await _view(engine.store, suite, before)
        except CtrfError as error:
            values = {"title": "Run", "past": run, "suite": suite, "reason": str(error)}
            return show(request, "run_unknown.html", values)
        values = {
            "title": one_line(f"Run of {shown.run.project}" if shown.run.project else "Run", 120),
            "view": shown,
            "past": run,
            "suite": suite,
            "earlier": earlier,
            "note": note,
            "history": True,
            "failures_shown": FAILURES_SHOWN,
            "tests_shown": TESTS_SHOWN,
        }
        return show(request, "run.html", values)

    return [page("/runs", listed), page("/runs/{run_id}", one)]


def suites(newest_first: Sequence[PastRun]) -> list[Suite]:
    """Return the runs with the shards of each joined, where its newest shard stood."""
    found, joined = [], set()
    for run in newest_first:
        if run.run_id not in joined:
            suite = Suite(past.shards_of([other for other in newest_first if other.run_id not in joined], run))
            joined |= {part.run_id for part in suite.parts}
            found.append(suite)
    return found


async def _view(store: Store, suite: Suite, earlier: Suite | None) -> tuple[RunView, str]:
    """Return what is shown of a run, and why it is not whole.

    Raises:
        CtrfError: its document says too little to be shown.
    """
    now = await past.documents(store, tuple(part.run_id for part in suite.parts))
    then = await past.documents(store, tuple(part.run_id for part in earlier.parts)) if earlier else []

    def work() -> tuple[RunView, str]:
        document = _read(now)
        try:
            before = _read(then).run if then else None
        except CtrfError:
            before = None  # another tool wrote it; there is nothing to compare with
        return view(document.run, before), document.note

    return await asyncio.to_thread(work)


def _read(documents: Sequence[bytes]) -> _Document:
    runs = [from_json(document) for document in documents]
    if len(runs) < 2:
        return _Document(runs[0])
    named = {run.shard: _with_named_workers(run) for run in runs}
    try:
        return _Document(merge(named, incomplete=True))
    except MergeError as error:
        return _Document(runs[0], f"shard {runs[0].shard} alone is shown: {error}")


def _with_named_workers(run: RunRecord) -> RunRecord:
    """Return a shard whose workers say of which shard they are."""

    def named(test: TestRecord) -> TestRecord:
        attempts = (attempt._replace(worker=f"{run.shard} {attempt.worker}".strip()) for attempt in test.attempts)
        return test._replace(attempts=tuple(attempts))

    return replace(run, tests=tuple(map(named, run.tests)))
