"""What stands in for a Pushgateway that does not do its work, and one that remembers what it was sent.

Each is a real socket on a free port of 127.0.0.1; the context managers yield its URL or the server.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Received:
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int = 200
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Answering(ThreadingHTTPServer):
    """Answers every request with what ``answer`` returns for it, and remembers the requests.

    Attributes:
        received: the requests, in the order in which they were complete.
    """

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, answer: Callable[[Received], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.received: list[Received] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = cast("Answering", self.server)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        received = Received(self.command, self.path, dict(self.headers), body)
        server.received.append(received)
        answer = server.answer(received)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815  a redirect that was followed would arrive as one of them

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the base class
        """Print nothing."""


@contextmanager
def answering(
    answer: Callable[[Received], Answer] = lambda _: Answer(), *, tls: ssl.SSLContext | None = None
) -> Iterator[Answering]:
    """Answer each request with ``answer(request)``; over TLS where there is a context for it."""
    with Answering(answer) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def refusing() -> Iterator[str]:
    """Refuse every connection: the port is taken, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield _url(taken)


@contextmanager
def hanging() -> Iterator[str]:
    """Take every connection and never say a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=32) as listening:
        yield _url(listening)


@contextmanager
def trickling() -> Iterator[str]:
    """Begin an answer and go on with it, a byte at a time, without an end."""
    stop = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not stop.wait(0.01):
            connection.sendall(b"x")

    with _serving(talk) as url:
        yield url
        stop.set()


@contextmanager
def resetting() -> Iterator[str]:
    """Take every connection, read the request and reset the connection."""

    def reset(connection: socket.socket) -> None:
        _read(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    with _serving(reset) as url:
        yield url


@contextmanager
def speaking(text: bytes) -> Iterator[str]:
    """Answer every request with ``text``, whatever that is."""

    def speak(connection: socket.socket) -> None:
        _read(connection)
        connection.sendall(text)

    with _serving(speak) as url:
        yield url


@contextmanager
def silent_after(text: bytes) -> Iterator[str]:
    """Answer every request with ``text`` and keep the connection open, without another word."""
    over = threading.Event()

    def speak(connection: socket.socket) -> None:
        _read(connection)
        connection.sendall(text)
        over.wait()

    with _serving(speak) as url:
        yield url
        over.set()


@contextmanager
def streaming(page: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """Answer every request with the pieces of ``page``, until the other side goes away."""

    def stream(connection: socket.socket) -> None:
        _read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for piece in page():
            connection.sendall(piece)

    with _serving(stream) as url:
        yield url


def _read(connection: socket.socket) -> None:
    """Read a whole request: what is closed with something unread is reset instead."""
    with connection.makefile("rb") as stream:
        length = 0
        while (line := stream.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        stream.read(length)


@contextmanager
def _serving(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Call ``serve`` with each connection, on a thread of its own."""

    def one(connection: socket.socket) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                return  # the other side has gone away

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # closed below
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=32) as listening:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield _url(listening)
        finally:
            listening.shutdown(socket.SHUT_RDWR)  # close() alone does not wake accept()
            thread.join()


def _url(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}"
