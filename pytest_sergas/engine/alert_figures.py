"""Alerts in figures: how many stand where, what happened to them, how often nobody was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pytest_sergas.core.alerts import Alert, AlertLevel, State, Transition
from pytest_sergas.core.delivery import Why
from pytest_sergas.core.metrics import Family, FamilyType, Sample

HELP: Mapping[str, tuple[FamilyType, str]] = MappingProxyType(
    {
        "sergas_alerts": ("gauge", "Alerts by state and level."),
        "sergas_alert_transitions_total": ("counter", "Alerts that began to fire and that ended, since the start."),
        "sergas_alerts_not_told_total": ("counter", "Verdicts that a channel is not told about an alert, by reason."),
        "sergas_silences": ("gauge", "Silences in force."),
        "sergas_alerting_from_memory": ("gauge", "1 while the store cannot be written and alerting goes on without."),
    }
)


class AlertFigures:
    """Counts, kept with each change, so that a page costs nothing however many alerts there are."""

    def __init__(self) -> None:
        self._standing: Counter[tuple[str, str, str]] = Counter()  # state, level, source → alerts
        self._transitions: Counter[str] = Counter()
        self._not_told: Counter[str] = Counter()

    def add(self, alert: Alert) -> None:
        """Count an alert that was there before."""
        self._standing[_place(alert, alert.state)] += 1

    def forget(self, alert: Alert) -> None:
        """Count an alert no more that has not changed: it is another rule's now."""
        self._standing[_place(alert, alert.state)] -= 1

    def changed(self, change: Transition) -> None:
        """Count a transition."""
        self._standing[_place(change.alert, change.before)] -= 1
        self._standing[_place(change.alert, change.alert.state)] += 1
        self._transitions[change.alert.state] += 1

    def not_told(self, why: Why) -> None:
        """Count a verdict that somebody is not told."""
        self._not_told[why] += 1

    def counts(self) -> dict[str, Any]:
        """Return how many alerts fire: in all, by level and by source."""
        by_level: Counter[str] = Counter()
        by_source: Counter[str] = Counter()
        for (state, level, source), count in self._standing.items():
            if state == State.FIRING and count:
                by_level[level] += count
                by_source[source] += count
        return {"total_active": by_level.total(), "by_level": dict(by_level), "by_source": dict(by_source)}

    def families(self, silences: int, *, is_failing: bool) -> tuple[Family, ...]:
        """Return the metrics.

        Args:
            silences: how many are in force.
            is_failing: whether the store cannot be written.
        """
        alerts: Counter[tuple[str, str]] = Counter()
        for (state, level, _), count in self._standing.items():
            alerts[state, level] += count
        both = [(state.value, level.value) for state in (State.PENDING, State.FIRING) for level in AlertLevel]
        ends = (State.FIRING, State.RESOLVED)
        samples: dict[str, list[Sample]] = {
            "sergas_alerts": [Sample((("state", place[0]), ("level", place[1])), alerts[place]) for place in both],
            "sergas_alert_transitions_total": [
                Sample((("state", state.value),), self._transitions[state]) for state in ends
            ],
            "sergas_alerts_not_told_total": [
                Sample((("reason", why),), count) for why, count in sorted(self._not_told.items())
            ],
            "sergas_silences": [Sample((), silences)],
            "sergas_alerting_from_memory": [Sample((), float(is_failing))],
        }
        return tuple(Family(name, *HELP[name], tuple(found)) for name, found in samples.items())


def _place(alert: Alert, state: State) -> tuple[str, str, str]:
    return state.value, alert.level.value, alert.source or alert.name
