"""The sidecar as a part of another application: its pages, links, forms, redirects and probes stay below the mount."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urljoin, urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from pytest_sergas import ComprehensiveMonitoringSystem
from pytest_sergas.asgi import RequestsMiddleware, sidecar_app
from tests.asgi.serving import served
from tests.sidecar.pages.html import read

pytestmark = pytest.mark.integration


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
        refused = httpx2.get(f"{url}/sergas/api/runs", timeout=60)
        let_in = httpx2.get(f"{url}/sergas/api/runs", timeout=60, headers={"Authorization": "Bearer s3cret"})

    assert (away.status_code, away.text) == (503, "the monitoring does not run\n")
    assert (refused.status_code, let_in.status_code) == (401, 200)
