"""A notification as Alertmanager writes it: version 4 of the payload of its webhooks.

It is the one of its documentation ("webhook_config"), so that what receives an Alertmanager's webhooks receives
ours. What it has no place for follows in keys of our own: ``reason`` of an alert that is over, ``note`` and
``heldBack`` of the whole.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pytest_sergas.core.messages import Notification, Notified

# Go's zero time, which is how Alertmanager writes that an alert has not ended.
_NOT_ENDED = "0001-01-01T00:00:00Z"


def webhook(notification: Notification) -> dict[str, Any]:
    """Return the payload for `json.dumps`."""
    document: dict[str, Any] = {
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": notification.truncated,
        "status": notification.status,
        "receiver": notification.receiver,
        "groupLabels": dict(notification.group_labels),
        "commonLabels": dict(notification.common_labels),
        "commonAnnotations": dict(notification.common_annotations),
        "externalURL": notification.external_url,
        "alerts": [_alert(alert, notification.external_url) for alert in notification.alerts],
    }
    if notification.note:
        document["note"] = notification.note
    if notification.held_back:
        document["heldBack"] = notification.held_back
    return document


def timestamp(wall_s: float) -> str:
    """Return a time as RFC 3339 has it, in UTC, to the millisecond."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _alert(alert: Notified, external_url: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "status": alert.status,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": timestamp(alert.starts_at_s),
        "endsAt": _NOT_ENDED if alert.ends_at_s is None else timestamp(alert.ends_at_s),
        "generatorURL": alert.url or external_url,
        "fingerprint": alert.fingerprint,
    }
    if alert.reason:
        document["reason"] = alert.reason
    return document
