"""Test runs over HTTP: kept once, asked about, bounded."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.records import Environment, Outcome
from tests.publishers.conftest import attempt, record, run_of
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import PATIENCE_S, Reply, ask

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


def post(url: str, body: bytes, **headers: str) -> Reply:
    return ask(
        url, "/api/runs", "POST", headers={**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}, body=body
    )


def document(run_id: str, *tests: dict[str, Any], branch: str = "") -> bytes:
    environment = {"branchName": branch} if branch else {}
    return json.dumps(
        {"reportFormat": "CTRF", "runId": run_id, "results": {"tests": tests, "environment": environment}}
    ).encode()


def passed(name: str, duration: float = 100, **fields: Any) -> dict[str, Any]:
    return {"name": name, "status": "passed", "duration": duration, **fields}


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar that keeps three runs of at most 1 MiB."""
    with sidecar(tmp_path, config="[serve]\nruns_kept = 3\nmax_run_mib = 1\n") as started:
        yield started


def ids(url: str, query: str = "") -> list[str]:
    return [run["id"] for run in ask(url, f"/api/runs{query}").json["runs"]]


def test_run_is_kept_and_shown(empty: Sidecar) -> None:
    run = run_of(
        record("a.py::test_a"),
        record("a.py::test_b", Outcome.FAILED),
        environment=Environment(branch="main", commit="abc"),
    )

    reply = post(empty.url, to_json(run))

    assert (reply.status, reply.json) == (201, {"id": "r1", "stored": True})
    [shown] = ask(empty.url, "/api/runs").json["runs"]
    assert shown.pop("received")
    assert shown == {
        "id": "r1",
        "project": "shop",
        "branch": "main",
        "commit": "abc",
        "started": "1970-01-01T00:16:40Z",
        "finished": "1970-01-01T00:17:40Z",
        "total": 2,
        "success_rate": 50.0,
        "flaky": 0,
        "by_status": {"passed": 1, "failed": 1},
    }
    assert ask(empty.url, "/api/runs/r1").body == to_json(run)


def test_run_survives_a_kill(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        assert post(running.url, document("r1")).status == 201
        running.send(signal.SIGKILL)
        running.wait()
    with sidecar(tmp_path) as running:
        assert ids(running.url) == ["r1"]
        assert ask(running.url, "/api/monitoring/status").json["tests"]["total"] == 0


def test_same_run_again_changes_nothing(empty: Sidecar) -> None:
    post(empty.url, document("r1"))
    reply = post(empty.url, document("r1"))

    assert (reply.status, reply.json) == (200, {"id": "r1", "stored": False})
    assert ids(empty.url) == ["r1"]


def test_another_run_under_the_same_id_is_refused(empty: Sidecar) -> None:
    post(empty.url, document("r1"))
    reply = post(empty.url, document("r1", passed("a")))

    assert (reply.status, reply.json) == (
        409,
        {"error": "another run is kept as 'r1'; send this one under an id of its own"},
    )
    assert ask(empty.url, "/api/runs/r1").body == document("r1")


def test_gzip_is_taken(empty: Sidecar) -> None:
    assert post(empty.url, gzip.compress(document("r1")), Content_Encoding="gzip").status == 201
    assert ask(empty.url, "/api/runs/r1").body == document("r1")


def test_oldest_runs_are_forgotten_beyond_the_number_that_is_kept(empty: Sidecar) -> None:
    for number in range(5):
        post(empty.url, document(f"r{number}"))

    assert ids(empty.url) == ["r4", "r3", "r2"]
    assert ask(empty.url, "/api/runs/r0").status == 404


def test_runs_are_filtered_by_branch_and_limited(empty: Sidecar) -> None:
    for number, branch in enumerate(["main", "dev", "main"]):
        post(empty.url, document(f"r{number}", branch=branch))

    assert ids(empty.url, "?branch=main") == ["r2", "r0"]
    assert ids(empty.url, "?limit=1") == ["r2"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        pytest.param(
            b"{}",
            {"Content_Type": "text/plain"},
            415,
            {"error": "a run is a CTRF document; send it with Content-Type: application/json"},
            id="no JSON",
        ),
        pytest.param(
            b"{}",
            {"Content_Encoding": "br"},
            415,
            {"error": "Content-Encoding 'br' is not known; send gzip, or none"},
            id="encoding",
        ),
        pytest.param(
            b"{}",
            {"Content_Encoding": "gzip"},
            400,
            {
                "error": "the body is not the gzip that Content-Encoding says: Error -3 while decompressing data: "
                "incorrect header check"
            },
            id="no gzip",
        ),
        pytest.param(
            b" " * 1_100_000, {}, 413, {"error": "the run is larger than 1 MiB, which max_run_mib allows"}, id="large"
        ),
        pytest.param(
            gzip.compress(b" " * 10_000_000),
            {"Content_Encoding": "gzip"},
            413,
            {"error": "the run is larger than 1 MiB, which max_run_mib allows"},
            id="gzip bomb",
        ),
        *(
            pytest.param(
                body, {}, 400, {"error": "the document is no CTRF that can be kept", "faults": [fault]}, id=name
            )
            for name, body, fault in [
                ("cut off", b'{"a"', "it is not JSON: Expecting ':' delimiter at line 1, column 5"),
                ("no text", b'"\xff"', "it is not UTF-8 at byte 1"),
                ("deep", b"[" * 100_000, "it is nested too deeply"),
                ("digits", b"1" * 5_000, "it is not JSON: a number has too many digits, or is NaN or infinite"),
                ("NaN", b"[NaN]", "it is not JSON: a number has too many digits, or is NaN or infinite"),
                (
                    "no tests",
                    b'{"reportFormat":"CTRF","runId":"a","results":{}}',
                    "results.tests is missing: allowed: a list",
                ),
            ]
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_and_says_why(
    body: bytes, headers: dict[str, str], status: int, error: dict[str, Any], running: Sidecar, empty: Sidecar
) -> None:
    del running
    reply = post(empty.url, body, **headers)

    assert (reply.status, reply.json) == (status, error)
    assert ids(empty.url) == []


def test_gzip_bomb_takes_no_memory(running: Sidecar) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * 1024 * 1024) for _ in range(200)) + packer.flush()
    before_kib = running.peak_kib

    assert post(running.url, bomb, Content_Encoding="gzip").status == 413

    assert running.peak_kib - before_kib < 50 * 1024


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/api/runs?limit=0", "limit: allowed: one whole number from 1 to 1000"),
        ("/api/runs?limit=1001", "limit: allowed: one whole number from 1 to 1000"),
        ("/api/runs?limit=1&limit=2", "limit: allowed: one whole number from 1 to 1000"),
        ("/api/runs?limit=%D9%A1", "limit: allowed: one whole number from 1 to 1000"),
        ("/api/tests?runs=101", "runs: allowed: one whole number from 1 to 100"),
        ("/api/durations?runs=x", "runs: allowed: one whole number from 1 to 100"),
        ("/api/runs?branch=a&branch=b", "branch: allowed: one text of at most 200 characters"),
    ],
)
def test_parameter_that_cannot_be_used_is_refused(path: str, error: str, running: Sidecar) -> None:
    reply = ask(running.url, path)

    assert (reply.status, reply.json) == (400, {"error": error})


def test_unknown_run_is_a_404(running: Sidecar) -> None:
    reply = ask(running.url, "/api/runs/nobody")

    assert (reply.status, reply.json) == (404, {"error": "no run with this id is kept"})


def test_tests_over_several_runs_with_trouble_first(empty: Sidecar) -> None:
    post(empty.url, document("r1", passed("calm", 100), passed("shaky", 10, flaky=True, type="unit")))
    post(empty.url, document("r2", passed("calm", 300), {"name": "shaky", "status": "failed", "duration": 30}))

    assert ask(empty.url, "/api/tests").json["tests"] == [
        {
            "id": "shaky",
            "type": "untyped",
            "runs": 2,
            "last_outcome": "failed",
            "by_outcome": {"failed": 1, "flaky": 1},
            "median_seconds": 0.02,
            "longest_seconds": 0.03,
        },
        {
            "id": "calm",
            "type": "untyped",
            "runs": 2,
            "last_outcome": "passed",
            "by_outcome": {"passed": 2},
            "median_seconds": 0.2,
            "longest_seconds": 0.3,
        },
    ]
    assert [test["runs"] for test in ask(empty.url, "/api/tests?runs=1").json["tests"]] == [1, 1]


def test_durations_are_medians_by_node_id(empty: Sidecar) -> None:
    for number, seconds in enumerate([1.0, 2.0, 9.0]):
        run = run_of(record("a.py::test_a", attempt(call_s=seconds)), run_id=f"r{number}")
        post(empty.url, to_json(run))

    assert ask(empty.url, "/api/durations").json == {"durations": {"a.py::test_a": 2.25}}


def test_names_of_tests_are_json_and_no_page(empty: Sidecar) -> None:
    post(empty.url, document("r1", passed("<script>alert(1)</script>")))
    reply = ask(empty.url, "/api/tests")

    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_half_a_surrogate_pair_is_kept_as_words(empty: Sidecar) -> None:
    assert post(empty.url, document("r1", passed("a\ud800"), branch="b\ud800")).status == 201
    assert ask(empty.url, "/api/tests").json["tests"][0]["id"] == "a\\ud800"
    assert ask(empty.url, "/api/runs").json["runs"][0]["branch"] == "b\\ud800"


def test_request_in_progress_is_finished_after_sigterm(tmp_path: Path) -> None:
    body = document("r1")
    head = (
        "POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with sidecar(tmp_path) as running:
        parts = urlsplit(running.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as client:
            client.sendall(head.encode())
            assert client.recv(1_000).startswith(b"HTTP/1.1 100 ")  # the application waits for the body
            running.send(signal.SIGTERM)
            while _is_listening(running.url):
                pass  # each attempt waits for the process
            client.sendall(body)
            received = client.recv(10_000)

        assert received.startswith(b"HTTP/1.1 201 ")
        assert running.wait() == 0
    with sidecar(tmp_path) as running:
        assert ids(running.url) == ["r1"]


def test_client_that_does_not_read_its_answer_is_cut_off(tmp_path: Path) -> None:
    config = "[serve]\nbody_timeout = 0.2\n"
    with sidecar(tmp_path, config=config) as running:
        body = document("r1", passed("a", note="x" * 15_000_000))
        assert post(running.url, gzip.compress(body), Content_Encoding="gzip").status == 201
        parts = urlsplit(running.url)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect((parts.hostname, parts.port))
            client.sendall(b"GET /api/runs/r1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while 'reason="deadline"} 0' in ask(running.url, "/metrics").text:
                pass  # each page waits for the process


def _is_listening(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S):
            return True
    except ConnectionRefusedError:
        return False
