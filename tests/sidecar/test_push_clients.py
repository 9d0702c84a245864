"""Other people's programs: those that push to a Pushgateway, and those that read its page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, Summary, push_to_gateway
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pytest_sergas.core.exposition import OPENMETRICS
from tests.servers import promclient
from tests.servers.gateways import Answer, Received, answering
from tests.servers.prometheus import lint, prometheus
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.http import get, push

pytestmark = pytest.mark.integration

PAGE = b"""\
# HELP shop_orders_total Orders.
# TYPE shop_orders_total counter
shop_orders_total{place="a\\"b"} 3
# HELP shop_queue Waiting.
# TYPE shop_queue gauge
shop_queue 1.5
# HELP shop_seconds Durations.
# TYPE shop_seconds histogram
shop_seconds_bucket{le="0.5"} 1
shop_seconds_sum 0.25
shop_seconds_count 2
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sidecar]:
    with sidecar(tmp_path, "--store", ":memory:") as running:
        yield running


@pytest.fixture
def registry() -> prometheus_client.CollectorRegistry:
    made = prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("python_gauge", "A gauge.", ["a"], registry=made).labels('x"\n').set(1.5)
    prometheus_client.Counter("python_counter", "A counter.", registry=made).inc(2)
    prometheus_client.Histogram("python_seconds", "A histogram.", registry=made).observe(0.3)
    prometheus_client.Summary("python_summary", "A summary.", registry=made).observe(0.4)
    prometheus_client.Info("python_info", "Facts.", registry=made).info({"version": "1"})
    return made


def test_prometheus_client_pushes_adds_and_deletes(
    server: Sidecar, registry: prometheus_client.CollectorRegistry
) -> None:
    prometheus_client.push_to_gateway(server.url, "python", registry, {"path": "a/b", "empty": ""})
    prometheus_client.pushadd_to_gateway(server.url, "python", registry, {"kind": "added"})
    prometheus_client.delete_from_gateway(server.url, "python", {"kind": "added"})

    page = get(server.url, "/metrics").text

    key = 'empty="",instance="",job="python",path="a/b"'
    assert f'python_gauge{{a="x\\"\\n",{key}}} 1.5\n' in page
    assert f"python_counter_total{{{key}}} 2\n" in page
    assert f'python_seconds_bucket{{{key},le="0.5"}} 1\n' in page
    assert f"python_summary_count{{{key}}} 1\n" in page
    assert "added" not in page


def test_prom_client_pushes_adds_and_deletes(server: Sidecar) -> None:
    assert promclient.push(server.url) == [200, 200, 202]

    page = get(server.url, "/metrics").text

    key = 'instance="",job="node",kind="added"'
    assert f'node_gauge{{a="x\\"y",{key}}} 1.5\n' in page
    assert f"node_counter_total{{{key}}} 2\n" in page
    assert f'node_seconds_bucket{{{key},le="0.5"}} 1\n' in page
    assert f'node_summary{{{key},quantile="0.5"}} 0.4\n' in page
    assert 'kind="put"' not in page


@contextmanager
def only(media_type: str, url: str) -> Iterator[str]:
    """Pass requests on to ``url`` as if they came from somebody who knows only one format."""

    def ask(received: Received) -> Answer:
        page = get(url, received.path, {"Accept": media_type})
        assert page.headers["content-type"].startswith(media_type)
        return Answer(page.status, page.text, {"Content-Type": page.headers["content-type"]})

    with answering(ask) as asking:
        yield asking.url


@pytest.mark.parametrize("media_type", ["text/plain", "application/openmetrics-text"])
def test_prometheus_scrapes_what_was_pushed_in_either_format(server: Sidecar, tmp_path: Path, media_type: str) -> None:
    assert push(server.url, "/metrics/job/shop/branch/main", PAGE).status == 200

    with only(media_type, server.url) as url, prometheus(tmp_path, url) as scraping:
        (orders,) = scraping.query("shop_orders_total")
        (bucket,) = scraping.query('shop_seconds_bucket{le="+Inf"}')
        (up,) = scraping.query("up")
        (groups,) = scraping.query("sergas_groups")

    # An empty instance is none to Prometheus, and the job is the pushed one.
    assert orders["metric"] == {"__name__": "shop_orders_total", "job": "shop", "branch": "main", "place": 'a"b'}
    assert orders["value"][1] == "3"
    assert bucket["value"][1] == "2"
    assert up["value"][1] == "1"
    assert groups["metric"]["job"] == "gateway"


def test_promtool_has_nothing_against_the_page(server: Sidecar) -> None:
    assert push(server.url, "/metrics/job/shop", PAGE).status == 200

    assert lint(get(server.url, "/metrics").text) == ""


def test_what_prometheus_client_pushes_by_default_leaves_the_openmetrics_page_readable(server: Sidecar) -> None:
    registry = CollectorRegistry()
    Counter("jobs", "Jobs.", registry=registry).inc(3)
    Histogram("took", "Seconds.", registry=registry).observe(1.5)
    Summary("size", "Bytes.", registry=registry).observe(7)
    Info("build", "The build.", registry=registry).info({"version": "1"})
    push_to_gateway(server.url, "shop", registry=registry)
    page = get(server.url, "/metrics", {"Accept": OPENMETRICS}).text

    read = text_string_to_metric_families(page)  # type: ignore[no-untyped-call]  # theirs has no types
    families = {family.name: family for family in read}
    assert (families["jobs_total"].type, families["jobs_created"].type) == ("unknown", "gauge")
    assert families["jobs_total"].samples[0].value == 3
    assert families["took_bucket"].samples[0].labels["le"] == "0.005"
    assert families["build_info"].samples[0].value == 1


def test_openmetrics_page_is_what_another_strict_reader_accepts(server: Sidecar) -> None:
    assert push(server.url, "/metrics/job/shop", PAGE.replace(b'le="0.5"', b'le="0.25"')).status == 200
    page = get(server.url, "/metrics", {"Accept": OPENMETRICS}).text

    families = {family.name: family for family in text_string_to_metric_families(page)}  # type: ignore[no-untyped-call]  # theirs has no types

    assert families["shop_orders"].type == "counter"
    assert families["shop_queue"].type == "gauge"
    assert [sample.value for sample in families["shop_seconds"].samples] == [1, 2, 0.25, 2]
    assert families["sergas_groups"].samples[0].value == 1
