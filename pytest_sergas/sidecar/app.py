"""The sidecar as one ASGI application: the routes of its parts, below the guard."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pytest_sergas.engine.engine import Engine
from pytest_sergas.sidecar import push


def create_app(engine: Engine) -> Starlette:
    """Return the application for an ``engine`` that somebody else starts and stops."""
    return Starlette(routes=[Route("/-/healthy", _ok), Route("/-/ready", _ok), *push.routes(engine)])


async def _ok(request: Request) -> Response:
    """Alive is the loop that answers; nothing outside is asked."""
    del request
    return PlainTextResponse("OK")
