"""Alert rules as Python functions: a condition on one metric, and a message.

    AlertRule("high_cpu", lambda m: m.name == "cpu_usage_percent" and m.value > 80, AlertLevel.WARNING,
              "CPU at {metric_value:.0f}%")

An alert is the rule and the metric: its name and its labels. It ends when the condition says so of the same metric, or
when the metric has not been seen for as long as Prometheus looks back. A condition that raises keeps what was.

The template is not a format string, which would reach into objects: ``{name}`` is one of `FIELDS`, ``{name:.1f}`` a
number of digits for the value, ``{{`` and ``}}`` are braces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pytest_sergas.core import kinds
from pytest_sergas.core.alerts import Active, Alert, AlertLevel, Evaluation
from pytest_sergas.core.clock import Now
from pytest_sergas.core.messages import ALERTNAME, SEVERITY
from pytest_sergas.core.monitoring import MonitoringMetric
from pytest_sergas.core.series import LOOKBACK_S, Labels, canonical
from pytest_sergas.core.text import one_line, show_value
from pytest_sergas.errors import AlertRuleError

PYTHON = "python:"
SOURCE = "python"
METRIC = "metric"
FIELDS = ("metric_name", "metric_value", "unit", "description", "rule_name", "level", "labels")

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_DIGITS = re.compile(r"\.([0-9]{1,2})[efg]")
_ERROR_LIMIT = 300
_COOLDOWN = kinds.duration(0, kinds.YEAR_S, "seconds")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A condition that is asked about every metric.

    Args:
        name: the alert's name.
        condition: takes a `MonitoringMetric` and tells whether there is something to alert about.
        level: how bad it is.
        message_template: what people read; ``{metric_value}`` and the other `FIELDS` are filled in.
        cooldown: seconds, or a text such as ``"1h30m"``; how often it is repeated while it fires, and the least time
            between two beginnings that are notified; None for what the route says, which is ``alert_cooldown`` by
            default. The end of an alert is never delayed.

    Raises:
        AlertRuleError: one of them cannot be used.
    """

    name: str
    condition: Callable[[MonitoringMetric], bool]
    level: AlertLevel = AlertLevel.WARNING
    message_template: str = "{metric_name} is {metric_value}"
    cooldown: float | str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise AlertRuleError(f"name {show_value('name', self.name)}: allowed: text that is not empty")
        if not callable(self.condition):
            raise AlertRuleError(f"{self.name}: condition {show_value('condition', self.condition)}: {_CALLABLE}")
        if not isinstance(self.level, AlertLevel):
            raise AlertRuleError(f"{self.name}: level {show_value('level', self.level)}: allowed: an AlertLevel")
        if self.cooldown is not None:
            try:
                object.__setattr__(self, "cooldown", _COOLDOWN(self.cooldown))
            except kinds.NotAllowed as wrong:
                raise AlertRuleError(
                    f"{self.name}: cooldown {show_value('cooldown', self.cooldown)}: {wrong}"
                ) from None
        _check_template(self.name, self.message_template)

    @property
    def key(self) -> str:
        """The rule's identity among those of files."""
        return f"{PYTHON}{self.name}"

    def labels(self, metric: MonitoringMetric) -> Labels:
        """Return the labels of the alert about ``metric``."""
        own = {ALERTNAME: self.name, SEVERITY: self.level.value, METRIC: metric.exported_name}
        return canonical({**metric.labels, **own}.items())

    def message(self, metric: MonitoringMetric) -> str:
        """Return the template with what it says about ``metric``."""
        values: dict[str, object] = {
            "metric_name": metric.name,
            "metric_value": float(metric.value),
            "unit": metric.unit,
            "description": metric.description,
            "rule_name": self.name,
            "level": self.level.value,
            "labels": ", ".join(f"{name}={value}" for name, value in sorted(metric.labels.items())),
        }

        def fill(found: re.Match[str]) -> str:
            if found[1] is None:
                return found[0][0]
            name, _, digits = found[1].partition(":")
            value = values[name]
            return _number(value, digits) if isinstance(value, float) else str(value)

        return _PART.sub(fill, self.message_template)


_CALLABLE = "allowed: a function that takes a MonitoringMetric, such as lambda m: m.value > 80"


def _check_template(name: str, template: object) -> None:
    shown = show_value("message_template", template)
    if not isinstance(template, str):
        raise AlertRuleError(f"{name}: message_template {shown}: allowed: text")
    for found in _PART.finditer(template):
        if found[0] in {"{", "}"}:
            raise AlertRuleError(
                f"{name}: message_template {shown}: a brace stands alone; write {found[0] * 2!r} for one"
            )
        field, colon, digits = (found[1] or "").partition(":")
        if found[1] is not None and field not in FIELDS:
            near = kinds.nearest(field, FIELDS)
            hint = f"did you mean {{{near}}}?" if near else f"allowed: {', '.join(f'{{{known}}}' for known in FIELDS)}"
            raise AlertRuleError(f"{name}: message_template {shown}: {{{field}}} is not known; {hint}")
        if colon and (field != "metric_value" or not _DIGITS.fullmatch(digits)):
            raise AlertRuleError(
                f"{name}: message_template {shown}: {found[0]}: allowed after a colon: digits for the value, such as "
                "{metric_value:.1f}"
            )


def _number(value: float, digits: str) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return format(value, digits or ".12g")


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule found, when it last saw each metric that it alerts about, and what its condition raised."""

    evaluation: Evaluation
    seen_s: Mapping[Labels, float]
    faults: tuple[str, ...] = ()


def newly_told(
    cooldown_s: float,
    before: Mapping[Labels, Alert],
    after: Mapping[Labels, Alert],
    told_s: Mapping[Labels, float],
    now: Now,
) -> tuple[tuple[Alert, ...], Mapping[Labels, float]]:
    """Return the alerts that are told because they have begun, and when each alert was last told.

    One that begins again within the cooldown is told when that is over, if it still fires. What goes on firing is
    repeated after each cooldown, which is told, and not new.

    Args:
        cooldown_s: of the rule, in seconds.
        before, after: the rule's alerts before and after a judgement.
        told_s: of the judgement before this one.
    """
    # What fired already and is not known here, was told when it began, by an earlier process or by the engine.
    told = {labels: alert.fired.monotonic_s for labels, alert in before.items() if alert.fired} | dict(told_s)
    new: list[Alert] = []
    for labels, alert in after.items():
        last_s = told.get(labels, -math.inf)
        if alert.fired is None or now.monotonic_s - last_s < cooldown_s:
            continue
        if alert.fired.monotonic_s > last_s:
            new.append(alert)
        told[labels] = now.monotonic_s
    kept = {
        labels: last_s for labels, last_s in told.items() if labels in after or now.monotonic_s - last_s < cooldown_s
    }
    return tuple(new), kept


def judge(
    rule: AlertRule,
    metrics: Iterable[MonitoringMetric],
    before: Mapping[Labels, Alert],
    seen_s: Mapping[Labels, float],
    now: Now,
) -> Judged:
    """Ask the condition of ``rule`` about every one of ``metrics``.

    Args:
        before: the rule's alerts that fire.
        seen_s: of the judgement before this one.
    """
    active: dict[Labels, Active] = {}
    seen: set[Labels] = set()
    faults: list[str] = []
    for metric in metrics:
        labels = rule.labels(metric)
        seen.add(labels)
        try:
            holds = bool(rule.condition(metric))
        except Exception as error:  # noqa: BLE001  the edge of a stranger's condition
            text = one_line(f"{type(error).__name__}: {error}", _ERROR_LIMIT)
            faults.append(f"the condition of {rule.name} raised {text} for {metric.name}; what was before stays")
            if labels in before:
                active[labels] = Active(labels, before[labels].value, before[labels].annotations)
            continue
        if holds:
            active[labels] = Active(labels, float(metric.value), (("summary", rule.message(metric)),))
        else:
            active.pop(labels, None)
    # What is not among these metrics may come with others: it is gone when it has not come for long.
    last_s = {labels: now.monotonic_s if labels in seen else seen_s.get(labels, now.monotonic_s) for labels in before}
    for labels, moment_s in last_s.items():
        if labels not in seen and now.monotonic_s - moment_s < LOOKBACK_S:
            active[labels] = Active(labels, before[labels].value, before[labels].annotations)
    evaluation = Evaluation(
        rule.key,
        now,
        tuple(active.values()),
        cooldown_s=None if rule.cooldown is None else float(rule.cooldown),
        source=SOURCE,
        gone=frozenset(before.keys() - seen - active.keys()),
    )
    return Judged(
        evaluation, {**last_s, **dict.fromkeys(active.keys() - before.keys(), now.monotonic_s)}, tuple(faults)
    )
