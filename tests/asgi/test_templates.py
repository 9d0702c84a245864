"""One series for each real template: requests to every shape of FastAPI and Starlette are told apart by route alone.

Written so that the oldest supported versions can run it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, WebSocket
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute

from pytest_sergas.asgi import UNMATCHED, RequestsMiddleware
from pytest_sergas.collectors.http_requests import HttpRequests
from pytest_sergas.core.metrics import Family, Sample

pytestmark = pytest.mark.unit

Message = MutableMapping[str, Any]


async def ask(
    app: Any, path: str, method: str = "GET", kind: str = "http", host: str = "shop.example"
) -> list[Message]:
    """Send one request, as a server does, and return what was answered."""
    sent: list[Message] = []
    waiting = [{"type": "websocket.connect"}] if kind == "websocket" else [{"type": "http.request", "body": b""}]

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect" if kind == "http" else "websocket.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", host.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "subprotocols": [],
    }
    if kind == "http":
        scope["method"] = method
    await app(scope, receive, send)
    return sent


def family(requests: HttpRequests, name: str) -> Sequence[Sample]:
    """Return the samples of ``http_<name>``."""
    [found] = [one for one in requests.collect(lambda: 1) if isinstance(one, Family) and one.name == f"http_{name}"]
    return found.samples


def counts(requests: HttpRequests) -> dict[tuple[str, str, str], float]:
    """Method, endpoint and status → count."""
    found: dict[tuple[str, str, str], float] = {}
    for sample in family(requests, "requests_total"):
        method, endpoint, status = (value for _, value in sample.labels)
        found[method, endpoint, status] = sample.value
    return found


def endpoints(app: Any, *paths: str, **how: Any) -> dict[str, float]:
    """Ask for each path through a middleware round ``app``; endpoint → count."""
    requests = HttpRequests()
    recorded = RequestsMiddleware(app, requests=requests)

    async def run() -> None:
        for path in paths:
            await ask(recorded, path, **how)

    asyncio.run(run())
    found: dict[str, float] = {}
    for (_, endpoint, _), count in counts(requests).items():
        found[endpoint] = found.get(endpoint, 0) + count
    return found


def plain(request: Request) -> Response:
    return PlainTextResponse(request.url.path)


def included() -> FastAPI:
    """Routers in routers; one of them is included twice."""
    leaf, branch = APIRouter(prefix="/items"), APIRouter()

    @leaf.get("/{item}")
    def item(item: str) -> str:
        return item

    @leaf.get("")
    def items() -> str:
        return ""

    branch.include_router(leaf, prefix="/shops/{shop}")
    branch.routes.append(Route("/plain/{x}", plain))
    app = FastAPI()
    app.include_router(branch, prefix="/v1")
    app.include_router(branch, prefix="/v2")
    return app


def mounted() -> FastAPI:
    app, sub = FastAPI(), FastAPI()

    @sub.get("/items/{item}")
    def item(item: str) -> str:
        return item

    app.mount("/v1", sub)
    app.mount("/{tenant}/v2", sub)
    app.mount("/zipped", GZipMiddleware(sub))
    return app


def starlette() -> Starlette:
    deep = Starlette(routes=[Route("/{a}/{b}", plain), Route("/numbers/{n:int}", plain)])
    return Starlette(
        routes=[
            Route("/users/{id}", plain),
            Route("/orders/{id}", plain),
            Mount("/m", routes=[Route("/a/{x}", plain), Mount("/{y}", app=deep)]),
            Mount("/opaque", app=PlainTextResponse("x")),
            Host("api.shop.example", app=Router([Route("/users/{id}", plain)])),
            Mount("/guarded", routes=[Route("/{x}", plain)], middleware=[Middleware(GZipMiddleware)]),
        ]
    )


@pytest.mark.parametrize(
    ("make", "paths", "expected"),
    [
        pytest.param(
            included,
            ["/v1/shops/1/items/7", "/v1/shops/items/items/v1", "/v2/shops/v2/items/7", "/v2/shops/2/items"],
            {"/v1/shops/{shop}/items/{item}": 2, "/v2/shops/{shop}/items/{item}": 1, "/v2/shops/{shop}/items": 1},
            id="routers in routers, one included twice, values that repeat",
        ),
        pytest.param(
            included,
            ["/v1/plain/1", "/v2/plain/plain"],
            {"/v1/plain/{x}": 1, "/v2/plain/{x}": 1},
            id="Starlette's route in an included router",
        ),
        pytest.param(
            included,
            ["/openapi.json", "/docs"],
            {"/openapi.json": 1, "/docs": 1},
            id="what FastAPI adds itself",
        ),
        pytest.param(
            mounted,
            ["/v1/items/7", "/v1/items/v1", "/v1/items/items", "/v2/v2/items/v2", "/items/v2/items/items"],
            {"/v1/items/{item}": 3, "/{tenant}/v2/items/{item}": 2},
            id="application mounted twice, values that are parts of the path",
        ),
        pytest.param(
            mounted,
            ["/zipped/items/7", "/zipped/docs"],
            {"/zipped/items/{item}": 1, "/zipped/docs": 1},
            id="application mounted in a middleware",
        ),
        pytest.param(
            mounted,
            ["/v1/none", "/v1", "/nowhere", "/v2"],
            {"/v1/*": 1, UNMATCHED: 3},
            id="404 below a mount and elsewhere",
        ),
        pytest.param(
            starlette,
            ["/users/1", "/orders/1", "/m/a/1", "/m/a/a/a", "/m/m/m/m", "/m/z/numbers/7", "/m/z/none"],
            {
                "/users/{id}": 1,
                "/orders/{id}": 1,
                "/m/a/{x}": 1,
                "/m/{y}/{a}/{b}": 3,
                "/m/{y}/*": 1,
            },
            id="one function under many routes",
        ),
        pytest.param(
            starlette,
            ["/opaque/1", "/opaque/2/3", "/guarded/7"],
            {"/opaque/*": 2, "/guarded/{x}": 1},
            id="application without routes, and a mount with middleware",
        ),
    ],
)
def test_each_template_has_one_series(make: Callable[[], Any], paths: list[str], expected: dict[str, float]) -> None:
    app = make()

    assert endpoints(app, *paths) == expected
    assert endpoints(GZipMiddleware(app), *paths) == expected


def test_route_of_a_host_is_that_hosts() -> None:
    assert endpoints(starlette(), "/users/1", host="shop.example") == {"/users/{id}": 1}
    app = Starlette(
        routes=[Host("api.shop.example", app=Router([Route("/users/{id}", plain)])), Route("/{x:path}", plain)]
    )
    assert endpoints(app, "/users/1", "/users/2", host="api.shop.example") == {"api.shop.example/users/{id}": 2}


def test_middleware_within_the_application_records_the_same() -> None:
    requests = HttpRequests()
    app, outer = mounted(), FastAPI()
    app.add_middleware(RequestsMiddleware, requests=requests)
    outer.mount("/outer", app)

    asyncio.run(ask(app, "/v1/items/v1"))
    asyncio.run(ask(outer, "/outer/v1/items/v1"))

    assert counts(requests) == {("GET", "/v1/items/{item}", "200"): 1, ("GET", "/outer/v1/items/{item}", "200"): 1}


def test_request_that_a_middleware_answers_is_that_of_its_route() -> None:
    async def refuse(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        del request, call_next
        return PlainTextResponse("", 401)

    app = included()
    app.add_middleware(BaseHTTPMiddleware, dispatch=refuse)

    assert endpoints(app, "/v1/shops/1/items/7", "/v1/shops/2/items/7", "/nowhere") == {
        "/v1/shops/{shop}/items/{item}": 2,
        UNMATCHED: 1,
    }


class Copying:
    """A middleware that hands a scope of its own on, here with another path."""

    def __init__(self, app: Any, prefix: str = "") -> None:
        self.app = app
        self._prefix = prefix

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        await self.app({**scope, "path": scope["path"].removeprefix(self._prefix)}, receive, send)


class Rewriting(Copying):
    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        scope["path"] = scope["path"].removeprefix(self._prefix)
        await self.app(scope, receive, send)


@pytest.mark.parametrize(
    "app", [pytest.param(Copying(included()), id="copied"), pytest.param(Rewriting(included(), "/en"), id="rewritten")]
)
def test_middleware_that_changes_the_scope_hides_no_route(app: Any) -> None:
    assert endpoints(app, "/v1/shops/1/items/7", "/v2/shops/2/items") == {
        "/v1/shops/{shop}/items/{item}": 1,
        "/v2/shops/{shop}/items": 1,
    }
    if isinstance(app, Rewriting):
        assert endpoints(app, "/en/v1/shops/1/items/7") == {"/v1/shops/{shop}/items/{item}": 1}


def test_root_path_of_a_proxy_is_no_part_of_a_template() -> None:
    app = included()
    app.root_path = "/api"

    assert endpoints(app, "/v1/shops/1/items/7", "/api/v1/shops/api/items/7") == {"/v1/shops/{shop}/items/{item}": 2}


def test_route_that_is_added_later_is_found() -> None:
    requests = HttpRequests()
    app = Starlette(routes=[Route("/first", plain)])
    recorded = RequestsMiddleware(app, requests=requests)
    asyncio.run(ask(recorded, "/first"))

    app.router.routes.append(Route("/{second}/x", plain))
    app.router.routes.append(Route("/third", lambda request: PlainTextResponse(request.url.path)))
    for path in ("/a/x", "/b/x", "/third"):
        asyncio.run(ask(recorded, path))

    assert counts(requests) == {
        ("GET", path, "200"): count for path, count in (("/first", 1), ("/{second}/x", 2), ("/third", 1))
    }


def test_answers_of_a_router_are_those_of_their_route() -> None:
    app = FastAPI()

    @app.get("/items/{item}")
    def item(item: int) -> int:
        if item == 404:
            raise HTTPException(404)
        return item

    requests = HttpRequests()
    recorded = RequestsMiddleware(app, requests=requests)
    for method, path in (("GET", "/items/1"), ("GET", "/items/404"), ("GET", "/items/none"), ("POST", "/items/1")):
        asyncio.run(ask(recorded, path, method))
    asyncio.run(ask(recorded, "/items/1/"))

    assert counts(requests) == {
        ("GET", "/items/{item}", "200"): 1,
        ("GET", "/items/{item}", "404"): 1,
        ("GET", "/items/{item}", "422"): 1,
        ("POST", "/items/{item}", "405"): 1,
        ("GET", UNMATCHED, "307"): 1,
    }


def test_handshake_of_a_websocket_is_a_request_of_its_route_and_the_conversation_is_not() -> None:
    requests = HttpRequests()
    seen: list[float] = []
    router, inner = APIRouter(), APIRouter()

    @inner.websocket("/rooms/{room}")
    async def chat(websocket: WebSocket, room: str) -> None:
        if room == "closed":
            await websocket.close()
        elif room == "broken":
            raise LookupError(room)
        else:
            await websocket.accept()
            seen.append(in_flight(requests))
            await asyncio.sleep(0.2)

    async def old(websocket: Any) -> None:
        await websocket.accept()

    router.include_router(inner, prefix="/chat")
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    app.mount("/old", Starlette(routes=[WebSocketRoute("/{x}", old)]))
    recorded = RequestsMiddleware(app, requests=requests)
    for path in ("/v1/chat/rooms/v1", "/v1/chat/rooms/chat", "/v1/chat/rooms/closed", "/old/old", "/v1/nowhere"):
        asyncio.run(ask(recorded, path, kind="websocket"))
    with pytest.raises(LookupError):
        asyncio.run(ask(recorded, "/v1/chat/rooms/broken", kind="websocket"))

    assert counts(requests) == {
        ("GET", "/v1/chat/rooms/{room}", "101"): 2,
        ("GET", "/v1/chat/rooms/{room}", "403"): 1,
        ("GET", "/v1/chat/rooms/{room}", "500"): 1,
        ("GET", "/old/{x}", "101"): 1,
        ("GET", UNMATCHED, "403"): 1,
    }
    assert (seen, in_flight(requests)) == ([0, 0], 0)
    assert seconds(requests)["/v1/chat/rooms/{room}"] < 0.2


def in_flight(requests: HttpRequests) -> float:
    return family(requests, "requests_in_flight")[0].value


def seconds(requests: HttpRequests) -> dict[str, float]:
    """Endpoint → seconds of all its requests."""
    samples = family(requests, "request_duration_seconds")
    return {dict(one.labels)["endpoint"]: one.value for one in samples if one.suffix == "_sum"}


def test_background_tasks_and_streaming_are_not_request_time() -> None:
    requests = HttpRequests()
    seen: dict[str, float] = {}
    app = FastAPI()

    async def late() -> None:
        seen["task"] = in_flight(requests)
        await asyncio.sleep(0.3)

    @app.get("/task")
    async def task(tasks: BackgroundTasks) -> int:
        await asyncio.sleep(0.05)
        tasks.add_task(late)
        return 1

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def lines() -> Any:
            yield b"1"
            seen["stream"] = in_flight(requests)
            await asyncio.sleep(0.3)
            yield b"2"

        return StreamingResponse(lines())

    recorded = RequestsMiddleware(app, requests=requests)
    asyncio.run(ask(recorded, "/task"))
    asyncio.run(ask(recorded, "/stream"))

    assert 0.05 <= seconds(requests)["/task"] < 0.3
    assert seconds(requests)["/stream"] < 0.3
    assert seen == {"task": 0, "stream": 1}  # a stream is still being answered
    assert in_flight(requests) == 0


def test_files_that_no_route_serves_have_one_series(tmp_path: Any) -> None:
    (tmp_path / "index.html").write_text("x")
    (tmp_path / "a.js").write_text("x")
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=tmp_path))
    assert endpoints(app, "/static/a.js", "/static/index.html", "/static/none") == {"/static/*": 3}

    if hasattr(app, "frontend"):
        app.frontend("/web", directory=tmp_path)
        assert endpoints(app, "/web/a.js", "/web/index.html", "/web/") == {"/web/*": 3}
