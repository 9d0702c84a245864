"""The sidecar as one ASGI application: the routes of its parts."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from pytest_sergas.engine.engine import Engine
from pytest_sergas.sidecar import alerts, health, openapi, push, rules, runs, series, status
from pytest_sergas.sidecar.pages import site


class _Compressed:
    """An application whose answers go out as gzip to clients that accept it; Starlette's overlooks ``gzip;q=0``."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressed = GZipMiddleware(app, minimum_size=push.GZIP_MIN_BYTES, compresslevel=push.GZIP_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted = ",".join(Headers(scope=scope).getlist("accept-encoding"))
        await (self._compressed if push.quality(accepted, "gzip") else self._plain)(scope, receive, send)


def create_app(engine: Engine) -> Starlette:
    """Return the application for an ``engine`` that somebody else starts and stops."""
    asked = [
        *health.routes(engine),
        *status.routes(engine),
        *runs.routes(engine),
        *alerts.routes(engine),
        *rules.routes(engine),
        *series.routes(engine),
        *openapi.routes(),
        *site.routes(engine),
    ]
    for route in asked:
        route.app = _Compressed(route.app)
    # Pushes first, because routes are tried in turn, and pushes are most of what comes.
    app = Starlette(routes=[*push.routes(engine), *asked])
    app.state.faults = lambda: engine.faults
    return app
