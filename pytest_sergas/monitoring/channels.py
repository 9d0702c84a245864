"""Notification channels under the specification's names; each is one that ``[[channels]]`` knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_sergas.channels import Channel
from pytest_sergas.channels.registry import create
from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.core.messages import Notification


class NotificationChannel:
    """A place where notifications go. One of your own has ``name``, ``secrets``, ``resend_s`` and an async `send`.

    Args:
        kind: of the channel, as in ``[[channels]]``.
        name: of this one.
        options: of the kind; None leaves one out.

    Raises:
        ConfigurationError: with every fault of the options, without a secret in any.
    """

    def __init__(self, kind: str, name: str, options: Mapping[str, object]) -> None:
        given = {key: value for key, value in options.items() if value is not None}
        self._channel: Channel = create((ChannelSettings(kind, name, options=given),), Path.cwd())[0]
        self.name = name

    @property
    def secrets(self) -> tuple[str, ...]:
        return self._channel.secrets

    @property
    def resend_s(self) -> float | None:
        return self._channel.resend_s

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        """Hand over ``notification``; see `pytest_sergas.channels.Channel`."""
        return await self._channel.send(notification, timeout_s=timeout_s)


class EmailNotificationChannel(NotificationChannel):
    """E-mail by SMTP, with STARTTLS unless ``tls`` says otherwise.

    Args:
        host: the mail server.
        to: who receives, one address or several; default: ``username``.
        options: those of the channel ``email``: ``port``, ``username``, ``password``, ``from``, ``tls``, ``ca_file``.
    """

    def __init__(
        self, host: str, *, to: str | Sequence[str] | None = None, name: str = "email", **options: Any
    ) -> None:
        super().__init__("email", name, {"host": host, "to": to or options.get("username"), **options})


class SlackNotificationChannel(NotificationChannel):
    """An incoming webhook of Slack; its address is a secret, and appears in no text."""

    def __init__(self, webhook_url: str, name: str = "slack", **options: Any) -> None:
        super().__init__("slack", name, {"webhook_url": webhook_url, **options})


class WebhookNotificationChannel(NotificationChannel):
    """Alertmanager's payload to any address; ``secret_file`` has it signed."""

    def __init__(self, url: str, name: str = "webhook", **options: Any) -> None:
        super().__init__("webhook", name, {"url": url, **options})


class OfProgram:
    """A channel of a program's own, awaited in the event loop that it belongs to.

    That is the one in which it was added, or else the one in which the system was started. What it uses (a queue, a
    session) may be bound to that loop. Without one, and when that one has ended, it is awaited in the engine's.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._home = running_loop()
        self.name = channel.name

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(getattr(self._channel, "secrets", ()))

    @property
    def resend_s(self) -> float | None:
        return getattr(self._channel, "resend_s", None)

    def settle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to ``loop`` from now on, unless the one before still runs."""
        if self._home is None or not self._home.is_running():
            self._home = loop

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        home = self._home
        if home is None or not home.is_running() or home is asyncio.get_running_loop():
            return await self._channel.send(notification, timeout_s=timeout_s)
        sending = self._channel.send(notification, timeout_s=timeout_s)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(sending, home))


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop in which the caller runs, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
