"""The outbox: notifications on their way, each kept in the store until its receiver has taken it.

Every channel has a line and a task of its own: one that hangs delays no other. A notification is `add`ed together with
the transition that caused it, committed with it, and `release`d only then. What a receiver has not taken is tried again
with growing waits, in order; a final refusal, or a day of trying, ends it, which history and log say. More than the
cap of a channel allows is held back, in the store as well, and becomes one summary; what overtakes it, because it is
critical, is told last in it as well.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
from pytest_sergas.engine.journal import Journal, Row
from pytest_sergas.errors import FinalError, TemporaryError

LOG = logging.getLogger(__name__)

WAITING, HELD, DELIVERED, FAILED, SUMMARISED = "waiting", "held", "delivered", "failed", "summarised"
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
_SELECT = "SELECT * FROM notifications WHERE state IN ('waiting', 'held') ORDER BY id"


@dataclass(frozen=True, slots=True)
class Item:
    """One notification on its way.

    Attributes:
        id: its place in the order.
        made: when it was made.
        attempts: how often it was tried.
        result: what came of the latest attempt.
    """

    id: int
    notification: Notification
    made: Now
    attempts: int = 0
    result: str = ""


@dataclass(slots=True)
class _Line:
    """One channel with what waits for it.

    Attributes:
        held: id → what is held back, in the order of time.
        latest: labels → the id of the last that is held back about this alert.
        retry_at_s: when the first that waits is tried again after a failure, by the monotonic clock.
    """

    receiver: Receiver
    sender: Sender
    timeout_s: float
    waiting: deque[Item] = field(default_factory=deque)
    held: dict[int, Item] = field(default_factory=dict)
    latest: dict[Labels, int] = field(default_factory=dict)
    unreleased: int = 0
    sent_s: deque[float] = field(default_factory=deque)
    retry_at_s: float = -inf
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    followed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def traffic(self) -> Traffic:
        return Traffic(self.sent_s, len(self.waiting) + self.unreleased, bool(self.held))

    def hold(self, item: Item) -> None:
        self.held[item.id] = item
        self.latest.update((alert.labels, item.id) for alert in item.notification.alerts)


Fresh = tuple[_Line, Item]


class Outbox:
    """Notifications on their way to channels.

    Args:
        journal: what is written with the next commit.
        external_url: where people reach the sidecar, or "".
        clock: reads both clocks.
    """

    def __init__(self, journal: Journal, external_url: str, clock: Callable[[], Now]) -> None:
        self.external_url = external_url
        self._journal = journal
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._fresh: list[Fresh] = []
        self._next_id = 1
        self._is_running = False
        self._attempted = asyncio.Event()
        self.on_room: Callable[[], None] = lambda: None

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
            line.followed.set()  # what failed by the old settings is tried by the new ones at once
            self._lines[settings.name] = line
            if self._is_running and line.task is None:
                self._start(line)
        for name, line in before.items():
            if line.task is not None:
                line.task.cancel()
            for item in (*line.waiting, *line.held.values()):
                self._write(name, item, FAILED, "the channel is not in the configuration any more")

    def load(self, connection: sqlite3.Connection) -> list[tuple[object, ...]]:
        """Return the rows of what waits, for `take`."""
        last = connection.execute("SELECT coalesce(max(id), 0) FROM notifications").fetchone()[0]
        self._next_id = last + 1
        return connection.execute(_SELECT).fetchall()

    def take(self, rows: Sequence[tuple[object, ...]], now: Now) -> None:
        """Take what an earlier process left; the cap of a minute begins anew."""
        for id_, _, channel, state, made_s, _, attempts, result, body in rows:
            assert isinstance(id_, int) and isinstance(attempts, int) and isinstance(made_s, float)  # noqa: S101, PT018
            item = Item(id_, decode(str(body)), restored(made_s, now), attempts, str(result))
            line = self._lines.get(str(channel))
            if line is None:
                self._write(str(channel), item, FAILED, "the channel is not in the configuration any more")
            elif state == HELD:
                line.hold(item)
            else:
                line.waiting.append(item)

    def start(self) -> None:
        """Begin to send."""
        self._is_running = True
        for line in self._lines.values():
            self._start(line)

    async def drained(self, timeout_s: float) -> int:
        """Wait until every receiver has taken what waits for it; return how many notifications are left.

        Args:
            timeout_s: seconds to wait at most; a line whose next attempt is later than that is not waited for.
        """
        end_s = self._clock().monotonic_s + timeout_s
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout_s)):
                while any(line.waiting and line.retry_at_s < end_s for line in self._lines.values()):
                    self._attempted.clear()
                    await self._attempted.wait()
        return sum(line.traffic().waiting for line in self._lines.values())

    async def stop(self) -> None:
        """Send nothing more; what is under way is sent again by the next process."""
        self._is_running = False
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Adding

    def add(self, draft: Draft, group: Group, now: Now) -> dict[Labels, tuple[str, Why | None]]:
        """Take what a channel has to be told; return for each alert the key, and why it is held back or None.

        It goes with `release`, after the commit that takes it along.
        """
        line = self._lines[draft.channel]
        if draft.is_resent and (line.waiting or line.unreleased):
            return {}  # the receiver is not there, and what waits tells it all that it has to know
        why = hold_back(line.receiver, line.traffic(), now.monotonic_s, critical=is_critical(draft.alerts))
        keys: dict[Labels, tuple[str, Why | None]] = {}
        for alerts in pieces(draft.alerts):
            notification = Notification(
                alerts=alerts,
                group_labels=group.labels,
                receiver=draft.channel,
                status=_status(alerts),
                key=uuid.uuid4().hex,
                group_key=group.key,
                external_url=self.external_url,
                note=draft.note,
            )
            keys |= dict.fromkeys((alert.labels for alert in alerts), (notification.key, why))
            self._enqueue(line, notification, now, held=why is not None)
        if why is None:
            self._overtake(line, draft.alerts)
            self._count(line, now)
        return keys

    def release_held(self, now: Now, *, all_of_it: bool = False) -> None:
        """Make a summary of what is held back wherever there is room for one, or ``all_of_it``."""
        for line in self._lines.values():
            if (all_of_it and line.held) or self._summary_at(line, now) <= now.monotonic_s:
                self._summarise(line, now)

    def next_s(self, now: Now) -> float:
        """Return when `release_held` has something to do, on the monotonic clock."""
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
            line.waiting.append(replace(item, notification=replace(item.notification, note=note)))
            line.arrived.set()

    def families(self) -> tuple[Family, ...]:
        """Return the metrics of the channels."""
        lines = self._lines.items()
        samples = {
            "sergas_notifications_total": [
                Sample((("channel", name), ("result", result)), line.counts[result])
                for name, line in lines
                for result in (DELIVERED, FAILED, RETRIED)
            ],
            "sergas_notifications_waiting": [
                Sample((("channel", name),), line.traffic().waiting) for name, line in lines
            ],
            "sergas_notifications_held": [Sample((("channel", name),), len(line.held)) for name, line in lines],
        }
        return tuple(Family(name, *HELP[name], tuple(found)) for name, found in samples.items())

    def _enqueue(self, line: _Line, notification: Notification, now: Now, *, held: bool) -> None:
        item = Item(self._next_id, notification, now)
        self._next_id += 1
        self._write(line.receiver.name, item, HELD if held else WAITING, "")
        if held:
            line.hold(item)
        else:
            line.unreleased += 1
            self._fresh.append((line, item))

    def _overtake(self, line: _Line, alerts: Sequence[Notified]) -> None:
        """Let what is held back say of ``alerts`` what is told now: its summary, told later, takes nothing back."""
        told = {alert.labels: alert for alert in alerts if alert.labels in line.latest}
        for id_ in {line.latest[labels] for labels in told}:
            notification = line.held[id_].notification
            now_true = tuple(told.get(alert.labels, alert) for alert in notification.alerts)
            line.held[id_] = item = replace(line.held[id_], notification=replace(notification, alerts=now_true))
            self._write(line.receiver.name, item, HELD, "")

    def _count(self, line: _Line, now: Now) -> None:
        line.sent_s.append(now.monotonic_s)
        while line.sent_s[0] <= now.monotonic_s - MINUTE_S:
            line.sent_s.popleft()

    def _summary_at(self, line: _Line, now: Now) -> float:
        if not line.held or len(line.waiting) + line.unreleased >= BACKLOG:
            return inf
        return room_at(line.receiver, line.sent_s, now.monotonic_s)

    def _summarise(self, line: _Line, now: Now) -> None:
        held = list(line.held.values())
        line.held, line.latest = {}, {}
        first = held[0].notification
        for alerts in pieces(summarised(item.notification for item in held)):
            summary = replace(
                first,
                alerts=alerts,
                group_labels=(),
                status=_status(alerts),
                key=uuid.uuid4().hex,
                group_key=f"summary:{line.receiver.name}",
                held_back=len(held),
                note="",
            )
            self._enqueue(line, summary, now, held=False)
            for item in held:
                self._write(line.receiver.name, item, SUMMARISED, f"in the summary {summary.key}")
        self._count(line, now)

    # Sending

    def _start(self, line: _Line) -> None:
        line.arrived.set()
        line.task = asyncio.create_task(self._send_for_ever(line), name=f"channel {line.receiver.name}")

    async def _send_for_ever(self, line: _Line) -> None:
        while True:
            await line.arrived.wait()
            line.arrived.clear()
            while line.waiting:
                await self._attempt(line, line.waiting[0])
                self._attempted.set()

    async def _attempt(self, line: _Line, item: Item) -> None:
        """Try to send ``item``, the first that waits; after a temporary failure, wait."""
        item = replace(item, attempts=item.attempts + 1)
        name = line.receiver.name
        try:
            answer = await line.sender.send(item.notification, timeout_s=line.timeout_s)
        except TemporaryError as error:
            if self._clock().monotonic_s - item.made.monotonic_s < GIVE_UP_S:
                wait_s = retry_s(item.attempts, random.random(), error.retry_after_s)  # noqa: S311  no secret
                item = replace(item, result=str(error))
                line.waiting[0] = item
                line.counts[RETRIED] += 1
                LOG.warning("channel %s: attempt %d: %s; again in %.1f s", name, item.attempts, error, wait_s)
                self._write(name, item, WAITING, str(error))
                line.followed.clear()
                line.retry_at_s = self._clock().monotonic_s + wait_s
                self._attempted.set()
                await self._journal.commit()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await line.followed.wait()
                line.retry_at_s = -inf
                return
            self._fail(line, item, f"given up after a day: {error}")
        except FinalError as error:
            self._fail(line, item, str(error))
        else:
            line.waiting.popleft()
            line.counts[DELIVERED] += 1
            self._write(line.receiver.name, item, DELIVERED, answer)
        await self._journal.commit()
        if line.held:
            self.on_room()

    def _fail(self, line: _Line, item: Item, text: str) -> None:
        line.waiting.popleft()
        line.counts[FAILED] += 1
        LOG.error(
            "channel %s: a notification about %d alerts was not delivered: %s",
            line.receiver.name,
            len(item.notification.alerts),
            text,
        )
        self._write(line.receiver.name, item, FAILED, text)

    # Rows

    def _write(self, channel: str, item: Item, state: str, result: str) -> None:
        is_over = state not in {WAITING, HELD}
        finished_s = self._clock().wall_s if is_over else None
        body = "" if is_over else encode(item.notification)
        key = item.notification.key
        values = (item.id, key, channel, state, item.made.wall_s, finished_s, item.attempts, result, body)
        self._journal.put(("notification", key), Row(_PUT, values))


def _status(alerts: Sequence[Notified]) -> Status:
    return "firing" if any(alert.status == "firing" for alert in alerts) else "resolved"
