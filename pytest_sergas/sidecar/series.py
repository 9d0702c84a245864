"""``GET /api/series``: what was measured, as it came and in buckets of five minutes.

Without ``name`` it lists the series; with it, it has the values of those that every ``match`` matches.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.clock import Now
from pytest_sergas.core.routes import all_of, read_matcher
from pytest_sergas.core.trends import BUCKET_S, HOUR_S, KEPT_S, Bucket
from pytest_sergas.engine import clock
from pytest_sergas.engine.trend_rows import Known
from pytest_sergas.engine.trends import Trends
from pytest_sergas.errors import StoreError
from pytest_sergas.sidecar.answers import QueryError, answer, moment, refuse, text, whole

HOURS_LIMIT = KEPT_S // HOUR_S
MATCHERS_LIMIT = 10
MATCHER_LENGTH = 200
VALUES_LIMIT = 20_000
RESOLUTIONS = ("5m", "raw")


class Parts(Protocol):
    """What the route asks: the engine, once it has started."""

    @property
    def trends(self) -> Trends: ...


def routes(engine: Parts) -> list[Route]:
    """Return the route of series."""

    async def series(request: Request) -> Response:
        try:
            return answer(await _document(engine.trends, request, clock.read()))
        except QueryError as error:
            return refuse(400, str(error))
        except StoreError as error:
            return refuse(503, str(error))

    return [Route("/api/series", series)]


async def _document(trends: Trends, request: Request, now: Now) -> dict[str, Any]:
    name, wanted = text(request, "name"), _matching(request)
    hours = whole(request, "hours", 24, HOURS_LIMIT)
    resolution = text(request, "resolution") or RESOLUTIONS[0]
    if resolution not in RESOLUTIONS:
        raise QueryError(f"resolution: allowed: {', '.join(RESOLUTIONS)}")
    found = [one for one in trends.series() if name in {"", one.name} and wanted(dict(one.labels))]
    if not name:
        return {"series": [_head(one) for one in found]}
    since_s = now.wall_s - hours * HOUR_S
    values: dict[Known, list[dict[str, Any]]]
    if resolution == "raw":
        values = {one: [_value(*each) for each in trends.raw(one, now) if each[0] >= since_s] for one in found}
    else:
        buckets = await trends.buckets(found, now, hours * HOUR_S)
        values = {one: [_bucket(each) for each in entries] for one, entries in buckets.items()}
    if (count := sum(map(len, values.values()))) > VALUES_LIMIT:
        raise QueryError(
            f"these are {count} values of {len(found)} series; an answer has at most {VALUES_LIMIT}: ask for fewer "
            "hours, or for fewer series with match"
        )
    return {"series": [{**_head(one), "resolution": resolution, "values": values[one]} for one in found]}


def _matching(request: Request) -> Any:
    given = request.query_params.getlist("match")
    if len(given) > MATCHERS_LIMIT or any(len(each) > MATCHER_LENGTH for each in given):
        raise QueryError(f"match: allowed: at most {MATCHERS_LIMIT} of at most {MATCHER_LENGTH} characters")
    try:
        return all_of([read_matcher(each) for each in given])
    except ValueError as error:
        raise QueryError(f"match: {error}") from error


def _head(one: Known) -> dict[str, Any]:
    return {"name": one.name, "labels": dict(one.labels), "last": moment(one.seen_s)}


def _value(at_s: float, value: float) -> dict[str, Any]:
    return {"at": moment(at_s), "value": value if math.isfinite(value) else None}


def _bucket(one: Bucket) -> dict[str, Any]:
    return {
        "at": moment(one.start_s),
        "seconds": BUCKET_S,
        "min": one.least,
        "mean": one.mean,
        "max": one.greatest,
        "count": one.count,
    }
