"""The sidecar as one ASGI application: the routes of its parts."""

from __future__ import annotations

from starlette.applications import Starlette

from pytest_sergas.engine.engine import Engine
from pytest_sergas.sidecar import alerts, health, openapi, push, rules, runs, status
from pytest_sergas.sidecar.pages import site


def create_app(engine: Engine) -> Starlette:
    """Return the application for an ``engine`` that somebody else starts and stops."""
    app = Starlette(
        routes=[
            *push.routes(engine),  # first, because routes are tried in turn, and pushes are most of what comes
            *health.routes(engine),
            *status.routes(engine),
            *runs.routes(engine),
            *alerts.routes(engine),
            *rules.routes(engine),
            *openapi.routes(),
            *site.routes(engine),
        ]
    )
    app.state.faults = lambda: engine.faults
    return app
