"""``GET /api/openapi.json``: what can be asked, as an OpenAPI 3.1 document.

Pushes are not in it: their paths are those of the Pushgateway, of any length, which OpenAPI cannot say.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.report import LATEST_MS
from pytest_sergas.sidecar.answers import answer
from pytest_sergas.sidecar.runs import RUNS_LIMIT, TESTS_RUNS_LIMIT
from pytest_sergas.version import VERSION

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}


def routes() -> list[Route]:
    """Return the route of the document."""

    async def openapi(request: Request) -> Response:
        del request
        return answer(document())

    return [Route("/api/openapi.json", openapi)]


def document() -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "pytest-sergas sidecar", "version": VERSION},
        "paths": {
            "/api/runs": {"get": _newest(), "post": _add()},
            "/api/runs/{run_id}": {"get": _one()},
            "/api/tests": {"get": _get("Tests of the newest runs, those with trouble first", _TESTS, _TESTS_QUERY)},
            "/api/durations": {"get": _get("Median seconds of each test", _DURATIONS, _TESTS_QUERY)},
            "/api/monitoring/status": {"get": _get("Everything at a glance", _STATUS)},
            "/api/openapi.json": {"get": _get("This document", {"type": "object"})},
            "/health": {"get": _health()},
            "/-/healthy": {"get": _probe("Whether the process answers")},
            "/-/ready": {"get": _probe("Whether writes are taken")},
        },
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}, "token": _TOKEN},
            "schemas": {"Error": _ERROR, "Run": _RUN, "CTRF": _CTRF},
        },
        "security": [{}, {"basic": []}, {"token": []}],
    }


def _object(required: dict[str, Schema], **optional: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_TOKEN: Schema = {"type": "http", "scheme": "bearer"}
_ERROR = _object({"error": TEXT}, faults=_list(TEXT))
_RUN = _object(
    {
        "id": TEXT,
        "project": TEXT,
        "branch": TEXT,
        "commit": TEXT,
        "received": MOMENT,
        "started": MOMENT,
        "finished": MOMENT,
        "total": COUNT,
        "success_rate": {"type": ["number", "null"]},
        "flaky": COUNT,
        "by_status": COUNTS,
    }
)
_RUNS = _object({"runs": _list({"$ref": "#/components/schemas/Run"})})
_TEST = _object(
    {
        "id": TEXT,
        "type": TEXT,
        "runs": COUNT,
        "last_outcome": TEXT,
        "by_outcome": COUNTS,
        "median_seconds": NUMBER,
        "longest_seconds": NUMBER,
    }
)
_TESTS = _object({"tests": _list(_TEST)})
_DURATIONS = _object({"durations": {"type": "object", "additionalProperties": NUMBER}})
_COMPONENT = _object({"status": {"enum": ["healthy", "degraded", "unhealthy", "unknown"]}, "message": TEXT})
_HEALTH_COUNTS = ("total_checks", "healthy_checks", "degraded_checks", "unhealthy_checks")
_HEALTH = _object(
    {
        **_COMPONENT["properties"],
        "component": {"const": "overall_system"},
        "details": _object({**dict.fromkeys(_HEALTH_COUNTS, COUNT), "average_response_time": NUMBER}),
    }
)
_SAMPLE = _object({"name": TEXT, "type": TEXT, "labels": {"type": "object"}, "value": {"type": ["number", "string"]}})
_STATUS = _object(
    {
        "timestamp": MOMENT,
        "health": _object(
            {"overall": _COMPONENT, "individual": {"type": "object", "additionalProperties": _COMPONENT}}
        ),
        "alerts": _object({"total_active": COUNT, "by_level": COUNTS, "by_source": COUNTS}),
        "metrics": _object({"latest": _list(_SAMPLE), "prometheus": TEXT}),
        "tests": _object({"total": COUNT, "success_rate": {"type": ["number", "null"]}, "by_status": COUNTS}),
    }
)
_RUN_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,199}$"}
_CTRF_TEST = _object(
    {
        "name": {"type": "string", "minLength": 1},
        "status": {"enum": ["passed", "failed", "skipped", "pending", "other"]},
        "duration": {"type": "number", "minimum": 0, "maximum": LATEST_MS},
    }
)
_CTRF = _object({"reportFormat": {"const": "CTRF"}, "runId": _RUN_ID, "results": _object({"tests": _list(_CTRF_TEST)})})


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


_FILTERS = [_query(name, {"type": "string", "maxLength": 200}) for name in ("project", "branch")]
_TESTS_QUERY = [_query("runs", {"type": "integer", "minimum": 1, "maximum": TESTS_RUNS_LIMIT}), *_FILTERS]


def _answer(text: str, schema: Schema) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _refusal(text: str) -> Schema:
    return _answer(text, {"$ref": "#/components/schemas/Error"})


def _get(text: str, schema: Schema, query: list[Schema] | None = None) -> Schema:
    refusals = {"400": _refusal("a parameter cannot be used")} if query else {}
    return {"summary": text, "parameters": query or [], "responses": {"200": _answer(text, schema), **refusals}}


def _newest() -> Schema:
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": RUNS_LIMIT})
    return _get("The newest runs", _RUNS, [limit, *_FILTERS])


def _one() -> Schema:
    run_id = {"name": "run_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return {
        "summary": "The document of a run",
        "parameters": [run_id],
        "responses": {
            "200": _answer("The document as it came", {"type": "object"}),
            "404": _refusal("No such run is kept"),
        },
    }


def _add() -> Schema:
    kept = _object({"id": TEXT, "stored": {"type": "boolean"}})
    return {
        "summary": "Keep a run",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CTRF"}}},
        },
        "responses": {
            "200": _answer("It is kept already", kept),
            "201": _answer("It is kept", kept),
            "400": _refusal("It is no CTRF that can be kept"),
            "409": _refusal("Another run has its id"),
            "413": _refusal("It is too large"),
            "415": _refusal("It is no JSON, or in an unknown encoding"),
            "503": _refusal("The store cannot be written"),
        },
    }


def _health() -> Schema:
    text = "How everything that is checked is, from the last results"
    responses = {"200": _answer("Healthy or degraded", _HEALTH), "503": _answer("Something is unhealthy", _HEALTH)}
    return {"summary": text, "responses": responses}


def _probe(text: str) -> Schema:
    ok = {"description": text, "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"summary": text, "responses": {"200": ok}}
