"""Channels as the configuration makes them, and what they are told."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pytest_sergas.channels import GROUP, Channel, Context
from pytest_sergas.channels.sender import Sender
from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.core.messages import Notification, Notified, Status, fingerprint
from pytest_sergas.core.series import canonical

# For what is expected to answer: a busy machine is no failure.
PATIENT_S = 60.0
# For what is expected never to answer.
IMPATIENT_S = 0.5

STARTED_S = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC
KEY = "sergas-1f2e3d"


def make(kind: str, root: Path, **options: Any) -> Channel:
    """Return the channel that the entry point of this name makes, with the name ``team``."""
    (entry,) = entry_points(group=GROUP, name=kind)
    settings = ChannelSettings(type=kind, name="team", options=options)
    channel: Channel = entry.load()(Context(settings, root))
    return channel


async def send(channel: Channel, notification: Notification, timeout_s: float = PATIENT_S) -> str:
    """Send as everybody does."""
    return await Sender(channel).send(notification, timeout_s=timeout_s)


def alert(
    name: str = "SmokeTestsFailed",
    *,
    status: Status = "firing",
    reason: str = "",
    annotations: dict[str, str] | None = None,
    level: str = "critical",
    **labels: str,
) -> Notified:
    """Return an alert that began at `STARTED_S`, and ended 100 s later when it is resolved."""
    own = canonical({"alertname": name, "severity": level, **labels}.items())
    return Notified(
        labels=own,
        annotations=tuple(sorted((annotations or {"summary": "2 smoke tests failed"}).items())),
        status=status,
        starts_at_s=STARTED_S,
        ends_at_s=STARTED_S + 100 if status == "resolved" else None,
        reason=reason,
        value=2.0,
        fingerprint=fingerprint(own),
        level=level,
    )


def notification(*alerts: Notified, **fields: Any) -> Notification:
    """Return what the receiver ``team`` is told about ``alerts``; about one that fires unless any is given."""
    told = alerts or (alert(type="smoke"),)
    status: Status = "firing" if any(one.status == "firing" for one in told) else "resolved"
    own: dict[str, Any] = {
        "group_labels": (("type", "smoke"),),
        "receiver": "team",
        "status": status,
        "key": KEY,
        "group_key": '{}:{type="smoke"}',
    }
    return Notification(told, **{**own, **fields})
