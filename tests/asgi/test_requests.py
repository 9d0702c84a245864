"""Requests are recorded by the templates of their routes, under real load, and what is not HTTP is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from pytest_sergas.asgi import UNMATCHED, RequestsMiddleware
from pytest_sergas.collectors.http_requests import HttpRequests
from tests.asgi.serving import served
from tests.collectors.conftest import by_name, plenty, values

pytestmark = pytest.mark.integration


def recorded(requests: HttpRequests) -> dict[tuple[str, ...], float]:
    """Method, endpoint and status → count."""
    family = by_name(requests.collect(plenty))["http_requests_total"]
    return {tuple(value for _, value in sample.labels): sample.value for sample in family.samples}


def shop(requests: HttpRequests) -> FastAPI:
    app = FastAPI()
    router = APIRouter(prefix="/orders")

    @app.get("/users/{user_id}")
    async def user(user_id: int) -> dict[str, int]:
        return {"id": user_id}

    @router.post("/{order}/pay")
    def pay(order: str) -> str:
        raise LookupError(order)

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            for number in range(3):
                yield f"{number}\n".encode()

        return StreamingResponse(lines())

    app.include_router(router)
    inner = Starlette(routes=[Route("/items/{item}", lambda request: PlainTextResponse(request.url.path))])
    app.mount("/tenants/{tenant}", inner)
    app.add_middleware(RequestsMiddleware, requests=requests)
    return app


def test_fastapi_under_load_is_recorded_by_route_template() -> None:
    requests = HttpRequests()
    with served(shop(requests)) as url:

        async def load() -> None:
            async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
                answers = [client.get(f"/users/{number}") for number in range(300)]
                answers += [client.post(f"/orders/{number}/pay") for number in range(20)]
                answers += [client.get(f"/tenants/t{number}/items/{number}") for number in range(20)]
                answers += [client.get(f"/nowhere/{number}") for number in range(20)]
                answers += [client.get(f"/tenants/t{number}/nothing") for number in range(5)]
                answers += [client.get("/users/none"), client.delete("/users/1")]
                await asyncio.gather(*answers)
                assert (await client.get("/orders/stream")).text == "0\n1\n2\n"

        asyncio.run(load())

    assert recorded(requests) == {
        ("GET", "/users/{user_id}", "200"): 300,
        ("GET", "/users/{user_id}", "422"): 1,
        ("DELETE", "/users/{user_id}", "405"): 1,
        ("POST", "/orders/{order}/pay", "500"): 20,
        ("GET", "/tenants/{tenant}/items/{item}", "200"): 20,
        ("GET", "/tenants/{tenant}/*", "404"): 5,
        ("GET", "/orders/stream", "200"): 1,
        ("GET", UNMATCHED, "404"): 20,
    }
    found = values(requests.collect(plenty))
    assert found["http_requests_in_flight{}"] == 0
    assert found["http_request_exceptions_total{method=POST,endpoint=/orders/{order}/pay,exception=LookupError}"] == 20
    assert found["http_request_duration_seconds_count{method=GET,endpoint=/users/{user_id}}"] == 301


def test_request_is_in_flight_while_it_is_answered() -> None:
    requests = HttpRequests()
    seen = []

    async def look(request: Request) -> PlainTextResponse:
        del request
        seen.append(values(requests.collect(plenty))["http_requests_in_flight{}"])
        return PlainTextResponse("")

    app = RequestsMiddleware(Starlette(routes=[Mount("/api", routes=[Route("/look", look)])]), requests=requests)
    with served(app) as url:
        httpx2.get(f"{url}/api/look", timeout=60)

    assert seen == [1]
    assert recorded(requests) == {("GET", "/api/look", "200"): 1}


async def run_alone(app: Any, scope: dict[str, Any]) -> list[Any]:
    """Call an application as a server would, without one."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_application_without_a_router_is_recorded_by_path_under_the_cap() -> None:
    requests = HttpRequests(max_endpoints=2)

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 204, "headers": []})

    app = RequestsMiddleware(plain, requests=requests)
    for path in ("/a", "/b", "/c", "/d"):
        await run_alone(app, {"type": "http", "method": "GET", "path": path})

    assert recorded(requests) == {("GET", "/a", "204"): 1, ("GET", "/b", "204"): 1, ("GET", "other", "204"): 2}


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_what_is_not_http_passes_unrecorded(kind: str) -> None:
    requests = HttpRequests()
    seen = []

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        seen.append(scope["type"])

    await run_alone(RequestsMiddleware(plain, requests=requests), {"type": kind})

    assert seen == [kind]
    assert recorded(requests) == {}


async def test_client_that_goes_away_leaves_nothing_in_flight() -> None:
    requests = HttpRequests()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        await asyncio.Event().wait()

    app = RequestsMiddleware(endless, requests=requests)
    running = asyncio.create_task(run_alone(app, {"type": "http", "method": "GET", "path": "/a"}))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert values(requests.collect(plenty))["http_requests_in_flight{}"] == 0
    assert recorded(requests) == {("GET", "/a", "other"): 1}
