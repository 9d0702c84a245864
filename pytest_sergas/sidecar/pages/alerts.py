"""Alerts and silences: what fires, why somebody was told or not, and a silence that shows first what it would hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.alerts import Alert, AlertLevel, State
from pytest_sergas.core.clock import Now
from pytest_sergas.core.messages import fingerprint
from pytest_sergas.core.routes import all_of, write_matcher
from pytest_sergas.core.series import Matcher
from pytest_sergas.core.silences import Silence
from pytest_sergas.engine import clock
from pytest_sergas.engine.alert_history import Asked, Event
from pytest_sergas.engine.alerting import Alerting, SilenceRefusedError
from pytest_sergas.engine.rules import Rules
from pytest_sergas.sidecar.alerts import SilenceFaultsError, read_silence
from pytest_sergas.sidecar.answers import QueryError, text, whole
from pytest_sergas.sidecar.pages.answer import NotThereError, form, go_to, page, show

SHOWN = 100
_EVENTS = 50
_EVENTS_LIMIT = 500
_HOUR_S = 3_600.0
HOURS = {"1": "1 hour", "4": "4 hours", "24": "a day", "168": "a week"}

# The words of the history in sentences.
WHY: Mapping[str, str] = MappingProxyType(
    {
        "condition_true": "its condition holds",
        "condition_false": "its condition does not hold any more",
        "series_gone": "its series are not there any more",
        "rule_gone": "its rule is not there any more",
        "new": "it is new",
        "severity_rise": "it has become worse",
        "repeat": "it still fires, and it is time to say so again",
        "resend": "the receiver forgets what it is not told again",
        "silence_over": "the silence is over, and it still fires",
        "escalation": "it fires for too long already",
        "resolved": "it is over",
        "after_refusal": "the channel had refused it, and was tried again",
        "refused": "the channel has refused it; it is tried again later",
        "end_expired": "the channel refused to take the end for a day",
        "already_told": "the channel knows already",
        "silenced": "it is silenced",
        "cooldown": "it was told shortly before",
        "over_before_it_was_told": "it was over before anybody was told",
        "send_resolved_is_off": "the channel does not want to know that it is over",
        "no_route": "no route takes it",
        "rate_cap": "too many messages in this minute; a summary follows",
        "channel_is_down": "the channel is down; it is told when that is over",
    }
)


class Parts(Protocol):
    """What the pages ask: the engine, once it has started."""

    @property
    def alerting(self) -> Alerting: ...
    @property
    def rules(self) -> Rules: ...


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert with what keeps it quiet, the channels that it goes to, and the address of a silence for it."""

    alert: Alert
    muted_by: str
    channels: tuple[str, ...]
    silence_path: str

    @property
    def fingerprint(self) -> str:
        """What a link to this alert ends with."""
        return fingerprint(self.alert.labels)

    @property
    def word(self) -> str:
        """What is shown: its level while it fires."""
        return self.alert.level.value if self.alert.state is State.FIRING else self.alert.state.value


def routes(engine: Parts) -> list[Route]:
    """Return the routes of the pages of alerts and silences."""

    async def shown(request: Request) -> Response:
        now = clock.read()
        name, level = text(request, "name"), text(request, "level")
        if level and level not in list(AlertLevel):
            raise QueryError(f"level: allowed: {', '.join(AlertLevel)}")
        limit = whole(request, "limit", _EVENTS, _EVENTS_LIMIT)
        events = await engine.alerting.history.newest(Asked(limit, name=name, level=level))
        alerts = engine.alerting.alerts()
        values = {
            "title": "Alerts",
            "alerts": views(engine.alerting, alerts[:SHOWN], now),
            "count": len(alerts),
            "warming_up": [each for each in engine.rules.running if each.evaluated and each.warming_up_s][:SHOWN],
            "silences": [
                (one, ", ".join(map(write_matcher, one.matchers)), engine.alerting.keeps_silence(one.id))
                for one in engine.alerting.silences()
            ],
            "events": events,
            "explain": explain,
            "name": name,
            "level": level,
            "levels": list(AlertLevel),
        }
        return show(request, "alerts.html", values)

    async def silence(request: Request) -> Response:
        if request.method == "POST":
            try:
                made = _read(await form(request), clock.read())
                await engine.alerting.silence(made)
            except (SilenceFaultsError, SilenceRefusedError) as error:
                raise QueryError(str(error)) from error
            return go_to(request, "/alerts")
        return _preview(engine, request)

    async def end(request: Request) -> Response:
        if not await engine.alerting.unsilence((await form(request)).get("id", "")):
            raise NotThereError("there is no such silence, or it has ended")
        return go_to(request, "/alerts")

    return [
        page("/alerts", shown),
        page("/alerts/silence", silence, methods=("GET", "POST")),
        page("/alerts/silence/end", end, methods=("POST",)),
    ]


def views(alerting: Alerting, alerts: Sequence[Alert], now: Now) -> list[AlertView]:
    """Return what is shown of ``alerts``."""
    return [
        AlertView(
            alert,
            alerting.muted(alert, now),
            tuple(dict.fromkeys(name for route in alerting.routes(alert.labels) for name in route.channels)),
            "/alerts/silence?matchers=" + quote("\n".join(_matcher(*pair) for pair in alert.labels), safe=""),
        )
        for alert in alerts
    ]


def explain(event: Event) -> str:
    """Return an event as a sentence without a full stop."""
    why = WHY.get(event.why, event.why.replace("_", " "))
    detail = f" ({WHY.get(event.detail, event.detail)})" if event.detail else ""
    match event.event:
        case "firing":
            return f"began to fire: {why}{detail}"
        case "resolved":
            return f"ended: {why}{detail}"
        case "told":
            return f"{event.channel} is told: {why}{detail}"
    channel = f"{event.channel} is not told" if event.channel else "nobody is told"
    return f"{channel}: {why}{detail}"


def _matcher(label: str, value: str) -> str:
    return write_matcher(Matcher(label, "=", value))


def _preview(engine: Parts, request: Request) -> Response:
    """Return the form, and below it what a silence of these matchers would hold now."""
    now = clock.read()
    given = {
        name: request.query_params.get(name, "")[:10_000] for name in ("matchers", "hours", "comment", "created_by")
    }
    held: list[Alert] = []
    made: Silence | None = None
    faults: tuple[str, ...] = ()
    if given["matchers"].strip():
        try:
            made = _read(given, now)
            matches = all_of(made.matchers)
            held = [alert for alert in engine.alerting.alerts() if matches(dict(alert.labels))]
        except SilenceFaultsError as error:
            faults = error.faults
    values = {
        "title": "Silence",
        "given": given,
        "hours": HOURS,
        "silence": made,
        "held": views(engine.alerting, held[:SHOWN], now),
        "count": len(held),
        "faults": faults,
    }
    return show(request, "silence.html", values, 400 if faults else 200)


def _read(fields: Mapping[str, str], now: Now) -> Silence:
    """Return the silence that the form's fields describe.

    Raises:
        SilenceFaultsError: they describe none.
    """
    hours = fields.get("hours") or "4"
    if hours not in HOURS:
        raise SilenceFaultsError(f"hours: allowed: {', '.join(HOURS)}")
    document = {
        "matchers": [line for line in fields.get("matchers", "").splitlines() if line.strip()],
        "duration_seconds": float(hours) * _HOUR_S,
        "created_by": fields.get("created_by", ""),
        "comment": fields.get("comment", ""),
    }
    return read_silence(document, now)
