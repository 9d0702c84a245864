"""Which notifications go to which channel, when, and why not: one look at a group of alerts.

A group is what one route sends together. When it is due, `flush` gives a verdict for every alert and every channel of
the route, and drafts for the channels that have something to be sent. What a receiver has taken is known for each
alert and channel (`Known`), whichever route brought it there: nothing is sent twice, and no end is forgotten. Taken
means taken: a draft changes nothing that is known, only the receiver's answer does. One that was refused is owed, and
is tried again at the group interval, doubling to an hour; the end of what was never taken is not sent, and an end that
is refused expires after a day.

A rise in severity passes cooldown and waiting: an alert's identity is its labels without ``severity``. The end of what
was taken passes everything but the grouping. Elapsed time is that of the monotonic clock; only the ends of silences
are moments of the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Protocol

from pytest_sergas.core.alerts import AlertLevel
from pytest_sergas.core.clock import Now
from pytest_sergas.core.messages import SEVERITY, Notified
from pytest_sergas.core.routes import Route
from pytest_sergas.core.series import Labels
from pytest_sergas.core.silences import Muted

END_EXPIRES_S = 86_400.0
_REFUSED_LEAST_S, _REFUSED_MOST_S = 1.0, 3_600.0
_LOOK_AGAIN_S = 60.0  # the end of a silence is a moment of the wall clock, which may be set

MutedBy = Callable[[Labels], Muted | None]


class Why(StrEnum):
    """Why an alert is sent to a channel, or is not."""

    NEW = "new"
    RISE = "severity_rise"
    REPEAT = "repeat"
    RESEND = "resend"
    SILENCE_OVER = "silence_over"
    ESCALATION = "escalation"
    AFTER_REFUSAL = "after_refusal"
    RESOLVED = "resolved"

    ALREADY_TOLD = "already_told"
    SILENCED = "silenced"
    COOLDOWN = "cooldown"
    REFUSED = "refused"
    END_EXPIRED = "end_expired"
    NEVER_TOLD = "over_before_it_was_told"
    NO_RESOLVED = "send_resolved_is_off"
    NO_ROUTE = "no_route"
    CAP = "rate_cap"
    DOWN = "channel_is_down"

    @property
    def tells(self) -> bool:
        """Whether the channel is notified."""
        return self in _TELLING


_TELLING = frozenset(
    {
        Why.NEW,
        Why.RISE,
        Why.REPEAT,
        Why.RESEND,
        Why.SILENCE_OVER,
        Why.ESCALATION,
        Why.AFTER_REFUSAL,
        Why.RESOLVED,
    }
)
_AFTER_SILENCE = frozenset({Why.SILENCE_OVER, Why.AFTER_REFUSAL, Why.REFUSED})
# What stands in a message that goes for another reason.
_SHOWN = _TELLING | {Why.ALREADY_TOLD, Why.REFUSED}


@dataclass(frozen=True, slots=True)
class Receiver:
    """What matters of a channel here.

    Attributes:
        per_minute: notifications in any minute, unless they are about something critical.
        resend_s: after which it has to be notified again because it forgets; such a receiver groups and repeats by
            itself, and neither cooldown nor cap apply to it. None for others.
        tells_resolved: whether it wants to know the end.
    """

    name: str
    per_minute: int = 10
    resend_s: float | None = None
    tells_resolved: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """What the receiver of a channel has taken about one alert.

    Attributes:
        firing: it has taken that the alert fires, and not that it has ended.
        at: when it last took that it fires; None when it never has.
        group_key, group_labels: of the group in which it took that; the end bears the same when no route leads there
            any more.
        refusals: how often in a row it has refused a message about the alert since.
        refused: when it last did; None when it has not, or when that does not count any more, as after a reload.
    """

    firing: bool = False
    at: Now | None = None
    group_key: str = ""
    group_labels: Labels = ()
    refusals: int = 0
    refused: Now | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert that fires, or whose end somebody is owed, or that is in its cooldown.

    Attributes:
        began: since when it fires.
        ended: when it ended, or None.
        cooldown_s: of its rule, in the place of what the route says; or None.
        source: of its rule.
        known: channel → what its receiver has taken.
        held: channel → why it was not sent when it was last looked at.
        groups: the ids of the groups that it is in.
        channels: those that the routes in force notify about it.
    """

    alert: Notified
    began: Now
    ended: Now | None = None
    cooldown_s: float | None = None
    source: str = ""
    known: Mapping[str, Known] = field(default_factory=dict)
    held: Mapping[str, Why] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()

    @property
    def is_firing(self) -> bool:
        return self.alert.status == "firing"

    @property
    def is_owed(self) -> bool:
        """Whether a receiver still has it as firing although it has ended."""
        return not self.is_firing and any(known.firing for known in self.known.values())


@dataclass(slots=True)
class Group:
    """What one route sends together.

    Attributes:
        id: names it here: content of the route, and `key`.
        key: what receivers know it by.
        labels: what the alerts have in common.
        route: None for a group whose alerts no route brings to its channels any more: it only sends ends.
        members: the labels of its alerts.
        flushed: when something was last sent, or None.
        due_s: when it has to be looked at; monotonic clock.
    """

    id: str
    key: str
    labels: Labels
    route: Route | None
    members: dict[Labels, None] = field(default_factory=dict)
    flushed: Now | None = None
    due_s: float = inf

    @property
    def interval_s(self) -> float:
        return self.route.group_interval_s if self.route else 0.0

    @property
    def earliest_s(self) -> float:
        """When something may be sent again."""
        return -inf if self.flushed is None else self.flushed.monotonic_s + self.interval_s

    def wake(self, monotonic_s: float) -> None:
        """Have the group looked at, at ``monotonic_s`` or as soon as its interval allows."""
        self.due_s = min(self.due_s, max(monotonic_s, self.earliest_s))


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
    """What a channel has to be sent about a group: what fires, the worst first, then what has ended.

    Attributes:
        was_held: whether there is nothing in it that was not held back already when the group was last looked at.
    """

    channel: str
    alerts: tuple[Notified, ...]
    note: str = ""
    was_held: bool = False


class Outgoing(Protocol):
    """What is on its way to the channels."""

    def is_busy(self, channel: str, group_id: str) -> bool:
        """Whether a message about the group has not been taken or refused yet."""

    def is_under_way(self, channel: str, labels: Labels) -> bool:
        """Whether a message about the alert has not been taken or refused yet."""

    def hold_back(self, group: Group, draft: Draft) -> Why | None:
        """Return why ``draft`` waits for the channel's summary, or None: then it goes, and counts as under way."""


@dataclass(frozen=True, slots=True)
class View:
    """What a look at a group sees besides the group.

    Attributes:
        entries: by the labels of the alerts.
        alike: identity → the labels of the alerts that have it.
        receivers: name → those that exist; a channel that is not there is sent nothing.
        muted: whether an alert is silenced.
    """

    entries: Mapping[Labels, Entry]
    alike: Mapping[Labels, Iterable[Labels]]
    receivers: Mapping[str, Receiver]
    outgoing: Outgoing
    muted: MutedBy
    now: Now


@dataclass(frozen=True, slots=True)
class Flush:
    """What comes of a look at a group.

    Attributes:
        entries: the entries that have changed.
        forgotten: the alerts that the group need not remember any more.
    """

    drafts: tuple[Draft, ...] = ()
    decisions: tuple[Decision, ...] = ()
    entries: Mapping[Labels, Entry] = field(default_factory=dict)
    forgotten: tuple[Labels, ...] = ()


def identity(labels: Labels) -> Labels:
    """Return what of ``labels`` is the same when an alert becomes worse."""
    return tuple(pair for pair in labels if pair[0] != SEVERITY)


def rank(alert: Notified) -> int:
    """Return how bad ``alert`` is; 0 is the least."""
    return AlertLevel(alert.level).rank


def refusal_wait_s(refusals: int, interval_s: float) -> float:
    """Return after how long what was refused ``refusals`` times is tried again: ``interval_s``, doubling to an hour."""
    first_s = max(interval_s, _REFUSED_LEAST_S)
    return max(first_s, min(_REFUSED_MOST_S, first_s * 2.0 ** min(refusals - 1, 20)))


def flush(group: Group, view: View) -> Flush:
    """Look at ``group``, and set when it is due again; what is drafted is counted as sent by its route's interval."""
    channels = group.route.reached if group.route else ()
    if channels and all(view.outgoing.is_busy(channel, group.id) for channel in channels):
        group.due_s = inf  # it is woken when one of them has answered
        return Flush()
    return _Look(group, view).result()


class _Look:
    """One look at a group: a verdict for every alert and channel, and what follows from them."""

    def __init__(self, group: Group, view: View) -> None:
        self.group, self.view, self.now = group, view, view.now
        self.route = group.route or Route(group_wait_s=0.0, group_interval_s=0.0)
        self.muted = {labels: view.muted(labels) for labels in group.members if view.entries[labels].is_firing}
        self.receivers = [receiver for name in self._names() if (receiver := view.receivers.get(name)) is not None]
        self.busy = {one.name for one in self.receivers if view.outgoing.is_busy(one.name, group.id)}
        self.next_s = inf
        self.decisions: list[Decision] = []

    def _names(self) -> Iterable[str]:
        if self.group.route is not None:
            return self.route.reached
        entries = self.view.entries
        return dict.fromkeys(name for labels in self.group.members for name in entries[labels].known)

    def result(self) -> Flush:
        verdicts = {
            labels: {receiver.name: self.verdict(self.view.entries[labels], receiver) for receiver in self.receivers}
            for labels in self.group.members
        }
        drafts: list[Draft] = []
        held: dict[str, Why] = {}
        for receiver in self.receivers:
            draft = self.draft(receiver, verdicts)
            if draft is None:
                continue
            why = self.view.outgoing.hold_back(self.group, draft)
            if why is None:
                drafts.append(draft)
            else:
                held[receiver.name] = why
        changed: dict[Labels, Entry] = {}
        forgotten: list[Labels] = []
        for labels in self.group.members:
            before = self.view.entries[labels]
            after = self.after(before, verdicts[labels], held)
            if after != before:
                changed[labels] = after
            if not self.is_needed(after):
                forgotten.append(labels)
        if drafts:
            self.group.flushed = self.now
        self.group.due_s = max(self.next_s, self.group.earliest_s)
        return Flush(tuple(drafts), tuple(self.decisions), changed, tuple(forgotten))

    def verdict(self, entry: Entry, receiver: Receiver) -> Why | None:
        """Return what becomes of an alert for a channel; None when there is nothing to decide."""
        name = receiver.name
        if name in self.busy or self.view.outgoing.is_under_way(name, entry.alert.labels):
            return None
        known = entry.known.get(name, Known())
        if self.group.route is None:
            leaves = name not in entry.channels and known.group_key == self.group.key
            return self.ended(entry, receiver, known) if leaves and not entry.is_firing else None
        return self.firing(entry, receiver, known) if entry.is_firing else self.ended(entry, receiver, known)

    def firing(self, entry: Entry, receiver: Receiver, known: Known) -> Why | None:
        escalated = receiver.name not in self.route.channels
        if escalated and not self.is_escalated(entry, receiver.name):
            return None
        if (muted := self.muted[entry.alert.labels]) is not None:
            # Looked at again in time, whatever becomes of the wall clock.
            wait_s = max(0.0, muted.until_s - self.now.wall_s)
            self.look_at(self.now.monotonic_s + min(wait_s, _LOOK_AGAIN_S))
            return Why.SILENCED
        if known.firing:
            why = self.told_already(entry, receiver, known)
        else:
            why = self.told_anew(entry, receiver, Why.ESCALATION if escalated else Why.NEW)
        if not known.refusals or not why.tells:
            return why
        return Why.REFUSED if self.is_waiting(known) else Why.AFTER_REFUSAL

    def ended(self, entry: Entry, receiver: Receiver, known: Known) -> Why | None:
        if not known.firing:
            return Why.NEVER_TOLD if receiver.name in self.route.channels and known.at is None else None
        if not receiver.tells_resolved:
            return Why.NO_RESOLVED
        ended = entry.ended or self.now
        if known.refusals and self.now.monotonic_s - ended.monotonic_s >= END_EXPIRES_S:
            return Why.END_EXPIRED
        return Why.REFUSED if self.is_waiting(known) else Why.RESOLVED

    def is_waiting(self, known: Known) -> bool:
        """Whether it is too early to try again what was refused."""
        if known.refused is None:
            return False
        due_s = known.refused.monotonic_s + refusal_wait_s(known.refusals, self.route.group_interval_s)
        if due_s <= self.now.monotonic_s:
            return False
        self.look_at(due_s)
        return True

    def told_already(self, entry: Entry, receiver: Receiver, known: Known) -> Why:
        if entry.held.get(receiver.name) is Why.SILENCED:
            return Why.SILENCE_OVER
        repeat_s = self.route.repeat_interval_s if entry.cooldown_s is None else entry.cooldown_s
        if receiver.resend_s is not None:
            repeat_s = receiver.resend_s
        if self.since(known) >= repeat_s:
            return Why.REPEAT if receiver.resend_s is None else Why.RESEND
        self.look_at(self.now.monotonic_s - self.since(known) + repeat_s)
        return Why.ALREADY_TOLD

    def told_anew(self, entry: Entry, receiver: Receiver, why: Why) -> Why:
        if receiver.resend_s is not None:
            return why
        recent: list[tuple[Entry, Known]] = []
        for labels in self.view.alike.get(identity(entry.alert.labels), ()):
            other = self.view.entries[labels]
            known = other.known.get(receiver.name)
            if known is not None and self.since(known) < self.cooldown_s(other):
                recent.append((other, known))
        if not recent:
            return why
        if rank(entry.alert) > max(rank(other.alert) for other, _ in recent):
            return Why.RISE
        if any(known.firing for _, known in recent):
            return why  # less severe now, but never over
        ends_s = max(self.now.monotonic_s - self.since(known) + self.cooldown_s(other) for other, known in recent)
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
        shown = [self.view.entries[labels].alert for labels, why in whys.items() if why in _SHOWN]
        shown.sort(key=lambda alert: (alert.status == "resolved", -rank(alert), alert.labels))
        note = "still firing, therefore escalated" if Why.ESCALATION in whys.values() else ""
        sent = (self.view.entries[labels].held for labels, why in whys.items() if why is not None and why.tells)
        was_held = all(held.get(receiver.name) in {Why.CAP, Why.DOWN} for held in sent)
        return Draft(receiver.name, tuple(shown), note, was_held)

    def after(self, entry: Entry, verdicts: Mapping[str, Why | None], held_back: Mapping[str, Why]) -> Entry:
        """Return ``entry`` as it is after this look, and note the decisions."""
        known, held = dict(entry.known), dict(entry.held)
        for channel, verdict in verdicts.items():
            if verdict is None:
                continue
            before = held.pop(channel, None)
            why = held_back.get(channel, verdict) if verdict.tells else verdict
            if why in {Why.NO_RESOLVED, Why.END_EXPIRED}:
                known[channel] = replace(known[channel], firing=False)
            if not why.tells and why is not Why.ALREADY_TOLD:
                held[channel] = why
            if verdict in _AFTER_SILENCE and known.get(channel, Known()).firing and before is Why.SILENCED:
                held[channel] = before  # that the silence is over is owed until it is taken
                why = why if verdict.tells else before
            if why is not Why.ALREADY_TOLD and why is not Why.RESEND and before is not why:
                self.decisions.append(
                    Decision(entry.alert, channel, why, self.detail(entry, verdict, why), entry.source)
                )
        return replace(entry, known=known, held=held)

    def detail(self, entry: Entry, verdict: Why, why: Why) -> str:
        if why is not verdict:
            return verdict.value
        muted = self.muted.get(entry.alert.labels)
        return muted.by if why is Why.SILENCED and muted else ""

    def is_needed(self, entry: Entry) -> bool:
        """Whether the group has to remember an alert: it fires, is owed or under way, or would be in its cooldown."""
        if entry.is_firing or entry.is_owed:
            return True
        outgoing, labels = self.view.outgoing, entry.alert.labels
        if self.busy or any(outgoing.is_under_way(one.name, labels) for one in self.receivers):
            return True
        ends_s = max((self.now.monotonic_s - self.since(known) for known in entry.known.values()), default=-inf)
        ends_s += self.cooldown_s(entry)
        if ends_s <= self.now.monotonic_s:
            return False
        self.look_at(ends_s)
        return True

    def cooldown_s(self, entry: Entry) -> float:
        return self.route.cooldown_s if entry.cooldown_s is None else entry.cooldown_s

    def since(self, known: Known) -> float:
        """Return the seconds since a receiver last took that an alert fires; infinite when it never did."""
        return inf if known.at is None else self.now.monotonic_s - known.at.monotonic_s

    def look_at(self, monotonic_s: float) -> None:
        self.next_s = min(self.next_s, monotonic_s)
