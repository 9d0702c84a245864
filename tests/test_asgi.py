"""Requests are recorded by the templates of their routes, under real load, and what is not HTTP is left alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import httpx2
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from pytest_sergas import ComprehensiveMonitoringSystem
from pytest_sergas.asgi import UNMATCHED, RequestsMiddleware, sidecar_app
from pytest_sergas.collectors.http_requests import HttpRequests
from tests.collectors.conftest import by_name, plenty, values
from tests.sidecar.pages.html import read

pytestmark = pytest.mark.integration


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve ``app`` by uvicorn on a free port, and yield its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="auto"))
    ready = threading.Event()

    async def run() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn tells nobody
            await asyncio.sleep(0.01)
        ready.set()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(60)
    assert server.started
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


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


def test_sidecar_mounted_into_an_application_answers_while_the_system_runs() -> None:
    system = ComprehensiveMonitoringSystem()
    app = FastAPI(lifespan=system.lifespan)
    app.add_middleware(RequestsMiddleware, requests=system.metrics_collector.http_requests)
    app.mount("/sergas", sidecar_app(system))
    with served(app) as url, httpx2.Client(base_url=url, timeout=60) as client:
        health = client.get("/sergas/health").json()
        pushed = client.post("/sergas/metrics/job/shop", content="orders 3\n").status_code
        foreign = client.post(
            "/sergas/metrics/job/shop", content="orders 4\n", headers={"Origin": "https://elsewhere.example"}
        ).status_code
        page = client.get("/sergas/metrics").text

    assert health["component"] == "overall_system"
    assert (pushed, foreign) == (200, 403)
    assert 'orders{instance="",job="shop"} 3\n' in page
    assert 'http_requests_total{method="GET",endpoint="/sergas/*",status="200"} 1\n' in page


@pytest.fixture(params=["/sergas", "/tenants/{tenant}/sergas"])
def mounted(request: pytest.FixtureRequest) -> Iterator[httpx2.Client]:
    """A client of a sidecar that is mounted in an application, which answers 404 to everything else."""
    system = ComprehensiveMonitoringSystem()
    app = Starlette(routes=[Mount(request.param, sidecar_app(system))], lifespan=system.lifespan)
    with served(app) as url:
        base_url = url + request.param.replace("{tenant}", "a%20b@c")
        with httpx2.Client(base_url=base_url, timeout=60, headers={"Origin": url}) as client:
            yield client


def below(client: httpx2.Client, address: str) -> str:
    """Return what comes after the mount in an address that the sidecar has given."""
    path = unquote(urlsplit(address).path)
    root = unquote(client.base_url.path).rstrip("/")
    assert path.startswith(f"{root}/"), path
    return path.removeprefix(root)


def test_links_and_files_of_a_mounted_sidecar_are_its_own(mounted: httpx2.Client) -> None:
    mounted.put("metrics/job/shop", content="orders 3\n")
    page = read(mounted.get("").text)

    files = [element.attributes["href"] for element in page.all("link")] + [page.all("script")[0].attributes["src"]]
    assert [below(mounted, file) for file in files] == ["/static/sergas.css", "/static/icon.svg", "/static/sergas.js"]
    links = page.links().values()
    assert {"/", "/runs", "/alerts", "/pushes/group", "/metrics", "/api/openapi.json"} <= {
        below(mounted, link) for link in links if not link.startswith("#")
    }
    found = {address: mounted.get(urljoin(str(mounted.base_url), address)).status_code for address in (*links, *files)}
    assert set(found.values()) == {200}, found
    assert [link.text for link in page.all("a") if link.attributes.get("aria-current")] == ["sergas, overview"]


def test_forms_of_a_mounted_sidecar_lead_back_to_it(mounted: httpx2.Client) -> None:
    root = str(mounted.base_url)
    asked = mounted.get("alerts/silence", params={"matchers": 'severity="warning"', "hours": "1"})
    shown = read(asked.text).all("form")[-1]
    fields = {one.attributes["name"]: one.attributes["value"] for one in shown.all("input")}

    answer = mounted.post(urljoin(root, shown.attributes["action"]), data=fields)

    assert (answer.status_code, below(mounted, answer.headers["location"])) == (303, "/alerts")
    page = read(mounted.get(urljoin(root, answer.headers["location"])).text)
    assert 'severity="warning"' in page.section("Silences").text


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        pytest.param("runs/", "/runs", id="of Starlette's"),
        pytest.param("metrics/job/", "/metrics/job", id="of the Pushgateway's"),
        pytest.param("metrics/job//shop", "/metrics/job/shop", id="of a path that is not clean"),
    ],
)
def test_redirects_of_a_mounted_sidecar_stay_below_it(asked: str, place: str, mounted: httpx2.Client) -> None:
    assert below(mounted, mounted.get(asked).headers["location"]) == place


def test_openapi_document_of_a_mounted_sidecar_says_where_it_is(mounted: httpx2.Client) -> None:
    [server] = mounted.get("api/openapi.json").json()["servers"]

    assert below(mounted, f"{server['url']}/runs") == "/runs"


def test_probes_of_a_mounted_sidecar_stay_open() -> None:
    system = ComprehensiveMonitoringSystem()
    app = Starlette(routes=[Mount("/sergas", sidecar_app(system, tokens=("s3cret",)))], lifespan=system.lifespan)
    with served(app) as url:
        statuses = [httpx2.get(f"{url}/sergas{path}", timeout=60).status_code for path in ("/-/ready", "/runs")]

    assert statuses == [200, 401]


def test_mounted_sidecar_wants_a_token_where_there_are_some_and_is_away_while_nothing_runs() -> None:
    system = ComprehensiveMonitoringSystem()
    with served(Starlette(routes=[Mount("/sergas", sidecar_app(system, tokens=("s3cret",)))])) as url:
        away = httpx2.get(f"{url}/sergas/health", timeout=60)
    with served(
        Starlette(routes=[Mount("/sergas", sidecar_app(system, tokens=("s3cret",)))], lifespan=system.lifespan)
    ) as url:
        refused = httpx2.get(f"{url}/sergas/health", timeout=60)
        let_in = httpx2.get(f"{url}/sergas/health", timeout=60, headers={"Authorization": "Bearer s3cret"})

    assert (away.status_code, away.text) == (503, "the monitoring does not run\n")
    assert (refused.status_code, let_in.status_code) == (401, 200)
