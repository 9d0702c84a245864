"""`AlertManager`: rules that are functions, and channels that are notified; a view of an engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from pytest_sergas.channels import Channel
from pytest_sergas.config.channels import ChannelSettings, ChannelsSettings
from pytest_sergas.config.routes import RoutesSettings
from pytest_sergas.core.alert_rules import AlertRule
from pytest_sergas.core.alerts import Alert, State
from pytest_sergas.core.monitoring import MonitoringMetric
from pytest_sergas.core.text import show_value
from pytest_sergas.engine import clock
from pytest_sergas.engine.alert_history import Asked, Event
from pytest_sergas.errors import AlertRuleError, ConfigurationError
from pytest_sergas.monitoring.arguments import COOLDOWN, PER_MINUTE, checked
from pytest_sergas.monitoring.channels import NotificationChannel, OfProgram
from pytest_sergas.monitoring.hub import Hub
from pytest_sergas.monitoring.settings import quiet

HISTORY_LIMIT = 1_000
_KEPT_DAYS = 90

Trends = dict[str, dict[str, dict[str, int]]]


class AlertManager:
    """Judges metrics by rules and notifies channels. Every method may be called from any thread and in any event loop.

    What is delivered is delivered on a thread of its own, with cooldown, cap, history and outbox. When the program
    ends, it waits at most 5 seconds for that.

    Args:
        max_alerts_per_minute: the most notifications that a channel gets; what is critical always passes.
        alert_cooldown: seconds, or a text such as ``"1h30m"``, from one beginning of an alert that is notified to the
            next, for rules that say nothing.
        hub: the engine of a system whose part this is; default: one of its own.

    Raises:
        ConfigurationError: one of them cannot be used.
    """

    def __init__(
        self, max_alerts_per_minute: int = 10, alert_cooldown: float | str = 300.0, *, hub: Hub | None = None
    ) -> None:
        cap = (PER_MINUTE, max_alerts_per_minute)
        found = checked("AlertManager", {"max_alerts_per_minute": cap, "alert_cooldown": (COOLDOWN, alert_cooldown)})
        self._cap = max_alerts_per_minute
        self._hub = hub or Hub(
            quiet(
                Path.cwd(),
                channels=ChannelsSettings(max_alerts_per_minute=max_alerts_per_minute),
                routes=RoutesSettings(alert_cooldown=found["alert_cooldown"]),
            )
        )
        self._rules: dict[str, AlertRule] = {}
        self._channels: dict[str, Channel] = {}
        self._past = _Past()

    @property
    def rules(self) -> Sequence[AlertRule]:
        return tuple(self._rules.values())

    @property
    def channels(self) -> Sequence[Channel]:
        return tuple(self._channels.values())

    @property
    def faults(self) -> dict[str, str]:
        """Name of a rule → what its condition raised when it was last asked."""
        return self._hub.ask(lambda engine: dict(engine.python.faults))

    def add_rule(self, rule: AlertRule) -> None:
        """Add a rule; routes find its alerts by its labels, such as ``alertname``, which is its name.

        Raises:
            AlertRuleError: there is one of its name.
        """
        if rule.name in self._rules:
            raise AlertRuleError(f"there is a rule {rule.name!r} already; give each a name of its own")
        self._rules[rule.name] = rule
        self._hub.add(lambda engine: engine.python.add(rule))

    def add_notification_channel(self, channel: object) -> None:
        """Add a channel, one of ours or one that keeps to `pytest_sergas.channels.Channel`.

        Routes name it by its ``name``. One that no route names is notified by the default route: the last one without
        matchers, or one behind all others. A channel of your own is awaited in the event loop in which it was added or
        the system was started, as long as that runs.

        Raises:
            ConfigurationError: it is none, there is one of its name, or a sidecar notifies.
        """
        if not self._hub.delivers:
            fault = "with sidecar_url, the sidecar notifies; configure the channel there, in [[channels]]"
            raise ConfigurationError((fault,))
        name = getattr(channel, "name", "")
        if not isinstance(name, str) or not name or not asyncio.iscoroutinefunction(getattr(channel, "send", None)):
            allowed = "a NotificationChannel, or an object with a name and an async send"
            raise ConfigurationError((f"channel {show_value('channel', channel)}: allowed: {allowed}",))
        configured = {entry.name for entry in self._hub.settings.channels.channels}
        if name in self._channels or name in configured:
            raise ConfigurationError((f"there is a channel {name!r} already; give each a name of its own",))
        given = cast("Channel", channel)
        delivering = given if type(given).__module__ == NotificationChannel.__module__ else OfProgram(given)
        self._channels[name] = given
        self._hub.add_channel((ChannelSettings("program", name, max_alerts_per_minute=self._cap), delivering))

    def evaluate_metrics(self, metrics: Iterable[MonitoringMetric]) -> list[Alert]:
        """Judge ``metrics``, notify, and return the alerts that begin to fire; one that was notified is not among them.

        One that ends and begins again within its cooldown is returned when that is over, if it still fires. A condition
        that raises keeps what was, and `faults` has the reason. Metrics that are not there this time are believed to be
        as they were for five minutes. Channels are notified after this returns.
        """
        found = tuple(metrics)
        return list(self._hub.wait(lambda engine: engine.python.evaluate(found)))

    def get_active_alerts(self) -> list[Alert]:
        """Return the alerts that fire, the worst first."""
        if self._hub.engine is None:
            return []
        return [
            alert for alert in self._hub.ask(lambda engine: engine.alerting.alerts()) if alert.state is State.FIRING
        ]

    def get_alert_history(self, limit: int = HISTORY_LIMIT, *, name: str = "", level: str = "") -> list[Event]:
        """Return what happened to alerts, the oldest first: which fired and were resolved, who was notified or not.

        Args:
            limit: how many events at most; the newest.
            name, level: of the alerts; "" for any.
        """
        found = list(self._past.events)
        if self._hub.engine is not None:
            asked = Asked(limit, name=name, level=level)
            found += reversed(self._hub.wait(lambda engine: engine.alerting.history.newest(asked)))
        wanted = [event for event in found if name in {"", event.name} and level in {"", event.level}]
        return wanted[-limit:]

    def get_alert_trends(self, days: int = 7) -> Trends:
        """Return how often alerts began to fire: ``by_level`` and ``by_source`` → day (UTC) → which → count."""
        found = self._past.trends(days)
        if self._hub.engine is not None:
            now_s = clock.read().wall_s
            found = _sum(found, self._hub.wait(lambda engine: engine.alerting.history.trends(days, now_s)))
        return found

    def remember(self) -> None:
        """Take over what the engine knows of the past, before it is closed."""
        events, trends = self.get_alert_history(), self.get_alert_trends(_KEPT_DAYS)
        self._past = _Past(tuple(events), trends)

    def forget(self) -> None:
        """Leave the past to the engine that has just been opened, and that knows it from its store."""
        self._past = _Past()


@dataclass(frozen=True, slots=True)
class _Past:
    """What engines that are closed knew."""

    events: tuple[Event, ...] = ()
    by_day: Trends = field(default_factory=lambda: {"by_level": {}, "by_source": {}})

    def trends(self, days: int) -> Trends:
        first = datetime.fromtimestamp(clock.read().wall_s - (days - 1) * 86_400.0, UTC).date().isoformat()
        return {
            what: {day: dict(counts) for day, counts in found.items() if day >= first}
            for what, found in self.by_day.items()
        }


def _sum(one: Trends, other: Trends) -> Trends:
    return {
        what: {
            day: dict(Counter(one[what].get(day, {})) + Counter(found.get(day, {})))
            for day in sorted({*one[what], *found})
        }
        for what, found in other.items()
    }
