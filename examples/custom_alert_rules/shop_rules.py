"""Alert rules that are functions, and a channel of one's own."""

from __future__ import annotations

import asyncio

from pytest_sergas import AlertLevel, AlertRule, ComprehensiveMonitoringSystem, Notification

HIGH_ERROR_RATE = AlertRule(
    name="high_error_rate",
    condition=lambda metric: metric.name == "error_rate" and metric.value > 5.0,
    level=AlertLevel.WARNING,
    message_template="High error rate detected: {metric_value} errors/minute",
    cooldown=300.0,
)
LOW_CONVERSION = AlertRule(
    name="low_conversion_rate",
    condition=lambda metric: metric.name == "conversion_rate" and metric.value < 2.0,
    level=AlertLevel.ERROR,
    message_template="Low conversion rate: {metric_value}%",
    cooldown=600.0,
)


class Pager:
    """Anything with a name and an async `send` is a channel."""

    name = "pager"
    secrets: tuple[str, ...] = ()
    resend_s: float | None = None

    def __init__(self) -> None:
        self.messages: asyncio.Queue[str] = asyncio.Queue()

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del timeout_s  # nothing here can wait
        for alert in notification.alerts:
            await self.messages.put(dict(alert.annotations)["summary"])
        return ""


def monitored(pager: Pager) -> ComprehensiveMonitoringSystem:
    system = ComprehensiveMonitoringSystem()
    system.add_custom_alert_rule(HIGH_ERROR_RATE)
    system.add_custom_alert_rule(LOW_CONVERSION)
    system.alert_manager.add_notification_channel(pager)
    return system
