"""`AlertManager`: rules that are functions, and who is told.

Alone, it judges and remembers, and tells nobody. As a part of a `ComprehensiveMonitoringSystem` that runs, the engine
follows its alerts, with cooldown, cap, silences, outbox and history.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from pytest_sergas.channels import Channel
from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.core.alert_rules import AlertRule, judge, newly_told
from pytest_sergas.core.alerts import Alert, Evaluation, State, Transition, step
from pytest_sergas.core.monitoring import MonitoringMetric
from pytest_sergas.core.series import Labels
from pytest_sergas.core.text import show_value
from pytest_sergas.engine import clock
from pytest_sergas.engine.alerting import Planned
from pytest_sergas.engine.python_rules import PythonRules
from pytest_sergas.errors import AlertRuleError, ConfigurationError
from pytest_sergas.monitoring.running import Running

HISTORY_LIMIT = 1_000


class AlertManager:
    """Judges metrics by rules. Every method may be called from any thread.

    Args:
        max_alerts_per_minute: the most notifications that a channel gets; what is critical always passes.
    """

    def __init__(self, max_alerts_per_minute: int = 10) -> None:
        self._cap = max_alerts_per_minute
        self._lock = threading.Lock()
        self._rules: dict[str, AlertRule] = {}
        self._channels: dict[str, Channel] = {}
        self._alerts: dict[str, Mapping[Labels, Alert]] = {}
        self._seen_s: dict[str, Mapping[Labels, float]] = {}
        self._told_s: dict[str, Mapping[Labels, float]] = {}
        self._history: deque[Transition] = deque(maxlen=HISTORY_LIMIT)
        self._running: Running | None = None
        self._engine_rules: PythonRules | None = None
        self._planned: Planned | None = None
        self._telling: set[asyncio.Task[object]] = set()
        self.faults: dict[str, str] = {}

    @property
    def rules(self) -> Sequence[AlertRule]:
        return tuple(self._rules.values())

    @property
    def channels(self) -> Sequence[Channel]:
        return tuple(self._channels.values())

    def add_rule(self, rule: AlertRule) -> None:
        """Add a rule.

        Raises:
            AlertRuleError: there is one of its name.
        """
        if rule.name in self._rules:
            raise AlertRuleError(f"there is a rule {rule.name!r} already; give each a name of its own")
        self._rules[rule.name] = rule
        running, rules = self._running, self._engine_rules
        if running is not None and rules is not None:
            running.ask(lambda: rules.add(rule))

    def add_notification_channel(self, channel: object) -> None:
        """Add a channel, one of ours or one that keeps to `pytest_sergas.channels.Channel`.

        Raises:
            ConfigurationError: it is none, or there is one of its name.
        """
        name = getattr(channel, "name", "")
        if not isinstance(name, str) or not name or not asyncio.iscoroutinefunction(getattr(channel, "send", None)):
            allowed = "a NotificationChannel, or an object with a name and an async send"
            raise ConfigurationError((f"channel {show_value('channel', channel)}: allowed: {allowed}",))
        if name in self._channels:
            raise ConfigurationError((f"there is a channel {name!r} already; give each a name of its own",))
        self._channels[name] = cast("Channel", channel)
        if (running := self._running) is not None:
            running.ask(self._deliver)

    def evaluate_metrics(self, metrics: Iterable[MonitoringMetric]) -> list[Alert]:
        """Judge ``metrics`` and return the alerts that are newly told; one that was told already is not among them.

        One that ends and begins again within the cooldown of its rule is told when that is over, if it still fires. A
        condition that raises keeps what was, and `faults` has the reason. Metrics that are not there this time are
        believed to be as they were for five minutes.
        """
        now, found = clock.read(), tuple(metrics)
        evaluations: list[Evaluation] = []
        new: list[Alert] = []
        told: dict[str, Mapping[Labels, Alert]] = {}
        # Asked before the lock is taken: the engine's loop may be waiting for it.
        standing = [(rule, self._before(rule)) for rule in self.rules]
        with self._lock:
            for rule, before in standing:
                judged = judge(rule, found, before, self._seen_s.get(rule.key, {}), now)
                self._seen_s[rule.key] = judged.seen_s
                self.faults.pop(rule.name, None)
                if judged.faults:
                    self.faults[rule.name] = judged.faults[-1]
                after = step(before, judged.evaluation)
                told[rule.key] = self._alerts[rule.key] = after.alerts
                self._history.extend(after.transitions)
                told_s = self._told_s.get(rule.key, {})
                fresh, self._told_s[rule.key] = newly_told(rule, before, after.alerts, told_s, now)
                new += fresh
                evaluations.append(judged.evaluation)
        if (running := self._running) is not None and self._engine_rules is not None:
            running.ask(lambda: self._tell(running, evaluations, told))
        return new

    def get_active_alerts(self) -> list[Alert]:
        """Return the alerts that fire, the worst first."""
        if (running := self._running) is not None and self._engine_rules is not None:
            alerts = running.ask(running.engine.alerting.alerts)
        else:
            with self._lock:
                alerts = [alert for found in self._alerts.values() for alert in found.values()]
        return sorted((alert for alert in alerts if alert.state is State.FIRING), key=lambda alert: -alert.level.rank)

    def get_alert_history(self) -> list[Transition]:
        """Return what began and what ended in `evaluate_metrics`, the oldest first; at most `HISTORY_LIMIT` of them."""
        with self._lock:
            return list(self._history)

    def extend(self, planned: Planned) -> Planned:
        """Return what the configuration of an engine asks for, ``planned``, with our channels."""
        self._planned = planned
        ours = tuple(
            (ChannelSettings("program", name, max_alerts_per_minute=self._cap), channel)
            for name, channel in self._channels.items()
        )
        # Where the configuration has no routes of its own, one takes everything to every channel.
        routes = planned.routes
        if len(routes) == 1 and routes[0].channels == tuple(entry.name for entry, _ in planned.channels):
            routes = (replace(routes[0], channels=(*routes[0].channels, *self._channels)),)
        return replace(planned, channels=(*planned.channels, *ours), routes=routes)

    def attach(self, running: Running) -> None:
        """Hand the rules to an engine that has started with what `extend` has returned."""
        self._alerts.clear()
        self._running = running
        self._engine_rules = PythonRules(running.engine.alerting, clock.read)
        for rule in self._rules.values():
            self._engine_rules.add(rule)
        self._deliver()  # a thread may have added a channel meanwhile

    def detach(self) -> None:
        """Stand alone again."""
        self._running = self._engine_rules = self._planned = None

    async def evaluate_in_engine(self, metrics: Iterable[MonitoringMetric]) -> None:
        """Judge ``metrics`` as the engine does: conditions on threads of their own, within a timeout."""
        if self._engine_rules is not None:
            await self._engine_rules.evaluate(metrics)

    async def end_others(self) -> None:
        """End the alerts of rules that an earlier process had added, and this one has not."""
        if self._engine_rules is not None:
            await self._engine_rules.end_others()

    def _before(self, rule: AlertRule) -> Mapping[Labels, Alert]:
        running = self._running
        # What the engine has not taken yet counts before what it has.
        if running is None or self._engine_rules is None or rule.key in self._alerts:
            return self._alerts.get(rule.key, {})
        return running.ask(lambda: running.engine.alerting.alerts_of(rule.key))

    def _tell(
        self, running: Running, evaluations: Sequence[Evaluation], told: Mapping[str, Mapping[Labels, Alert]]
    ) -> None:
        """Hand ``evaluations`` to the engine; what they make of the alerts, ``told``, is its own from then on."""

        def taken(task: asyncio.Task[object]) -> None:
            self._telling.discard(task)
            with self._lock:
                for key, alerts in told.items():
                    if self._alerts.get(key) is alerts:
                        del self._alerts[key]

        task: asyncio.Task[object] = asyncio.ensure_future(running.engine.alerting.took_place(evaluations))
        self._telling.add(task)
        task.add_done_callback(taken)

    def _deliver(self) -> None:
        """Let the engine deliver to the channels of its configuration and to ours."""
        if self._running is not None and self._planned is not None:
            self._running.engine.alerting.follow(self.extend(self._planned))
