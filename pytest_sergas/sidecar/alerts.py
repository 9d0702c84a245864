"""Alerts and silences over HTTP.

GET    /api/alerts            those that are pending or fire, the worst first
GET    /api/alerts/history    what happened: when, why, who was told with what result, or why nobody was
GET    /api/alerts/trends     how often alerts began to fire: by day and level, by day and source
GET    /api/silences          the silences
POST   /api/silences          keep quiet about alerts for a time
DELETE /api/silences/{id}     end a silence
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core import kinds
from pytest_sergas.core.alerts import Alert, AlertLevel, State
from pytest_sergas.core.clock import Now
from pytest_sergas.core.routes import all_of, read_matcher, write_matcher
from pytest_sergas.core.silences import Silence
from pytest_sergas.core.text import one_line
from pytest_sergas.engine import clock
from pytest_sergas.engine.alert_history import Asked, Event
from pytest_sergas.engine.alerting import Alerting, SilenceRefusedError
from pytest_sergas.errors import StoreError
from pytest_sergas.sidecar.answers import QueryError, answer, moment, refuse, text, whole
from pytest_sergas.sidecar.body import BodyTooLargeError, ClientGoneError, read_body

HISTORY_LIMIT = 1_000
TRENDS_DAYS = 90
MATCHERS_LIMIT = 50
TEXT_LIMIT = 1_000

_BODY_BYTES = 64 * 1024
_DURATION = kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True)


class SilenceFaultsError(Exception):
    """What was sent is no silence; one line of text for each fault."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class Parts(Protocol):
    """What the routes ask: the engine, once it has started."""

    @property
    def alerting(self) -> Alerting: ...


def routes(engine: Parts) -> list[Route]:
    """Return the routes of alerts and silences."""

    async def alerts(request: Request) -> Response:
        now = clock.read()
        state, level = _word(request, "state", State), _word(request, "level", AlertLevel)
        found = [
            alert_document(alert, engine.alerting, now)
            for alert in engine.alerting.alerts()
            if state in {"", alert.state} and level in {"", alert.level}
        ]
        return answer({"alerts": found})

    async def history(request: Request) -> Response:
        limit = whole(request, "limit", 100, HISTORY_LIMIT)
        asked = {name: text(request, name) for name in ("name", "level", "source", "channel")}
        events = await engine.alerting.history.newest(Asked(limit, **asked))
        return answer({"events": [event_document(event) for event in events]})

    async def trends(request: Request) -> Response:
        days = whole(request, "days", 7, TRENDS_DAYS)
        return answer(await engine.alerting.history.trends(days, clock.read().wall_s))

    async def silences(request: Request) -> Response:
        now = clock.read()
        if request.method == "POST":
            silence = read_silence(await _body(request), now)
            await engine.alerting.silence(silence)
            return answer(silence_document(silence, engine.alerting, now), 201)
        return answer({"silences": [silence_document(one, engine.alerting, now) for one in engine.alerting.silences()]})

    async def one_silence(request: Request) -> Response:
        silence_id = request.path_params["silence_id"]
        if await engine.alerting.unsilence(silence_id):
            return answer({"ended": True, "stored": engine.alerting.keeps_silence(silence_id)})
        return refuse(404, "there is no silence with this id, or it has ended")

    return [
        Route("/api/alerts", _guarded(alerts)),
        Route("/api/alerts/history", _guarded(history)),
        Route("/api/alerts/trends", _guarded(trends)),
        Route("/api/silences", _guarded(silences), methods=["GET", "POST"]),
        Route("/api/silences/{silence_id}", _guarded(one_silence), methods=["DELETE"]),
    ]


def alert_document(alert: Alert, alerting: Alerting, now: Now) -> dict[str, Any]:
    """Return an alert for JSON."""
    return {
        "name": alert.name,
        "state": alert.state.value,
        "level": alert.level.value,
        "message": alert.message,
        "source": alert.source,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "value": alert.value if math.isfinite(alert.value) else None,
        "active_since": moment(alert.active.wall_s),
        "firing_since": moment(alert.fired.wall_s) if alert.fired else None,
        "muted_by": alerting.muted(alert, now),
        "routes": [route.name for route in alerting.routes(alert.labels)],
    }


def event_document(event: Event) -> dict[str, Any]:
    """Return an event of the history for JSON."""
    delivery = event.delivery
    return {
        "at": moment(event.at_s),
        "event": event.event,
        "why": event.why,
        "detail": event.detail,
        "name": event.name,
        "level": event.level,
        "source": event.source,
        "labels": dict(event.labels),
        "value": event.value,
        "channel": event.channel,
        "delivery": None
        if delivery is None
        else {
            "key": delivery.key,
            "state": delivery.state,
            "attempts": delivery.attempts,
            "result": delivery.result,
            "finished": moment(delivery.finished_s),
        },
    }


def silence_document(silence: Silence, alerting: Alerting, now: Now) -> dict[str, Any]:
    """Return a silence for JSON."""
    return {
        "id": silence.id,
        "matchers": [write_matcher(matcher) for matcher in silence.matchers],
        "starts": moment(silence.starts_s),
        "ends": moment(silence.ends_s),
        "is_active": silence.is_active(now.wall_s),
        "stored": alerting.keeps_silence(silence.id),
        "created_by": silence.created_by,
        "comment": silence.comment,
    }


Handler = Callable[[Request], Awaitable[Response]]


def _guarded(handler: Handler) -> Handler:
    """Return ``handler`` with an answer for what it raises."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientGoneError:
            return Response(status_code=400)  # nobody reads it
        except SilenceFaultsError as error:
            return refuse(400, "this is no silence", faults=list(error.faults))
        except BodyTooLargeError:
            return refuse(413, f"a silence has at most {_BODY_BYTES} bytes")
        except tuple(_STATUS) as error:
            return refuse(_STATUS[type(error)], str(error))

    return guarded


# What a handler raises → the status of the answer that says so.
_STATUS: dict[type[Exception], int] = {QueryError: 400, SilenceRefusedError: 409, StoreError: 503}


def _word(request: Request, name: str, words: type[State | AlertLevel]) -> str:
    given = text(request, name)
    if given and given not in [word.value for word in words]:
        raise QueryError(f"{name}: allowed: {', '.join(words)}")
    return given


async def _body(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise SilenceFaultsError("it is not JSON; send it with Content-Type: application/json")
    body = await read_body(request.receive, _BODY_BYTES, gzipped=False)
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise SilenceFaultsError("it is not JSON") from None
    if not isinstance(document, dict):
        raise SilenceFaultsError("it is not a JSON object")
    return document


def read_silence(document: dict[str, Any], now: Now) -> Silence:
    """Return the silence that ``document`` describes, as `POST /api/silences` takes it.

    Raises:
        SilenceFaultsError: it describes none; with every fault.
    """
    faults: list[str] = []
    matchers = []
    written = document.get("matchers")
    if not isinstance(written, list) or not 0 < len(written) <= MATCHERS_LIMIT:
        faults.append(f'matchers: allowed: a list of 1 to {MATCHERS_LIMIT}, such as ["severity=\\"critical\\""]')
        written = []
    for entry in written:
        try:
            if not isinstance(entry, str) or len(entry) > TEXT_LIMIT:
                raise ValueError(f"allowed: text of at most {TEXT_LIMIT} characters")  # noqa: TRY301  told below
            matchers.append(read_matcher(entry))
        except ValueError as error:
            faults.append(f"matchers: {one_line(repr(entry), 80)}: {error}")
    if matchers and not faults and all_of(matchers)({}):
        faults.append("matchers: they match every alert; at least one has to ask for a label that is there")
    seconds = 0.0
    try:
        seconds = _DURATION(document.get("duration_seconds", 0))
    except kinds.NotAllowed as wrong:
        faults.append(f"duration_seconds: {wrong}")
    texts = {name: document.get(name, "") for name in ("created_by", "comment")}
    faults += [
        f"{name}: allowed: text of at most {TEXT_LIMIT} characters"
        for name, value in texts.items()
        if not isinstance(value, str) or len(value) > TEXT_LIMIT
    ]
    if faults:
        raise SilenceFaultsError(*faults)
    shown = {name: one_line(value, TEXT_LIMIT) for name, value in texts.items()}
    return Silence(uuid.uuid4().hex[:12], tuple(matchers), now.wall_s, now.wall_s + seconds, **shown)
