"""What an answer costs on a connection that is kept, beside one on a new connection in the same run.

The client is a plain one: neither of its sockets has ``TCP_NODELAY``. Requests go out in turns, one on each. A push
waits for the disk, whose noise is larger than what a connection costs: there the bound leaves room for it.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest

from tests.benchmarks.runs import show
from tests.servers.sidecar import sidecar
from tests.sidecar.test_kept_alive import answer, get, post

pytestmark = pytest.mark.performance(timeout=300)

ROUNDS = 100
_PUSH = post("/metrics/job/shop", b"orders 1\n")
# What is asked, the pieces in which the client sends it, and the bound.
REQUESTS = (
    ("GET /-/ready", (get("/-/ready"),), 1.0),
    ("GET /metrics", (get("/metrics"),), 1.0),
    ("GET / (the page)", (get("/"),), 1.0),
    ("GET /api/alerts", (get("/api/alerts"),), 1.0),
    ("GET, 404", (get("/nowhere"),), 1.0),
    ("push", (_PUSH,), 1.3),
    ("push, head and body in two packets", (_PUSH[:-9], _PUSH[-9:]), 1.3),
)


def took_ms(client: socket.socket, pieces: tuple[bytes, ...]) -> float:
    begin_s = time.perf_counter()
    for piece in pieces:
        client.sendall(piece)
    answer(client)
    return (time.perf_counter() - begin_s) * 1e3


def test_answer_on_a_kept_connection_takes_no_longer_than_on_a_new_one(tmp_path: Path) -> None:
    rows, slower = [], []
    with sidecar(tmp_path) as running:
        address = (urlsplit(running.url).hostname or "", urlsplit(running.url).port or 0)
        for name, pieces, bound in REQUESTS:
            new_ms, kept_ms = [], []
            with socket.create_connection(address) as kept:
                for _ in range(ROUNDS):
                    begin_s = time.perf_counter()
                    with socket.create_connection(address) as new:
                        connected_ms = (time.perf_counter() - begin_s) * 1e3
                        new_ms.append(connected_ms + took_ms(new, pieces))
                    kept_ms.append(took_ms(kept, pieces))
            ratio = median(kept_ms) / median(new_ms)
            slower += [name] if ratio > bound else []
            rows.append((name, f"{median(new_ms):.2f}", f"{median(kept_ms):.2f}", f"{ratio:.2f} (bound {bound})"))

    show("one request after the other", ("", "new, median ms", "kept, median ms", "ratio"), *rows)
    assert slower == []
