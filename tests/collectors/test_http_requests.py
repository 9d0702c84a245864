"""Recorded HTTP requests: counted, timed, and never more series than allowed."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.collectors.http_requests import BUCKETS_S, EXCEPTIONS_LIMIT, METHODS, OTHER, HttpRequests
from pytest_sergas.core.exposition import number
from pytest_sergas.core.monitoring import check, families_of
from pytest_sergas.errors import MetricError
from tests.collectors.conftest import by_name, plenty, values

pytestmark = pytest.mark.unit


def counts(requests: HttpRequests) -> dict[tuple[str, ...], float]:
    """Method, endpoint and status → count."""
    family = by_name(requests.collect(plenty))["http_requests_total"]
    return {tuple(value for _, value in sample.labels): sample.value for sample in family.samples}


def test_requests_are_counted_and_timed() -> None:
    requests = HttpRequests()
    requests.record_http_request(method="GET", endpoint="/api/users", status=200, duration=0.150)
    requests.record_http_request(method="GET", endpoint="/api/users", status=200, duration=0.05)

    found = values(requests.collect(plenty))

    assert found["http_requests_total{method=GET,endpoint=/api/users,status=200}"] == 2
    assert found["http_request_duration_seconds_count{method=GET,endpoint=/api/users}"] == 2
    assert found["http_request_duration_seconds_sum{method=GET,endpoint=/api/users}"] == pytest.approx(0.2)
    assert found["http_request_duration_seconds_bucket{method=GET,endpoint=/api/users,le=0.05}"] == 1
    assert found["http_request_duration_seconds_bucket{method=GET,endpoint=/api/users,le=0.25}"] == 2
    assert found["http_request_duration_seconds_bucket{method=GET,endpoint=/api/users,le=+Inf}"] == 2


def test_families_are_those_of_the_specification() -> None:
    found = by_name(HttpRequests().collect(plenty))

    assert {name: (family.type, family.help) for name, family in found.items()} == {
        "http_requests_total": ("counter", "Total HTTP requests"),
        "http_request_duration_seconds": ("histogram", "Duration of HTTP requests in seconds"),
        "http_requests_in_flight": ("gauge", "HTTP requests that are being answered"),
        "http_request_exceptions_total": ("counter", "HTTP requests whose handler raised"),
    }


def test_request_is_in_flight_until_it_ends() -> None:
    requests = HttpRequests()
    requests.begins()
    requests.begins()
    requests.answered("GET", "/a", 200, 0.1)
    found = values(requests.collect(plenty))
    assert found["http_requests_in_flight{}"] == 2  # what was answered may still be sent
    assert found["http_requests_total{method=GET,endpoint=/a,status=200}"] == 1

    requests.ends()

    assert values(requests.collect(plenty))["http_requests_in_flight{}"] == 1


def test_kinds_of_exceptions_are_capped() -> None:
    requests = HttpRequests()
    for number_of_kind in range(EXCEPTIONS_LIMIT + 5):
        requests.raised("GET", "/a", f"Error{number_of_kind}")

    family = by_name(requests.collect(plenty))["http_request_exceptions_total"]
    assert len(family.samples) == EXCEPTIONS_LIMIT + 1
    assert {dict(sample.labels)["exception"]: sample.value for sample in family.samples}[OTHER] == 5


def test_endpoints_beyond_the_cap_are_other_and_the_first_keep_their_series() -> None:
    requests = HttpRequests(max_endpoints=2)
    for endpoint in ("/a", "/b", "/c", "/d", "/a"):
        requests.record_http_request("GET", endpoint, 200, 0.1)

    assert counts(requests) == {("GET", "/a", "200"): 2, ("GET", "/b", "200"): 1, ("GET", OTHER, "200"): 2}


@pytest.mark.parametrize(
    ("method", "shown"),
    [pytest.param("get", "GET", id="lower case"), pytest.param("FOO", OTHER, id="made up")],
)
def test_methods_are_those_of_http(method: str, shown: str) -> None:
    requests = HttpRequests()
    requests.record_http_request(method, "/", 200, 0.1)

    assert list(counts(requests)) == [(shown, "/", "200")]


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 10**9])
def test_statuses_are_those_of_http(status: int) -> None:
    requests = HttpRequests()
    requests.record_http_request("GET", "/", status, 0.1)

    assert list(counts(requests)) == [("GET", "/", OTHER)]


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=300), st.integers()), max_size=40), st.integers(1, 5))
def test_whatever_is_recorded_has_few_series_and_can_be_exposed(recorded: list[tuple[str, str, int]], cap: int) -> None:
    requests = HttpRequests(max_endpoints=cap)
    for method, endpoint, status in recorded:
        requests.record_http_request(method, endpoint, status, 0.1)

    found = counts(requests)
    assert sum(found.values()) == len(recorded)
    assert len({endpoint for _, endpoint, _ in found}) <= cap + 1
    assert {method for method, _, _ in found} <= {*METHODS, OTHER}
    check(families_of(requests.collect(plenty)))
    assert all(len(endpoint.encode()) < 1_000 for _, endpoint, _ in found)


@given(st.lists(st.floats(0, 20), max_size=30))
def test_histogram_counts_what_is_at_most_the_bound(durations: list[float]) -> None:
    requests = HttpRequests()
    for duration in durations:
        requests.record_http_request("GET", "/", 200, duration)

    found = values(requests.collect(plenty))
    for bound in BUCKETS_S if durations else ():
        key = f"http_request_duration_seconds_bucket{{method=GET,endpoint=/,le={number(bound)}}}"
        assert found[key] == sum(duration <= bound for duration in durations)


def test_sampled_durations_are_those_of_every_so_manieth_request_and_the_count_stays_exact() -> None:
    requests = HttpRequests(duration_sampling=10)
    for second in range(25):
        requests.record_http_request("GET", "/", 200, float(second))

    found = values(requests.collect(plenty))
    assert found["http_requests_total{method=GET,endpoint=/,status=200}"] == 25
    assert found["http_request_duration_seconds_count{method=GET,endpoint=/}"] == 3
    assert found["http_request_duration_seconds_sum{method=GET,endpoint=/}"] == 0 + 10 + 20
    assert by_name(requests.collect(plenty))["http_request_duration_seconds"].help == (
        "Duration of HTTP requests in seconds, of one request in 10"
    )


@pytest.mark.parametrize(
    ("duration", "shown"),
    [(-0.1, "-0.1"), (math.nan, "nan"), (math.inf, "inf"), ("1", "'1'")],
)
def test_duration_that_is_none_is_refused(duration: Any, shown: str) -> None:
    requests = HttpRequests()

    with pytest.raises(MetricError) as raised:
        requests.record_http_request("GET", "/", 200, duration)

    assert str(raised.value) == f"duration {shown}: allowed: seconds, at least 0"
    assert counts(requests) == {}


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_threads_lose_no_request() -> None:
    requests = HttpRequests(max_endpoints=3)

    def record() -> None:
        for request in range(1_000):
            requests.record_http_request("GET", f"/{request % 7}", 200, 0.1)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts(requests).values()) == 4_000
    assert len(counts(requests)) == 4


def in_flight(requests: HttpRequests) -> float | None:
    return values(requests.collect(plenty)).get("http_requests_in_flight{}")


async def test_requests_in_flight_are_the_tasks_like_the_one_that_recorded() -> None:
    requests, release = HttpRequests(), asyncio.Event()

    async def served(number: int) -> None:
        await release.wait()
        requests.record_http_request("GET", f"/{number}", 200, 0.1)

    async def other() -> None:
        await release.wait()

    first = asyncio.create_task(served(0))
    assert in_flight(requests) is None  # nobody has shown yet what a request is
    release.set()
    await first
    release.clear()
    waiting = [asyncio.create_task(served(number)) for number in range(3)]
    waiting.append(asyncio.create_task(other()))

    assert await asyncio.to_thread(in_flight, requests) == 3
    release.set()
    await asyncio.gather(*waiting)
    assert in_flight(requests) == 0


async def test_where_one_task_records_several_requests_nobody_knows_how_many_are_in_flight() -> None:
    requests = HttpRequests()
    for _ in range(2):
        requests.record_http_request("GET", "/", 200, 0.1)

    assert in_flight(requests) is None


def test_without_an_event_loop_nobody_knows_how_many_are_in_flight() -> None:
    requests = HttpRequests()
    requests.record_http_request("GET", "/", 200, 0.1)

    assert in_flight(requests) is None
