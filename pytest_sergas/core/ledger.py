"""What every receiver has taken about every alert, and the groups that pace what it is sent.

What is known belongs to the labels of an alert and the name of a channel; pacing belongs to what a route says, without
its name and its place. So a change of the configuration moves nothing to others. Who hears what, of an alert that
fires:

    before, change     still routed     no longer     newly        channel     channel renamed    alert, rule gone
                      to the channel   routed        routed       removed     (gone and new)     or renamed
    ----------------  ---------------  ------------  -----------  ----------  -----------------  -----------------
    never sent        told when due    nothing       told         nothing     new name: told     old: nothing
    under way         arrives once     not sent      told         not sent    new name: told     arrives, then end
    taken             nothing; repeat  only the end  told         nothing     new name: told;    end
                      and end in time                                         old name: nothing
    refused           tried again      nothing       told         nothing     new name: told     nothing
    end owed          end              end           nothing      nothing     nothing            end
    end refused       tried again      tried again   nothing      nothing     nothing            tried again

Renaming, reordering and inserting routes, rules, channels, checks or targets is in none of the columns: nobody hears of
it. An alert whose labels change is one that is gone and one that is new. A message that is in the hands of the receiver
at the moment of the change counts as it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import inf

from pytest_sergas.core.clock import Now
from pytest_sergas.core.delivery import (
    Entry,
    Flush,
    Group,
    Known,
    MutedBy,
    Outgoing,
    Receiver,
    View,
    flush,
    identity,
    rank,
)
from pytest_sergas.core.messages import Notification, Notified
from pytest_sergas.core.routes import Route, Router
from pytest_sergas.core.series import Labels

_CLOSING = "closing/"

Refresh = Callable[[Entry], Entry]


class Ledger:
    """Entries and groups; empty until `follow` names routes and channels. What is sent is decided by `delivery.flush`.

    Attributes:
        entries: by the labels of the alerts.
        groups: by their ids.
        changed: labels of the entries that have changed, or are gone, since this was last emptied.
        paced: ids of the groups of which `Group.flushed` has, likewise.
    """

    def __init__(self) -> None:
        self.entries: dict[Labels, Entry] = {}
        self.groups: dict[str, Group] = {}
        self.changed: set[Labels] = set()
        self.paced: set[str] = set()
        self._alike: dict[Labels, dict[Labels, None]] = {}
        self._router = Router(())
        self._receivers: Mapping[str, Receiver] = {}

    @property
    def next_s(self) -> float:
        """When a group has to be looked at, on the monotonic clock."""
        return min((group.due_s for group in self.groups.values()), default=inf)

    # What changes

    def restore(self, entries: Mapping[Labels, Entry], flushed: Mapping[str, Now]) -> None:
        """Take what an earlier process knew, before `follow`; ``flushed`` is by the ids of groups."""
        for labels, entry in entries.items():
            self._alike.setdefault(identity(labels), {})[labels] = None
            self.entries[labels] = entry
        self.groups = {id_: Group(id_, "", (), None, flushed=at) for id_, at in flushed.items()}

    def follow(self, router: Router, receivers: Mapping[str, Receiver], now: Now) -> None:
        """Go on with other routes and channels; what was refused may be tried again at once."""
        self._router, self._receivers = router, receivers
        before, self.groups = self.groups, {}
        for labels, entry in list(self.entries.items()):
            known = {
                name: replace(one, refusals=0, refused=None) if one.refusals else one
                for name, one in entry.known.items()
                if name in receivers and (one.refusals == 0 or one.at is not None)
            }
            held = {name: why for name, why in entry.held.items() if name in receivers}
            if (known, held) != (entry.known, entry.held):
                self.changed.add(labels)
            self.entries[labels] = replace(entry, known=known, held=held, groups=frozenset())
            self._join(labels, before)
        for group in self.groups.values():
            group.due_s = now.monotonic_s + (group.route.group_wait_s if group.route else 0.0)
        self.paced |= before.keys() - self.groups.keys()

    def fires(
        self, alert: Notified, began: Now, now: Now, *, cooldown_s: float | None = None, source: str = ""
    ) -> bool:
        """Take an alert that begins to fire; return whether a route takes it."""
        labels = alert.labels
        earlier = self.entries.get(labels)
        rises = self._rises(alert)
        self._put(labels, Entry(alert, began, None, cooldown_s, source, earlier.known if earlier else {}))
        self._alike.setdefault(identity(labels), {})[labels] = None
        self._join(labels, self.groups)
        for group in self._groups_of(labels):
            wait_s = 0.0 if rises or group.route is None else group.route.group_wait_s
            if rises:
                group.due_s = min(group.due_s, now.monotonic_s)
            else:
                group.wake(now.monotonic_s + wait_s)
        return bool(self.entries[labels].groups)

    def ends(self, alert: Notified, now: Now) -> None:
        """Take the end of an alert."""
        entry = self.entries.get(alert.labels)
        if entry is None:
            return
        self._put(alert.labels, replace(entry, alert=alert, ended=now, held={}))
        if not entry.groups:
            self._forget(alert.labels)
        for group in self._groups_of(alert.labels):
            group.wake(now.monotonic_s + (group.route.group_wait_s if group.route else 0.0))

    def look_at_all(self, now: Now) -> None:
        """Have every group looked at soon, as when silences have changed."""
        for group in self.groups.values():
            soon_s = now.monotonic_s + (group.route.group_wait_s if group.route else 0.0)
            group.due_s = min(group.due_s, soon_s)

    def look_at_group(self, group_id: str, now: Now) -> None:
        """Have one group looked at now; it may be gone."""
        if (group := self.groups.get(group_id)) is not None:
            group.due_s = now.monotonic_s

    # What receivers answer

    def taken(self, channel: str, notification: Notification, now: Now) -> None:
        """Note that the receiver of ``channel`` has taken ``notification``."""
        for alert in notification.alerts:
            if channel not in self._receivers:
                continue
            if (entry := self.entries.get(alert.labels)) is None:
                if alert.status == "resolved":
                    continue
                entry = self._ended_meanwhile(alert, now)
            before = entry.known.get(channel, Known())
            after = replace(before, firing=False, refusals=0, refused=None)
            if alert.status == "firing":
                key, shared = notification.group_key, notification.group_labels
                after = Known(firing=True, at=now, group_key=key, group_labels=shared)
            held = {name: why for name, why in entry.held.items() if name != channel}
            self._put(alert.labels, replace(entry, known={**entry.known, channel: after}, held=held))
            if after.firing and (channel not in entry.channels or not entry.groups):
                self._join(alert.labels, self.groups)
        self._wake(notification, now)

    def refused(self, channel: str, notification: Notification, now: Now) -> None:
        """Note that the receiver of ``channel`` has refused ``notification``."""
        for alert in notification.alerts:
            if (entry := self.entries.get(alert.labels)) is None or channel not in self._receivers:
                continue
            before = entry.known.get(channel, Known())
            after = replace(before, refusals=before.refusals + 1, refused=now)
            self._put(alert.labels, replace(entry, known={**entry.known, channel: after}))
        self._wake(notification, now)

    def dropped(self, notification: Notification, now: Now) -> None:
        """Note that ``notification`` is not sent: nobody is to be sent it any more."""
        self._wake(notification, now)

    def wanted(self, channel: str, alerts: Iterable[Notified]) -> tuple[Notified, ...]:
        """Return those of ``alerts`` that the channel is still to be sent: routed there, or the end of what it took."""
        return tuple(alert for alert in alerts if self._is_wanted(channel, alert.labels))

    # Looking

    def look(self, now: Now, muted: MutedBy, outgoing: Outgoing, refresh: Refresh) -> list[tuple[Group, Flush]]:
        """Look at the groups that are due.

        Args:
            refresh: returns an entry with what its alert says now.
        """
        found = []
        for group in [group for group in self.groups.values() if group.due_s <= now.monotonic_s]:
            for labels in group.members:
                entry = self.entries[labels]
                if entry.is_firing and (fresh := refresh(entry)) is not entry:
                    self._put(labels, fresh)
            view = View(self.entries, self._alike, self._receivers, outgoing, muted, now)
            flushed = group.flushed
            seen = flush(group, view)
            for labels, entry in seen.entries.items():
                ends = entry.known != self.entries[labels].known
                self._put(labels, entry)
                if ends:  # what is not owed any more, other groups need not remember
                    for other in self._groups_of(labels):
                        other.wake(now.monotonic_s)
            for labels in seen.forgotten:
                self._leave(labels, group)
            if group.flushed is not flushed:
                self.paced.add(group.id)
            found.append((group, seen))
        return found

    # Inside

    def _put(self, labels: Labels, entry: Entry) -> None:
        self.entries[labels] = entry
        self.changed.add(labels)

    def _groups_of(self, labels: Labels) -> list[Group]:
        return [self.groups[id_] for id_ in self.entries[labels].groups] if labels in self.entries else []

    def _is_wanted(self, channel: str, labels: Labels) -> bool:
        entry = self.entries.get(labels)
        if entry is None:
            return False
        known = entry.known.get(channel)
        return channel in entry.channels or (known is not None and known.firing)

    def _ended_meanwhile(self, alert: Notified, now: Now) -> Entry:
        """Return an entry for an alert that ended, and was forgotten, while a message said that it fires."""
        self._alike.setdefault(identity(alert.labels), {})[alert.labels] = None
        over = replace(alert, status="resolved", ends_at_s=max(alert.starts_at_s, now.wall_s))
        return Entry(over, now, now)

    def _rises(self, alert: Notified) -> bool:
        """Whether a receiver has taken the same alert, and less severe."""
        alike = (self.entries[labels] for labels in self._alike.get(identity(alert.labels), ()))
        ranks = [rank(entry.alert) for entry in alike if any(known.at is not None for known in entry.known.values())]
        return bool(ranks) and rank(alert) > max(ranks)

    def _join(self, labels: Labels, before: Mapping[str, Group]) -> None:
        """Put an alert into the groups of the routes in force, and of the channels that it leaves.

        Args:
            before: groups whose pace goes on.
        """
        entry = self.entries[labels]
        routes = self._router.find(labels)
        reached = frozenset(name for route in routes for name in route.reached)
        ids = {self._group(route, labels, before).id for route in routes}
        for name, known in entry.known.items():
            if known.firing and name not in reached:
                ids.add(self._closing(known).id)
        for id_ in entry.groups - ids:
            self.groups[id_].members.pop(labels, None)
        for id_ in ids:
            self.groups[id_].members[labels] = None
        self.entries[labels] = replace(entry, groups=frozenset(ids), channels=reached)

    def _group(self, route: Route, labels: Labels, before: Mapping[str, Group]) -> Group:
        shared = route.group_labels(labels)
        key = route.group_key(shared)
        id_ = f"{route.content}/{key}"
        if id_ not in self.groups:
            flushed = before[id_].flushed if id_ in before else None
            self.groups[id_] = Group(id_, key, shared, route, flushed=flushed)
        return self.groups[id_]

    def _closing(self, known: Known) -> Group:
        id_ = f"{_CLOSING}{known.group_key}"
        return self.groups.setdefault(id_, Group(id_, known.group_key, known.group_labels, None))

    def _wake(self, notification: Notification, now: Now) -> None:
        ids = set(notification.groups)
        for alert in notification.alerts:
            if (entry := self.entries.get(alert.labels)) is not None:
                ids |= entry.groups
        for id_ in ids:
            if (group := self.groups.get(id_)) is not None:
                group.wake(now.monotonic_s)

    def _leave(self, labels: Labels, group: Group) -> None:
        del group.members[labels]
        if not group.members:
            del self.groups[group.id]
            self.paced.add(group.id)
        entry = self.entries[labels]
        left = entry.groups - {group.id}
        self.entries[labels] = replace(entry, groups=left)
        if not left:
            self._forget(labels)

    def _forget(self, labels: Labels) -> None:
        del self.entries[labels]
        self.changed.add(labels)
        same = self._alike[identity(labels)]
        del same[labels]
        if not same:
            del self._alike[identity(labels)]
