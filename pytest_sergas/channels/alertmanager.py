"""An Alertmanager, through version 2 of its API: grouping, silences and receivers are then its own.

It forgets an alert that nobody confirms: each has an end in the future, and is sent again before it (`RESEND_S`).
One wrong alert makes it refuse the request although it takes the others, so nothing is sent that it would refuse.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_sergas.channels import Context, posting, wording
from pytest_sergas.channels.options import Options
from pytest_sergas.channels.payload import timestamp
from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.core.messages import ALERTNAME, SEVERITY, Notification, Notified
from pytest_sergas.core.series import Labels

RESEND_S = 60.0  # Prometheus' own --rules.alert.resend-delay
LASTS_S = 4 * RESEND_S  # and how long what it sends lasts (rules/manager.go)

_PATH = "/api/v2/alerts"
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]")

KEYS = CHANNEL_OPTIONS["alertmanager"]


@dataclass(frozen=True, slots=True)
class AlertmanagerChannel:
    """Hands alerts over, one by one as they are: an Alertmanager groups them itself."""

    name: str
    target: posting.Target
    resend_s: float | None = RESEND_S

    @property
    def secrets(self) -> tuple[str, ...]:
        return self.target.secrets

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        body = json.dumps(alerts(notification, wall_s=time.time())).encode()
        return await self.target.post(body, {}, timeout_s=timeout_s)


def alerts(notification: Notification, *, wall_s: float) -> list[dict[str, Any]]:
    """Return what the API takes.

    Args:
        wall_s: seconds since the Unix epoch, from which an alert that fires lasts for `LASTS_S`.
    """
    return [_alert(alert, notification.external_url, wall_s) for alert in _told(notification, wall_s)]


def _told(notification: Notification, wall_s: float) -> Iterator[Notified]:
    yield from notification.alerts
    # What people should know besides is an alert, too: an Alertmanager knows nothing else.
    if not notification.alerts:
        labels = ((ALERTNAME, "SergasNotice"), ("receiver", notification.receiver), (SEVERITY, "info"))
        said = (("summary", " ".join(wording.remarks(notification))),)
        yield Notified(labels, said, notification.status, wall_s, None, "", 0.0, "", "info")


def _alert(alert: Notified, external_url: str, wall_s: float) -> dict[str, Any]:
    ends_s = wall_s + LASTS_S if alert.status == "firing" else min(alert.ends_at_s or wall_s, wall_s)
    document: dict[str, Any] = {
        "labels": _pairs(alert.labels),
        "annotations": _pairs(alert.annotations),
        "startsAt": timestamp(min(alert.starts_at_s, ends_s)),
        "endsAt": timestamp(ends_s),
    }
    if url := alert.url or external_url:
        document["generatorURL"] = url
    return document


def _pairs(labels: Labels) -> dict[str, str]:
    """Return ``labels`` as it takes them: names of letters, digits and underscores, values in UTF-8."""
    return {_name(name): value.encode("utf-8", "replace").decode() for name, value in labels}


def _name(name: str) -> str:
    plain = _NOT_IN_A_NAME.sub("_", name)
    return f"_{plain}" if plain[:1].isdigit() or not plain else plain


def create(context: Context) -> AlertmanagerChannel:
    options = Options(context, KEYS, required=("url",))
    url = str(options.get("url", ""))
    if "?" in url or "#" in url:
        options.fault("url", "a query or a fragment is of no use here; remove it")
    target = posting.target(options, url.rstrip("/") + _PATH)
    options.done()
    return AlertmanagerChannel(context.settings.name, target)
