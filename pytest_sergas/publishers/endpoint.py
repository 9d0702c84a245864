"""An HTTP endpoint that a run is sent to: its address, who we are there, and one POST with the reason when it fails.

Addresses are read as prometheus_client reads them (``gateway:9091`` is ``http://gateway:9091``), with user
name and password in them where one likes. Everything wrong is found before the tests run. The credentials
come from one place only:

    URL                  user:password@
    file, environment    push_username or SERGAS_PUSH_USERNAME, and push_password_file or SERGAS_PUSH_PASSWORD
    file, environment    push_token_file or SERGAS_PUSH_TOKEN

where the environment wins over the file. Redirects are not followed: a POST would become a GET, and
credentials would go to a place that nobody named.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_sergas.core.address import split
from pytest_sergas.core.text import one_line, redact_url
from pytest_sergas.errors import PublishError
from pytest_sergas.publishers import Context

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.error import HTTPError

USERNAME = "SERGAS_PUSH_USERNAME"
PASSWORD = "SERGAS_PUSH_PASSWORD"  # noqa: S105  the name of a variable
TOKEN = "SERGAS_PUSH_TOKEN"  # noqa: S105  the name of a variable

_REASON_LIMIT = 200
_SECRET_LIMIT_BYTES = 64 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")


class AnsweredError(PublishError):
    """It was answered, but not with success.

    Args:
        status: of the answer.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send, and what shows that we may.

    Attributes:
        url: without credentials and without a slash at the end.
        authorization: value of the header of this name, or "".
        secrets: what must not appear in any text, whoever wrote it.
    """

    url: str
    authorization: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def send(self, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes, timeout_s: float) -> None:
        """Send a request and wait for the answer.

        Args:
            timeout_s: seconds for each step (connecting, each read), not for all of them together.

        Raises:
            AnsweredError: it was answered, but not with success; the text is the reason alone.
            PublishError: it was not answered; likewise.
        """
        with self._answer(method, path, headers, body, timeout_s):
            return

    def fetch(self, path: str, timeout_s: float, limit_bytes: int) -> bytes:
        """Return what is answered to a GET, at most ``limit_bytes`` of it; otherwise like `send`."""
        return self.exchange("GET", path, None, timeout_s=timeout_s, limit_bytes=limit_bytes)

    def exchange(self, method: str, path: str, json: bytes | None, *, timeout_s: float, limit_bytes: int) -> bytes:
        """Send ``json`` and return what is answered, at most ``limit_bytes`` of it; otherwise like `send`."""
        headers = (("Content-Type", "application/json"),) if json is not None else ()
        with self._answer(method, path, headers, json, timeout_s) as answer:
            body: bytes = answer.read(limit_bytes)
            return body

    @contextmanager
    def _answer(
        self, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes | None, timeout_s: float
    ) -> Iterator[HTTPResponse]:
        from http.client import HTTPException
        from urllib import request
        from urllib.error import HTTPError

        own = (("Authorization", self.authorization),) if self.authorization else ()
        asked = request.Request(self.url + path, data=body, headers=dict((*headers, *own)), method=method)  # noqa: S310  http or https
        opener = request.OpenerDirector()
        for handler in (
            request.ProxyHandler(),
            request.HTTPHandler(),
            request.HTTPSHandler(),
            request.HTTPDefaultErrorHandler(),
            request.HTTPErrorProcessor(),
            request.UnknownHandler(),
        ):
            opener.add_handler(handler)
        try:
            with opener.open(asked, timeout=timeout_s) as answer:
                yield answer
        except HTTPError as error:
            with error:
                raise AnsweredError(self._clean(_answered(error)), error.code) from None
        except (OSError, HTTPException) as error:
            raise PublishError(self._clean(_failed(error))) from error

    def _clean(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return one_line(text, _REASON_LIMIT)


def endpoint(key: str, address: str, context: Context, faults: list[str]) -> Endpoint:
    """Return the endpoint at ``address`` with the credentials that settings and environment have for it.

    Args:
        key: the key of the settings that holds the address; that it is one, its kind has made sure.
        faults: what is wrong is added here; when anything is, the endpoint is of no use.
    """
    name = context.named(key)
    where = split(address)
    other = _credentials(name, context, faults)
    if where.username or where.password:
        if other.names:
            faults.append(f"{name}: the URL has a user name, and {' and '.join(other.names)} is set as well; keep one")
        other = _Credentials(("the URL",), where.username, where.password)
    if other.token and (other.username or other.password):
        faults.append(f"{name}: a user name and a bearer token ({', '.join(other.names)}); remove one of them")
    if bool(other.username) != bool(other.password):
        there, missing = ("user name", "password") if other.username else ("password", "user name")
        faults.append(
            f"{name}: a {there} ({', '.join(other.names)}) without a {missing}; "
            f"set push_username and push_password_file, or {USERNAME} and {PASSWORD}"
        )
    if ":" in other.username:
        faults.append(f"{name}: the user name contains ':', which basic authentication cannot carry")
    return Endpoint(where.url, *_authorization(other))


@dataclass(frozen=True, slots=True)
class _Credentials:
    """What was found; ``names`` says where, for the faults."""

    names: tuple[str, ...]
    username: str = ""
    password: str = ""
    token: str = ""


def _credentials(name: str, context: Context, faults: list[str]) -> _Credentials:
    settings, environ = context.settings, context.environ
    names = []

    def first(variable: str, key: str, value: str) -> str:
        if environ.get(variable, "").strip():  # an empty one is how a pipeline says "not set"
            names.append(variable)
            return environ[variable]
        if value:
            names.append(key)
        return value

    def secret(variable: str, key: str, file: str) -> str:
        value = first(variable, key, file)
        return value if not value or names[-1] == variable else _read(key, file, context, faults)

    username = first(USERNAME, "push_username", settings.push_username)
    password = secret(PASSWORD, "push_password_file", settings.push_password_file)
    token = secret(TOKEN, "push_token_file", settings.push_token_file)
    if token and not _TOKEN.fullmatch(token):
        faults.append(f"{name}: the bearer token ({names[-1]}) contains a blank or what is not ASCII")
    return _Credentials(tuple(names), username, password, token)


def _read(key: str, file: str, context: Context, faults: list[str]) -> str:
    """Return the secret that a file holds; a newline at its end does not belong to it."""
    path = context.root / file
    where = f"{context.named(key)} = {file!r}"
    try:
        with path.open("rb") as opened:
            secret = opened.read(_SECRET_LIMIT_BYTES + 1).decode().rstrip("\r\n")
    except OSError as error:
        faults.append(f"{where}: {path} cannot be read: {error.strerror}")
        return "unreadable"
    except UnicodeDecodeError:
        faults.append(f"{where}: {path} is not UTF-8 text")
        return "unreadable"
    if not secret or len(secret) > _SECRET_LIMIT_BYTES:
        faults.append(f"{where}: {path} {'is larger than 64 KiB' if secret else 'is empty'}; it has to hold the secret")
        return "unreadable"
    return secret


def _authorization(credentials: _Credentials) -> tuple[str, tuple[str, ...]]:
    """Return the header and the secrets in it."""
    if credentials.token:
        return f"Bearer {credentials.token}", (credentials.token,)
    if not credentials.username:
        return "", ()
    pair = f"{credentials.username}:{credentials.password}".encode("utf-8", "backslashreplace")
    encoded = base64.b64encode(pair).decode()
    return f"Basic {encoded}", (encoded, credentials.password)


def _answered(error: HTTPError) -> str:
    """Return the status of an answer that is no success, and what it says about it."""
    status = f"{error.code} {error.reason}".strip()
    location = error.headers.get("Location", "")
    if error.code in range(300, 400) and location:
        return (
            f"it answered {status} and names {redact_url(location)}, which is not followed; put that address into push"
        )
    # A page for people says nothing in one line.
    if "html" in error.headers.get("Content-Type", ""):
        return f"it answered {status}"
    try:
        text = error.read(_REASON_LIMIT * 4).decode("utf-8", "replace").strip()
    except OSError:
        text = ""  # the status is all there is
    return f"it answered {status}{f': {text}' if text else ''}"


def _failed(error: BaseException) -> str:
    """Return why there was no answer."""
    import socket
    from http.client import HTTPException, RemoteDisconnected
    from urllib.error import URLError

    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, socket.gaierror):
        return f"its name cannot be resolved: {cause.strerror}"
    if isinstance(cause, TimeoutError):
        return "connection timed out"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, RemoteDisconnected):
        return "connection closed without an answer"
    if isinstance(cause, HTTPException):
        return f"what it answered is not HTTP: {type(cause).__name__} {cause}"
    strerror = getattr(cause, "strerror", None)
    return str(strerror or cause)
