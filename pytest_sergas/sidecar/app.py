"""The sidecar as one ASGI application: the routes of its parts."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from pytest_sergas.engine.engine import Engine
from pytest_sergas.sidecar import openapi, push, runs, status


def create_app(engine: Engine) -> Starlette:
    """Return the application for an ``engine`` that somebody else starts and stops."""
    return Starlette(
        routes=[
            *_probes(engine),
            *push.routes(engine),
            *status.routes(engine),
            *runs.routes(engine),
            *openapi.routes(),
        ]
    )


def _probes(engine: Engine) -> list[BaseRoute]:
    """Alive is the loop that answers; ready is a store that takes writes. Neither asks anything outside."""

    async def healthy(request: Request) -> Response:
        del request
        return PlainTextResponse("OK")

    async def ready(request: Request) -> Response:
        del request
        if engine.is_ready:
            return PlainTextResponse("OK")
        return PlainTextResponse("the store takes no writes; the log says why\n", 503)

    return [Route("/-/healthy", healthy), Route("/-/ready", ready)]
