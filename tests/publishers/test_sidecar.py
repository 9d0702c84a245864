"""The run in the sidecar: its document and its metrics; what could not be sent is kept and sent with the next."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.records import RunRecord
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import Publication
from pytest_sergas.publishers.sidecar import KEPT_RUNS, Sidecar, create
from tests.publishers.conftest import Run, context_for, forever_s, record, run_of, text_of
from tests.servers import sidecar as servers
from tests.servers.gateways import Answer, Received, answering, hanging, refusing
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration

KEPT = "it is kept and sent with the next run"


def publisher(url: str, root: Path, **fields: Any) -> Sidecar:
    made = create(context_for(root, sidecar=url, cache=root / "cache", **fields))
    assert made is not None
    return made


def numbered(number: int) -> RunRecord:
    return run_of(record(), run_id=f"r{number}", finished_s=1_000.0 + number)


def failure(made: Sidecar, run: RunRecord, remaining_s: Callable[[], float] = forever_s) -> str:
    with pytest.raises(PublishError) as caught:
        made.publish(run, remaining_s)
    return str(caught.value)


def kept(root: Path) -> list[str]:
    """Return the ids of the runs that are kept, oldest first."""
    files = sorted((root / "cache").glob("*"))
    return [json.loads(gzip.decompress(file.read_bytes()))["runId"] for file in files]


def documents(received: list[Received]) -> list[str]:
    """Return the ids of the runs that arrived, in their order."""
    bodies = (request.body for request in received if request.path == "/api/runs")
    return [json.loads(gzip.decompress(body))["runId"] for body in bodies]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[servers.Sidecar]:
    directory = tmp_path / "sidecar"
    directory.mkdir()
    with servers.sidecar(directory) as started:
        yield started


def test_run_and_metrics_arrive_at_one_address(running: servers.Sidecar, tmp_path: Path) -> None:
    run = run_of(record())

    publication = publisher(running.url, tmp_path).publish(run, forever_s)

    assert publication == Publication(place=running.url)
    assert ask(running.url, "/api/runs/r1").body == to_json(run)
    assert 'sergas_tests{instance="",job="shop",outcome="passed",type="unit"} 1\n' in ask(running.url, "/metrics").text
    assert kept(tmp_path) == []


def test_metrics_go_to_the_gateway_where_there_is_one(tmp_path: Path) -> None:
    with answering() as server:
        publisher(server.url, tmp_path, push="http://gateway:9091").publish(run_of(record()), forever_s)

    assert [request.path for request in server.received] == ["/api/runs"]


def test_run_is_sent_as_compressed_json_with_the_credentials(tmp_path: Path) -> None:
    with answering() as server:
        made = create(context_for(tmp_path, {"SERGAS_PUSH_TOKEN": "t0k3n"}, sidecar=server.url))
        assert made is not None
        made.publish(run_of(record()), forever_s)

    [request] = [request for request in server.received if request.path == "/api/runs"]
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Content-Encoding"] == "gzip"
    assert {request.headers["Authorization"] for request in server.received} == {"Bearer t0k3n"}


def test_run_that_could_not_be_sent_is_kept_and_sent_with_the_next(running: servers.Sidecar, tmp_path: Path) -> None:
    with refusing() as url:
        text = failure(publisher(url, tmp_path), numbered(1))
        failure(publisher(url, tmp_path), numbered(2))
    assert text == f"{url}: metrics: unit: connection refused; run: connection refused; {KEPT}"
    assert kept(tmp_path) == ["r1", "r2"]

    publication = publisher(running.url, tmp_path).publish(numbered(3), forever_s)

    assert text_of(publication) == "sidecar: 2 earlier runs sent as well"
    assert kept(tmp_path) == []
    assert [run["id"] for run in ask(running.url, "/api/runs").json["runs"]] == ["r3", "r2", "r1"]


def test_push_is_not_repeated(tmp_path: Path) -> None:
    with refusing() as url:
        failure(publisher(url, tmp_path), numbered(1))
    with answering() as server:
        publisher(server.url, tmp_path).publish(numbered(2), forever_s)

    paths = [request.path for request in server.received]
    assert (paths.count("/api/runs"), paths.count("/metrics/job/shop/type/unit")) == (2, 1)


def test_kept_runs_are_bounded_and_the_oldest_are_given_up(tmp_path: Path) -> None:
    with refusing() as url:
        for number in range(KEPT_RUNS + 3):
            failure(publisher(url, tmp_path), numbered(number))

    assert kept(tmp_path) == [f"r{number}" for number in range(3, KEPT_RUNS + 3)]


def test_hanging_sidecar_costs_the_deadline_and_the_run_is_kept(tmp_path: Path) -> None:
    left_s = iter([0.2] * 4)
    with hanging() as url:
        text = failure(publisher(url, tmp_path), numbered(1), lambda: next(left_s, 0.0))

    assert text.startswith(f"{url}: ")
    assert kept(tmp_path) == ["r1"]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_answer_that_is_not_about_the_run_keeps_it(status: int, tmp_path: Path) -> None:
    with answering(lambda _: Answer(status, "no")) as server:
        text = failure(publisher(server.url, tmp_path, push="x"), numbered(1))

    assert text.startswith(f"{server.url}: run: it answered {status} ")
    assert text.endswith(f": no; {KEPT}")
    assert kept(tmp_path) == ["r1"]


@pytest.mark.parametrize("status", [400, 409, 413])
def test_run_that_is_refused_is_given_up(status: int, tmp_path: Path) -> None:
    with answering(lambda _: Answer(status, "no")) as server:
        text = failure(publisher(server.url, tmp_path, push="x"), numbered(1))

    assert KEPT not in text
    assert kept(tmp_path) == []


def test_earlier_run_that_is_refused_keeps_no_other_back(tmp_path: Path) -> None:
    with refusing() as url:
        failure(publisher(url, tmp_path, push="x"), numbered(1))

    def answer(request: Received) -> Answer:
        return Answer(413, "too large") if documents([request]) == ["r1"] else Answer()

    with answering(answer) as server:
        publication = publisher(server.url, tmp_path, push="x").publish(numbered(2), forever_s)

    assert documents(server.received) == ["r1", "r2"]
    phrase = HTTPStatus(413).phrase  # Python 3.13 has another one than 3.11
    assert text_of(publication) == f"sidecar: an earlier run is given up: it answered 413 {phrase}: too large"
    assert kept(tmp_path) == []


def test_without_a_cache_nothing_is_kept_and_that_is_said(tmp_path: Path) -> None:
    with refusing() as url:
        made = create(context_for(tmp_path, sidecar=url, push="x"))
        assert made is not None
        text = failure(made, numbered(1))

    assert text == f"{url}: run: connection refused; not kept, because pytest's cache is off"


def test_cache_that_cannot_be_written_keeps_nothing_from_arriving(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with answering() as server:
        publisher(server.url, tmp_path, push="x").publish(numbered(1), forever_s)
    assert documents(server.received) == ["r1"]

    with refusing() as url:
        text = failure(publisher(url, tmp_path, push="x"), numbered(2))
    assert text.startswith(f"{url}: run: connection refused; not kept: {tmp_path / 'cache'}/")
    assert "cannot be written: " in text


def test_credentials_that_cannot_be_used_are_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create(context_for(tmp_path, {"SERGAS_PUSH_TOKEN": "a b"}, sidecar="http://127.0.0.1:8000"))

    assert caught.value.faults == (
        "sidecar: the bearer token (SERGAS_PUSH_TOKEN) contains a blank or what is not ASCII",
    )


def test_option_sends_the_run_and_the_next_one_sends_what_was_kept(
    run: Run, pytester: pytest.Pytester, running: servers.Sidecar
) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_a(): pass\n")
    with refusing() as url:
        first = run("-p", "cacheprovider", f"--sergas-sidecar={url}")
    second = run("-p", "cacheprovider", f"--sergas-sidecar={running.url}")

    assert (first.result.ret, second.result.ret) == (0, 0)
    assert f"not sent: sidecar: {url}: metrics: unit: connection refused; run: connection refused; {KEPT}" in first.text
    assert "sidecar: 1 earlier run sent as well" in second.text
    assert f"sidecar: {running.url}" in second.text
    assert len(ask(running.url, "/api/runs").json["runs"]) == 2
