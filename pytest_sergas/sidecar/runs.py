"""Test runs over HTTP: taken as CTRF documents, and asked about.

POST /api/runs              keep a run: 201 when it is new, 200 when it is kept already
GET  /api/runs              the newest runs
GET  /api/runs/{run_id}     the document of one
GET  /api/tests             every test of the newest runs, those with trouble first
GET  /api/durations         node id → seconds, which plans runs: the median over the newest runs
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.report import Report, ReportError, read_report
from pytest_sergas.engine import clock
from pytest_sergas.engine.clock import moment
from pytest_sergas.engine.engine import EngineSettings
from pytest_sergas.engine.runs import KeptRun, OtherRunError, Runs, TestHistory
from pytest_sergas.errors import StoreError
from pytest_sergas.sidecar.answers import QueryError, answer, refuse, text, whole
from pytest_sergas.sidecar.body import BadGzipError, BodyTooLargeError, ClientGoneError, read_body

RUNS_LIMIT = 1_000
TESTS_RUNS_LIMIT = 100

_MIB = 1024 * 1024


class Parts(Protocol):
    """What the routes ask: the engine, once it has started."""

    @property
    def runs(self) -> Runs: ...

    @property
    def settings(self) -> EngineSettings: ...


def routes(engine: Parts) -> list[Route]:
    """Return the routes of runs."""

    async def runs(request: Request) -> Response:
        if request.method == "POST":
            return await _add(engine, request)
        limit = whole(request, "limit", 50, RUNS_LIMIT)
        found = await engine.runs.newest(limit, project=text(request, "project"), branch=text(request, "branch"))
        return answer({"runs": [run_document(run) for run in found]})

    async def one(request: Request) -> Response:
        document = await engine.runs.document(request.path_params["run_id"])
        if document is None:
            return refuse(404, "no run with this id is kept")
        return Response(document, media_type="application/json")

    async def tests(request: Request) -> Response:
        return answer({"tests": [_test_document(test) for test in await _tests(engine, request)]})

    async def durations(request: Request) -> Response:
        return answer({"durations": {test.id: test.median_s for test in await _tests(engine, request)}})

    return [
        Route("/api/runs", _guarded(runs), methods=["GET", "POST"]),
        Route("/api/runs/{run_id}", _guarded(one)),
        Route("/api/tests", _guarded(tests)),
        Route("/api/durations", _guarded(durations)),
    ]


def run_document(run: KeptRun) -> dict[str, Any]:
    """Return the figures of a run for JSON."""
    return {
        "id": run.run_id,
        "project": run.project,
        "branch": run.branch,
        "commit": run.commit,
        "received": moment(run.received_s),
        "started": moment(run.started_s),
        "finished": moment(run.finished_s),
        "total": run.total,
        "success_rate": run.success_percent,
        "flaky": run.flaky,
        "by_status": dict(run.by_status),
    }


Handler = Callable[[Request], Awaitable[Response]]


def _guarded(handler: Handler) -> Handler:
    """Return ``handler`` with an answer for what it raises."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientGoneError:
            return Response(status_code=400)  # nobody reads it
        except ReportError as error:
            return refuse(400, "the document is no CTRF that can be kept", faults=list(error.faults))
        except tuple(_STATUS) as error:
            return refuse(_STATUS[type(error)], str(error))

    return guarded


# What a handler raises → the status of the answer that says so.
_STATUS: dict[type[Exception], int] = {QueryError: 400, OtherRunError: 409, StoreError: 503}


async def _add(engine: Parts, request: Request) -> Response:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return refuse(415, "a run is a CTRF document; send it with Content-Type: application/json")
    if encoding not in {"", "identity", "gzip"}:
        return refuse(415, f"Content-Encoding {encoding[:50]!r} is not known; send gzip, or none")
    most_mib = engine.settings.serve.max_run_mib
    try:
        body = await read_body(request.receive, most_mib * _MIB, gzipped=encoding == "gzip")
    except BodyTooLargeError:
        return refuse(413, f"the run is larger than {most_mib} MiB, which max_run_mib allows")
    except BadGzipError as error:
        return refuse(400, f"the body is not the gzip that Content-Encoding says: {error}")
    report = await asyncio.to_thread(_read, body)
    is_new = await engine.runs.add(report, body, clock.read())
    return answer({"id": report.run_id, "stored": is_new}, 201 if is_new else 200)


async def _tests(engine: Parts, request: Request) -> list[TestHistory]:
    runs = whole(request, "runs", 10, TESTS_RUNS_LIMIT)
    return await engine.runs.tests(runs, project=text(request, "project"), branch=text(request, "branch"))


def _test_document(test: TestHistory) -> dict[str, Any]:
    return {
        "id": test.id,
        "type": test.type,
        "runs": test.runs,
        "last_outcome": test.last_outcome,
        "by_outcome": dict(test.by_outcome),
        "median_seconds": test.median_s,
        "longest_seconds": test.longest_s,
    }


def _read(body: bytes) -> Report:
    try:
        document = json.loads(body.decode(), parse_constant=_no_number)
    except RecursionError:
        raise ReportError(("it is nested too deeply",)) from None
    except UnicodeDecodeError as error:
        raise ReportError((f"it is not UTF-8 at byte {error.start}",)) from None
    except json.JSONDecodeError as error:
        raise ReportError((f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",)) from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        raise ReportError(("it is not JSON: a number has too many digits, or is NaN or infinite",)) from None
    return read_report(document)


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)
