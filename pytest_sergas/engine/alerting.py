"""Alerting: follows the alerts of all rules, decides who is told, and keeps all of it in the store.

    evaluations → step() → transitions → ledger: groups of the routes → flush() → outbox → channels
                                           ↑                                         ↓
                                           └─── taken, refused ←── answers ──────────┘

Everything happens in memory first, on the event loop, and is then written in one transaction: states, what each
receiver has taken, outbox, history. Only what is written goes to a channel. Killed at any point, the next process goes
on from there: what was to be told is told, and the one thing that can come twice is what a receiver has taken just
before the kill; it carries the same key. When the store cannot be written, it goes on from memory, and the messages
say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_sergas.channels import Channel
from pytest_sergas.channels.registry import create
from pytest_sergas.config.channels import ChannelSettings, ChannelsSettings
from pytest_sergas.config.routes import RoutesSettings, routing
from pytest_sergas.core.alert_rules import PYTHON
from pytest_sergas.core.alerts import Alert, Evaluation, State, Transition, removed, step
from pytest_sergas.core.clock import Now
from pytest_sergas.core.delivery import Decision, Entry, Why
from pytest_sergas.core.ledger import Ledger
from pytest_sergas.core.messages import Notification, Notified
from pytest_sergas.core.metrics import Family
from pytest_sergas.core.routes import Route, Router
from pytest_sergas.core.series import Labels
from pytest_sergas.core.silences import Muting, Silence, Window
from pytest_sergas.engine import alert_rows, clock
from pytest_sergas.engine.alert_figures import AlertFigures
from pytest_sergas.engine.alert_history import AlertHistory
from pytest_sergas.engine.explaining import Explanation
from pytest_sergas.engine.journal import Journal
from pytest_sergas.engine.outbox import Answer, Outbox
from pytest_sergas.engine.store import Store
from pytest_sergas.errors import ConfigurationError, gathered

SILENCES_LIMIT = 1_000
_RETRY_S = 10.0  # until the store is written again that could not be
SILENCES_KEPT_S = 5 * 86_400.0  # after their end, so that one can see what was silenced


class SilenceRefusedError(Exception):
    """The silence cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What alerting is to do, judged: channels that exist, routes that name them."""

    channels: tuple[tuple[ChannelSettings, Channel], ...] = ()
    routes: tuple[Route, ...] = ()
    maintenance: tuple[Window, ...] = ()
    external_url: str = ""


Added = tuple[ChannelSettings, Channel]


def plan(
    channels: ChannelsSettings, routes: RoutesSettings, root: Path, external_url: str, added: Sequence[Added] = ()
) -> Planned:
    """Return what the configuration asks for, with the channels that a program has ``added``.

    Raises:
        ConfigurationError: with every fault of the channels and the routes.
    """
    faults: list[str] = []
    with gathered(faults):
        made = create(channels.channels, root)
    with gathered(faults):
        configured = tuple(entry.name for entry in channels.channels)
        routed = routing(routes, configured, tuple(entry.name for entry, _ in added))
    if faults:
        raise ConfigurationError(tuple(faults))
    every = (*zip(channels.channels, made, strict=True), *added)
    return Planned(every, routed, routes.maintenance, external_url)


@dataclass(slots=True)
class _State:
    """What is followed; `Alerting` alone changes it.

    Attributes:
        alerts: rule → labels → alert that is pending or firing.
        rules: labels → the rules of which an alert with them fires.
    """

    alerts: dict[str, Mapping[Labels, Alert]] = field(default_factory=dict)
    rules: dict[Labels, set[str]] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)


class Alerting:
    """Follows alerts and delivers; everything is called on the event loop on which `start` was called.

    Args:
        planned: comes from `plan`.
        store: outlives this object.
        read_clock: reads both clocks.
        explain: what notifications say beside what rules say; None links to the alerts.
    """

    def __init__(
        self,
        planned: Planned,
        store: Store,
        read_clock: Callable[[], Now],
        explain: Callable[[Notified], Explanation] | None = None,
    ) -> None:
        self._planned = planned
        self._store = store
        self._clock = read_clock
        self._journal = Journal(store)
        self.history = AlertHistory(self._journal, store)
        self._outbox = Outbox(self._journal, planned.external_url, read_clock)
        self._outbox.on_room = self._wake
        self._outbox.on_answer = self._answered
        self._outbox.explain = explain or self._outbox.explain
        self._state = _State()
        self._router = Router(planned.routes)
        self._ledger = Ledger()
        self._outbox.wanted = self._ledger.wanted
        self._muting = Muting()
        self._changed = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None
        self._figures = AlertFigures()
        self._take(planned)

    # Life

    async def start(self) -> None:
        """Go on from what the store has, and begin to deliver.

        Raises:
            StoreError: it cannot be read.
        """
        now = self._clock()
        kept = await self._store.read(lambda connection: alert_rows.load(connection, now))
        rows = await self._store.read(self._outbox.load)
        await self.history.start()
        state = self._state
        for alert in kept.alerts:
            self._figures.add(alert)
            of_rule = state.alerts.setdefault(alert.rule, {})
            assert isinstance(of_rule, dict)  # noqa: S101  made in the line before
            of_rule[alert.labels] = alert
            if alert.state is State.FIRING:
                state.rules.setdefault(alert.labels, set()).add(alert.rule)
        self._ledger.restore(kept.entries, kept.flushed)
        self._ledger.follow(self._router, self._outbox.receivers, now)
        state.silences = {silence.id: silence for silence in kept.silences}
        self._outbox.take(rows, now)
        self._mute()
        for labels in state.rules.keys() - self._ledger.entries.keys():
            self._fires(next(alert for alert in kept.alerts if alert.labels == labels), now)
        await self._settle(now)
        self._outbox.start()
        self._ticking = asyncio.create_task(self._tick_for_ever(), name="alerting")

    def follow(self, planned: Planned) -> None:
        """Go on with other channels, routes and windows; alerts keep their states, and channels what they know."""
        self._take(planned)
        self._mute()
        self._ledger.follow(self._router, self._outbox.receivers, self._clock())
        self._wake()

    async def drain(self, timeout_s: float, *, is_last: bool) -> int:
        """Deliver at once what groups still collect; return how many notifications could not be delivered in time.

        Args:
            timeout_s: seconds to wait for the receivers at most.
            is_last: whether no process goes on from here; then what the caps hold back is sent as well, as summaries.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while True:
            now = self._clock()
            for group_id in list(self._ledger.groups):
                self._ledger.look_at_group(group_id, now)
            added = await self._settle(now)
            added += await self._settle(now, all_held=True) if is_last else 0
            left = await self._outbox.drained(end_s - loop.time())
            # What was answered may make room for what is due next, such as the end of an alert.
            if not added or loop.time() >= end_s:
                return left

    async def stop(self) -> None:
        """Deliver nothing more; what waits is delivered by the next process."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        await self._outbox.stop()
        await self._journal.commit()

    # What rules do

    async def took_place(self, evaluations: Sequence[Evaluation]) -> tuple[Alert, ...]:
        """Take what evaluations of rules found; return the alerts that begin to fire.

        It returns when all of it is durable, or when the store has failed: then it is kept in memory, and delivered.
        """
        firing: list[Alert] = []
        now = self._clock()
        for evaluation in evaluations:
            before = self._state.alerts.get(evaluation.rule, {})
            if not before and not evaluation.active:
                continue
            after = step(before, evaluation)
            self._change(evaluation.rule, before, after.alerts, after.transitions)
            firing += [change.alert for change in after.transitions if change.alert.state is State.FIRING]
        self._wake()
        await self._settle(now)
        return tuple(firing)

    async def keep_rules(self, rules: frozenset[str], heirs: Callable[[Labels], Iterable[str]] = lambda _: ()) -> None:
        """End the alerts of all other rules of files: they are not there any more.

        Args:
            heirs: names the rules that could have an alert with these labels: they get it as it stands, and their next
                evaluation says whether it goes on. So a rule that was moved or renamed file and group notifies nobody.
        """
        gone = [rule for rule in self._state.alerts if rule not in rules and not rule.startswith(PYTHON)]
        for rule in gone:
            self._hand_over(rule, heirs)
        await self.end_rules(gone)

    async def end_rules(self, rules: Iterable[str]) -> None:
        """End the alerts of these rules."""
        now = self._clock()
        for rule in rules:
            before = self._state.alerts.get(rule, {})
            self._change(rule, before, {}, removed(before, now).transitions)
        self._wake()
        await self._settle(now)

    # What people do

    async def silence(self, silence: Silence) -> None:
        """Put a silence in force, or change the one with its id; it is durable when this returns, if the store is.

        Raises:
            SilenceRefusedError: there are too many.
        """
        if silence.id not in self._state.silences and len(self._state.silences) >= SILENCES_LIMIT:
            raise SilenceRefusedError(f"there are {SILENCES_LIMIT} silences, the most that are kept; end some first")
        self._state.silences[silence.id] = silence
        alert_rows.put_silence(self._journal, silence)
        await self._silences_changed()

    async def unsilence(self, silence_id: str) -> bool:
        """End a silence; return whether there was one with this id that had not ended."""
        silence = self._state.silences.get(silence_id)
        if silence is None:
            return False
        del self._state.silences[silence_id]
        alert_rows.delete_silence(self._journal, silence_id)
        await self._silences_changed()
        return silence.ends_s > self._clock().wall_s

    # Questions

    def alerts(self) -> list[Alert]:
        """Return the alerts that are pending or firing, the worst first."""
        found = [alert for alerts in self._state.alerts.values() for alert in alerts.values()]
        return sorted(found, key=lambda alert: (alert.state is not State.FIRING, -alert.level.rank, alert.labels))

    def alerts_of(self, rule: str) -> Mapping[Labels, Alert]:
        """Return the alerts of one rule that are pending or firing."""
        return self._state.alerts.get(rule, {})

    def muted(self, alert: Alert, now: Now) -> str:
        """Return what silences ``alert`` now, or ""."""
        muted = self._muting.at(now.wall_s)(alert.labels)
        return muted.by if muted else ""

    def keeps_silence(self, silence_id: str) -> bool:
        """Whether a restart finds this silence, or its end, as it is now; otherwise it is in memory alone."""
        is_kept = self._store.path is not None or silence_id not in self._state.silences
        return is_kept and not self._journal.waits(alert_rows.silence_key(silence_id))

    def silences(self) -> list[Silence]:
        """Return the silences, the one that ends last first."""
        return sorted(self._state.silences.values(), key=lambda silence: -silence.ends_s)

    def routes(self, labels: Labels) -> tuple[Route, ...]:
        """Return the routes that an alert with ``labels`` takes."""
        return self._router.find(labels)

    def counts(self) -> dict[str, Any]:
        """Return how many alerts fire: in all, by level and by source."""
        return self._figures.counts()

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return the metrics of alerting."""
        in_force = sum(silence.is_active(now.wall_s) for silence in self._state.silences.values())
        return (*self._figures.families(in_force, is_failing=self._journal.is_failing), *self._outbox.families())

    # Changing

    def _take(self, planned: Planned) -> None:
        self._planned = planned
        self._router = Router(planned.routes)
        self._outbox.external_url = planned.external_url
        self._outbox.follow(planned.channels)

    def _hand_over(self, rule: str, heirs: Callable[[Labels], Iterable[str]]) -> None:
        left = dict(self._state.alerts[rule])
        for labels, alert in self._state.alerts[rule].items():
            names = list(heirs(labels))
            for name in names:
                of_heir = self._state.alerts.get(name, {})
                if labels in of_heir:
                    continue
                inherited = replace(alert, rule=name)
                self._state.alerts[name] = {**of_heir, labels: inherited}
                self._figures.add(inherited)
                alert_rows.put_alert(self._journal, inherited, is_over=False)
                if alert.state is State.FIRING:
                    self._state.rules[labels].add(name)
            if names:
                del left[labels]
                self._figures.forget(alert)
                alert_rows.put_alert(self._journal, alert, is_over=True)
                self._state.rules.get(labels, set()).discard(rule)
        self._state.alerts[rule] = left

    def _change(
        self,
        rule: str,
        before: Mapping[Labels, Alert],
        after: Mapping[Labels, Alert],
        transitions: Iterable[Transition],
    ) -> None:
        """Take the new alerts of one rule, and tell the groups what begins and what ends."""
        if after:
            self._state.alerts[rule] = after
        else:
            self._state.alerts.pop(rule, None)
        for labels, alert in after.items():
            earlier = before.get(labels)
            if earlier is None or (earlier.state, earlier.ended) != (alert.state, alert.ended):
                alert_rows.put_alert(self._journal, alert, is_over=False)
        for change in transitions:
            alert = change.alert
            self._figures.changed(change)
            if alert.state in {State.INACTIVE, State.RESOLVED}:
                alert_rows.put_alert(self._journal, alert, is_over=True)
            if alert.state in {State.FIRING, State.RESOLVED}:
                self.history.transition(alert)
                self._arrive(alert)

    def _arrive(self, alert: Alert) -> None:
        """Enter an alert that begins or ends into the ledger, unless another rule says the same."""
        others = self._state.rules.setdefault(alert.labels, set()) - {alert.rule}
        if alert.state is State.FIRING:
            self._state.rules[alert.labels].add(alert.rule)
        elif others:
            self._state.rules[alert.labels].remove(alert.rule)
        else:
            del self._state.rules[alert.labels]
        if others:
            return
        if alert.state is State.FIRING:
            self._fires(alert, self._clock())
        else:
            self._ledger.ends(alert.notified(), self._clock())

    def _fires(self, alert: Alert, now: Now) -> None:
        began, cooldown_s = alert.fired or alert.active, alert.cooldown_s
        if not self._ledger.fires(alert.notified(), began, now, cooldown_s=cooldown_s, source=alert.source):
            self._figures.not_told(Why.NO_ROUTE)
            nobody = Decision(alert.notified(), "", Why.NO_ROUTE, source=alert.source)
            self.history.decided(nobody, now.wall_s)

    def _mute(self) -> None:
        self._muting = Muting(self._state.silences.values(), self._planned.maintenance, clock.offset_s)

    async def _silences_changed(self) -> None:
        self._mute()
        now = self._clock()
        self._ledger.look_at_all(now)
        self._wake()
        await self._settle(now)

    # Delivering

    async def _settle(self, now: Now, *, all_held: bool = False) -> int:
        """Look at what is due, write everything, and let go what has to be sent; return how many that is."""
        for group_id in self._outbox.begin_summaries(now, all_of_it=all_held):
            self._ledger.look_at_group(group_id, now)
        found = self._ledger.look(now, self._muting.at(now.wall_s), self._outbox, self._as_of_now)
        keys = self._outbox.add([(group, draft) for group, seen in found for draft in seen.drafts], now)
        for decision in (decision for _, seen in found for decision in seen.decisions):
            if not decision.why.tells:
                self._figures.not_told(decision.why)
            key = keys.get((decision.channel, decision.alert.labels), "") if decision.why.tells else ""
            self.history.decided(decision, now.wall_s, key=key)
        self._write_ledger()
        fresh = self._outbox.take_fresh()  # others may add more during the commit, which is not in it
        stored = await self._journal.commit()
        self._outbox.release(fresh, stored=stored)
        return len(fresh)

    def _answered(self, channel: str, notification: Notification, answer: Answer) -> None:
        """Note what has become of a notification; it is written with the notification's own row."""
        now = self._clock()
        match answer:
            case Answer.TAKEN:
                self._ledger.taken(channel, notification, now)
            case Answer.REFUSED:
                self._ledger.refused(channel, notification, now)
            case Answer.DROPPED:
                self._ledger.dropped(notification, now)
        self._write_ledger()

    def _write_ledger(self) -> None:
        ledger = self._ledger
        for labels in ledger.changed:
            alert_rows.put_entry(self._journal, labels, ledger.entries.get(labels))
        for group_id in ledger.paced:
            group = ledger.groups.get(group_id)
            alert_rows.put_pace(self._journal, group_id, group.flushed if group else None)
        ledger.changed.clear()
        ledger.paced.clear()

    def _as_of_now(self, entry: Entry) -> Entry:
        """Return ``entry`` with the value and annotations that its alert has now, for repeats and escalation."""
        shown = entry.alert
        for rule in self._state.rules.get(shown.labels, ()):
            alert = self._state.alerts[rule][shown.labels]
            if (alert.value, alert.annotations) != (shown.value, shown.annotations):
                return replace(entry, alert=replace(shown, value=alert.value, annotations=alert.annotations))
        return entry

    async def _tick_for_ever(self) -> None:
        while True:
            now = self._clock()
            wait_s = min(self._ledger.next_s, self._outbox.next_s(now)) - now.monotonic_s
            wait_s = min(wait_s, _RETRY_S) if self._journal.is_failing else wait_s
            # Not wait_for, which in Python 3.11 may swallow the cancelling of `stop`.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(wait_s, 3600.0))):
                    await self._changed.wait()
            self._changed.clear()
            now = self._clock()
            self._forget_silences(now)
            await self._settle(now)

    def _wake(self) -> None:
        self._changed.set()

    def _forget_silences(self, now: Now) -> None:
        old = [one.id for one in self._state.silences.values() if one.ends_s + SILENCES_KEPT_S < now.wall_s]
        for silence_id in old:
            del self._state.silences[silence_id]
            alert_rows.delete_silence(self._journal, silence_id)
