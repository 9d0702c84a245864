"""What a channel is told: a notification and its alerts, and how the outbox keeps them.

A notification is about one group of alerts for one receiver. It is complete: who sends it asks nobody anything
more, and what is sent again after a restart is word for word what was to be sent before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pytest_sergas.core.series import Labels

Status = Literal["firing", "resolved"]

ALERTNAME = "alertname"
SEVERITY = "severity"

_FNV_OFFSET, _FNV_PRIME, _64_BITS = 14_695_981_039_346_656_037, 1_099_511_628_211, (1 << 64) - 1
_SEPARATOR = b"\xff"


@dataclass(frozen=True, slots=True)
class Notified:
    """One alert as it is told.

    Attributes:
        labels: canonical; its name is the label ``alertname``.
        annotations: sorted by name, templates filled in.
        starts_at_s: when it began to fire; seconds since the Unix epoch.
        ends_at_s: when it ended, or None while it fires.
        reason: why it ended: ``condition_false``, ``series_gone``, ``rule_gone``; "" while it fires.
        value: what the expression had when it was last seen.
        fingerprint: of ``labels``, see `fingerprint`.
        level: ``info``, ``warning``, ``error`` or ``critical``.
        url: of the page that shows more about it, or "".
    """

    labels: Labels
    annotations: Labels
    status: Status
    starts_at_s: float
    ends_at_s: float | None
    reason: str
    value: float
    fingerprint: str
    level: str
    url: str = ""

    @property
    def name(self) -> str:
        return dict(self.labels).get(ALERTNAME, "")


@dataclass(frozen=True, slots=True)
class Notification:
    """What is sent to one receiver at once.

    Attributes:
        alerts: those that fire first. Empty only when ``held_back`` or ``note`` says it all.
        group_labels: what the alerts have in common, because they are grouped by it.
        receiver: the channel's name in the configuration.
        status: ``firing`` while any of the alerts does.
        key: the idempotency key: the same for every attempt to send this, and for nothing else.
        group_key: the group's, the same for everything that is ever sent about it.
        external_url: where people reach the sidecar, or "".
        truncated: how many more alerts the group has.
        held_back: how many notifications the cap of the channel has kept back; this is their summary.
        note: what people should know besides: a trial, an escalation, a store that is full; or "".
        groups: the ids of the groups that it is about: several for a summary. See `delivery.Group`.
    """

    alerts: tuple[Notified, ...]
    group_labels: Labels
    receiver: str
    status: Status
    key: str
    group_key: str
    external_url: str = ""
    truncated: int = 0
    held_back: int = 0
    note: str = ""
    groups: tuple[str, ...] = ()

    @property
    def firing(self) -> tuple[Notified, ...]:
        return tuple(alert for alert in self.alerts if alert.status == "firing")

    @property
    def resolved(self) -> tuple[Notified, ...]:
        return tuple(alert for alert in self.alerts if alert.status == "resolved")

    @property
    def common_labels(self) -> Labels:
        return _common(alert.labels for alert in self.alerts)

    @property
    def common_annotations(self) -> Labels:
        return _common(alert.annotations for alert in self.alerts)


def fingerprint(labels: Labels) -> str:
    """Return Prometheus' own fingerprint of canonical ``labels``: 64 bits of FNV-1a, in 16 hexadecimal digits.

    An Alertmanager has the same one for an alert with these labels (common/model, ``LabelSet.Fingerprint``).
    """
    sum_ = _FNV_OFFSET
    for part in (part for pair in labels for part in pair):
        for byte in part.encode("utf-8", "surrogatepass") + _SEPARATOR:
            sum_ = ((sum_ ^ byte) * _FNV_PRIME) & _64_BITS
    return f"{sum_:016x}"


def encode(notification: Notification) -> str:
    """Return ``notification`` as JSON text for the outbox; `decode` reads it."""
    # Not dataclasses.asdict, which copies what cannot change: ten times slower for a thousand alerts.
    written = {name: getattr(notification, name) for name in Notification.__slots__}
    written["alerts"] = [to_plain(alert) for alert in notification.alerts]
    return json.dumps(written, separators=(",", ":"))


def to_plain(alert: Notified) -> dict[str, Any]:
    """Return ``alert`` for `json.dumps`; `from_plain` reads it."""
    return {name: getattr(alert, name) for name in Notified.__slots__}


def from_plain(written: dict[str, Any]) -> Notified:
    """Return the alert that `to_plain` has written.

    Raises:
        KeyError, TypeError: it has not.
    """
    return Notified(**_with_labels(written, "labels", "annotations"))


def decode(text: str) -> Notification:
    """Return the notification that `encode` has written.

    Raises:
        ValueError: it has not.
    """
    written = json.loads(text)
    if not isinstance(written, dict):
        raise ValueError(f"not a notification: {type(written).__name__}")  # noqa: TRY004  the text is wrong, not its type
    try:
        alerts = tuple(from_plain(alert) for alert in written.pop("alerts"))
        groups = tuple(written.pop("groups", ()))
        return Notification(alerts=alerts, groups=groups, **_with_labels(written, "group_labels"))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a notification: {error}") from error


def _with_labels(written: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**written, **{name: tuple((label, value) for label, value in written[name]) for name in names}}


def _common(many: Iterable[Labels]) -> Labels:
    """Return the pairs that all of them have."""
    first, *others = tuple(many) or ((),)
    sets = [set(other) for other in others]
    return tuple(pair for pair in first if all(pair in other for other in sets))
