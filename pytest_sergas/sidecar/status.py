"""``GET /api/monitoring/status``: everything at a glance (engine/overview.py)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.engine import clock
from pytest_sergas.engine.overview import Parts, document
from pytest_sergas.sidecar.answers import answer


def routes(engine: Parts) -> list[Route]:
    """Return the route of the status."""

    async def status(request: Request) -> Response:
        del request
        return answer(await document(engine, clock.read()))

    return [Route("/api/monitoring/status", status)]
