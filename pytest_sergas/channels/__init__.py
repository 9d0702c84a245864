"""Notification channels: one file for each kind, found through the entry points `GROUP`.

An entry point names a factory: `Factory`. Who sends goes through `sender.Sender`, which keeps the deadline and
what is secret.

    registry    from the configuration to channels
    options     the options of one kind, judged
    sender      one attempt with a deadline
    posting     HTTP requests, and which answers mean to try again
    wording     a notification as people read it
    payload     a notification as Alertmanager writes it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.core.messages import Notification

GROUP = "pytest_sergas.channels"


@dataclass(frozen=True, slots=True)
class Context:
    """What a factory may look at.

    Attributes:
        settings: one entry of ``[[channels]]``; the options in it are not judged yet.
        root: the directory that files are relative to.
    """

    settings: ChannelSettings
    root: Path


class Channel(Protocol):
    """One place where notifications go.

    `send` runs in the event loop and must not block it. It may be called for up to four notifications at once, which
    are about different groups: those about one group come one after the other, in order. Each call is cancelled when
    ``timeout_s`` seconds are over. What returns without raising has arrived: it is not sent again. What raises
    `TemporaryError`, or anything unexpected, is sent again soon, with growing pauses; a receiver may therefore get the
    same notification twice, with the same ``key``. What raises `FinalError` was refused: it does not count as told, and
    while its alerts fire they are sent again at the group's interval, under another ``key``.

    A channel keeps nothing open between two notifications: what `send` opens it closes. So there is nothing to close in
    the end.

    Attributes:
        name: the channel's name in the configuration.
        secrets: what must not appear in any text about it, whoever wrote it; `Sender` cuts it out.
        resend_s: seconds after which alerts that still fire have to be told again although nothing has changed,
            because the receiver forgets them; None for a receiver that does not.
    """

    @property
    def name(self) -> str: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    @property
    def resend_s(self) -> float | None: ...

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        """Hand over ``notification`` and return what the receiver said to it, on one line, or "".

        Raises:
            TemporaryError: it did not take it this time.
            FinalError: it has refused it, as it is.
        """
        ...


Factory = Callable[[Context], Channel]
"""Makes a channel; raises `ConfigurationError` with every fault of its options."""
