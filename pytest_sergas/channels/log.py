"""The log: one record for each alert, at its level; what is over is at the level info."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pytest_sergas.channels import Context, wording
from pytest_sergas.channels.options import Options
from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.core.messages import Notification

NAME = "pytest_sergas.alerts"

KEYS = CHANNEL_OPTIONS["log"]


@dataclass(frozen=True, slots=True)
class LogChannel:
    """Writes to the logger `NAME`."""

    name: str
    secrets: tuple[str, ...] = ()
    resend_s: float | None = None

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del timeout_s
        logger = logging.getLogger(NAME)
        for remark in wording.remarks(notification):
            logger.info("%s: %s", wording.headline(notification), remark)
        for alert, story in zip(notification.alerts, wording.stories(notification), strict=False):
            severity = logging.getLevelNamesMapping().get(alert.level.upper(), logging.WARNING)
            labels = ", ".join(f"{name}={value}" for name, value in story.labels)
            text = ": ".join(part for part in (f"{story.title}, {story.state}", labels, story.summary) if part)
            logger.log(severity if alert.status == "firing" else logging.INFO, "%s", text)
        return ""


def create(context: Context) -> LogChannel:
    Options(context, KEYS).done()
    return LogChannel(context.settings.name)
