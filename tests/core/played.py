"""The ledger in virtual time: it is looked at whenever it is due, and receivers answer at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from pytest_sergas.core.clock import Now
from pytest_sergas.core.delivery import Draft, Group, Receiver, Why
from pytest_sergas.core.ledger import Ledger
from pytest_sergas.core.messages import Notification, Notified, Status, fingerprint
from pytest_sergas.core.routes import Route, Router
from pytest_sergas.core.series import Labels
from pytest_sergas.core.silences import Muted

WALL_S = 1_700_000_000.0
ROUTE = Route("all", channels=("chat",), group_wait_s=2, group_interval_s=30, repeat_interval_s=3600, cooldown_s=300)
CHAT, PHONE = Receiver("chat"), Receiver("phone")


def at(second: float) -> Now:
    return Now(second, WALL_S + second)


def labels(name: str, level: str = "warning") -> Labels:
    return (("alertname", name), ("severity", level))


def notified(name: str, level: str = "warning", *, over_s: float | None = None, from_s: float = 0) -> Notified:
    return Notified(
        labels(name, level),
        (),
        "firing" if over_s is None else "resolved",
        WALL_S + from_s,
        None if over_s is None else WALL_S + over_s,
        "" if over_s is None else "condition_false",
        1.0,
        fingerprint(labels(name, level)),
        level,
    )


def never(_: Labels) -> Muted | None:
    return None


@dataclass
class Wire:
    """What is on its way: messages wait here only for channels that are `slow`."""

    slow: set[str] = field(default_factory=set)
    waiting: list[Notification] = field(default_factory=list)
    promised: set[tuple[str, Labels]] = field(default_factory=set)

    def is_busy(self, channel: str, group_id: str) -> bool:
        return any(one.receiver == channel and group_id in one.groups for one in self.waiting)

    def is_under_way(self, channel: str, labels: Labels) -> bool:
        of_channel = (one for one in self.waiting if one.receiver == channel)
        return (channel, labels) in self.promised or any(
            alert.labels == labels for one in of_channel for alert in one.alerts
        )

    def hold_back(self, group: Group, draft: Draft) -> Why | None:
        del group
        self.promised |= {(draft.channel, alert.labels) for alert in draft.alerts}
        return None


@dataclass
class Play:
    """A ledger and its receivers; what they take is noted as ``time channel: A fires, B over``.

    Attributes:
        refusing: the channels whose receivers refuse everything; it is noted in ``refused``.
        stories: channel, alert, level and status of everything that was worth a message, and taken.
    """

    route: Route = ROUTE
    receivers: Mapping[str, Receiver] = field(default_factory=lambda: {"chat": CHAT, "phone": PHONE})
    ledger: Ledger = field(default_factory=Ledger)
    second: float = 0.0
    muted: Callable[[Labels], Muted | None] = never
    refusing: set[str] = field(default_factory=set)
    wire: Wire = field(default_factory=Wire)
    told: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    stories: list[tuple[str, str, str, str]] = field(default_factory=list)
    got: list[Notification] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reload(self.route)

    def reload(self, *routes: Route, without: tuple[str, ...] = ()) -> None:
        self.receivers = {name: one for name, one in self.receivers.items() if name not in without}
        self.ledger.follow(Router(routes), self.receivers, at(self.second))
        self.until(self.second)

    def fire(self, *names: str, level: str = "warning", cooldown_s: float | None = None) -> None:
        for name in names:
            self.ledger.fires(notified(name, level), at(self.second), at(self.second), cooldown_s=cooldown_s)
        self.until(self.second)

    def end(self, *names: str, level: str = "warning") -> None:
        for name in names:
            self.ledger.ends(notified(name, level, over_s=self.second), at(self.second))
        self.until(self.second)

    def until(self, second: float) -> None:
        for _ in range(10_000):
            if self.ledger.next_s > second:
                break
            self.second = max(self.second, self.ledger.next_s)
            self.look()
        else:
            pytest.fail(f"it is due for ever at {self.second}")
        self.second = second

    def look(self, *, at_all: bool = False) -> None:
        if at_all:
            for group in self.ledger.groups.values():
                group.due_s = self.second
        found = self.ledger.look(at(self.second), self.muted, self.wire, lambda entry: entry)
        self.wire.promised.clear()
        for group, seen in found:
            self.why += [f"{self.second:g} {one.alert.name} {one.channel} {one.why}" for one in seen.decisions]
            self.details += [one.detail for one in seen.decisions]
            self.stories += [
                (one.channel, one.alert.name, one.alert.level, one.alert.status)
                for one in seen.decisions
                if one.why.tells and one.channel not in self.refusing
            ]
            for draft in seen.drafts:
                self.send(message(group, draft))

    def send(self, notification: Notification) -> None:
        if notification.receiver in self.wire.slow:
            self.wire.waiting.append(notification)
            return
        what = ", ".join(f"{one.name} {'fires' if one.status == 'firing' else 'over'}" for one in notification.alerts)
        line = f"{self.second:g} {notification.receiver}: {what}"
        if notification.receiver in self.refusing:
            self.refused.append(line)
            self.ledger.refused(notification.receiver, notification, at(self.second))
        else:
            self.told.append(line)
            self.got.append(notification)
            self.ledger.taken(notification.receiver, notification, at(self.second))

    def hurry(self) -> None:
        """Let the slow receivers answer: each message is what its channel is still to be sent of it."""
        waiting, self.wire.waiting, self.wire.slow = self.wire.waiting, [], set()
        for one in waiting:
            if one.receiver not in self.receivers:
                continue
            if alerts := self.ledger.wanted(one.receiver, one.alerts):
                self.send(replace(one, alerts=alerts))
            else:
                self.ledger.dropped(one, at(self.second))
        self.until(self.second)


def message(group: Group, draft: Draft) -> Notification:
    alerts = draft.alerts
    status: Status = "firing" if any(alert.status == "firing" for alert in alerts) else "resolved"
    return Notification(
        alerts, group.labels, draft.channel, status, "key", group.key, note=draft.note, groups=(group.id,)
    )
