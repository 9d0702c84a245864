"""How stores of version 5 become those of version 6: what channels know moves from groups of routes to alerts.

Version 5 kept it under the name of a route, and counted as known what was only on its way. Here it is what was taken:
what still waits in the outbox is taken back, and what was held back for a summary is decided anew.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

_TABLES = (
    "DROP TABLE alert_groups",
    "DROP TABLE alert_entries",
    # What is known of an alert: its state as it was last sent, and what each channel has taken; see alert_rows.py.
    "CREATE TABLE alert_entries (labels TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL) WITHOUT ROWID",
    # When a group was last sent: content of the route and labels, seconds since the epoch.
    "CREATE TABLE alert_pace (id TEXT PRIMARY KEY NOT NULL, flushed_s REAL NOT NULL) WITHOUT ROWID",
)
_HELD_ANEW = """
    UPDATE notifications SET state = 'summarised', finished_s = made_s, body = '', result = 'decided anew'
    WHERE state = 'held'
"""

_Entries = dict[str, dict[str, Any]]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables of alerting from version 5 to 6.

    Raises:
        sqlite3.Error: they cannot be read.
    """
    try:
        entries = _entries(connection)
        _take_back(connection, entries)
    except (ValueError, KeyError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a row of alerting is not what was written: {error!r}") from error
    connection.execute(_HELD_ANEW)
    for statement in _TABLES:
        connection.execute(statement)
    rows = [(labels, json.dumps(body)) for labels, body in entries.items()]
    connection.executemany("INSERT INTO alert_entries VALUES (?, ?)", rows)


def _entries(connection: sqlite3.Connection) -> _Entries:
    """Return labels → what all groups know of the alert; a receiver that has it as firing in one of them has it so."""
    entries: _Entries = {}
    rows = connection.execute(
        "SELECT e.labels, e.body, g.key, g.labels FROM alert_entries AS e JOIN alert_groups AS g ON g.key = e.key"
    )
    for labels, text, key, group_labels in rows:
        body = json.loads(text)
        entry = entries.setdefault(labels, _entry(body["alert"], body))
        if body["alert"]["status"] == "firing":
            entry |= {"alert": body["alert"], "ended_s": None}
        for channel, (firing, at_s) in body["told"].items():
            known = entry["known"].get(channel)
            if known is None or (firing, at_s) > (known["firing"], known["at_s"]):
                entry["known"][channel] = _known([key, json.loads(group_labels)], at_s, firing=firing)
    return entries


def _take_back(connection: sqlite3.Connection, entries: _Entries) -> None:
    """Undo what was noted as known of notifications that nobody has taken yet."""
    begun: set[tuple[str, str]] = set()
    forgotten: set[str] = set()  # alerts that had ended, and of which only messages were left
    rows = connection.execute(
        "SELECT channel, made_s, body FROM notifications WHERE state IN ('waiting', 'held') ORDER BY id"
    )
    for channel, made_s, text in rows:
        notification = json.loads(text)
        group = [notification["group_key"], notification["group_labels"]]
        for alert in notification["alerts"]:
            labels = json.dumps(alert["labels"])
            if labels not in entries or labels in forgotten:
                forgotten.add(labels)
                known = entries.get(labels, {}).get("known", {})
                body = {"began_s": alert["starts_at_s"], "cooldown_s": None, "source": ""}
                entries[labels] = {**_entry(alert, body), "known": known}
            entry = entries[labels]
            if alert["status"] == "firing":
                begun.add((channel, labels))
                entry["known"].pop(channel, None)
            elif (channel, labels) not in begun:
                known = entry["known"].setdefault(channel, _known(group, made_s, firing=True))
                known["firing"] = True


def _entry(alert: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    kept = {name: body[name] for name in ("began_s", "cooldown_s", "source")}
    return {"alert": alert, "ended_s": alert["ends_at_s"], **kept, "known": {}, "held": {}}


def _known(group: list[Any], at_s: float, *, firing: bool) -> dict[str, Any]:
    return {"firing": firing, "at_s": at_s, "group": group, "refusals": 0, "refused_s": None}
