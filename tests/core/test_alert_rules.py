"""Alert rules as Python functions: what they find, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pytest_sergas.core.alert_rules import AlertRule, Judged, judge, newly_told
from pytest_sergas.core.alerts import Alert, AlertLevel, Reason, State, step
from pytest_sergas.core.clock import Now
from pytest_sergas.core.monitoring import MonitoringMetric, MonitorType
from pytest_sergas.core.series import LOOKBACK_S, Labels
from pytest_sergas.errors import AlertRuleError

pytestmark = pytest.mark.unit

SECONDS = "allowed: seconds, at least 0 and at most 31622400, such as 90 or '1h30m'"


def cpu(value: float, **labels: str) -> MonitoringMetric:
    return MonitoringMetric("cpu_usage_percent", value, None, MonitorType.SYSTEM, labels, "percent", "CPU in use")


def memory(value: float) -> MonitoringMetric:
    return MonitoringMetric("memory_usage_percent", value, None, MonitorType.SYSTEM)


HIGH = AlertRule(
    "high_cpu", lambda m: m.name == "cpu_usage_percent" and m.value > 80, AlertLevel.ERROR, "CPU at {metric_value}%"
)


class Play:
    """A rule that is asked again and again."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.alerts: Mapping[Labels, Alert] = {}
        self.told_s: Mapping[Labels, float] = {}
        self.told: list[str] = []
        self.judged = Judged(judge(rule, (), {}, {}, Now(0, 0)).evaluation, {})

    def ask(self, metrics: Iterable[MonitoringMetric], second: float = 0.0) -> list[str]:
        """Return what changes."""
        now = Now(second, 1_700_000_000 + second)
        self.judged = judge(self.rule, metrics, self.alerts, self.judged.seen_s, now)
        found = step(self.alerts, self.judged.evaluation)
        before, self.alerts = self.alerts, found.alerts
        new, self.told_s = newly_told(float(self.rule.cooldown or 300.0), before, self.alerts, self.told_s, now)
        self.told += [f"{second:g} {alert.message}" for alert in new]
        return [f"{one.alert.message} {one.alert.state}: {one.alert.reason}" for one in found.transitions]


def test_alert_that_begins_again_within_its_cooldown_is_told_after_it_if_it_still_fires() -> None:
    play = Play(HIGH)
    for second, value in (
        (0, 90),
        (10, 50),
        (20, 91),
        (299, 92),
        (300, 93),
        (310, 50),
        (320, 94),
        (330, 50),
        (600, 95),
    ):
        play.ask([cpu(value)], second)

    assert play.told == ["0 CPU at 90%", "300 CPU at 93%", "600 CPU at 95%"]


def test_repeat_is_nothing_new_and_the_cooldown_begins_anew_with_it() -> None:
    play = Play(HIGH)
    for second, value in ((0, 90), (300, 91), (310, 50), (599, 92), (600, 93)):
        play.ask([cpu(value)], second)

    assert play.told == ["0 CPU at 90%", "600 CPU at 93%"]


def test_alert_that_fired_before_anybody_asked_here_is_nothing_new() -> None:
    play, other = Play(HIGH), Play(HIGH)
    other.ask([cpu(90)], 0)
    play.alerts = other.alerts
    for second, value in ((1, 91), (400, 92), (410, 50), (701, 93)):
        play.ask([cpu(value)], second)

    assert play.told == ["701 CPU at 93%"]
    play.ask([cpu(50)], 710)
    play.ask([cpu(50)], 1_100)
    assert play.told_s == {}


def test_rule_fires_for_the_metric_that_it_finds_and_ends_with_it() -> None:
    play = Play(HIGH)

    assert play.ask([cpu(50), memory(99)]) == []
    assert play.ask([cpu(90), memory(99)]) == ["CPU at 90% firing: condition_true"]
    assert play.ask([cpu(91)]) == []
    assert play.ask([cpu(80)]) == ["CPU at 91% resolved: condition_false"]


def test_alert_is_the_rule_and_the_labels_of_the_metric() -> None:
    play = Play(HIGH)
    play.ask([cpu(90, host="a"), cpu(10, host="b"), cpu(95, host="c")])

    assert sorted(play.alerts) == [
        tuple(
            sorted(
                {
                    "alertname": "high_cpu",
                    "host": host,
                    "metric": "system_cpu_usage_percent",
                    "severity": "error",
                }.items()
            )
        )
        for host in ("a", "c")
    ]


def test_value_is_never_part_of_the_identity() -> None:
    play = Play(HIGH)
    play.ask([cpu(90)])

    assert play.ask([cpu(99)]) == []
    [alert] = play.alerts.values()
    assert (alert.value, alert.state, alert.source, alert.cooldown_s) == (99.0, State.FIRING, "python", None)


def test_metric_that_is_not_among_these_is_waited_for_and_then_gone() -> None:
    play = Play(HIGH)
    play.ask([cpu(90)], 0)

    assert play.ask([memory(1)], LOOKBACK_S - 1) == []
    assert play.ask([], LOOKBACK_S) == ["CPU at 90% resolved: series_gone"]


def test_metric_that_comes_again_is_waited_for_anew() -> None:
    play = Play(HIGH)
    play.ask([cpu(90)], 0)
    play.ask([cpu(90)], 200)

    assert play.ask([], LOOKBACK_S + 100) == []
    assert play.ask([], LOOKBACK_S + 200) == [f"CPU at 90% resolved: {Reason.SERIES_GONE}"]


def test_condition_that_raises_keeps_what_was() -> None:
    def fragile(metric: MonitoringMetric) -> bool:
        return 1 / metric.value > 0.01

    play = Play(AlertRule("fragile", fragile))
    assert play.ask([cpu(0, host="never fired")]) == []
    play.ask([cpu(50)])

    assert play.ask([cpu(0)]) == []
    [fault] = play.judged.faults
    raised = "ZeroDivisionError: division by zero"
    assert fault == f"the condition of fragile raised {raised} for cpu_usage_percent; what was before stays"
    assert play.ask([cpu(1000)]) == ["cpu_usage_percent is 50 resolved: condition_false"]


def test_result_of_a_condition_is_a_truth_value_like_any_other() -> None:
    assert Play(AlertRule("any", lambda m: m.labels)).ask([cpu(1), cpu(1, host="a")]) == [  # type: ignore[arg-type, return-value]
        "cpu_usage_percent is 1 firing: condition_true"
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param("{metric_value}%", "25.5%", id="value"),
        pytest.param("{metric_value:.0f}%", "26%", id="digits"),
        pytest.param("{metric_name} {unit} {description}", "cpu_usage_percent percent CPU in use", id="metric"),
        pytest.param("{rule_name} {level}", "r warning", id="rule"),
        pytest.param("{labels}", "disk=b, host=a", id="labels"),
        pytest.param("{{metric_value}}", "{metric_value}", id="braces"),
        pytest.param("nothing", "nothing", id="plain"),
    ],
)
def test_template_is_filled_in(template: str, message: str) -> None:
    assert AlertRule("r", bool, message_template=template).message(cpu(25.5, host="a", disk="b")) == message


@pytest.mark.parametrize(("value", "text"), [(float("nan"), "NaN"), (float("inf"), "+Inf"), (float("-inf"), "-Inf")])
def test_value_that_is_no_finite_number_is_written_as_prometheus_does(value: float, text: str) -> None:
    assert AlertRule("r", bool, message_template="{metric_value:.1f}").message(cpu(value)) == text


ATTRIBUTE = "message_template '{metric_value.__class__}': {metric_value.__class__} is not known; did you mean "


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param({"name": ""}, "name '': allowed: text that is not empty", id="name"),
        pytest.param(
            {"condition": 5},
            "r: condition 5: allowed: a function that takes a MonitoringMetric, such as lambda m: m.value > 80",
            id="condition",
        ),
        pytest.param({"level": "bad"}, "r: level 'bad': allowed: an AlertLevel", id="level"),
        pytest.param({"cooldown": -1}, f"r: cooldown -1: {SECONDS}", id="cooldown"),
        pytest.param({"cooldown": float("nan")}, f"r: cooldown nan: {SECONDS}", id="no number"),
        pytest.param({"message_template": None}, "r: message_template None: allowed: text", id="template"),
        pytest.param(
            {"message_template": "{metric_vale}"},
            "r: message_template '{metric_vale}': {metric_vale} is not known; did you mean {metric_value}?",
            id="misspelt",
        ),
        pytest.param(
            {"message_template": "{metric_value.__class__}"}, f"r: {ATTRIBUTE}{{metric_value}}?", id="attribute"
        ),
        pytest.param(
            {"message_template": "{}"},
            "r: message_template '{}': {} is not known; allowed: {metric_name}, {metric_value}, {unit}, {description}, "
            "{rule_name}, {level}, {labels}",
            id="nameless",
        ),
        pytest.param(
            {"message_template": "{metric_value:>9999999}"},
            "r: message_template '{metric_value:>9999999}': {metric_value:>9999999}: allowed after a colon: digits for "
            "the value, such as {metric_value:.1f}",
            id="width",
        ),
        pytest.param(
            {"message_template": "a {"},
            "r: message_template 'a {': a brace stands alone; write '{{' for one",
            id="brace",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_is_allowed(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(AlertRuleError) as caught:
        AlertRule(**{"name": "r", "condition": bool, **arguments})

    assert str(caught.value) == text
