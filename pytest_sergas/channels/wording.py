"""A notification as people read it: the headline, what there is to say about all of it, and each alert.

What comes from outside is bounded here: a label of 100 KB costs a line and not a mailbox. It is not escaped: that
differs from channel to channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pytest_sergas.core.messages import ALERTNAME, SEVERITY, Notification, Notified
from pytest_sergas.core.series import Labels
from pytest_sergas.core.text import clean, one_line, printable

ALERTS_SHOWN = 20
PAIRS_SHOWN = 20
HEADLINE_LIMIT = 200
VALUE_LIMIT = 200
TEXT_LIMIT = 2_000
LEVELS = ("info", "warning", "error", "critical")

_SUMMARY, _DESCRIPTION = "summary", "description"
_REASONS = {
    "condition_false": "the condition is no longer true",
    "series_gone": "its series is gone",
    "rule_gone": "its rule is gone",
}


@dataclass(frozen=True, slots=True)
class Story:
    """One alert as people read it.

    Attributes:
        title: level and name.
        state: since when, or how long and why no more.
        summary, description: its annotations of these names, or "".
        labels: all but name and severity.
        value: what the expression had, or "".
        annotations: all others: runbook, action, dashboard, why it fires; the last is the link to more about it.
    """

    title: str
    state: str
    summary: str
    description: str
    labels: Labels
    value: str
    annotations: Labels


def headline(notification: Notification) -> str:
    """Return one line that says it all: ``[FIRING:2] SmokeTestsFailed: type=smoke``."""
    counts = ", ".join(
        f"{word}:{len(alerts)}"
        for word, alerts in (("FIRING", notification.firing), ("RESOLVED", notification.resolved))
        if alerts
    )
    if not counts:
        return one_line(f"[HELD BACK:{notification.held_back}] {notification.note}".strip(), HEADLINE_LIMIT)
    names = list(dict.fromkeys(alert.name for alert in notification.alerts))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    common = notification.alerts[0].labels if len(notification.alerts) == 1 else notification.group_labels
    labels = ", ".join(f"{name}={one_line(value, 60)}" for name, value in common if name not in {ALERTNAME, SEVERITY})
    about = f"{', '.join(one_line(name, 60) for name in names[:3])}{more}"
    return one_line(f"[{counts}] {about}{f': {labels}' if labels else ''}", HEADLINE_LIMIT)


def remarks(notification: Notification) -> tuple[str, ...]:
    """Return what there is to say beside the alerts."""
    hidden = max(0, len(notification.alerts) - ALERTS_SHOWN) + notification.truncated
    said = (
        one_line(notification.note, TEXT_LIMIT),
        f"{_many(notification.held_back, 'notification')} held back in the last minute: the cap of this channel"
        if notification.held_back
        else "",
        f"{_many(hidden, 'more alert')} of this group" if hidden else "",
    )
    return tuple(text for text in said if text)


def stories(notification: Notification) -> tuple[Story, ...]:
    """Return the first `ALERTS_SHOWN` alerts."""
    return tuple(_story(alert) for alert in notification.alerts[:ALERTS_SHOWN])


def level(notification: Notification) -> str:
    """Return the highest level among the alerts that fire; "" when none does."""
    levels = [alert.level for alert in notification.firing if alert.level in LEVELS]
    return max(levels, key=LEVELS.index, default="")


def footer(notification: Notification) -> str:
    """Return the address of the sidecar, or "" where it is not known or each alert links to more than that."""
    return "" if any(alert.url for alert in notification.alerts) else notification.external_url


def plain(notification: Notification) -> str:
    """Return the whole as plain text of several lines."""
    return "\n".join(_lines(notification)) + "\n"


def is_link(text: str) -> bool:
    """Whether ``text`` is an address that a reader may be led to."""
    return text.startswith(("http://", "https://")) and not any(char <= " " or char in "\"'<>`|" for char in text)


def moment(wall_s: float) -> str:
    """Return a time as ``2026-01-31 12:00:00 UTC``."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """Return ``seconds`` in its two largest units: ``1 d 2 h``, ``3 min 20 s``."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next((index for index, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def _story(alert: Notified) -> Story:
    annotations = dict(alert.annotations)
    return Story(
        title=f"{alert.level}: {one_line(alert.name, VALUE_LIMIT)}",
        state=_state(alert),
        summary=one_line(annotations.pop(_SUMMARY, ""), TEXT_LIMIT),
        description=printable(clean(annotations.pop(_DESCRIPTION, ""), TEXT_LIMIT)),
        labels=_bounded(alert.labels, VALUE_LIMIT),
        value=f"{alert.value:.6g}",
        annotations=(*_bounded(tuple(annotations.items()), TEXT_LIMIT), *([("link", alert.url)] if alert.url else [])),
    )


def _state(alert: Notified) -> str:
    if alert.status == "firing":
        return f"firing since {moment(alert.starts_at_s)}"
    if alert.ends_at_s is None:
        return "resolved"
    why = f": {_REASONS.get(alert.reason, one_line(alert.reason, VALUE_LIMIT))}" if alert.reason else ""
    return f"resolved at {moment(alert.ends_at_s)} after {duration(alert.ends_at_s - alert.starts_at_s)}{why}"


def _bounded(pairs: Labels, limit: int) -> Labels:
    told = [(name, value) for name, value in pairs if name not in {ALERTNAME, SEVERITY}]
    kept = [(one_line(name, VALUE_LIMIT), one_line(value, limit)) for name, value in told[:PAIRS_SHOWN]]
    return (*kept, ("...", f"{len(told) - PAIRS_SHOWN} more")) if len(told) > PAIRS_SHOWN else tuple(kept)


def _lines(notification: Notification) -> Iterator[str]:
    yield from remarks(notification)
    for story in stories(notification):
        yield ""
        yield f"{story.title}, {story.state}"
        yield from (text for text in (story.summary, *story.description.splitlines()) if text)
        yield from (f"  {name} = {value}" for name, value in story.labels)
        yield f"  value: {story.value}"
        yield from (f"  {name}: {value}" for name, value in story.annotations)
    if url := footer(notification):
        yield ""
        yield url


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
