"""Stands before every route: from where a request may come, who may ask, and what browsers are told.

Host      exactly one; an address, a name of this machine, one of `allowed_hosts`, or that of `external_url`.
          A page that made a browser resolve its own name to our address (DNS rebinding) has another. Not checked
          where one has to log in: such a page has no credentials.
Origin    a change of state comes from no page at all, or from one of ours, going by the host: before us may stand
          a proxy that ends TLS. Nor are there any CORS headers, so that other pages read nothing.
who       users and tokens of `auth`; the probes stay open, because an orchestrator has no credentials, and so does
          the bare status of /health.
browsers  where there are tokens alone, a page takes one and opens a session (login.py, session.py).
proxies   the path of `external_url`, and X-Forwarded headers of `trusted_proxies` (proxy.py).
answers   headers against sniffing, framing and foreign scripts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pytest_sergas.engine import clock
from pytest_sergas.sidecar import login
from pytest_sergas.sidecar.auth import Authentication, Verdict
from pytest_sergas.sidecar.mounted import IS_STRANGER, own_path
from pytest_sergas.sidecar.proxy import Network, below, forwarded
from pytest_sergas.sidecar.session import COOKIE, Attempts

OPEN_PATHS = frozenset({"/-/healthy", "/-/ready"})
STATUS_PATH = "/health"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Not no-referrer: with that, browsers send "Origin: null" with the forms of our own pages.
    "Referrer-Policy": "same-origin",
}
_OWN_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask, and how; replaced as a whole when the configuration is read again.

    Attributes:
        prefix: the path of the external URL, below which pages link to one another.
        proxies: whose X-Forwarded headers count.
        hosts: names under which one may ask, in lower case.
        checks_host: whether other names are refused.
        headers: sent with every response, in place of ours of the same name.
    """

    authentication: Authentication
    hosts: frozenset[str] = frozenset()
    checks_host: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    proxies: tuple[Network, ...] = ()


class Guard:
    """An ASGI application round another one.

    Attributes:
        access: may be replaced at any time; requests that come later are judged by the new one.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._attempts = Attempts()
        self.access = access

    @property
    def access(self) -> Access:
        return self._access

    @access.setter
    def access(self, access: Access) -> None:
        self._access = access
        headers = {name.lower(): value for name, value in {**SECURITY_HEADERS, **access.headers}.items()}
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        scope = below(forwarded(scope, self.access.proxies), self.access.prefix)
        refusal = await self._refusal(scope, receive)
        await (refusal or self._app)(scope, receive, with_headers)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to a request that goes no further."""
        headers = _Headers(scope)
        if (refusal := self._from_elsewhere(scope, headers)) or own_path(scope) in OPEN_PATHS:
            return refusal
        if own_path(scope) == STATUS_PATH and scope["method"] in SAFE_METHODS and self._is_stranger(headers):
            scope[IS_STRANGER] = True
            return None
        if self.access.authentication.has_tokens_alone and not headers.all(b"authorization"):
            return await self._without_authorization(Request(scope, receive), headers)
        return await self._not_logged_in(headers)

    async def _without_authorization(self, request: Request, headers: _Headers) -> Response | None:
        """Return the answer to a browser that is not logged in; None where it is."""
        path, authentication = own_path(request.scope), self.access.authentication
        if path == login.PATH:
            return await login.answer(request, authentication, self._attempts)
        if path.startswith(login.FILES) or self._has_session(headers):
            return None
        return login.lead(request) if login.wanted(request) else _unauthorized('Bearer realm="sergas"')

    def _is_stranger(self, headers: _Headers) -> bool:
        authentication = self.access.authentication
        return authentication.is_required and not headers.all(b"authorization") and not self._has_session(headers)

    def _has_session(self, headers: _Headers) -> bool:
        cookies = [cookie_parser(value.decode("latin-1")).get(COOKIE, "") for value in headers.all(b"cookie")]
        return any(self.access.authentication.has_session(cookie, clock.read().wall_s) for cookie in cookies)

    def _from_elsewhere(self, scope: Scope, headers: _Headers) -> Response | None:
        hosts = headers.all(b"host")
        if len(hosts) != 1 or not (name := host_name(hosts[0])):
            return PlainTextResponse("a request needs exactly one Host header\n", 400)
        if self.access.checks_host and not is_own(name, self.access.hosts):
            return PlainTextResponse("this host name is not served here; add it to allowed_hosts in [serve]\n", 421)
        if scope["method"] not in SAFE_METHODS and (reason := self._foreign(headers, name)):
            return PlainTextResponse(f"a page of another site must not change anything here: {reason}\n", 403)
        return None

    async def _not_logged_in(self, headers: _Headers) -> Response | None:
        authorizations = headers.all(b"authorization")
        match await self.access.authentication.check(authorizations[0] if len(authorizations) == 1 else b""):
            case Verdict.UNKNOWN:
                return _unauthorized('Basic realm="sergas", charset="UTF-8"')
            case Verdict.BUSY:
                return PlainTextResponse("too many attempts to log in; try again\n", 429, {"Retry-After": "1"})
        return None

    def _foreign(self, headers: _Headers, host: str) -> str:
        """Return what shows that a page of another site sends this, or ""."""
        sites, origins = headers.all(b"sec-fetch-site"), headers.all(b"origin")
        if b"cross-site" in sites:
            return "Sec-Fetch-Site is cross-site"
        if not origins:
            return "Sec-Fetch-Site is same-site without an Origin" if b"same-site" in sites else ""
        names = {origin_host(origin) for origin in origins}
        return "" if names <= {host, *self.access.hosts} else "Origin is another host"


def _unauthorized(challenge: str) -> Response:
    return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": challenge})


class _Headers:
    """The headers of a request."""

    def __init__(self, scope: Scope) -> None:
        self._pairs: list[tuple[bytes, bytes]] = scope["headers"]

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self._pairs if key == name]


def host_name(host: bytes) -> str:
    """Return the name or address in a Host header without its port, in lower case; "" when it is neither."""
    try:
        parts = urlsplit(f"//{host.decode('ascii')}")
        name, _ = parts.hostname or "", parts.port
    except ValueError:
        return ""
    name = _canonical(name)
    unusual = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    return "" if unusual else name.rstrip(".")


def _canonical(name: str) -> str:
    """Return an address in its one spelling; a name stays."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def origin_host(origin: bytes) -> str:
    """Return the host of an Origin header; "" for ``null`` and whatever else has none."""
    scheme, found, rest = origin.partition(b"://")
    return host_name(rest) if found and scheme.lower() in {b"http", b"https"} else ""


def is_own(name: str, allowed: frozenset[str]) -> bool:
    """Whether a host name is one of ours: an address, this machine, or one that is ``allowed``."""
    if name in allowed or name in _OWN_NAMES or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
