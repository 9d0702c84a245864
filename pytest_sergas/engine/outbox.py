"""The outbox: notifications on their way, each kept in the store until its receiver has taken or refused it.

Every channel has a line of its own: one that hangs delays no other. A notification is `add`ed together with what caused
it, committed with it, and `release`d only then. Of one channel up to `AT_ONCE` are sent at a time, one for each group
of alerts and in order within it, what is critical first; a summary belongs to every group that it is about. So a
message that hangs or is tried again delays its own groups and no other. What fails for a reason that may pass is tried
again with growing waits for a day; ``Retry-After`` pauses the whole channel.

More than the cap of a channel allows is held back: its groups are remembered here, and looked at again together, for
one summary, when there is room. What comes of a notification goes to `Outbox.on_answer`, in the same transaction.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from types import MappingProxyType

from pytest_sergas.channels import Channel
from pytest_sergas.channels.sender import Sender
from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.core.clock import Now, restored
from pytest_sergas.core.delivery import Draft, Group, Receiver, Why
from pytest_sergas.core.messages import Notification, Notified, Status, decode, encode
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.pacing import (
    AT_ONCE,
    BACKLOG,
    GIVE_UP_S,
    MINUTE_S,
    Traffic,
    hold_back,
    is_critical,
    pieces,
    retry_s,
    room_at,
    summarised,
)
from pytest_sergas.core.series import Labels
from pytest_sergas.engine.explaining import Explanation
from pytest_sergas.engine.journal import Journal, Row
from pytest_sergas.errors import FinalError, TemporaryError

LOG = logging.getLogger(__name__)

WAITING, DELIVERED, FAILED, DROPPED = "waiting", "delivered", "failed", "dropped"
RETRIED = "retried"
FROM_MEMORY = "the sidecar cannot write its store: this was sent from memory and may come again after a restart"

HELP: Mapping[str, tuple[FamilyType, str]] = MappingProxyType(
    {
        "sergas_notifications_total": ("counter", "Attempts to send by channel and result."),
        "sergas_notifications_waiting": ("gauge", "Notifications that a channel's receiver has not taken yet."),
        "sergas_notifications_held": ("gauge", "Notifications that the cap of a channel holds back for a summary."),
    }
)

_PUT = "INSERT OR REPLACE INTO notifications VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT * FROM notifications WHERE state = 'waiting' ORDER BY id"
_GONE = "the channel is not in the configuration any more"
_UNROUTED = "no route leads to this channel any more"


class Answer(StrEnum):
    """What has become of a notification."""

    TAKEN = "taken"
    REFUSED = "refused"
    DROPPED = "dropped"


@dataclass(slots=True, eq=False)
class Item:
    """One notification on its way.

    Attributes:
        id: its place in the order.
        made: when it was made.
        attempts: how often it was tried.
        due_s: when it may be tried again; the event loop's clock.
    """

    id: int
    notification: Notification
    made: Now
    attempts: int = 0
    due_s: float = 0.0

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that it has to be sent in the order of."""
        return self.notification.groups or (self.notification.group_key,)


@dataclass(slots=True)
class _Line:
    """One channel with what waits for it.

    Attributes:
        of_group: group → what has not been taken or refused about it, in order.
        under_way: labels → how many of these are about the alert.
        urgent, ordinary: id → what may be sent once it is the first of its groups; urgent is what something critical
            is in or waits behind.
        sending: what is in the hands of the receiver.
        granted, promised: how many drafts may go that have not been added yet, and the alerts that they are about.
        held: group → how many messages about it were held back since the last summary.
        round: grows with every reload: what failed before it is tried again at once.
    """

    receiver: Receiver
    sender: Sender
    timeout_s: float
    of_group: dict[str, dict[int, Item]] = field(default_factory=dict)
    under_way: Counter[Labels] = field(default_factory=Counter)
    urgent: dict[int, Item] = field(default_factory=dict)
    ordinary: dict[int, Item] = field(default_factory=dict)
    sending: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    granted: int = 0
    promised: set[Labels] = field(default_factory=set)
    unreleased: int = 0
    held: Counter[str] = field(default_factory=Counter)
    sent_s: deque[float] = field(default_factory=deque)
    paused_s: float = 0.0
    round: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def waiting(self) -> int:
        return len(self.urgent) + len(self.ordinary) + self.unreleased + self.granted

    def items(self) -> list[Item]:
        """Return what waits or is being sent."""
        return [*self.urgent.values(), *self.ordinary.values()]

    def is_to_send_before(self, end_s: float) -> bool:
        """Whether something is being sent, or will be by ``end_s`` of the event loop's clock."""
        return bool(self.sending) or any(max(item.due_s, self.paused_s) < end_s for item in self.items())

    def traffic(self) -> Traffic:
        return Traffic(self.sent_s, self.waiting, bool(self.held))

    def count(self, now_s: float) -> None:
        """Count a notification for the cap."""
        self.sent_s.append(now_s)
        while self.sent_s[0] <= now_s - MINUTE_S:
            self.sent_s.popleft()

    def enter(self, item: Item) -> None:
        for group in item.groups:
            self.of_group.setdefault(group, {})[item.id] = item
        self.under_way.update(alert.labels for alert in item.notification.alerts)

    def queue(self, item: Item) -> None:
        """Let ``item`` be sent when it is its turn, and with it, if it is critical, what it waits for."""
        if not is_critical(item.notification.alerts):
            self.ordinary[item.id] = item
            return
        for group in item.groups:
            for earlier in self.of_group[group]:
                if earlier in self.ordinary:
                    self.urgent[earlier] = self.ordinary.pop(earlier)
        self.urgent[item.id] = item

    def leave(self, item: Item) -> None:
        self.urgent.pop(item.id, None)
        self.ordinary.pop(item.id, None)
        for group in item.groups:
            del self.of_group[group][item.id]
            if not self.of_group[group]:
                del self.of_group[group]
        self.forget(item.notification.alerts)

    def forget(self, alerts: Iterable[Notified]) -> None:
        for alert in alerts:
            self.under_way[alert.labels] -= 1
            if not self.under_way[alert.labels]:
                del self.under_way[alert.labels]

    def next_items(self, now_s: float) -> Iterator[Item]:
        """Yield what may be sent now, the most urgent first."""
        for item in self.items():
            first = all(next(iter(self.of_group[group])) == item.id for group in item.groups)
            if first and item.id not in self.sending and item.due_s <= now_s:
                yield item


Fresh = tuple[_Line, Item]


def _ignore(channel: str, notification: Notification, answer: Answer) -> None:
    del channel, notification, answer


class Outbox:
    """Notifications on their way to channels.

    Args:
        journal: what is written with the next commit.
        external_url: where people reach the sidecar, or "".
        clock: reads both clocks.

    Attributes:
        on_answer: is called with the channel, the notification and what became of it, before that is committed.
        on_room: is called after that.
        explain: says why an alert fires and where one sees more, once for each notification.
        wanted: channel, alerts → those of them that the channel is still to be sent.
    """

    def __init__(self, journal: Journal, external_url: str, clock: Callable[[], Now]) -> None:
        self.external_url = external_url
        self._journal = journal
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._fresh: list[Fresh] = []
        self._summing: set[str] = set()
        self._next_id = 1
        self._is_running = False
        self._attempted = asyncio.Event()
        self.on_answer: Callable[[str, Notification, Answer], None] = _ignore
        self.on_room: Callable[[], None] = lambda: None
        self.explain: Callable[[Notified], Explanation] = lambda _: Explanation("/alerts")
        self.wanted: Callable[[str, Iterable[Notified]], tuple[Notified, ...]] = lambda _, alerts: tuple(alerts)

    @property
    def receivers(self) -> Mapping[str, Receiver]:
        return {name: line.receiver for name, line in self._lines.items()}

    def follow(self, channels: Iterable[tuple[ChannelSettings, Channel]]) -> None:
        """Go on with these channels; what waits for one that stays stays, what waits for another has failed."""
        before, self._lines = self._lines, {}
        for settings, channel in channels:
            receiver = Receiver(settings.name, settings.max_alerts_per_minute, channel.resend_s, settings.send_resolved)
            line = before.pop(settings.name, None) or _Line(receiver, Sender(channel), settings.timeout)
            # An attempt that is under way ends as it began: cancelled, it would come twice.
            line.receiver, line.sender, line.timeout_s = receiver, Sender(channel), settings.timeout
            line.round += 1  # what failed by the old settings is tried by the new ones at once
            line.paused_s = 0.0
            line.held.clear()  # its groups are looked at again
            for item in line.items():
                item.due_s = 0.0
            line.changed.set()
            self._lines[settings.name] = line
            if self._is_running and line.task is None:
                self._start(line)
        for name, line in before.items():
            for task in (line.task, *line.sending.values()):
                if task is not None:
                    task.cancel()
            for items in line.of_group.values():
                for item in items.values():
                    self._write(name, item, FAILED, _GONE)

    def load(self, connection: sqlite3.Connection) -> list[tuple[object, ...]]:
        """Return the rows of what waits, for `take`."""
        last = connection.execute("SELECT coalesce(max(id), 0) FROM notifications").fetchone()[0]
        self._next_id = last + 1
        return connection.execute(_SELECT).fetchall()

    def take(self, rows: Sequence[tuple[object, ...]], now: Now) -> None:
        """Take what an earlier process left; the cap of a minute begins anew."""
        for id_, _, channel, _, made_s, _, attempts, _, body in rows:
            assert isinstance(id_, int) and isinstance(attempts, int) and isinstance(made_s, float)  # noqa: S101, PT018
            item = Item(id_, decode(str(body)), restored(made_s, now), attempts)
            line = self._lines.get(str(channel))
            if line is None:
                self._write(str(channel), item, FAILED, _GONE)
            else:
                line.enter(item)
                line.queue(item)

    def start(self) -> None:
        """Begin to send."""
        self._is_running = True
        for line in self._lines.values():
            self._start(line)

    async def drained(self, timeout_s: float) -> int:
        """Wait until every receiver has taken what waits for it; return how many notifications are left.

        Args:
            timeout_s: seconds to wait at most; what is tried again later than that is not waited for.
        """
        end_s = asyncio.get_running_loop().time() + timeout_s
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout_s)):
                while any(line.is_to_send_before(end_s) for line in self._lines.values()):
                    self._attempted.clear()
                    await self._attempted.wait()
        return sum(line.waiting for line in self._lines.values())

    async def stop(self) -> None:
        """Send nothing more; what is under way is sent again by the next process."""
        self._is_running = False
        lines = self._lines.values()
        tasks = [task for line in lines for task in (line.task, *line.sending.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What `delivery.Outgoing` asks

    def is_busy(self, channel: str, group_id: str) -> bool:
        return group_id in self._lines[channel].of_group

    def is_under_way(self, channel: str, labels: Labels) -> bool:
        line = self._lines[channel]
        return labels in line.under_way or labels in line.promised

    def hold_back(self, group: Group, draft: Draft) -> Why | None:
        line = self._lines[draft.channel]
        critical = is_critical(draft.alerts)
        if draft.channel in self._summing and not critical:
            line.promised.update(alert.labels for alert in draft.alerts)
            return None
        now_s = self._clock().monotonic_s
        why = hold_back(line.receiver, line.traffic(), now_s, critical=critical)
        if why is None:
            line.granted += 1
            line.promised.update(alert.labels for alert in draft.alerts)
            line.count(now_s)
            line.held.pop(group.id, None)  # what was held back of the group is in this message
        elif not draft.was_held or group.id not in line.held:
            line.held[group.id] += 1
        return why

    # Adding

    def begin_summaries(self, now: Now, *, all_of_it: bool = False) -> frozenset[str]:
        """Return the groups held back whose channels have room now; what is added next for these becomes a summary.

        Args:
            all_of_it: whether there is room everywhere, because no process goes on from here.
        """
        self._summing = {
            name
            for name, line in self._lines.items()
            if (all_of_it and line.held) or self._summary_at(line, now) <= now.monotonic_s
        }
        return frozenset(group for name in self._summing for group in self._lines[name].held)

    def add(self, sent: Sequence[tuple[Group, Draft]], now: Now) -> dict[tuple[str, Labels], str]:
        """Take what has to be sent; return for each channel and alert the notification's key.

        It goes with `release`, after the commit that takes it along.
        """
        keys: dict[tuple[str, Labels], str] = {}
        for line in self._lines.values():
            line.granted = 0
            line.promised.clear()
        drafts: dict[str, list[tuple[Group, Draft]]] = {name: [] for name in self._summing}
        for group, draft in sent:
            if draft.channel in self._summing and not is_critical(draft.alerts):
                drafts[draft.channel].append((group, draft))
            else:
                keys |= self._add(self._single(group, draft), draft.alerts, now)
        for channel, several in drafts.items():
            held = self._lines[channel].held
            count = sum(held.values())
            held.clear()
            if several:
                alerts = summarised(draft.alerts for _, draft in several)
                self._lines[channel].count(now.monotonic_s)
                keys |= self._add(self._summary(channel, several, count), alerts, now)
        self._summing = set()
        return keys

    def _single(self, group: Group, draft: Draft) -> Notification:
        return Notification(
            alerts=(),
            group_labels=group.labels,
            receiver=draft.channel,
            status="firing",
            key="",
            group_key=group.key,
            external_url=self.external_url,
            note=draft.note,
            groups=(group.id,),
        )

    def _summary(self, channel: str, several: Sequence[tuple[Group, Draft]], count: int) -> Notification:
        return Notification(
            alerts=(),
            group_labels=(),
            receiver=channel,
            status="firing",
            key="",
            group_key=f"summary:{channel}",
            external_url=self.external_url,
            held_back=count,
            groups=tuple(sorted({group.id for group, _ in several})),
        )

    def _add(
        self, about: Notification, alerts: Sequence[Notified], now: Now
    ) -> Iterator[tuple[tuple[str, Labels], str]]:
        line = self._lines[about.receiver]
        for piece in pieces(alerts):
            told = tuple(map(self._explained, piece))
            notification = replace(about, alerts=told, status=_status(piece), key=uuid.uuid4().hex)
            item = Item(self._next_id, notification, now)
            self._next_id += 1
            self._write(about.receiver, item, WAITING, "")
            line.enter(item)
            line.unreleased += 1
            self._fresh.append((line, item))
            yield from (((about.receiver, alert.labels), notification.key) for alert in piece)

    def _explained(self, alert: Notified) -> Notified:
        """Return ``alert`` with why it fires and where one sees more; annotations of its rule come first."""
        explanation = self.explain(alert)
        own = {name for name, _ in alert.annotations}
        more = tuple(pair for pair in explanation.annotations if pair[0] not in own)
        url = f"{self.external_url}{explanation.path}" if self.external_url else ""
        return replace(alert, annotations=(*alert.annotations, *more), url=url)

    def next_s(self, now: Now) -> float:
        """Return when there is room for a summary, on the monotonic clock."""
        return min((self._summary_at(line, now) for line in self._lines.values()), default=inf)

    def take_fresh(self) -> list[Fresh]:
        """Return what was added since the last call; who commits it hands it to `release` then."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def release(self, fresh: Iterable[Fresh], *, stored: bool) -> None:
        """Let go what was added; ``stored`` says whether it is durable."""
        for line, item in fresh:
            line.unreleased -= 1
            note = "; ".join(filter(None, (item.notification.note, "" if stored else FROM_MEMORY)))
            item.notification = replace(item.notification, note=note)
            line.queue(item)
            line.changed.set()

    def families(self) -> tuple[Family, ...]:
        """Return the metrics of the channels."""
        lines = self._lines.items()
        samples = {
            "sergas_notifications_total": [
                Sample((("channel", name), ("result", result)), line.counts[result])
                for name, line in lines
                for result in (DELIVERED, FAILED, RETRIED)
            ],
            "sergas_notifications_waiting": [Sample((("channel", name),), line.waiting) for name, line in lines],
            "sergas_notifications_held": [Sample((("channel", name),), line.held.total()) for name, line in lines],
        }
        return tuple(Family(name, *HELP[name], tuple(found)) for name, found in samples.items())

    def _summary_at(self, line: _Line, now: Now) -> float:
        if not line.held or line.waiting >= BACKLOG:
            return inf
        return room_at(line.receiver, line.sent_s, now.monotonic_s)

    # Sending

    def _start(self, line: _Line) -> None:
        line.changed.set()
        line.task = asyncio.create_task(self._send_for_ever(line), name=f"channel {line.receiver.name}")

    async def _send_for_ever(self, line: _Line) -> None:
        loop = asyncio.get_running_loop()
        while True:
            line.changed.clear()
            now_s = loop.time()
            if line.paused_s <= now_s:
                for item in line.next_items(now_s):
                    if len(line.sending) >= AT_ONCE:
                        break
                    name = f"channel {line.receiver.name}, notification {item.id}"
                    line.sending[item.id] = asyncio.create_task(self._attempt(line, item), name=name)
            later_s = (item.due_s for item in line.items() if item.due_s > now_s)
            next_s = line.paused_s if line.paused_s > now_s else min(later_s, default=inf)
            # Not wait_for, which in Python 3.11 may swallow the cancelling of `stop`.
            with suppress(TimeoutError):
                async with asyncio.timeout(None if next_s == inf else max(0.0, next_s - now_s)):
                    await line.changed.wait()

    async def _attempt(self, line: _Line, item: Item) -> None:
        """Try to send ``item`` once; after a failure that may pass, it waits."""
        try:
            if self._is_still_wanted(line, item):
                await self._send(line, item)
            await self._journal.commit()
        finally:
            line.sending.pop(item.id, None)
            line.changed.set()
            self._attempted.set()
        self.on_room()

    def _is_still_wanted(self, line: _Line, item: Item) -> bool:
        """Leave out what the channel is not to be sent any more, and drop ``item`` when that is all of it."""
        name, about = line.receiver.name, item.notification
        alerts = self.wanted(name, about.alerts)
        if len(alerts) == len(about.alerts):
            return True
        if not alerts:
            self._finish(line, item, DROPPED, _UNROUTED, Answer.DROPPED)
            return False
        left = {alert.labels for alert in alerts}
        line.forget(alert for alert in about.alerts if alert.labels not in left)
        item.notification = replace(about, alerts=alerts, status=_status(alerts))
        return True

    async def _send(self, line: _Line, item: Item) -> None:
        item.attempts += 1
        name, round_ = line.receiver.name, line.round
        try:
            answer = await line.sender.send(item.notification, timeout_s=line.timeout_s)
        except TemporaryError as error:
            if self._clock().monotonic_s - item.made.monotonic_s >= GIVE_UP_S:
                self._fail(line, item, f"given up after a day: {error}")
                return
            wait_s = retry_s(item.attempts, random.random(), error.retry_after_s)  # noqa: S311  no secret
            if line.round == round_:
                now_s = asyncio.get_running_loop().time()
                item.due_s = now_s + wait_s
                if error.retry_after_s:
                    line.paused_s = max(line.paused_s, now_s + wait_s)
            line.counts[RETRIED] += 1
            LOG.warning("channel %s: attempt %d: %s; again in %.1f s", name, item.attempts, error, wait_s)
            self._write(name, item, WAITING, str(error))
        except FinalError as error:
            self._fail(line, item, str(error))
        else:
            line.counts[DELIVERED] += 1
            self._finish(line, item, DELIVERED, answer, Answer.TAKEN)

    def _fail(self, line: _Line, item: Item, text: str) -> None:
        line.counts[FAILED] += 1
        count = len(item.notification.alerts)
        about = f"{count} alert{'' if count == 1 else 's'}"
        LOG.error("channel %s: a notification about %s was not delivered: %s", line.receiver.name, about, text)
        self._finish(line, item, FAILED, text, Answer.REFUSED)

    def _finish(self, line: _Line, item: Item, state: str, text: str, answer: Answer) -> None:
        line.leave(item)
        self._write(line.receiver.name, item, state, text)
        self.on_answer(line.receiver.name, item.notification, answer)

    # Rows

    def _write(self, channel: str, item: Item, state: str, result: str) -> None:
        is_over = state != WAITING
        finished_s = self._clock().wall_s if is_over else None
        body = "" if is_over else encode(item.notification)
        key = item.notification.key
        values = (item.id, key, channel, state, item.made.wall_s, finished_s, item.attempts, result, body)
        self._journal.put(("notification", key), Row(_PUT, values))


def _status(alerts: Sequence[Notified]) -> Status:
    return "firing" if any(alert.status == "firing" for alert in alerts) else "resolved"
