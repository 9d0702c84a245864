"""The routes of all pages."""

from __future__ import annotations

from typing import Protocol

from starlette.routing import Route

from pytest_sergas.sidecar.pages import alerts, answer, health, overview, pushes, runs, tests


class Parts(overview.Parts, runs.Parts, tests.Parts, health.Parts, alerts.Parts, pushes.Parts, Protocol):
    """What the pages ask: the engine, once it has started."""


def routes(engine: Parts) -> list[Route]:
    """Return the routes of all pages."""
    return [
        *overview.routes(engine),
        *runs.routes(engine),
        *tests.routes(engine),
        *health.routes(engine),
        *alerts.routes(engine),
        *pushes.routes(engine),
        *answer.routes(),
    ]
