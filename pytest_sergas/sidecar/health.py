"""Health over HTTP: the documented ``/health``, and the probes that an orchestrator asks.

/health       how everything is, from the last results: 200 for healthy and degraded, 503 for unhealthy
/-/healthy    the loop runs; nothing outside is asked, because a dead database is no reason to restart this
/-/ready      the store is open and its writer is alive; 503 with the reason otherwise
"""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pytest_sergas.core.health import HealthStatus
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.gateway import INSTANCE

# A proxy that kept an answer would show a state that has passed.
_FRESH = {"Cache-Control": "no-store"}


class Parts(Protocol):
    """What the routes ask: the engine, once it has started."""

    @property
    def checking(self) -> Checking: ...

    @property
    def is_ready(self) -> bool: ...

    @property
    def id(self) -> str: ...


def routes(engine: Parts) -> list[Route]:
    """Return the routes of health."""

    async def overall(request: Request) -> Response:
        del request
        result = engine.checking.overall()
        status = 503 if result.status is HealthStatus.UNHEALTHY else 200
        return JSONResponse(result.to_dict(), status, _FRESH)

    async def healthy(request: Request) -> Response:
        del request
        return PlainTextResponse("OK", headers={**_FRESH, INSTANCE: engine.id})

    async def ready(request: Request) -> Response:
        del request
        if not engine.is_ready:
            return PlainTextResponse("the store takes no writes; the log says why\n", 503, _FRESH)
        return PlainTextResponse("OK", headers=_FRESH)

    return [Route("/health", overall), Route("/-/healthy", healthy), Route("/-/ready", ready)]
