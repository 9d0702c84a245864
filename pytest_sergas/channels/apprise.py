"""Everything else, through Apprise: Teams, Telegram, PagerDuty and a hundred more, each by an address of its own.

Apprise blocks, so that each attempt has a thread of its own, which no pool and no exit waits for. While one hangs no
other is started: a service that hangs for good costs one thread.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from importlib.util import find_spec
from threading import Thread
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pytest_sergas.channels import Context, wording
from pytest_sergas.channels.options import Options
from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.core.messages import Notification
from pytest_sergas.errors import TemporaryError

if TYPE_CHECKING:
    import apprise

_TYPES = MappingProxyType(
    {"critical": "failure", "error": "failure", "warning": "warning", "info": "info", "": "success"}
)

KEYS = CHANNEL_OPTIONS["apprise"]


class AppriseChannel:
    """Hands over to one service."""

    resend_s: float | None = None

    def __init__(self, name: str, url: str, service: apprise.Apprise) -> None:
        self.name = name
        self.secrets = tuple({text for text in (url, unquote(url)) if text})
        self._service = service
        self._latest: Future[bool] | None = None

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del timeout_s  # whoever waits for the thread keeps the time
        if self._latest is not None and not self._latest.done():
            raise TemporaryError("the last attempt has not ended yet")
        latest: Future[bool] = Future()
        latest.set_running_or_notify_cancel()  # from here on nobody's cancel() reaches it
        self._latest = latest
        Thread(target=self._work, args=(notification, latest), name=f"channel {self.name}", daemon=True).start()
        if not await asyncio.wrap_future(latest):
            raise TemporaryError("Apprise could not hand it over; its own log lines say why")
        return ""

    def _work(self, notification: Notification, done: Future[bool]) -> None:
        try:
            sent = self._service.notify(
                title=wording.headline(notification),
                body=wording.plain(notification),
                notify_type=_TYPES[wording.level(notification)],
            )
        except BaseException as error:  # noqa: BLE001  the edge of a stranger's plugin; whoever waits hears of it
            done.set_exception(error)
        else:
            done.set_result(bool(sent))


def create(context: Context) -> AppriseChannel:
    options = Options(context, KEYS)
    if "url" not in options.values and "url_file" not in options.values:
        options.missing("url")
    url = options.either("url")
    if find_spec("apprise") is None:
        options.missing_extra("apprise", "apprise")
        options.done()
    import apprise

    service = apprise.Apprise()
    if url and not service.add(url):
        options.fault("url_file" if "url_file" in options.values else "url", "no address that Apprise knows")
    options.done()
    return AppriseChannel(context.settings.name, url, service)
