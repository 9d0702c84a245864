"""What happened to alerts: when, why, who was told, with what result, or why nobody was.

Three kinds of events: ``firing`` and ``resolved``, with why the alert changed; ``told``, with why a channel is told,
the notification's key and what became of it; ``not_told``, with the reason. Bounded by number and by age.
"""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import dataclass
from typing import Any

from pytest_sergas.core.alerts import Alert
from pytest_sergas.core.delivery import Decision
from pytest_sergas.core.messages import ALERTNAME
from pytest_sergas.core.series import Labels
from pytest_sergas.engine.journal import Journal, Row
from pytest_sergas.engine.store import Store

EVENTS_LIMIT = 50_000
AGE_S = 90 * 86_400.0
_PRUNE_EVERY = 1_000  # events
_DAY_S = 86_400

_INSERT = "INSERT OR REPLACE INTO alert_history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT = """
    SELECT h.id, h.at_s, h.event, h.why, h.detail, h.source, h.name, h.level, h.labels, h.value, h.channel, h.key,
    n.state, n.attempts, n.result, n.finished_s
    FROM alert_history AS h LEFT JOIN notifications AS n ON n.key = h.key
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a notification: its state, how often it was tried, and what came of the latest attempt."""

    key: str
    state: str
    attempts: int
    result: str
    finished_s: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an alert; seconds since the epoch."""

    at_s: float
    event: str
    why: str
    detail: str
    source: str
    name: str
    level: str
    labels: Labels
    value: float | None
    channel: str
    delivery: Delivery | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events are wanted; "" for any."""

    limit: int
    name: str = ""
    level: str = ""
    source: str = ""
    channel: str = ""


class AlertHistory:
    """Writes events into the journal, and answers from the store."""

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal = journal
        self._store = store
        self._next_id = 1

    async def start(self) -> None:
        """Go on after what the store has."""
        self._next_id = 1 + await self._store.read(_last_id)

    def transition(self, alert: Alert) -> None:
        """Note that ``alert`` began to fire, or ended."""
        moment = alert.resolved or alert.fired or alert.active
        values = (alert.source, alert.name, alert.level.value, json.dumps(alert.labels), _finite(alert.value))
        self._add(moment.wall_s, (alert.state.value, alert.reason.value, ""), values, ("", ""))

    def decided(self, decision: Decision, at_s: float, *, key: str = "") -> None:
        """Note a verdict; ``key`` is of the notification that is sent because of it."""
        alert = decision.alert
        values = (
            decision.source,
            dict(alert.labels).get(ALERTNAME, ""),
            alert.level,
            json.dumps(alert.labels),
            _finite(alert.value),
        )
        about = ("told" if decision.why.tells else "not_told", decision.why.value, decision.detail)
        self._add(at_s, about, values, (decision.channel, key))

    async def newest(self, asked: Asked) -> list[Event]:
        """Return the newest events, the latest first.

        Raises:
            StoreError: the store cannot be read.
        """
        return await self._store.read(lambda connection: _newest(connection, asked))

    async def trends(self, days: int, now_s: float) -> dict[str, dict[str, dict[str, int]]]:
        """Return how often alerts began to fire: ``by_level`` and ``by_source`` → day (UTC) → which → count.

        Raises:
            StoreError: the store cannot be read.
        """
        first_s = (now_s // _DAY_S - days + 1) * _DAY_S
        return await self._store.read(lambda connection: _trends(connection, first_s))

    def _add(
        self,
        at_s: float,
        about: tuple[str, str, str],
        alert: tuple[str, str, str, str, float | None],
        told: tuple[str, str],
    ) -> None:
        id_, self._next_id = self._next_id, self._next_id + 1
        self._journal.put(("history", id_), Row(_INSERT, (id_, at_s, *about, *alert, *told), can_wait=True))
        if id_ % _PRUNE_EVERY == 0:
            self._prune(id_, at_s)

    def _prune(self, id_: int, at_s: float) -> None:
        oldest = Row("DELETE FROM alert_history WHERE id <= ? OR at_s < ?", (id_ - EVENTS_LIMIT, at_s - AGE_S))
        self._journal.put(("history", "prune"), oldest)
        # What no event names any more; what waits or is held is never deleted.
        unnamed = Row(
            "DELETE FROM notifications WHERE finished_s IS NOT NULL AND finished_s < "
            "(SELECT coalesce(min(at_s), 0) FROM alert_history)",
            (),
        )
        self._journal.put(("notifications", "prune"), unnamed)


def _last_id(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM alert_history").fetchone()[0])


def _newest(connection: sqlite3.Connection, asked: Asked) -> list[Event]:
    wanted = {
        "h.name": asked.name,
        "h.level": asked.level,
        "h.source": asked.source,
        "h.channel": asked.channel,
    }
    where = " AND ".join(f"{column} = ?" for column, value in wanted.items() if value)
    sql = f"{_SELECT} {f'WHERE {where}' if where else ''} ORDER BY h.id DESC LIMIT ?"
    values = [value for value in wanted.values() if value]
    return [_event(row) for row in connection.execute(sql, (*values, asked.limit))]


def _event(row: tuple[Any, ...]) -> Event:
    _, at_s, event, why, detail, source, name, level, labels, value, channel, key, state, attempts, result, end_s = row
    delivery = Delivery(key, state, attempts, result, end_s) if state is not None else None
    pairs = tuple((label, text) for label, text in json.loads(labels))
    return Event(at_s, event, why, detail, source, name, level, pairs, value, channel, delivery)


def _trends(connection: sqlite3.Connection, first_s: float) -> dict[str, dict[str, dict[str, int]]]:
    found: dict[str, dict[str, dict[str, int]]] = {}
    for column in ("level", "source"):
        days: dict[str, dict[str, int]] = {}
        sql = (
            f"SELECT date(at_s, 'unixepoch'), {column}, count(*) FROM alert_history "  # noqa: S608  one of two words
            "WHERE event = 'firing' AND at_s >= ? GROUP BY 1, 2 ORDER BY 1, 2"
        )
        for day, which, count in connection.execute(sql, (first_s,)):
            days.setdefault(day, {})[which] = count
        found[f"by_{column}"] = days
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
