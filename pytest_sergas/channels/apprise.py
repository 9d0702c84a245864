"""Everything else, through Apprise: Teams, Telegram, PagerDuty and a hundred more, each by an address of its own.

Apprise blocks, so that each attempt has a thread of its own, which no pool and no exit waits for: one for each
notification, and at most `ATTEMPTS` of the channel. A service that hangs for good costs no more than these. Apprise
says only whether it could hand over. Why not, its services write into their log; of a status there we know the meaning.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from concurrent.futures import Future
from importlib.util import find_spec
from threading import Thread
from types import MappingProxyType
from typing import NoReturn
from urllib.parse import unquote

from pytest_sergas.channels import Context, wording
from pytest_sergas.channels.options import Options
from pytest_sergas.channels.posting import judge
from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.core.messages import Notification
from pytest_sergas.errors import TemporaryError

_TYPES = MappingProxyType(
    {"critical": "failure", "error": "failure", "warning": "warning", "info": "info", "": "success"}
)

KEYS = CHANNEL_OPTIONS["apprise"]


ATTEMPTS = 4  # as many as a channel sends at once
# How its services write what an HTTP server answered: "Failed to send Slack notification: ..., error=404."
_STATUS = re.compile(r"\berror=([1-5][0-9]{2})\b")


class AppriseChannel:
    """Hands over to one service."""

    resend_s: float | None = None

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.secrets = tuple({text for text in (url, unquote(url)) if text})
        self._url = url
        self._attempts: dict[str, Future[bool]] = {}  # by the keys of the notifications

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del timeout_s  # whoever waits for the thread keeps the time
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if not attempt.done()}
        if notification.key in self._attempts:
            raise TemporaryError("the last attempt has not ended yet")
        if len(self._attempts) >= ATTEMPTS:
            raise TemporaryError(f"{ATTEMPTS} earlier attempts have not ended yet")
        attempt: Future[bool] = Future()
        attempt.set_running_or_notify_cancel()  # from here on nobody's cancel() reaches it
        self._attempts[notification.key] = attempt
        log = _Log()
        work = Thread(target=self._work, args=(notification, log, attempt), name=f"channel {self.name}", daemon=True)
        work.start()
        if not await asyncio.wrap_future(attempt):
            self._refused(log)
        return ""

    def _work(self, notification: Notification, log: _Log, done: Future[bool]) -> None:
        import apprise

        try:
            # One of its own, because services keep what they were answered, and are not made for several threads.
            service = apprise.Apprise()
            service.add(self._url)
            for each in service:
                each.logger = log
            sent = service.notify(
                title=wording.headline(notification),
                body=wording.plain(notification),
                notify_type=_TYPES[wording.level(notification)],
            )
        except BaseException as error:  # noqa: BLE001  the edge of a stranger's plugin; whoever waits hears of it
            done.set_exception(error)
        else:
            done.set_result(bool(sent))

    def _refused(self, log: _Log) -> NoReturn:
        statuses = [int(status) for said in log.said for status in _STATUS.findall(said)]
        if not statuses:
            raise TemporaryError("Apprise could not hand it over; its own log lines say why")
        judge("the service of Apprise", statuses[-1], {}, "", wall_s=time.time())
        raise TemporaryError(f"Apprise could not hand it over, although its service answered {statuses[-1]}")


class _Log(logging.Logger):
    """What the services of one attempt log; it goes on to Apprise's own logger.

    Attributes:
        said: the warnings and errors.
    """

    def __init__(self) -> None:
        super().__init__("apprise", logging.DEBUG)
        self.said: list[str] = []
        self._own = logging.getLogger(self.name)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  the name is Python's
        return level >= logging.WARNING or self._own.isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.said.append(record.getMessage())
        if self._own.isEnabledFor(record.levelno):
            self._own.handle(record)


def create(context: Context) -> AppriseChannel:
    options = Options(context, KEYS)
    if "url" not in options.values and "url_file" not in options.values:
        options.missing("url")
    url = options.either("url")
    if find_spec("apprise") is None:
        options.missing_extra("apprise", "apprise")
        options.done()
    import apprise

    if url and not apprise.Apprise().add(url):
        options.fault("url_file" if "url_file" in options.values else "url", "no address that Apprise knows")
    options.done()
    return AppriseChannel(context.settings.name, url)
