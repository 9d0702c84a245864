"""The page where a browser enters a token, for deployments that have tokens alone."""

from __future__ import annotations

import math
from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pytest_sergas.engine import clock
from pytest_sergas.sidecar import mounted, session
from pytest_sergas.sidecar.answers import QueryError
from pytest_sergas.sidecar.auth import Authentication
from pytest_sergas.sidecar.body import BodyTooLargeError, ClientGoneError
from pytest_sergas.sidecar.pages.answer import file_url, form
from pytest_sergas.sidecar.pages.rendering import render

PATH = "/login"
FILES = "/static/"  # what the page loads: nothing of the deployment


def wanted(request: Request) -> bool:
    """Whether a browser asks for a page, so that it is led to the login instead of refused."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def lead(request: Request) -> Response:
    """Send the browser to the login, which leads back to what it asked for."""
    asked = mounted.own_path(request.scope)
    query = f"?{request.url.query}" if request.url.query else ""
    target = f"{mounted.base(request.scope)}{PATH}?next={quote(asked + query, safe='')}"
    return RedirectResponse(target, 303, {"Cache-Control": "no-store"})


async def answer(request: Request, authentication: Authentication, attempts: session.Attempts) -> Response:
    """Show the page, or judge the token that was entered."""
    if request.method in {"GET", "HEAD"}:
        return _page(request, _next(parse_qs(request.url.query).get("next", ["/"])[0]))
    if request.method != "POST":
        return Response("Method Not Allowed\n", 405, {"Allow": "GET, HEAD, POST"}, "text/plain")
    return await _enter(request, authentication, attempts)


async def _enter(request: Request, authentication: Authentication, attempts: session.Attempts) -> Response:
    client, now = request.client.host if request.client else "", clock.read()
    if wait_s := attempts.wait_s(client, now.monotonic_s):
        text = f"Too many wrong tokens; try again in {math.ceil(wait_s)} s."
        return _page(request, "/", text, 429, {"Retry-After": str(math.ceil(wait_s))})
    try:
        fields = await form(request)
    except ClientGoneError:
        return Response(status_code=400)  # nobody reads it
    except (QueryError, BodyTooLargeError):
        return _page(request, "/", "What was sent is not the form of this page.", 400)
    after = _next(fields.get("next", "/"))
    cookie = authentication.open_session(fields.get("token", "").strip(), now.wall_s)
    if cookie is None:
        attempts.wrong(client, now.monotonic_s)
        return _page(request, after, "This token is not accepted.", 403)
    went = RedirectResponse(mounted.base(request.scope) + after, 303, {"Cache-Control": "no-store"})
    went.set_cookie(
        session.COOKIE,
        cookie,
        max_age=session.LASTS_S,
        path=mounted.base(request.scope) or "/",
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="lax",  # links in messages lead to pages, and a change of state also needs our own Origin
    )
    return went


def _next(path: str) -> str:
    """Return ``path`` if it leads to a page of ours, else the overview."""
    parts = urlsplit(path)
    is_ours = path.startswith("/") and not path.startswith("//") and not parts.scheme and not parts.netloc
    return path if is_ours and not any(char <= " " or char == "\\" for char in path) else "/"


def _page(
    request: Request, after: str, text: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    base = mounted.base(request.scope)
    values = {"base": base, "file": lambda name: file_url(base, name), "after": after, "text": text}
    return HTMLResponse(render("login.html", values), status, {"Cache-Control": "no-store", **(headers or {})})
