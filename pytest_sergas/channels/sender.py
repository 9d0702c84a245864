"""One attempt to send, with a deadline: what hangs or raises costs only its own attempt."""

from __future__ import annotations

import asyncio
import time

from pytest_sergas.channels import Channel
from pytest_sergas.core.messages import Notification
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import DeliveryError, FinalError, TemporaryError

MESSAGE_LIMIT = 300


class Sender:
    """Sends through one channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        """Hand over ``notification`` and return what the receiver said, on one line without secrets.

        Raises:
            TemporaryError: send it again later; also when the time is over, or the channel raises something that
                it should not: an alert is not lost because of that.
            FinalError: it is of no use to send it again.

        Neither has a cause: the errors of HTTP clients carry the URL, which is a secret of some channels.
        """
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._channel.send(notification, timeout_s=timeout_s)
        except TimeoutError:
            raise TemporaryError(f"no answer within {time.monotonic() - started_s:.1f} s") from None
        except TemporaryError as error:
            raise TemporaryError(self._public(str(error)), error.retry_after_s) from None
        except DeliveryError as error:
            raise FinalError(self._public(str(error))) from None
        except Exception as error:  # noqa: BLE001  the edge of a stranger's channel
            text = f"the channel raised {type(error).__name__}{f': {error}' if str(error) else ''}"
            raise TemporaryError(self._public(text)) from None
        return self._public(answer if isinstance(answer, str) else "")

    def _public(self, text: str) -> str:
        # The longest first: a shorter one may be a part of it.
        for secret in sorted(self._channel.secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if secret else text
        return one_line(text, MESSAGE_LIMIT)
