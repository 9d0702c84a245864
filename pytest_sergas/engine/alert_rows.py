"""How alerts, what is known of them, silences and the pace of groups are rows of the store.

Labels are JSON: a list of pairs. Moments are readings of the wall clock, from which `restored` makes moments of this
process again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pytest_sergas.core.alerts import Alert, Reason, State
from pytest_sergas.core.clock import Now, restored
from pytest_sergas.core.delivery import Entry, Known, Why
from pytest_sergas.core.messages import from_plain, to_plain
from pytest_sergas.core.routes import read_matcher, write_matcher
from pytest_sergas.core.series import Labels
from pytest_sergas.core.silences import Silence
from pytest_sergas.engine.journal import Journal, Row
from pytest_sergas.engine.sealing import seal, unseal

_PUT_ALERT = "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)"
_DELETE_ALERT = "DELETE FROM alerts WHERE rule = ? AND labels = ?"
_PUT_PACE = "INSERT OR REPLACE INTO alert_pace VALUES (?, ?)"
_DELETE_PACE = "DELETE FROM alert_pace WHERE id = ?"
_PUT_ENTRY = "INSERT OR REPLACE INTO alert_entries VALUES (?, ?)"
_DELETE_ENTRY = "DELETE FROM alert_entries WHERE labels = ?"
_PUT_SILENCE = "INSERT OR REPLACE INTO silences VALUES (?, ?)"
_DELETE_SILENCE = "DELETE FROM silences WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store has of alerting; ``flushed`` is by the ids of groups."""

    alerts: tuple[Alert, ...]
    entries: Mapping[Labels, Entry]
    flushed: Mapping[str, Now]
    silences: tuple[Silence, ...]


def load(connection: sqlite3.Connection, now: Now) -> Kept:
    """Read everything; moments are as far before ``now`` as the wall clock says."""
    alerts = connection.execute("SELECT rule, labels, state, body FROM alerts").fetchall()
    rows = connection.execute("SELECT labels, body FROM alert_entries")
    entries = dict(read_entry(row, now) for row in rows)
    flushed = {id_: restored(at_s, now) for id_, at_s in connection.execute("SELECT id, flushed_s FROM alert_pace")}
    silences = tuple(read_silence(row) for row in connection.execute("SELECT id, body FROM silences"))
    return Kept(tuple(read_alert(row, now) for row in alerts), entries, flushed, silences)


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
    about = (alert.rule, labels, alert.state.value)
    journal.put(key, Row(_PUT_ALERT, (*about, seal(json.dumps(body), *about))))


def put_entry(journal: Journal, labels: Labels, entry: Entry | None) -> None:
    """Write what is known of an alert, or that nothing needs to be known any more."""
    text = json.dumps(labels)
    row = Row(_DELETE_ENTRY, (text,)) if entry is None else Row(_PUT_ENTRY, (text, seal(_entry_text(entry), text)))
    journal.put(("entry", text), row)


def put_pace(journal: Journal, group_id: str, flushed: Now | None) -> None:
    """Write when a group was last sent, or that it is gone."""
    row = Row(_DELETE_PACE, (group_id,)) if flushed is None else Row(_PUT_PACE, (group_id, flushed.wall_s))
    journal.put(("pace", group_id), row)


def silence_key(silence_id: str) -> tuple[object, ...]:
    """Return the key of a silence's row on its way into the store."""
    return ("silence", silence_id)


def put_silence(journal: Journal, silence: Silence) -> None:
    """Write ``silence``."""
    body = {**asdict(silence), "matchers": [write_matcher(matcher) for matcher in silence.matchers]}
    journal.put(silence_key(silence.id), Row(_PUT_SILENCE, (silence.id, seal(json.dumps(body), silence.id))))


def delete_silence(journal: Journal, silence_id: str) -> None:
    """Write that there is no silence with this id any more."""
    journal.put(silence_key(silence_id), Row(_DELETE_SILENCE, (silence_id,)))


def _labels(written: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in written)


def read_alert(row: tuple[str, str, str, str], now: Now) -> Alert:
    """Return the alert of a row.

    Raises:
        ValueError, TypeError, KeyError: it is not what was written.
    """
    rule, labels, state, text = row
    body: dict[str, Any] = json.loads(unseal(text, rule, labels, state))
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
            "ended_s": None if entry.ended is None else entry.ended.wall_s,
            "cooldown_s": entry.cooldown_s,
            "source": entry.source,
            "known": {channel: _known_plain(known) for channel, known in entry.known.items()},
            "held": entry.held,
        }
    )


def read_entry(row: tuple[str, str], now: Now) -> tuple[Labels, Entry]:
    """Return the labels of an alert, and what is known of it; see `read_alert`."""
    labels, text = row
    return _labels(json.loads(labels)), _entry(json.loads(unseal(text, labels)), now)


def _entry(body: dict[str, Any], now: Now) -> Entry:
    return Entry(
        from_plain(body["alert"]),
        restored(body["began_s"], now),
        None if body["ended_s"] is None else restored(body["ended_s"], now),
        body["cooldown_s"],
        body["source"],
        {channel: _known(known, now) for channel, known in body["known"].items()},
        {channel: Why(why) for channel, why in body["held"].items()},
    )


def _known_plain(known: Known) -> dict[str, Any]:
    return {
        "firing": known.firing,
        "at_s": None if known.at is None else known.at.wall_s,
        "group": [known.group_key, known.group_labels],
        "refusals": known.refusals,
        "refused_s": None if known.refused is None else known.refused.wall_s,
    }


def _known(body: dict[str, Any], now: Now) -> Known:
    at, refused = (None if body[name] is None else restored(body[name], now) for name in ("at_s", "refused_s"))
    key, labels = body["group"]
    return Known(body["firing"], at, key, _labels(labels), body["refusals"], refused)


def read_silence(row: tuple[str, str]) -> Silence:
    """Return the silence of a row; see `read_alert`."""
    silence_id, text = row
    body = json.loads(unseal(text, silence_id))
    matchers = tuple(read_matcher(text) for text in body.pop("matchers"))
    return Silence(matchers=matchers, **body)
