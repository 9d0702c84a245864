"""How fast a channel is notified: the cap of a minute and its summary, the size of messages, the waits of retrying."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_sergas.core.alerts import AlertLevel
from pytest_sergas.core.delivery import Receiver, Why, rank
from pytest_sergas.core.messages import Notified
from pytest_sergas.core.series import Labels

ALERTS_PER_MESSAGE = 1_000
MINUTE_S = 60.0
AT_ONCE = 4  # sends of one channel
BACKLOG = 100  # notifications that wait for a channel that is down, before further ones become one summary
GIVE_UP_S = 86_400.0
_RETRY_S, _RETRY_MOST_S, _RETRY_AFTER_MOST_S = 1.0, 300.0, 3_600.0


def is_critical(alerts: Iterable[Notified]) -> bool:
    """Whether any of them must never be held back."""
    return any(alert.level == AlertLevel.CRITICAL for alert in alerts)


def pieces(alerts: Sequence[Notified], size: int = ALERTS_PER_MESSAGE) -> list[tuple[Notified, ...]]:
    """Return ``alerts`` in messages of at most ``size``, as few as there can be."""
    return [tuple(alerts[start : start + size]) for start in range(0, len(alerts), size)]


# The cap of a channel


@dataclass(frozen=True, slots=True)
class Traffic:
    """What goes on at a channel.

    Attributes:
        sent_s: when the latest notifications went, on the monotonic clock.
        waiting: how many have not been taken by the receiver yet.
        is_holding: whether some are held back already; what comes later does not overtake them.
    """

    sent_s: Sequence[float] = ()
    waiting: int = 0
    is_holding: bool = False


def hold_back(receiver: Receiver, traffic: Traffic, now_s: float, *, critical: bool) -> Why | None:
    """Return why a notification is held back for the summary, or None when it may go."""
    if critical or receiver.resend_s is not None:
        return None
    if traffic.waiting >= BACKLOG:
        return Why.DOWN
    if traffic.is_holding or room_at(receiver, traffic.sent_s, now_s) > now_s:
        return Why.CAP
    return None


def room_at(receiver: Receiver, sent_s: Sequence[float], now_s: float) -> float:
    """Return when the next notification may go: ``now_s``, or later."""
    within = [moment_s for moment_s in sent_s if moment_s > now_s - MINUTE_S]
    if len(within) < receiver.per_minute:
        return now_s
    return within[-receiver.per_minute] + MINUTE_S


def summarised(drafts: Iterable[Iterable[Notified]]) -> tuple[Notified, ...]:
    """Return what one message says in the place of ``drafts``: each alert once, what fires first, the worst before."""
    latest: dict[Labels, Notified] = {}
    for draft in drafts:
        latest.update((alert.labels, alert) for alert in draft)
    return tuple(sorted(latest.values(), key=lambda alert: (alert.status == "resolved", -rank(alert), alert.labels)))


# Sending again


def retry_s(attempts: int, jitter: float, retry_after_s: float | None) -> float:
    """Return the seconds until a notification is tried again.

    Args:
        attempts: how often it was tried; at least once.
        jitter: from 0 to 1, so that many senders do not come at the same moment.
        retry_after_s: what the receiver asked for, or None.
    """
    most_s = min(_RETRY_MOST_S, _RETRY_S * 2.0 ** min(attempts - 1, 20))
    wait_s = most_s / 2 + most_s / 2 * jitter
    return max(wait_s, min(retry_after_s or 0.0, _RETRY_AFTER_MOST_S))
