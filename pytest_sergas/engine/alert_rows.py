"""How alerts, groups, silences and their history are rows of the store.

Labels are JSON: a list of pairs. Moments are readings of the wall clock, from which `restored` makes moments of this
process again.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from pytest_sergas.core.alerts import Alert, Reason, State
from pytest_sergas.core.clock import Now, restored
from pytest_sergas.core.delivery import Entry, Group, Told, Why
from pytest_sergas.core.messages import from_plain, to_plain
from pytest_sergas.core.routes import read_matcher, write_matcher
from pytest_sergas.core.series import Labels
from pytest_sergas.core.silences import Silence
from pytest_sergas.engine.journal import Journal, Row

_PUT_ALERT = "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)"
_DELETE_ALERT = "DELETE FROM alerts WHERE rule = ? AND labels = ?"
_PUT_GROUP = "INSERT OR REPLACE INTO alert_groups VALUES (?, ?, ?, ?)"
_DELETE_GROUP = "DELETE FROM alert_groups WHERE key = ?"
_PUT_ENTRY = "INSERT OR REPLACE INTO alert_entries VALUES (?, ?, ?)"
_DELETE_ENTRY = "DELETE FROM alert_entries WHERE key = ? AND labels = ?"
_PUT_SILENCE = "INSERT OR REPLACE INTO silences VALUES (?, ?)"
_DELETE_SILENCE = "DELETE FROM silences WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store has of alerting."""

    alerts: tuple[Alert, ...]
    groups: tuple[Group, ...]
    silences: tuple[Silence, ...]


def load(connection: sqlite3.Connection, now: Now) -> Kept:
    """Read everything; moments are as far before ``now`` as the wall clock says."""
    alerts = connection.execute("SELECT rule, labels, state, body FROM alerts").fetchall()
    entries: dict[str, dict[Labels, Entry]] = {}
    for key, labels, body in connection.execute("SELECT key, labels, body FROM alert_entries"):
        entries.setdefault(key, {})[_labels(json.loads(labels))] = _entry(json.loads(body), now)
    groups = tuple(
        Group(
            route,
            _labels(json.loads(labels)),
            entries.get(key, {}),
            None if flushed_s is None else restored(flushed_s, now),
            now.monotonic_s,
        )
        for key, route, labels, flushed_s in connection.execute("SELECT * FROM alert_groups")
    )
    silences = tuple(_silence(json.loads(body)) for (body,) in connection.execute("SELECT body FROM silences"))
    return Kept(tuple(_alert(row, now) for row in alerts), groups, silences)


def put_alert(journal: Journal, alert: Alert, *, is_over: bool) -> None:
    """Write ``alert``, or that it is not followed any more."""
    labels = json.dumps(alert.labels)
    key = ("alert", alert.rule, labels)
    if is_over:
        journal.put(key, Row(_DELETE_ALERT, (alert.rule, labels)))
        return
    body = {
        "value": alert.value,
        "annotations": alert.annotations,
        "reason": alert.reason,
        "source": alert.source,
        "cooldown_s": alert.cooldown_s,
        "active_s": alert.active.wall_s,
        "fired_s": alert.fired.wall_s if alert.fired else None,
        "ended_s": alert.ended.wall_s if alert.ended else None,
    }
    journal.put(key, Row(_PUT_ALERT, (alert.rule, labels, alert.state, json.dumps(body))))


def put_group(journal: Journal, before: Group | None, after: Group) -> None:
    """Write what differs between ``before`` and ``after``; a group without entries is deleted."""
    key = after.key
    if not after.entries:
        journal.put(("group", key), Row(_DELETE_GROUP, (key,)))
    elif before is None or not before.entries or before.flushed != after.flushed:
        flushed_s = after.flushed.wall_s if after.flushed else None
        values = (key, after.route, json.dumps(after.labels), flushed_s)
        journal.put(("group", key), Row(_PUT_GROUP, values))
    earlier = before.entries if before else {}
    for labels, entry in after.entries.items():
        if earlier.get(labels) != entry:
            text = json.dumps(labels)
            journal.put(("entry", key, text), Row(_PUT_ENTRY, (key, text, _entry_text(entry))))
    for labels in earlier.keys() - after.entries.keys():
        text = json.dumps(labels)
        journal.put(("entry", key, text), Row(_DELETE_ENTRY, (key, text)))


def put_silence(journal: Journal, silence: Silence) -> None:
    """Write ``silence``."""
    body = {**asdict(silence), "matchers": [write_matcher(matcher) for matcher in silence.matchers]}
    journal.put(("silence", silence.id), Row(_PUT_SILENCE, (silence.id, json.dumps(body))))


def delete_silence(journal: Journal, silence_id: str) -> None:
    """Write that there is no silence with this id any more."""
    journal.put(("silence", silence_id), Row(_DELETE_SILENCE, (silence_id,)))


def _labels(written: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in written)


def _alert(row: tuple[str, str, str, str], now: Now) -> Alert:
    rule, labels, state, text = row
    body: dict[str, Any] = json.loads(text)
    active, fired, ended = (
        None if body[name] is None else restored(body[name], now) for name in ("active_s", "fired_s", "ended_s")
    )
    return Alert(
        rule,
        _labels(json.loads(labels)),
        body["value"],
        _labels(body["annotations"]),
        State(state),
        active or now,
        Reason(body["reason"]),
        body["source"],
        body["cooldown_s"],
        fired,
        ended,
    )


def _entry_text(entry: Entry) -> str:
    return json.dumps(
        {
            "alert": to_plain(entry.alert),
            "began_s": entry.began.wall_s,
            "cooldown_s": entry.cooldown_s,
            "source": entry.source,
            "told": {channel: [told.firing, told.at.wall_s] for channel, told in entry.told.items()},
            "held": entry.held,
        }
    )


def _entry(body: dict[str, Any], now: Now) -> Entry:
    return Entry(
        from_plain(body["alert"]),
        restored(body["began_s"], now),
        body["cooldown_s"],
        body["source"],
        {channel: Told(firing, restored(at_s, now)) for channel, (firing, at_s) in body["told"].items()},
        {channel: Why(why) for channel, why in body["held"].items()},
    )


def _silence(body: dict[str, Any]) -> Silence:
    matchers = tuple(read_matcher(text) for text in body.pop("matchers"))
    return Silence(matchers=matchers, **body)
