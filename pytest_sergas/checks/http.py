"""What an HTTP address answers: status, text, a value in JSON, and how long its certificate is valid.

One deadline holds for all of it, however slowly the answer comes. Redirects are not followed unless one says so, and
nothing of the environment is used (no proxy, no .netrc): what is asked is what the configuration names. httpx2 comes
from the extra ``sidecar``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pytest_sergas.checks import Context
from pytest_sergas.checks.deadline import ended_within, reason
from pytest_sergas.checks.options import Options
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.text import redact_url

if TYPE_CHECKING:
    import httpx2

BODY_LIMIT_BYTES = 1024 * 1024
_LIMIT = "1 MiB"
_DAY_S = 86_400.0


KEYS = CHECK_OPTIONS["http"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a good answer has; empty for what does not matter."""

    status: tuple[int, ...] = ()
    body: str = ""
    json_path: str = ""
    json_value: object = None

    def fault(self, status: int, body: bytes, *, is_cut: bool = False) -> str:
        """Return what is wrong with an answer, or "".

        Args:
            is_cut: ``body`` is only the beginning.
        """
        if status not in self.status if self.status else not 200 <= status <= 299:
            wanted = ", ".join(map(str, self.status)) or "200 to 299"
            return f"answered {status}; expected {wanted}"
        if self.body and self.body.encode() not in body:
            return f"{self.body!r} does not stand in {f'the first {_LIMIT} of the body' if is_cut else 'the body'}"
        if self.json_path and is_cut:
            return f"the body is longer than {_LIMIT}, the most that is read for {self.json_path}"
        return self._json_fault(body) if self.json_path else ""

    def _json_fault(self, body: bytes) -> str:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return "the body is not JSON"
        for key in self.json_path.split("."):
            try:
                value = value[int(key)] if isinstance(value, list) else value[key]
            except (KeyError, IndexError, ValueError, TypeError):
                return f"the body has no {self.json_path}: nothing at {key!r}"
        if self.json_value is None:
            return f"{self.json_path} is {json.dumps(value)}" if value is None or value is False else ""
        same = value == self.json_value and isinstance(value, bool) == isinstance(self.json_value, bool)
        return "" if same else f"{self.json_path} is {json.dumps(value)}; expected {json.dumps(self.json_value)}"


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """Sends one request, on a connection of its own.

    Attributes:
        certificate_days: days that the certificate has left below which the state is degraded.
        ca_file: certificates to trust; "" for the system's.
    """

    name: str
    url: str = field(repr=False)
    method: str = "GET"
    expected: Expected = Expected()
    certificate_days: float = 14.0
    ca_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    follow_redirects: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        written = urlsplit(self.url).password or ""
        return tuple({secret for secret in (self.password, self.token, written, unquote(written)) if secret})

    def run(self, timeout_s: float) -> CheckResult:
        import httpx2

        place = _place(self.url)
        try:
            answer, fault, days_left = ended_within(timeout_s, self._ask)
        except TimeoutError:
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: no answer within {timeout_s:g} s")
        except httpx2.ConnectError as error:
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: {reason(error)}")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: {error or type(error).__name__}")
        return self._judge(place, answer, fault, days_left)

    async def _ask(self) -> tuple[httpx2.Response, str, float | None]:
        async with (
            self._client() as client,
            client.stream(self.method, self.url, headers=self._own_headers()) as answer,
        ):
            days_left = _days_left(answer)  # the connection may be gone when the body has been read
            body, is_cut = await _read(answer)
            return answer, self.expected.fault(answer.status_code, body, is_cut=is_cut), days_left

    def _client(self) -> httpx2.AsyncClient:
        import ssl

        import httpx2

        verify: ssl.SSLContext | bool = False  # nothing to verify without TLS, and a context takes 20 ms to make
        if self.url.startswith("https") or self.follow_redirects:
            verify = ssl.create_default_context(cafile=self.ca_file or None)
        auth = httpx2.BasicAuth(self.username, self.password) if self.username else None
        return httpx2.AsyncClient(
            verify=verify,
            auth=auth,
            timeout=None,  # the deadline holds for everything together
            trust_env=False,
            follow_redirects=self.follow_redirects,
            max_redirects=5,
        )

    def _own_headers(self) -> dict[str, str]:
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"User-Agent": "pytest-sergas", **self.headers, **authorization}

    def _judge(self, place: str, answer: httpx2.Response, fault: str, days_left: float | None) -> CheckResult:
        details: dict[str, Any] = {"status": answer.status_code}
        if days_left is not None:
            details["certificate_days_left"] = round(days_left, 2)
        if fault:
            if answer.has_redirect_location:
                fault += f"; it names {_place(answer.headers['Location'])}, which is not followed"
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: {fault}", details)
        if days_left is not None and days_left < self.certificate_days:
            text = f"{place}: the certificate expires in {days_left:.1f} days"
            return CheckResult(self.name, HealthStatus.DEGRADED, text, details)
        return CheckResult(self.name, HealthStatus.HEALTHY, f"{place}: answered {answer.status_code}", details)


async def _read(answer: httpx2.Response) -> tuple[bytes, bool]:
    """Return the body, or its beginning and True."""
    body = bytearray()
    async for chunk in answer.aiter_bytes(64 * 1024):
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            return bytes(body[:BODY_LIMIT_BYTES]), True
    return bytes(body), False


def _days_left(answer: httpx2.Response) -> float | None:
    """Return how many days the server's certificate is still valid, or None without TLS."""
    stream = answer.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    import ssl

    return (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / _DAY_S


def _place(url: str) -> str:
    """Return what a text may show of a URL: no user, no password, no query."""
    return redact_url(url.partition("?")[0].partition("#")[0]).replace("***@", "")


def create(context: Context) -> HttpCheck:
    options = Options(context, KEYS, required=("url",))
    if find_spec("httpx2") is None:
        options.missing_extra("sidecar", "httpx2")
    values = dict(options.values)
    expected: dict[str, Any] = {
        key: values.pop(key) for key in ("status", "body", "json_path", "json_value") if key in values
    }
    _judge(options, expected, values.get("method", "GET"))
    password, token = options.secret("password_file"), options.secret("token_file")
    for key in ("password_file", "token_file"):
        values.pop(key, None)
    if ("username" in values) is not bool(password) and "password_file" not in context.settings.options:
        options.fault("username", "password_file is missing")
    if "username" not in values and password:
        options.fault("password_file", "username is missing")
    if token and "username" in values:
        options.fault("token_file", "there is a username as well; remove one of the two")
    if (ca_file := options.path("ca_file")) is not None:
        values["ca_file"] = str(ca_file)
        if not _has_certificates(ca_file):
            options.fault("ca_file", "is no file with certificates in PEM form that can be read")
    options.done()
    return HttpCheck(context.settings.name, expected=Expected(**expected), password=password, token=token, **values)


def _judge(options: Options, expected: Mapping[str, Any], method: str) -> None:
    if "json_value" in expected and "json_path" not in expected:
        options.fault("json_value", "json_path is missing: where the value stands")
    for key in ("body", "json_path"):
        if key in expected and method == "HEAD":
            options.fault(key, 'an answer to HEAD has no body; set method = "GET", or remove this')


def _has_certificates(path: Path) -> bool:
    import ssl

    try:
        ssl.create_default_context(cafile=str(path))
    except OSError:  # of which ssl.SSLError is one
        return False
    return True
