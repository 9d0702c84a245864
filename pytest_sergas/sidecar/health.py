"""Health over HTTP: the documented ``/health``, what it was, and the probes that an orchestrator asks.

/health              how everything is, from the last results: 200 for healthy and degraded, 503 for unhealthy;
                     the status alone for who has shown no credentials where they are needed
/api/health/history  what changed and why, the latest first
/-/healthy           the loop runs; nothing outside is asked, because a dead database is no reason to restart this
/-/ready             the store is open and its writer is alive; 503 with the reason otherwise
"""

from __future__ import annotations

from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pytest_sergas.core.health import Change, HealthStatus, changes
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.gateway import INSTANCE
from pytest_sergas.sidecar.answers import QueryError, answer, moment, refuse, text, whole
from pytest_sergas.sidecar.mounted import IS_STRANGER

CHANGES_LIMIT = 1_000

# A proxy that kept an answer would show a state that has passed.
_FRESH = {"Cache-Control": "no-store"}


class Parts(Protocol):
    """What the routes ask: the engine, once it has started."""

    @property
    def checking(self) -> Checking: ...

    async def cannot_take(self) -> str: ...

    @property
    def id(self) -> str: ...


def routes(engine: Parts) -> list[Route]:
    """Return the routes of health."""

    async def overall(request: Request) -> Response:
        result = engine.checking.overall()
        status = 503 if result.status is HealthStatus.UNHEALTHY else 200
        document = {"status": result.status.value} if request.scope.get(IS_STRANGER) else result.to_dict()
        return JSONResponse(document, status, _FRESH)

    async def history(request: Request) -> Response:
        try:
            limit, asked = whole(request, "limit", 100, CHANGES_LIMIT), text(request, "component")
        except QueryError as error:
            return refuse(400, str(error))
        known = engine.checking.history()
        if asked and asked not in known:
            return refuse(404, f"component: nothing of that name is checked; checked: {', '.join(known) or 'nothing'}")
        found = [
            (name, change) for name, spans in known.items() if asked in {"", name} for change in changes(spans)[-limit:]
        ]
        found.sort(key=lambda pair: pair[1].span.from_s, reverse=True)
        return answer({"changes": [change_document(name, change) for name, change in found[:limit]]})

    async def healthy(request: Request) -> Response:
        del request
        return PlainTextResponse("OK", headers={**_FRESH, INSTANCE: engine.id})

    async def ready(request: Request) -> Response:
        del request
        if reason := await engine.cannot_take():
            return PlainTextResponse(f"pushes cannot be stored: {reason}\n", 503, _FRESH)
        return PlainTextResponse("OK", headers=_FRESH)

    return [
        Route("/health", overall),
        Route("/api/health/history", history),
        Route("/-/healthy", healthy),
        Route("/-/ready", ready),
    ]


def change_document(component: str, change: Change) -> dict[str, Any]:
    """Return a change of a component's status for JSON."""
    span = change.span
    return {
        "component": component,
        "at": moment(span.from_s),
        "status": span.status.value,
        "before": change.before.value if change.before is not None else None,
        "cause": span.cause,
        "due_to": span.due_to,
        "until": moment(span.until_s),
        "unobserved_seconds": change.unobserved_s,
    }
