"""Rules as functions, judged by a manager alone; what cannot be used is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_sergas import (
    AlertLevel,
    AlertManager,
    AlertRule,
    AlertRuleError,
    ConfigurationError,
    EmailNotificationChannel,
    MonitoringMetric,
    MonitorType,
    SlackNotificationChannel,
    WebhookNotificationChannel,
)

pytestmark = pytest.mark.unit

HIGH = AlertRule(
    name="high_cpu_usage",
    condition=lambda metric: metric.name == "cpu_usage_percent" and metric.value > 80,
    level=AlertLevel.WARNING,
    message_template="High CPU usage: {metric_value}%",
)


def cpu(value: float, **labels: str) -> MonitoringMetric:
    return MonitoringMetric("cpu_usage_percent", value, None, MonitorType.SYSTEM, labels)


def test_alert_is_told_when_it_begins_and_not_again_while_it_fires() -> None:
    manager = AlertManager()
    manager.add_rule(HIGH)

    first, second = manager.evaluate_metrics([cpu(85)]), manager.evaluate_metrics([cpu(90)])

    [alert] = first
    assert (alert.name, alert.level, alert.message, alert.value) == (
        "high_cpu_usage",
        AlertLevel.WARNING,
        "High CPU usage: 85%",
        85,
    )
    assert second == []
    assert [active.value for active in manager.get_active_alerts()] == [90]


def test_alert_ends_with_its_condition_and_may_begin_again() -> None:
    manager = AlertManager()
    manager.add_rule(replace(HIGH, cooldown=0))

    told = [len(manager.evaluate_metrics([cpu(value)])) for value in (85, 10, 85)]

    assert told == [1, 0, 1]
    assert [event.event for event in manager.get_alert_history()] == ["firing", "resolved", "firing"]


def test_alert_that_begins_again_within_its_cooldown_is_not_told() -> None:
    manager = AlertManager()
    manager.add_rule(HIGH)

    told = [len(manager.evaluate_metrics([cpu(value)])) for value in (85, 10, 85)]

    assert told == [1, 0, 0]
    assert [active.value for active in manager.get_active_alerts()] == [85]


def test_series_have_alerts_of_their_own() -> None:
    manager = AlertManager()
    manager.add_rule(HIGH)

    assert len(manager.evaluate_metrics([cpu(85, host="a"), cpu(90, host="b"), cpu(10, host="c")])) == 2


def test_condition_that_raises_costs_only_itself_and_is_told() -> None:
    def broken(metric: MonitoringMetric) -> bool:
        raise ZeroDivisionError(metric.name)

    manager = AlertManager()
    manager.add_rule(AlertRule("broken", broken))
    manager.add_rule(HIGH)

    assert [alert.name for alert in manager.evaluate_metrics([cpu(85)])] == ["high_cpu_usage"]
    assert manager.faults == {
        "broken": "the condition of broken raised ZeroDivisionError: cpu_usage_percent for cpu_usage_percent; "
        "what was before stays"
    }


def test_rule_of_a_name_that_is_taken_is_refused() -> None:
    manager = AlertManager()
    manager.add_rule(HIGH)

    with pytest.raises(AlertRuleError) as refused:
        manager.add_rule(HIGH)
    assert str(refused.value) == "there is a rule 'high_cpu_usage' already; give each a name of its own"


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        pytest.param(
            lambda: SlackNotificationChannel(webhook_url=""), "channels.slack: webhook_url = '***'", id="slack"
        ),
        pytest.param(lambda: WebhookNotificationChannel(None), "channels.webhook: url", id="webhook"),  # type: ignore[arg-type]
        pytest.param(lambda: EmailNotificationChannel("mail.example"), "channels.email: to is missing", id="email"),
    ],
)
def test_channel_without_its_address_is_refused(make: Any, fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert refused.value.faults[0].startswith(fault)


def test_channel_of_a_name_that_is_taken_and_what_is_none_are_refused() -> None:
    manager = AlertManager()
    manager.add_notification_channel(SlackNotificationChannel(webhook_url="https://hooks.slack.com/..."))

    with pytest.raises(ConfigurationError, match="there is a channel 'slack' already; give each a name of its own"):
        manager.add_notification_channel(SlackNotificationChannel(webhook_url="https://hooks.slack.com/services/x"))
    with pytest.raises(ConfigurationError, match="channel 7: allowed: a NotificationChannel, or an object with a"):
        manager.add_notification_channel(7)


def test_secret_of_a_channel_is_in_no_text_about_it() -> None:
    channel = SlackNotificationChannel(webhook_url="https://hooks.slack.com/services/s3cret")

    assert "s3cret" not in repr(channel)
    assert any("s3cret" in secret for secret in channel.secrets)
