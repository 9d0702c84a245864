"""What is told to whom and when, and why not: groups, repeating, cooldown, silences, escalation.

A group is what one route tells together. Alerts `arrived` in it; when it is due, `flush` gives a verdict for every
alert and every channel, and drafts for the channels that have to be told something. What a channel has been told is
kept for each alert, so that nothing is told twice and no end is forgotten. A rise in severity passes cooldown and
waiting: an alert's identity is its labels without ``severity``. The end of what was told passes everything but the
grouping.

Elapsed time is that of the monotonic clock; only the ends of silences are moments of the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf

from pytest_sergas.core.alerts import AlertLevel
from pytest_sergas.core.clock import Now
from pytest_sergas.core.messages import SEVERITY, Notified
from pytest_sergas.core.routes import Route
from pytest_sergas.core.series import Labels
from pytest_sergas.core.silences import Muted

_LOOK_AGAIN_S = 60.0  # the end of a silence is a moment of the wall clock, which may be set

MutedBy = Callable[[Labels], Muted | None]


class Why(StrEnum):
    """Why an alert is told to a channel, or is not."""

    NEW = "new"
    RISE = "severity_rise"
    REPEAT = "repeat"
    RESEND = "resend"
    SILENCE_OVER = "silence_over"
    ESCALATION = "escalation"
    RESOLVED = "resolved"

    ALREADY_TOLD = "already_told"
    SILENCED = "silenced"
    COOLDOWN = "cooldown"
    NEVER_TOLD = "over_before_it_was_told"
    NO_RESOLVED = "send_resolved_is_off"
    NO_ROUTE = "no_route"
    CAP = "rate_cap"
    DOWN = "channel_is_down"

    @property
    def tells(self) -> bool:
        """Whether the channel is told."""
        return self in _TELLING


_TELLING = frozenset({Why.NEW, Why.RISE, Why.REPEAT, Why.RESEND, Why.SILENCE_OVER, Why.ESCALATION, Why.RESOLVED})


@dataclass(frozen=True, slots=True)
class Receiver:
    """What matters of a channel here.

    Attributes:
        per_minute: notifications in any minute, unless they are about something critical.
        resend_s: after which it has to be told again because it forgets; such a receiver groups and repeats by itself,
            and neither cooldown nor cap apply to it. None for others.
        tells_resolved: whether it wants to know the end.
    """

    name: str
    per_minute: int = 10
    resend_s: float | None = None
    tells_resolved: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel knows: whether the alert fires, and when it was last told that it does."""

    firing: bool
    at: Now


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert in a group.

    Attributes:
        began: since when it fires.
        cooldown_s: of its rule, in the place of what the route says; or None.
        source: of its rule.
        told: channel → what it knows.
        held: channel → why it was not told when it was last looked at.
    """

    alert: Notified
    began: Now
    cooldown_s: float | None = None
    source: str = ""
    told: Mapping[str, Told] = field(default_factory=dict)
    held: Mapping[str, Why] = field(default_factory=dict)

    @property
    def is_firing(self) -> bool:
        return self.alert.status == "firing"

    @property
    def is_owed(self) -> bool:
        """Whether somebody believes that it fires, and it does not."""
        return not self.is_firing and any(told.firing for told in self.told.values())


@dataclass(frozen=True, slots=True)
class Group:
    """What one route tells together.

    Attributes:
        labels: what the alerts have in common.
        entries: by the labels of their alerts.
        flushed: when somebody was last told something, or None.
        due_s: when it has to be looked at; monotonic clock.
    """

    route: str
    labels: Labels
    entries: Mapping[Labels, Entry] = field(default_factory=dict)
    flushed: Now | None = None
    due_s: float = inf

    @property
    def key(self) -> str:
        """The same for everything that is ever told about it."""
        return f"{self.route}:{{{', '.join(f'{name}={value!r}' for name, value in self.labels)}}}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """An alert that began to fire, or ended."""

    alert: Notified
    began: Now
    cooldown_s: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict for one alert and one channel; ``detail`` names what decided, such as the silence."""

    alert: Notified
    channel: str
    why: Why
    detail: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a channel has to be told about a group: what fires, the worst first, then what has ended.

    Attributes:
        is_resent: whether nothing is new: the receiver only must not forget it.
    """

    channel: str
    alerts: tuple[Notified, ...]
    note: str = ""
    is_resent: bool = False


@dataclass(frozen=True, slots=True)
class Flush:
    """What comes of looking at a group; a group without entries can be forgotten."""

    group: Group
    drafts: tuple[Draft, ...] = ()
    decisions: tuple[Decision, ...] = ()


def identity(labels: Labels) -> Labels:
    """Return what of ``labels`` is the same when an alert becomes worse."""
    return tuple(pair for pair in labels if pair[0] != SEVERITY)


def rank(alert: Notified) -> int:
    """Return how bad ``alert`` is; 0 is the least."""
    return AlertLevel(alert.level).rank


def arrived(group: Group, route: Route, arrivals: Iterable[Arrival], now: Now) -> Group:
    """Return ``group`` with ``arrivals``, due when these have to be told."""
    entries = dict(group.entries)
    ranks: dict[Labels, int] = {}  # identity → the worst of which somebody was told
    for entry in entries.values():
        if entry.told:
            same = identity(entry.alert.labels)
            ranks[same] = max(ranks.get(same, -1), rank(entry.alert))
    due_s = group.due_s
    soon_s = now.monotonic_s + route.group_wait_s
    if group.flushed is not None:
        soon_s = max(soon_s, group.flushed.monotonic_s + route.group_interval_s)
    for arrival in arrivals:
        alert = arrival.alert
        before = entries.get(alert.labels)
        told = before.told if before else {}
        entries[alert.labels] = Entry(alert, arrival.began, arrival.cooldown_s, arrival.source, told)
        known = ranks.get(identity(alert.labels))
        rises = alert.status == "firing" and known is not None and rank(alert) > known
        due_s = min(due_s, now.monotonic_s if rises else soon_s)
    return replace(group, entries=entries, due_s=due_s)


def flush(group: Group, route: Route, receivers: Mapping[str, Receiver], now: Now, muted: MutedBy) -> Flush:
    """Look at a group.

    Args:
        receivers: name → those that exist; a channel that a route names and that is not there is told nothing.
        muted: tells whether an alert is silenced.
    """
    return _Look(group, route, receivers, now, muted).result()


class _Look:
    """One look at a group: a verdict for every alert and channel, and what follows from them."""

    def __init__(self, group: Group, route: Route, receivers: Mapping[str, Receiver], now: Now, muted: MutedBy) -> None:
        self.group, self.route, self.now = group, route, now
        self.muted = {labels: muted(labels) for labels, entry in group.entries.items() if entry.is_firing}
        wanted = (*route.channels, *(name for step in route.escalations for name in step.channels))
        told = (name for entry in group.entries.values() for name in entry.told)
        self.channels = [receivers[name] for name in dict.fromkeys((*wanted, *told)) if name in receivers]
        self.by_identity: dict[Labels, list[Entry]] = {}
        for entry in group.entries.values():
            self.by_identity.setdefault(identity(entry.alert.labels), []).append(entry)
        self.next_s = inf
        self.decisions: list[Decision] = []

    def result(self) -> Flush:
        verdicts = {
            labels: {receiver.name: self.verdict(entry, receiver) for receiver in self.channels}
            for labels, entry in self.group.entries.items()
        }
        drafts = [draft for receiver in self.channels if (draft := self.draft(receiver, verdicts)) is not None]
        speaking = {draft.channel for draft in drafts}
        entries: dict[Labels, Entry] = {}
        for labels, entry in self.group.entries.items():
            after = self.after(entry, verdicts[labels], speaking)
            if after.is_firing or after.is_owed or self.is_remembered(after):
                entries[labels] = after
        flushed = self.now if drafts else self.group.flushed
        earliest_s = -inf if flushed is None else flushed.monotonic_s + self.route.group_interval_s
        due_s = max(self.next_s, earliest_s)
        return Flush(
            replace(self.group, entries=entries, flushed=flushed, due_s=due_s), tuple(drafts), tuple(self.decisions)
        )

    def verdict(self, entry: Entry, receiver: Receiver) -> Why | None:
        """Return what becomes of an alert for a channel; None when the channel has nothing to do with it."""
        told = entry.told.get(receiver.name)
        if not entry.is_firing:
            if told is None or not told.firing:
                return Why.NEVER_TOLD if receiver.name in self.route.channels and told is None else None
            return Why.RESOLVED if receiver.tells_resolved else Why.NO_RESOLVED
        escalated = receiver.name not in self.route.channels
        if escalated and not self.is_escalated(entry, receiver.name):
            return None
        if (muted := self.muted[entry.alert.labels]) is not None:
            # Looked at again in time, whatever becomes of the wall clock.
            wait_s = max(0.0, muted.until_s - self.now.wall_s)
            self.look_at(self.now.monotonic_s + min(wait_s, _LOOK_AGAIN_S))
            return Why.SILENCED
        if told is not None and told.firing:
            return self.told_already(entry, receiver, told)
        return self.told_anew(entry, receiver, Why.ESCALATION if escalated else Why.NEW)

    def told_already(self, entry: Entry, receiver: Receiver, told: Told) -> Why:
        if entry.held.get(receiver.name) is Why.SILENCED:
            return Why.SILENCE_OVER
        repeat_s = self.route.repeat_interval_s if entry.cooldown_s is None else entry.cooldown_s
        elapsed_s = self.now.monotonic_s - told.at.monotonic_s
        if receiver.resend_s is not None:
            repeat_s = receiver.resend_s
        if elapsed_s >= repeat_s:
            return Why.REPEAT if receiver.resend_s is None else Why.RESEND
        self.look_at(told.at.monotonic_s + repeat_s)
        return Why.ALREADY_TOLD

    def told_anew(self, entry: Entry, receiver: Receiver, why: Why) -> Why:
        if receiver.resend_s is not None:
            return why
        recent: list[tuple[Entry, Told]] = []
        for other in self.by_identity[identity(entry.alert.labels)]:
            told = other.told.get(receiver.name)
            if told is not None and self.since(told) < self.cooldown_s(other):
                recent.append((other, told))
        if not recent:
            return why
        if rank(entry.alert) > max(rank(other.alert) for other, _ in recent):
            return Why.RISE
        if any(told.firing for _, told in recent):
            return why  # less severe now, but never over
        ends_s = max(told.at.monotonic_s + self.cooldown_s(other) for other, told in recent)
        self.look_at(ends_s)
        return Why.COOLDOWN

    def is_escalated(self, entry: Entry, channel: str) -> bool:
        steps = [step.after_s for step in self.route.escalations if channel in step.channels]
        due_s = entry.began.monotonic_s + min(steps, default=inf)
        if due_s > self.now.monotonic_s:
            self.look_at(due_s)
            return False
        return True

    def draft(self, receiver: Receiver, verdicts: Mapping[Labels, Mapping[str, Why | None]]) -> Draft | None:
        whys = {labels: of[receiver.name] for labels, of in verdicts.items()}
        if not any(why is not None and why.tells for why in whys.values()):
            return None
        shown = [
            self.group.entries[labels].alert
            for labels, why in whys.items()
            if why is Why.ALREADY_TOLD or (why is not None and why.tells)
        ]
        shown.sort(key=lambda alert: (alert.status == "resolved", -rank(alert), alert.labels))
        note = "still firing, therefore escalated" if Why.ESCALATION in whys.values() else ""
        is_resent = not (_TELLING - {Why.RESEND}).intersection(whys.values())
        return Draft(receiver.name, tuple(shown), note, is_resent)

    def after(self, entry: Entry, verdicts: Mapping[str, Why | None], speaking: set[str]) -> Entry:
        """Return ``entry`` with what the channels know now, and note the decisions."""
        told = {channel: known for channel, known in entry.told.items() if channel in verdicts}
        held: dict[str, Why] = {}
        for channel, why in verdicts.items():
            if why is None:
                continue
            if why in {Why.RESOLVED, Why.NO_RESOLVED}:
                told[channel] = replace(told[channel], firing=False)
            elif why.tells or (why is Why.ALREADY_TOLD and channel in speaking):
                told[channel] = Told(firing=True, at=self.now)
                self.look_again(entry, channel)
            if not why.tells and why is not Why.ALREADY_TOLD:
                held[channel] = why
            if why is not Why.ALREADY_TOLD and why is not Why.RESEND and entry.held.get(channel) is not why:
                muted = self.muted.get(entry.alert.labels)
                detail = muted.by if why is Why.SILENCED and muted else ""
                self.decisions.append(Decision(entry.alert, channel, why, detail, entry.source))
        return replace(entry, told=told, held=held)

    def look_again(self, entry: Entry, channel: str) -> None:
        """Note when what is told now has to be told again."""
        receiver = next(receiver for receiver in self.channels if receiver.name == channel)
        repeat_s = self.route.repeat_interval_s if entry.cooldown_s is None else entry.cooldown_s
        self.look_at(self.now.monotonic_s + (repeat_s if receiver.resend_s is None else receiver.resend_s))

    def is_remembered(self, entry: Entry) -> bool:
        """Whether an alert that is over still counts, because it would be in its cooldown if it came again."""
        ends_s = max((told.at.monotonic_s for told in entry.told.values()), default=-inf) + self.cooldown_s(entry)
        if ends_s <= self.now.monotonic_s:
            return False
        self.look_at(ends_s)
        return True

    def cooldown_s(self, entry: Entry) -> float:
        return self.route.cooldown_s if entry.cooldown_s is None else entry.cooldown_s

    def since(self, told: Told) -> float:
        return self.now.monotonic_s - told.at.monotonic_s

    def look_at(self, monotonic_s: float) -> None:
        self.next_s = min(self.next_s, monotonic_s)
