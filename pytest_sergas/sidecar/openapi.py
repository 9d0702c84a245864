"""``GET /api/openapi.json``: what can be asked, as an OpenAPI 3.1 document.

Pushes are not in it: their paths are those of the Pushgateway, of any length, which OpenAPI cannot say.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.kinds import YEAR_S
from pytest_sergas.core.report import LATEST_MS
from pytest_sergas.sidecar import mounted
from pytest_sergas.sidecar.alerts import HISTORY_LIMIT, MATCHERS_LIMIT, TRENDS_DAYS
from pytest_sergas.sidecar.alerts import TEXT_LIMIT as SILENCE_TEXT_LIMIT
from pytest_sergas.sidecar.answers import answer
from pytest_sergas.sidecar.health import CHANGES_LIMIT
from pytest_sergas.sidecar.runs import RUNS_LIMIT, TESTS_RUNS_LIMIT
from pytest_sergas.sidecar.series import HOURS_LIMIT, MATCHER_LENGTH, RESOLUTIONS
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
        return answer(document(mounted.base(request.scope)))

    return [Route("/api/openapi.json", openapi)]


def document(base: str = "") -> dict[str, Any]:
    """Return the document of a sidecar that is mounted at ``base``."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "pytest-sergas sidecar", "version": VERSION},
        "servers": [{"url": base or "/"}],
        "paths": {
            "/api/runs": {"get": _newest(), "post": _add()},
            "/api/runs/{run_id}": {"get": _one()},
            "/api/tests": {"get": _get("Tests of the newest runs, those with trouble first", _TESTS, _TESTS_QUERY)},
            "/api/durations": {"get": _get("Median seconds of each test", _DURATIONS, _TESTS_QUERY)},
            "/api/alerts": {"get": _get("Alerts that are pending or fire, the worst first", _ALERTS, _ALERTS_QUERY)},
            "/api/alerts/history": {"get": _get("What happened to alerts, the latest first", _EVENTS, _EVENTS_QUERY)},
            "/api/alerts/trends": {"get": _get("How often alerts began to fire", _TRENDS, _TRENDS_QUERY)},
            "/api/silences": {"get": _get("The silences, the one that ends last first", _SILENCES), "post": _silence()},
            "/api/silences/{silence_id}": {"delete": _unsilence()},
            "/api/rules": {"get": _get("The rules in force, and how each of them is", _RULES)},
            "/api/series": {"get": _series()},
            "/api/health/history": {"get": _changes()},
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
_RULES = _object(
    {
        "rules": _list(
            _object(
                {
                    "id": TEXT,
                    "file": TEXT,
                    "group": TEXT,
                    "alert": TEXT,
                    "record": TEXT,
                    "expr": TEXT,
                    "for_s": NUMBER,
                    "interval_s": NUMBER,
                    "evaluated": MOMENT,
                    "duration_s": NUMBER,
                    "active": COUNT,
                    "error": TEXT,
                    "unmatched": _list(TEXT),
                    "warming_up_s": NUMBER,
                }
            )
        ),
        "refused": _list(_object({"file": TEXT, "faults": _list(TEXT), "kept": {"type": "boolean"}})),
    }
)
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
_HEALTH_STATUS: Schema = {"enum": ["healthy", "degraded", "unhealthy", "unknown"]}
_COMPONENT = _object({"status": _HEALTH_STATUS, "message": TEXT})
_CHANGE = _object(
    {
        "component": TEXT,
        "at": MOMENT,
        "status": _HEALTH_STATUS,
        "before": {"anyOf": [_HEALTH_STATUS, {"type": "null"}]},
        "cause": TEXT,
        "due_to": TEXT,
        "until": MOMENT,
        "unobserved_seconds": NUMBER,
    }
)
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
_LEVEL: Schema = {"enum": ["info", "warning", "error", "critical"]}
_LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_ALERT = _object(
    {
        "name": TEXT,
        "state": {"enum": ["pending", "firing"]},
        "level": _LEVEL,
        "message": TEXT,
        "source": TEXT,
        "labels": _LABELS,
        "annotations": _LABELS,
        "value": _NUMBER_OR_NULL,
        "active_since": MOMENT,
        "firing_since": MOMENT,
        "muted_by": TEXT,
        "routes": _list(TEXT),
    }
)
_ALERTS = _object({"alerts": _list(_ALERT)})
_DELIVERY = _object(
    {
        "key": TEXT,
        "state": {"enum": ["waiting", "delivered", "failed", "dropped", "summarised"]},
        "attempts": COUNT,
        "result": TEXT,
        "finished": MOMENT,
    }
)
_EVENT = _object(
    {
        "at": MOMENT,
        "event": {"enum": ["firing", "resolved", "told", "not_told"]},
        "why": TEXT,
        "detail": TEXT,
        "name": TEXT,
        "level": _LEVEL,
        "source": TEXT,
        "labels": _LABELS,
        "value": _NUMBER_OR_NULL,
        "channel": TEXT,
        "delivery": {"anyOf": [_DELIVERY, {"type": "null"}]},
    }
)
_EVENTS = _object({"events": _list(_EVENT)})
_BY_DAY: Schema = {"type": "object", "additionalProperties": COUNTS}
_TRENDS = _object({"by_level": _BY_DAY, "by_source": _BY_DAY})
_SILENCE = _object(
    {
        "id": TEXT,
        "matchers": _list(TEXT),
        "starts": MOMENT,
        "ends": MOMENT,
        "is_active": {"type": "boolean"},
        "stored": {"type": "boolean"},
        "created_by": TEXT,
        "comment": TEXT,
    }
)
_SILENCES = _object({"silences": _list(_SILENCE)})
_SHORT: Schema = {"type": "string", "maxLength": SILENCE_TEXT_LIMIT}
# Not every text that is accepted, but of these each one.
_DURATION = "^[1-9][0-9]?(d([0-9]{1,2}h)?|h([0-9]{1,2}m)?|m([0-9]{1,2}s)?|s|ms)$"
_NEW_SILENCE = _object(
    {
        "matchers": {"type": "array", "items": _SHORT, "minItems": 1, "maxItems": MATCHERS_LIMIT},
        "duration_seconds": {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": YEAR_S},
                {"type": "string", "pattern": _DURATION, "examples": ["1h30m"]},
            ]
        },
    },
    created_by=_SHORT,
    comment=_SHORT,
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

_ALERTS_QUERY = [
    _query("state", {"enum": ["inactive", "pending", "firing", "resolved"]}),
    _query("level", _LEVEL),
]
_EVENTS_QUERY = [
    _query("limit", {"type": "integer", "minimum": 1, "maximum": HISTORY_LIMIT}),
    *(_query(name, {"type": "string", "maxLength": 200}) for name in ("name", "level", "source", "channel")),
]
_TRENDS_QUERY = [_query("days", {"type": "integer", "minimum": 1, "maximum": TRENDS_DAYS})]


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


def _series() -> Schema:
    bucket = _object({"at": MOMENT, "seconds": NUMBER, "min": NUMBER, "mean": NUMBER, "max": NUMBER, "count": COUNT})
    raw = _object({"at": MOMENT, "value": _NUMBER_OR_NULL})
    one = _object(
        {"name": TEXT, "labels": _LABELS, "last": MOMENT},
        resolution={"enum": list(RESOLUTIONS)},
        values=_list({"anyOf": [bucket, raw]}),
    )
    query = [
        _query("name", {"type": "string", "maxLength": 200}),
        _query("match", {"type": "string", "maxLength": MATCHER_LENGTH, "pattern": '^[a-z]{1,9}(=|!=)"[a-z]{0,9}"$'}),
        _query("hours", {"type": "integer", "minimum": 1, "maximum": HOURS_LIMIT}),
        _query("resolution", {"enum": list(RESOLUTIONS)}),
    ]
    text = "What was measured: the series; of those with a name, their values in the order of time"
    return _get(text, _object({"series": _list(one)}), query)


def _changes() -> Schema:
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": CHANGES_LIMIT})
    component = _query("component", {"type": "string", "maxLength": 200})
    text = "What changed in the health of components and why, the latest first"
    found = _get(text, _object({"changes": _list(_CHANGE)}), [limit, component])
    found["responses"]["404"] = _refusal("Nothing of that name is checked")
    return found


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


def _silence() -> Schema:
    return {
        "summary": "Keep quiet about alerts that all matchers match",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _NEW_SILENCE}}},
        "responses": {
            "201": _answer("It is in force", _SILENCE),
            "400": _refusal("It is no silence"),
            "409": _refusal("There are too many"),
            "413": _refusal("It is too large"),
        },
    }


def _unsilence() -> Schema:
    silence_id = {"name": "silence_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return {
        "summary": "End a silence",
        "parameters": [silence_id],
        "responses": {
            "200": _answer("It has ended", _object({"ended": {"const": True}, "stored": {"type": "boolean"}})),
            "404": _refusal("There is none with this id"),
        },
    }


def _health() -> Schema:
    text = "How everything that is checked is, from the last results"
    responses = {"200": _answer("Healthy or degraded", _HEALTH), "503": _answer("Something is unhealthy", _HEALTH)}
    return {
        "summary": text,
        "description": "The status alone without credentials, where they are needed",
        "responses": responses,
    }


def _probe(text: str) -> Schema:
    ok = {"description": text, "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"summary": text, "responses": {"200": ok}}
