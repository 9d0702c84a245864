"""One deadline for every step: whatever a server does slowly, a check ends in time, and is run again.

Each server here gives a byte again and again, so that the timeout of a single step never passes.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_sergas.checks.deadline import OverdueError, ended_within, reason
from pytest_sergas.core.health import HealthStatus
from pytest_sergas.lookups import look_up
from tests.checks.conftest import make, run

pytestmark = pytest.mark.integration

TIMEOUT_S = 0.3
# Less than the timeout and what the runner grants: the check itself has ended, and says so.
ENDED = f"within {TIMEOUT_S:g} s"

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Talk = Callable[[socket.socket], None]


class Server:
    """Speaks as a test says until it is healed, and then as a healthy server does."""

    def __init__(self, slow: Talk, healthy: Talk) -> None:
        self.slow: Talk | None = slow
        self.healthy = healthy
        self.stop = threading.Event()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return  # closed
            talk = self.slow or self.healthy
            threading.Thread(target=self.talk, args=(connection, talk), daemon=True).start()

    def heal(self) -> None:
        self.slow = None

    def talk(self, connection: socket.socket, talk: Talk) -> None:
        with connection:
            try:
                talk(connection)
            except OSError:
                return  # the check has gone away

    def drip(self, connection: socket.socket, byte: bytes = b"x", times: int = 100_000) -> None:
        for _ in range(times):
            if self.stop.wait(0.02):
                return
            connection.sendall(byte)


@contextmanager
def serving(slow: Callable[[Server, socket.socket], None], healthy: Talk) -> Iterator[Server]:
    server = Server(lambda connection: slow(server, connection), healthy)
    thread = threading.Thread(target=server.accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        server.listening.shutdown(socket.SHUT_RDWR)
        server.listening.close()
        thread.join()


def answers(text: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        while connection.recv(65_536):
            connection.sendall(text)

    return talk


def after(text: bytes) -> Callable[[Server, socket.socket], None]:
    """Say ``text`` to the request, and then a byte again and again."""

    def slow(server: Server, connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(text)
        server.drip(connection)

    return slow


def speak_redis(connection: socket.socket, drip: Callable[[socket.socket], None] | None = None) -> None:
    """Answer every command; INFO is refused, or begins and drips."""
    while received := connection.recv(65_536):
        for command in received.split(b"*")[1:]:
            if b"\r\nINFO\r\n" in command and drip:
                connection.sendall(b"$100000\r\n")
                drip(connection)
            connection.sendall(b"-NOPERM\r\n" if b"\r\nINFO\r\n" in command else b"+OK\r\n")


def redirects(server: Server, connection: socket.socket) -> None:
    """Answer with redirects, each of which is quick enough for itself."""
    place = b"http://127.0.0.1:%d/" % server.port
    connection.recv(65_536)
    server.stop.wait(0.1)
    connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n")


STEPS: dict[str, tuple[str, dict[str, Any], Callable[[Server, socket.socket], None], Talk | None]] = {
    "status line": ("http", {}, after(b"HTTP/1.1 2"), answers(OK)),
    "head": ("http", {}, after(b"HTTP/1.1 200 OK\r\nX-Slow: "), answers(OK)),
    "many headers": ("http", {}, lambda server, link: server.drip(link, b"X: y\r\n"), answers(OK)),
    "body": ("http", {}, after(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"), answers(OK)),
    "events": ("http", {}, after(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"), answers(OK)),
    "second head after a hint": (
        "http",
        {"method": "POST"},
        after(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20"),
        answers(OK),
    ),
    "redis, first word": ("redis", {}, after(b"+PON"), speak_redis),
    "redis, INFO": ("redis", {}, lambda server, link: speak_redis(link, server.drip), speak_redis),
    "postgresql, first word": ("postgresql", {}, after(b"R\0\0\0\x64"), None),
}


@pytest.mark.parametrize(("kind", "options", "slow", "healthy"), STEPS.values(), ids=STEPS)
def test_server_that_trickles_is_given_up_in_time_and_asked_again(
    kind: str,
    options: dict[str, Any],
    slow: Callable[[Server, socket.socket], None],
    healthy: Talk | None,
    tmp_path: Path,
) -> None:
    query = "?sslmode=disable" if kind == "postgresql" else ""
    with serving(slow, healthy or answers(b"")) as server:
        check = make(kind, tmp_path, url=f"{kind}://127.0.0.1:{server.port}/{query}", **options)
        first = run(check, TIMEOUT_S)
        server.heal()
        second = run(check) if healthy else None

    assert first.status is HealthStatus.UNHEALTHY
    assert first.message.endswith(ENDED), first.message
    if second is not None:
        assert second.status is HealthStatus.HEALTHY, second.message


def test_redirects_share_the_deadline(tmp_path: Path) -> None:
    with serving(redirects, answers(OK)) as server:
        check = make("http", tmp_path, url=f"http://127.0.0.1:{server.port}/", follow_redirects=True)
        first = run(check, TIMEOUT_S)
        server.heal()
        second = run(check)

    assert first.message.endswith(f"no answer {ENDED}")
    assert second.status is HealthStatus.HEALTHY


def test_handshake_and_body_over_tls_that_trickle_end_in_time(tmp_path: Path) -> None:
    """The handshake a byte at a time, a body a byte at a time, and no answer to the end of the connection."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    results = []

    def body(server: Server, connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            after(b"HTTP/1.1 200 OK\r\n\r\n")(server, secure)

    for slow in (after(b"\x16\x03\x03\x40\x00"), body):  # a record of 16 KiB begins
        with serving(slow, answers(b"")) as server:
            check = make("http", tmp_path, url=f"https://127.0.0.1:{server.port}/", ca_file="ca.pem")
            results.append(run(check, TIMEOUT_S))

    assert [result.message.partition(": ")[2] for result in results] == [f"no answer {ENDED}"] * 2


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("http", {"url": "http://shop.example/"}, id="http"),
        pytest.param("redis", {"url": "redis://shop.example/0"}, id="redis"),
        pytest.param("tcp", {"host": "shop.example", "port": 80}, id="tcp"),
        pytest.param("postgresql", {"url": "postgresql://shop.example/shop"}, id="postgresql"),
    ],
)
def test_name_server_that_is_silent_costs_the_timeout_and_one_thread(
    kind: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = [], threading.Event()

    def getaddrinfo(*wanted: object) -> list[Any]:
        asked.append(wanted[0])
        answered.wait()
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    check = make(kind, tmp_path, **options)
    results = [run(check, TIMEOUT_S) for _ in range(2)]
    answered.set()

    assert [result.message.endswith(ENDED) for result in results] == [True] * 2, results
    assert asked in (["shop.example"], [b"shop.example"])


@pytest.mark.parametrize("kind", ["http", "redis", "tcp", "postgresql"])
def test_name_without_an_address_says_so(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    options: dict[str, Any] = {"url": f"{kind}://shop.example/0"}
    result = run(make(kind, tmp_path, **({"host": "shop.example", "port": 80} if kind == "tcp" else options)))

    assert result.status is HealthStatus.UNHEALTHY
    assert "Name or service not known" in result.message


# The deadline itself


def test_what_is_done_in_time_is_returned() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert ended_within(60, work) == "done"


def test_what_does_not_let_itself_be_ended_is_left_behind() -> None:
    """As a client does that closes its connection in an orderly way, with a server that does not answer."""
    ended = []

    async def work() -> None:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append(time.monotonic())
        raise ValueError("nobody hears this")

    with pytest.raises(OverdueError):
        ended_within(0.01, work)
    assert len(ended) == 2


def test_own_timeout_of_the_work_is_not_the_deadline() -> None:
    async def work() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError) as raised:
        ended_within(60, work)
    assert not isinstance(raised.value, OverdueError)


def test_reason_is_the_system_s_own_word() -> None:
    refused = [OSError(111, f"Connect call failed ({host}, 80)") for host in ("'::1'", "'127.0.0.1'")]
    wrapped = OSError("All connection attempts failed")
    wrapped.__cause__ = ExceptionGroup("several", refused)

    assert reason(wrapped) == "Connection refused"
    assert reason(OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 113] x")) == (
        "Connection refused; No route to host"
    )
    assert reason(socket.gaierror(-2, "Name or service not known")) == "[Errno -2] Name or service not known"
    assert reason(ValueError()) == "ValueError"


def test_forked_process_looks_names_up_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that looks a name up is not in the child, which would wait for it for ever."""
    import os

    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: go_on.wait())
    look_up("shop.fork", 80)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: ["found"])
        os._exit(0 if look_up("shop.fork", 80).result(60) == ["found"] else 1)
    go_on.set()

    assert os.waitpid(child, 0)[1] == 0
