"""What all pages have in common: the frame round them, the files that they load, and how a refusal looks."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from pytest_sergas.engine import clock
from pytest_sergas.errors import StoreError
from pytest_sergas.sidecar import mounted
from pytest_sergas.sidecar.answers import QueryError
from pytest_sergas.sidecar.body import BodyTooLargeError, ClientGoneError, read_body
from pytest_sergas.sidecar.pages.rendering import render, static
from pytest_sergas.version import VERSION

SECTIONS = (
    ("/runs", "Runs"),
    ("/tests", "Tests"),
    ("/components", "Health"),
    ("/alerts", "Alerts"),
    ("/pushes", "Pushes"),
)
_FILES = {"sergas.css": "text/css", "sergas.js": "text/javascript", "icon.svg": "image/svg+xml"}
_FORM_LIMIT_BYTES = 64 * 1024
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}

Handler = Callable[[Request], Awaitable[Response]]


class NotThereError(Exception):
    """There is no such thing; the text says what."""


def routes() -> list[Route]:
    """Return the routes of the files that pages load."""

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            return Response("Not Found\n", 404, media_type="text/plain")
        return Response(static(name), media_type=_FILES[name], headers=_FOR_EVER)

    return [Route("/static/{name}", file)]


def page(path: str, handler: Handler, *, methods: tuple[str, ...] = ("GET",)) -> Route:
    """Return the route of a page; what its ``handler`` raises becomes a page that says so."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientGoneError:
            return Response(status_code=400)  # nobody reads it
        except NotThereError as error:
            return refuse(request, 404, str(error))
        except (QueryError, BodyTooLargeError) as error:
            return refuse(request, 400, str(error) or "the form is too large")
        except StoreError as error:
            return refuse(request, 503, str(error))

    return Route(path, guarded, methods=list(methods))


def show(request: Request, template: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
    """Return the page that ``template`` makes of ``values``."""
    base = mounted.base(request.scope)
    frame = {
        "base": base,
        "here": mounted.own_path(request.scope),
        "now_s": clock.read().wall_s,
        "sections": SECTIONS,
        "file": lambda name: file_url(base, name),
        "version": VERSION,
        "not_in_force": request.app.state.faults(),
    }
    return HTMLResponse(render(template, {**frame, **values}), status, {"Cache-Control": "no-store"})


def refuse(request: Request, status: int, text: str) -> HTMLResponse:
    """Return a page that says why there is nothing else."""
    return show(request, "refusal.html", {"title": "Not possible", "text": text}, status)


def go_to(request: Request, path: str) -> RedirectResponse:
    """Send the browser to another page after a form."""
    return RedirectResponse(mounted.base(request.scope) + path, 303)


async def form(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent.

    Raises:
        QueryError: it is none.
        BodyTooLargeError: it is too large.
    """
    body = await read_body(request.receive, _FORM_LIMIT_BYTES, gzipped=False)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise QueryError("what was sent is no form") from error


def file_url(base: str, name: str) -> str:
    """Return where a page loads one of our files from."""
    return f"{base}/static/{name}?{_digest(name)}"


@cache
def _digest(name: str) -> str:
    """Return what tells this version of a file from others, so that browsers may keep it."""
    return hashlib.sha256(static(name).encode()).hexdigest()[:12]
