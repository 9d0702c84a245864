"""Clients that push as fast as they are answered, on connections that stay open, at little cost of their own."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from urllib.parse import urlsplit

GAUGES = ("orders", "errors", "queue_length", "latency_seconds", "last_success")

_PATIENCE_S = 120.0
_RECEIVED = 65_536
_TAKEN = (b"HTTP/1.1 200", b"HTTP/1.1 202")  # the latter from a Pushgateway that checks nothing


@dataclass(slots=True)
class Latencies:
    """Seconds that requests took."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median_ms(self) -> float:
        return self.percentile_ms(50)

    def percentile_ms(self, percent: int) -> float:
        return 1000 * quantiles(self.seconds, n=100)[percent - 1]

    @property
    def max_ms(self) -> float:
        return 1000 * max(self.seconds)


def body(value: float) -> bytes:
    """Return five gauges, with types and help as clients send them."""
    return b"".join(
        f"# HELP shop_{name} What the shop has of {name}.\n# TYPE shop_{name} gauge\nshop_{name} {value}\n".encode()
        for name in GAUGES
    )


def request(group: int, value: float) -> bytes:
    """Return the push of five gauges to the group with this number."""
    content = body(value)
    head = f"PUT /metrics/job/shop/instance/host-{group} HTTP/1.1\r\nHost: localhost\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def push_in_turn(url: str, groups: Sequence[int], count: int) -> Latencies:
    """Push ``count`` times from one client, each time to the next of ``groups``."""
    found = Latencies()
    with connected(url) as connection:
        for number in range(count):
            sent = request(groups[number % len(groups)], number)
            started_s = time.perf_counter()
            connection.sendall(sent)
            answer = connection.recv(_RECEIVED)
            found.seconds.append(time.perf_counter() - started_s)
            assert answer.startswith(_TAKEN), answer
    return found


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    sent_s: float = 0.0


def push_at_once(url: str, groups: Sequence[int], *, clients: int, count: int) -> tuple[Latencies, float]:
    """Push ``count`` times from ``clients`` that each wait for their answer; return the latencies and the pushes/s."""
    found = Latencies()
    sent = 0

    def send(client: _Client) -> None:
        nonlocal sent
        data = request(groups[sent % len(groups)], sent)
        sent += 1
        client.sent_s = time.perf_counter()
        client.connection.sendall(data)

    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        waiting = [_Client(stack.enter_context(connected(url))) for _ in range(clients)]
        started_s = time.perf_counter()
        for client in waiting:
            selector.register(client.connection, selectors.EVENT_READ, client)
            send(client)
        while len(found.seconds) < count:
            for key, _ in selector.select():
                answer = key.data.connection.recv(_RECEIVED)
                now_s = time.perf_counter()
                assert answer.startswith(_TAKEN), answer
                found.seconds.append(now_s - key.data.sent_s)
                if sent < count:
                    send(key.data)
        return found, len(found.seconds) / (time.perf_counter() - started_s)


def scrape(url: str, headers: str = "") -> tuple[bytes, float]:
    """Return the page, as it was sent, and the seconds that it took."""
    with connected(url) as connection:
        started_s = time.perf_counter()
        connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n".encode())
        received = bytearray()
        while data := connection.recv(1 << 20):
            received += data
        took_s = time.perf_counter() - started_s
    head, _, page = bytes(received).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return page, took_s
