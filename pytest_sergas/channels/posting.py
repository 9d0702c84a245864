"""HTTP requests of channels, and which answers mean that a notification is to be sent again.

Each request has a connection of its own. No redirect is followed, because it would carry an alert to whom the
configuration does not name, and nothing is taken from the environment. Of an address, errors show the host and
no more: for some channels the path is the secret. For the same reason requests go to the transport of httpx2: its
client logs every address.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pytest_sergas.channels.options import Options
from pytest_sergas.config.channel_options import POSTING
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import FinalError, TemporaryError
from pytest_sergas.version import VERSION

if TYPE_CHECKING:
    import httpx2

USER_AGENT = f"pytest-sergas/{VERSION}"
RETRY_AFTER_LIMIT_S = 3_600.0
_ANSWER_LIMIT_BYTES = 4_096
_ANSWER_S = 1.0
_ANSWER_SHOWN = 200
# Beside 5xx: a timeout, a replay that came too early (RFC 8470), and too many requests.
_TEMPORARY = (408, 425, 429)

KEYS = POSTING

_SHORTEST_SECRET = 8  # characters; what is shorter is a word such as "alerts", which answers have for other reasons


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go.

    Attributes:
        tls: for an address that begins with https.
        proxy: URL, or "".
    """

    url: str = field(repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    proxy: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """What a text may show of it."""
        return place(self.url)

    @property
    def secrets(self) -> tuple[str, ...]:
        written = [urlsplit(url).password or "" for url in (self.url, self.proxy)]
        return tuple({one for one in (self.password, self.token, self._basic, *written, *map(unquote, written)) if one})

    @property
    def secrets_of_address(self) -> tuple[str, ...]:
        """What must not appear of an address that lets in whoever knows it, also where an answer quotes it."""
        parts = urlsplit(self.url)
        return tuple(text for text in (parts.path.strip("/"), parts.query) if len(text) >= _SHORTEST_SECRET)

    async def post(self, content: bytes, headers: Mapping[str, str], *, timeout_s: float) -> str:
        """Send ``content`` as JSON and return what the answer was.

        A good answer counts as soon as its status is there: what a slow rest of it would cost is a second attempt
        to send what has arrived.

        Raises:
            TemporaryError: there was no answer, or one that asks to try again.
            FinalError: the answer was no.
        """
        import httpx2

        own = {"Content-Type": "application/json", "User-Agent": USER_AGENT, **headers, **self._authorization()}
        times = {"timeout": httpx2.Timeout(timeout_s).as_dict()}
        request = httpx2.Request("POST", self.url, content=content, headers=own, extensions=times)
        try:
            # Nothing to verify without TLS; no proxy but the one that is named.
            async with httpx2.AsyncHTTPTransport(verify=self.tls or False, proxy=self.proxy or None) as transport:
                answer = await transport.handle_async_request(request)
                text = "" if answer.is_success else await _beginning(answer)
                await answer.aclose()
        except httpx2.TimeoutException:
            raise TemporaryError(f"{self.place}: no answer within {timeout_s:g} s") from None
        except (httpx2.HTTPError, OSError) as error:
            said = one_line(str(error), _ANSWER_SHOWN) or "the connection broke"
            raise TemporaryError(f"{self.place}: {said}") from None
        judge(self.place, answer.status_code, answer.headers, text, wall_s=time.time())
        return f"answered {answer.status_code}"

    def _authorization(self) -> dict[str, str]:
        """Return the header for the token, or for user name and password, which may also stand in the address."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        return {"Authorization": f"Basic {basic}"} if (basic := self._basic) else {}

    @property
    def _basic(self) -> str:
        parts = urlsplit(self.url)
        username = self.username or unquote(parts.username or "")
        password = self.password or unquote(parts.password or "")
        return base64.b64encode(f"{username}:{password}".encode()).decode() if username or password else ""


def judge(where: str, status: int, headers: Mapping[str, str], text: str, *, wall_s: float) -> None:
    """Raise what an answer means, unless it means that all is well.

    Args:
        where: what the error says about the address.
        headers: of the answer, their names in lower case.
        text: the beginning of the body.
        wall_s: seconds since the Unix epoch, for an answer that names a date.

    Raises:
        TemporaryError: 408, 425, 429 and 5xx.
        FinalError: any other status than 200 to 299.
    """
    if 200 <= status <= 299:
        return
    said = f"{where}: answered {status}{f': {text}' if text else ''}"
    if status in _TEMPORARY or status >= 500:
        raise TemporaryError(said, retry_after_s(headers.get("retry-after", ""), wall_s=wall_s))
    if 300 <= status <= 399 and "location" in headers:
        raise FinalError(f"{where}: answered {status} and names {place(headers['location'])}, which is not followed")
    raise FinalError(said)


def retry_after_s(written: str, *, wall_s: float) -> float | None:
    """Return the seconds that a header ``Retry-After`` names, at most `RETRY_AFTER_LIMIT_S`; None when it is none."""
    if written.isascii() and written.isdigit():
        return min(float(written[:10]), RETRY_AFTER_LIMIT_S)
    try:
        until: datetime = parsedate_to_datetime(written)
    except ValueError:
        return None
    return min(max(0.0, until.timestamp() - wall_s), RETRY_AFTER_LIMIT_S)


def place(url: str) -> str:
    """Return scheme and host of ``url``, and the port where one is written."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "another address"
    if not host:
        return "another path"
    return f"{parts.scheme or 'http'}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"


def target(options: Options, url: str) -> Target:
    """Return the target at ``url`` with what the ``options`` of `KEYS` say; faults stay with them."""
    if find_spec("httpx2") is None:
        options.missing_extra("sidecar", "httpx2")
    given = options.values
    password, token = options.secret("password_file"), options.secret("token_file")
    for there, missing in (("username", "password_file"), ("password_file", "username")):
        if there in given and missing not in given:
            options.fault(there, f"{missing} is missing")
    if "token_file" in given and "username" in given:
        options.fault("token_file", "there is a username as well; remove one of the two")
    ca_file = options.path("ca_file")
    tls = None
    if url.startswith("https") or ca_file is not None:
        try:
            tls = ssl.create_default_context(cafile=ca_file)
        except OSError:  # of which ssl.SSLError is one
            options.fault("ca_file", "is no file with certificates in PEM form that can be read")
    return Target(url, options.get("username", ""), password, token, tls, options.get("proxy", ""))


async def _beginning(answer: httpx2.Response) -> str:
    """Return how the body begins: its first part, or what there is of it after `_ANSWER_S` seconds."""
    body = bytearray()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            async for chunk in answer.aiter_bytes(_ANSWER_LIMIT_BYTES):
                body += chunk
                if len(body) >= _ANSWER_LIMIT_BYTES:
                    break
    return one_line(body[:_ANSWER_LIMIT_BYTES].decode("utf-8", "replace"), _ANSWER_SHOWN)
