"""The Pushgateway's protocol over HTTP.

    PUT, POST, DELETE   /metrics/job/NAME/LABEL/VALUE/...   a group; see core/grouping.py for the path
    GET                 /metrics                            the page, as text or OpenMetrics
    GET                 /api/v1/metrics, /api/v1/status     the groups and this server, as JSON
    PUT, POST           /-/quit                             403: a signal ends this server, and no request

Beyond the protocol, ``Sergas-TTL: SECONDS`` with a push gives the group a time to live. The answers are the
Pushgateway's own (its README, "API", and what Debian's 1.5.1 was seen to do), except that protobuf and snappy are
refused, and that bounds are refused with 413 and 503.
"""

from __future__ import annotations

import asyncio
import gzip
import posixpath
import re
from collections.abc import Mapping, Sequence
from email.message import Message
from typing import Protocol
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pytest_sergas.config.groups import LABELS_OF_A_SERIES, GroupSettings
from pytest_sergas.core import kinds
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import OPENMETRICS, TEXT, ExpositionError, TooMuchError, parse
from pytest_sergas.core.grouping import GroupingKeyError, from_path
from pytest_sergas.core.metrics import Family
from pytest_sergas.engine import clock
from pytest_sergas.engine.groups import Groups, Push, PushRefusedError
from pytest_sergas.engine.page import Page
from pytest_sergas.errors import StoreError
from pytest_sergas.sidecar.body import BadGzipError, BodyTooLargeError, ClientGoneError, read_body
from pytest_sergas.sidecar.mounted import base, own_raw_path
from pytest_sergas.sidecar.pushed_json import groups_document, status_document

TTL_HEADER = "sergas-ttl"

_SMALL_BYTES = 64 * 1024  # what is parsed within a few milliseconds, and so on the event loop
GZIP_MIN_BYTES = 1_024
GZIP_LEVEL = 1  # a page is ten times smaller with it, and a third more with the default, which takes five times longer
_PLAINLY_ENCODED = re.compile(r"%2[fF]|(%2[eE])")
_UNCLEAN = re.compile(r"//|/\.{1,2}(?:/|\Z)")
_TTL = kinds.duration(0, kinds.YEAR_S, "seconds (0 for ever)")
_ACCEPTED = re.compile(r"\s*([^;,\s]+)((?:\s*;[^,]*)?)")
_QUALITY = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{1,3})?)")

_TOO_MUCH = {
    "series": "the push has more than {most} series, which max_push_series allows; push less at once",
    "labels": (
        f"the series of the push have more than {{most}} labels together, {LABELS_OF_A_SERIES} for each series that "
        "max_push_series allows; push less at once"
    ),
    "line": "a line of the push has more than {most} characters; shorten its labels, or its help text",
}


class _KeyTooLongError(Exception):
    """The grouping key is too long for so many series."""


class Pushed(Protocol):
    """What an engine has for this module."""

    @property
    def groups(self) -> Groups: ...

    @property
    def page(self) -> Page: ...

    @property
    def group_settings(self) -> GroupSettings: ...

    @property
    def started(self) -> Now: ...


def routes(engine: Pushed) -> list[Route]:
    """Return the routes of pushes and of what was pushed."""
    pushes = [Route(path, _GroupEndpoint(engine)) for path in ("/metrics/{key:path}", "//{key:path}")]
    for route in pushes:
        # Starlette's pattern of a path ends at a line break, which a value may have.
        route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)
    return [
        *pushes,
        Route("/metrics", _PageEndpoint(engine)),
        Route("/api/v1/metrics", _GroupsEndpoint(engine)),
        Route("/api/v1/status", _StatusEndpoint(engine)),
        Route("/-/quit", _QuitEndpoint(engine)),
    ]


class _Endpoint:
    """An ASGI application for one route; the methods that it has no handler for get 405."""

    methods: tuple[str, ...] = ("GET",)

    def __init__(self, engine: Pushed) -> None:
        self.engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method in self.methods:
            try:
                response = await self.answer(scope, receive)
            except ClientGoneError:
                return
        elif method == "OPTIONS":
            response = Response(headers=self._allow())
        else:
            response = PlainTextResponse("Method Not Allowed\n", 405, headers=self._allow())
        await response(scope, receive, send)

    def _allow(self) -> dict[str, str]:
        return {"Allow": ", ".join((*self.methods, "OPTIONS"))}

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """Return the answer to a request with one of `methods`.

        Raises:
            ClientGoneError: nobody waits for it.
        """
        raise NotImplementedError


class _GroupEndpoint(_Endpoint):
    """Pushes to a group, and its deletion."""

    methods = ("PUT", "POST", "DELETE")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Which group it is stands in the path as it was sent: decoded, it may mean another one.
        if elsewhere := _elsewhere(own_raw_path(scope), scope["method"], base(scope)):
            await elsewhere(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            labels = from_path(own_raw_path(scope))
            if scope["method"] == "DELETE":
                await self.engine.groups.delete(labels)
                return Response(status_code=202)
            return await self._push(labels, scope, receive)
        except (GroupingKeyError, ExpositionError, PushRefusedError) as error:
            return _refused(400, str(error))
        except BadGzipError as error:
            return _refused(400, f"the body is not the gzip that Content-Encoding says: {error}")
        except (BodyTooLargeError, TooMuchError, _KeyTooLongError) as error:
            return _refused(413, _too_large(error, self.engine.group_settings))
        except StoreError as error:
            return _refused(503, str(error))

    async def _push(self, labels: Mapping[str, str], scope: Scope, receive: Receive) -> Response:
        headers = Headers(scope=scope)
        ttl_s, refusal = _ttl(headers.get(TTL_HEADER))
        if refusal:
            return _refused(400, refusal)
        encoding = headers.get("content-encoding", "").strip().lower()
        if unsupported := _unsupported(headers.get("content-type", ""), encoding):
            return _refused(415, unsupported)
        settings = self.engine.group_settings
        body = await read_body(receive, settings.max_push_bytes, gzipped=encoding == "gzip")
        replace = scope["method"] == "PUT"

        def prepared() -> Push:
            families = parse(body, settings.push_bounds)
            _check_key(len(scope["raw_path"]), families, settings)
            return Push.of(labels, families, replace=replace, ttl_s=ttl_s, now=clock.read())

        push = prepared() if len(body) < _SMALL_BYTES else await asyncio.to_thread(prepared)
        await self.engine.groups.push(push)
        return Response()


class _PageEndpoint(_Endpoint):
    """The page of metrics."""

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        del receive
        headers = Headers(scope=scope)
        if quality(headers.get("accept", ""), OPENMETRICS) > quality(headers.get("accept", ""), TEXT):
            body, kind = await self.engine.page.openmetrics(clock.read()), OPENMETRICS
        else:
            body, kind = await self.engine.page.text(clock.read()), TEXT
        return await _compressed(body, kind, headers)


class _GroupsEndpoint(_Endpoint):
    """The groups as JSON."""

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        del receive
        body = await groups_document(self.engine.groups.all(clock.read()))
        return await _compressed(body, "application/json", Headers(scope=scope))


class _StatusEndpoint(_Endpoint):
    """What this server is, as JSON."""

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        del scope, receive
        return Response(status_document(self.engine.group_settings, self.engine.started), media_type="application/json")


class _QuitEndpoint(_Endpoint):
    """What the Pushgateway answers unless quitting by request is enabled, which it cannot be here."""

    methods = ("PUT", "POST")

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        del scope, receive
        return _refused(403, "Lifecycle API is not enabled.")


def _elsewhere(path: str, method: str, mounted: str) -> Response | None:
    """Return the answer to a path that is no group's: clean it, or there is nothing."""
    plain = _PLAINLY_ENCODED.sub(lambda found: "." if found[1] else "/", path)
    if _UNCLEAN.search(plain):
        slash = "/" if plain.endswith("/") else ""
        return RedirectResponse(f"{mounted}/" + posixpath.normpath(plain).strip("/") + slash, 301)
    head, _, rest = path.removeprefix("/metrics/").partition("/")
    if path == "/metrics/job/":
        return RedirectResponse(f"{mounted}/metrics/job", 301 if method == "GET" else 307)
    if unquote(head) not in {"job", "job@base64"} or not rest:
        return _refused(404, "404 page not found")
    return None


def _check_key(key_bytes: int, families: Sequence[Family], settings: GroupSettings) -> None:
    """Refuse a key that, written into every series, makes more than a push may have.

    Raises:
        _KeyTooLongError: it does.
    """
    series = sum([len(family.samples) for family in families])
    if key_bytes * series > settings.max_push_bytes:
        raise _KeyTooLongError(
            f"the grouping key of {key_bytes} bytes stands in each of {series} series, which makes more than the "
            f"{settings.max_push_mib} MiB that max_push_mib allows; push less at once, or shorten the key"
        )


def _too_large(error: Exception, settings: GroupSettings) -> str:
    if isinstance(error, TooMuchError):
        return _TOO_MUCH[error.what].format(most=error.most)
    if isinstance(error, _KeyTooLongError):
        return str(error)
    return f"the body is larger than {settings.max_push_mib} MiB, which max_push_mib allows; push less at once"


def _refused(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)


def _ttl(value: str | None) -> tuple[float | None, str]:
    """Return the time to live that the header gives, or why it cannot be used."""
    if value is None:
        return None, ""
    try:
        return float(_TTL(value)), ""
    except kinds.NotAllowed as wrong:
        return None, f"Sergas-TTL: {value[:80]!r}: {wrong}"


def _unsupported(content_type: str, encoding: str) -> str:
    if "protobuf" in content_type.lower() and _is_delimited_protobuf(content_type):
        return "protobuf is not supported; send the text format, with Content-Type: text/plain; version=0.0.4"
    if "snappy" in encoding:
        return "snappy is not supported; send the body as it is, or with Content-Encoding: gzip"
    return ""


def _is_delimited_protobuf(content_type: str) -> bool:
    """Whether the Pushgateway would not read the body as text: it does so under any other type, of protobuf, too."""
    header = Message()
    header["Content-Type"] = content_type
    return (
        header.get_content_type() == "application/vnd.google.protobuf"
        and header.get_param("proto") == "io.prometheus.client.MetricFamily"
        and header.get_param("encoding") == "delimited"
    )


def quality(accept: str, wanted: str) -> float:
    """Return how much ``accept`` wants a media type; 0 when it does not name it."""
    name = wanted.partition(";")[0]
    found = 0.0
    for kind, parameters in _ACCEPTED.findall(accept):
        if kind.lower() == name:
            quality = _QUALITY.search(parameters)
            found = max(found, min(float(quality[1]) if quality else 1.0, 1.0))
    return found


async def _compressed(body: bytes, kind: str, headers: Headers) -> Response:
    vary = {"Vary": "Accept, Accept-Encoding"}
    if len(body) < GZIP_MIN_BYTES or quality(headers.get("accept-encoding", ""), "gzip") == 0:
        return Response(body, media_type=kind, headers=vary)
    packed = await asyncio.to_thread(gzip.compress, body, GZIP_LEVEL, mtime=0)
    return Response(packed, media_type=kind, headers={**vary, "Content-Encoding": "gzip"})
