"""Connections that stay open: every answer is as few packets as on a new one, and nothing waits for a timer.

Counted, not timed: data segments that the client's kernel has received, and writes of the server's event loop.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from pytest_sergas.sidecar.gathering import GATHERED_BYTES, GatheringTransport
from tests.servers.sidecar import Sidecar
from tests.sidecar.conftest import PATIENCE_S, ask

pytestmark = pytest.mark.integration

HEAD = "Host: localhost\r\n"
_DATA_SEGMENTS_IN = 152  # where Linux has tcpi_data_segs_in in struct tcp_info


@contextmanager
def connected(running: Sidecar) -> Iterator[socket.socket]:
    """Yield a connection as a plain client has it: with Nagle's algorithm and delayed acknowledgements."""
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as client:
        yield client


def segments(client: socket.socket) -> int:
    """Return how many segments with data have come."""
    info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("I", info, _DATA_SEGMENTS_IN)[0])


def answer(client: socket.socket, *, has_body: bool = True) -> tuple[int, bytes]:
    """Return the status and the body of the answer that comes."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head)
    assert found, head
    while has_body and len(body) < int(found[1]):
        body += client.recv(1 << 20)
    return int(head.split(b" ", 2)[1]), body


def get(path: str, headers: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\n{HEAD}{headers}\r\n".encode()


def post(path: str, body: bytes, kind: str = "text/plain", method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\n{HEAD}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's count of segments is Linux's own")
def test_every_answer_on_a_connection_that_was_kept_is_one_packet(running: Sidecar) -> None:
    documented = ask(running.url, "/api/openapi.json").json["paths"]
    requests = [get(path.replace("{silence_id}", "x")) for path, of in documented.items() if "get" in of]
    requests += [get(path) for path in ("/", "/alerts", "/runs", "/health", "/nowhere", "/-/ready", "/favicon.ico")]
    requests += [
        get("/metrics", method="HEAD"),
        get("/metrics", "Accept: application/openmetrics-text\r\n"),
        get("/", "Host: evil\r\n"),  # refused before the application
        get("/metrics", method="OPTIONS"),
        post("/metrics/job/a", b"x 1\n"),
        post("/metrics/job/a", b"not a page"),
        post("/api/silences", b"{}", "application/json"),
        post("/metrics/job/a", b"", method="DELETE"),
    ]
    seen: dict[bytes, int] = {}
    with connected(running) as client:
        for request in requests:
            before = segments(client)
            client.sendall(request)
            _, body = answer(client, has_body=not request.startswith(b"HEAD"))
            if len(body) < 32_000:  # what is larger than a segment is several
                seen[request.partition(b"\r\n")[0]] = segments(client) - before

    assert len(seen) > 20
    assert {line: count for line, count in seen.items() if count != 1} == {}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the client alone decides when its packets go")
def test_body_that_a_plain_client_sends_after_its_head_is_not_waited_for(running: Sidecar) -> None:
    """The client's system sends the body once the head is acknowledged, which an idle server's does after 40 ms."""
    taken_s = []
    request = post("/metrics/job/slow", b"x 1\n")
    with connected(running) as client:
        for _ in range(20):
            begin_s = time.perf_counter()
            client.sendall(request[:-4])
            client.sendall(request[-4:])
            assert answer(client)[0] == 200
            taken_s.append(time.perf_counter() - begin_s)

    assert min(taken_s[5:]) < 0.02  # the first ones are acknowledged at once anyhow


def test_pipelined_and_large_answers_are_whole(running: Sidecar) -> None:
    page = "".join(f'big{{n="{number}"}} 1\n' for number in range(20_000)).encode()
    with connected(running) as client:
        client.sendall(post("/metrics/job/big", page))
        assert answer(client)[0] == 200
        client.sendall(get("/metrics") + get("/-/healthy"))
        status, received = answer(client)
        large, _, _ = received.partition(b"HTTP/1.1 200")

    assert status == 200
    assert large.count(b"big{") == 20_000


class Recorded(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = "closed"

    def abort(self) -> None:
        self.closed = "aborted"


async def test_head_and_body_are_one_write() -> None:
    inner = Recorded()
    gathering = GatheringTransport(inner, asyncio.get_running_loop())
    gathering.write(b"head")
    gathering.write(b"body")
    assert inner.written == []
    gathering.flush()

    assert inner.written == [b"headbody"]


async def test_what_nobody_flushes_goes_when_the_loop_comes_round() -> None:
    inner = Recorded()
    gathering = GatheringTransport(inner, asyncio.get_running_loop())
    for number in (b"1", b"2"):
        gathering.write(number)
        await asyncio.sleep(0)

    assert inner.written == [b"1", b"2"]


async def test_large_body_is_not_copied_to_be_joined() -> None:
    inner = Recorded()
    gathering = GatheringTransport(inner, asyncio.get_running_loop())
    gathering.write(b"head")
    gathering.write(b"x" * GATHERED_BYTES)
    gathering.flush()

    assert [len(piece) for piece in inner.written] == [4, GATHERED_BYTES]


async def test_closing_sends_what_was_gathered_and_aborting_does_not() -> None:
    closed, aborted = Recorded(), Recorded()
    for inner in (closed, aborted):
        gathering = GatheringTransport(inner, asyncio.get_running_loop())
        gathering.write(b"head")
        gathering.close() if inner is closed else gathering.abort()
    await asyncio.sleep(0)

    assert (closed.written, closed.closed, aborted.written, aborted.closed) == ([b"head"], "closed", [], "aborted")
