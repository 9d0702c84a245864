"""Clients that begin and do not finish, that send too much, or that never read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import PATIENCE_S, ask

pytestmark = pytest.mark.integration

HEAD = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
BODY = POST + b"Content-Type: application/json\r\n\r\n{"
LATE = "the request did not arrive in time\n"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar whose deadlines are short."""
    config = "[serve]\nheader_timeout = 0.2\nbody_timeout = 0.2\n"
    with sidecar(tmp_path_factory.mktemp("impatient"), config=config) as started:
        yield started


@contextmanager
def connected(running: Sidecar, sent: bytes = b"") -> Iterator[socket.socket]:
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as client:
        client.sendall(sent)
        yield client


def rest(client: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    received = b""
    with suppress(ConnectionResetError):  # cut off
        while piece := client.recv(65_536):
            received += piece
    return received


def status(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


def test_connection_that_says_nothing_is_closed(impatient: Sidecar) -> None:
    with connected(impatient) as client:
        assert rest(client) == b""


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"G", id="first letter"),
        pytest.param(HEAD, id="head without an end"),
        pytest.param(HEAD + b"X-Slow: 1", id="within a header"),
    ],
)
def test_head_that_never_ends_is_answered_with_408(sent: bytes, impatient: Sidecar) -> None:
    with connected(impatient, sent) as client:
        received = rest(client)

    assert status(received) == 408
    assert received.endswith(LATE.encode())


def test_empty_lines_keep_no_connection_open(impatient: Sidecar) -> None:
    with connected(impatient) as client:
        client.settimeout(0.02)
        closed = False
        while not closed:
            try:
                client.sendall(b"\r\n")
                closed = client.recv(1) == b""
            except TimeoutError:
                continue  # still open: the next empty line
            except OSError:
                closed = True


def test_second_request_of_a_connection_has_the_deadline_too(impatient: Sidecar) -> None:
    with connected(impatient, HEAD + b"\r\n" + HEAD) as client:
        received = rest(client)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(LATE.encode())


def test_body_that_never_ends_is_answered_with_408(impatient: Sidecar) -> None:
    with connected(impatient, BODY) as client:
        received = rest(client)

    assert status(received) == 408
    assert received.endswith(LATE.encode())


def test_body_that_never_ends_and_was_refused_already_is_answered_once(impatient: Sidecar) -> None:
    with connected(impatient, POST + b"Content-Type: text/plain\r\n\r\n{") as client:
        received = rest(client)

    assert status(received) == 415
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 300_000, id="a header without an end"),
        pytest.param(b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", id="a long path"),
        pytest.param(HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)) + b"\r\n", id="many headers"),
        pytest.param(HEAD + b"X: " + b"x" * 40_000 + b"\r\n\r\n", id="a long header"),
    ],
)
def test_head_that_is_too_large_is_answered_with_431(sent: bytes, tmp_path: Path) -> None:
    with sidecar(tmp_path) as running, connected(running) as client:
        with suppress(OSError):  # it is answered before all is sent
            client.sendall(sent)
        received = rest(client)

        assert not received or status(received) == 431
        assert ask(running.url, "/-/healthy").status == 200


def test_head_up_to_the_limit_is_taken(impatient: Sidecar) -> None:
    assert ask(impatient.url, "/-/healthy", headers={"X-Long": "x" * 30_000}).status == 200


def test_what_is_no_http_is_answered_with_400(impatient: Sidecar) -> None:
    with connected(impatient, b"\x16\x03\x01 hello\r\n\r\n") as client:
        assert status(rest(client)) == 400


@pytest.mark.parametrize("sent", [b"", HEAD, BODY], ids=["nothing", "half a head", "half a body"])
def test_thousand_half_open_connections_leave_it_responsive(sent: bytes, tmp_path: Path) -> None:
    with sidecar(tmp_path) as running, ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(connected(running, sent))

        for _ in range(20):
            assert ask(running.url, "/-/healthy").status == 200


def test_connection_that_has_waited_longest_makes_room(tmp_path: Path) -> None:
    with sidecar(tmp_path, config="[serve]\nmax_connections = 8\n") as running, ExitStack() as stack:
        clients = [stack.enter_context(connected(running, HEAD)) for _ in range(8)]
        assert ask(running.url, "/-/healthy").status == 200

        assert rest(clients[0]) == b""
        clients[1].sendall(b"\r\n")
        assert clients[1].recv(12) == b"HTTP/1.1 200"


def test_requests_in_one_packet_are_all_answered(impatient: Sidecar) -> None:
    with connected(impatient, (HEAD + b"\r\n") * 2 + HEAD + b"Connection: close\r\n\r\n") as client:
        received = rest(client)

    assert received.count(b"HTTP/1.1 200 ") == 3
