"""The shop over HTTP.

GET  /health              200
GET  /prices/ARTICLE      200 with the price, or 404
POST /orders              201 with number and total, 400 for what is no order, 413 for what is too long
GET  /orders/CUSTOMER     200 with the customer's orders
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from shop.orders import CATALOGUE, Orders, load

MAX_BODY_BYTES = 10_000


@contextmanager
def running(orders: Orders) -> Iterator[str]:
    """Serve ``orders`` on a free port of this machine; the value is the URL."""
    lock = threading.Lock()  # one SQLite connection, many requests

    class Handler(_Handler):
        def handle_order(self, body: bytes) -> tuple[int, object]:
            try:
                order = load(body.decode())
            except ValueError as error:
                return 400, {"error": str(error)}
            with lock:
                return 201, {"number": orders.add(order), "total": str(order.total)}

        def orders_of(self, customer: str) -> list[dict[str, object]]:
            with lock:
                return [{"article": order.article, "quantity": order.quantity} for order in orders.of(customer)]

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # 5, the default, turns customers away as soon as a few come at once


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path.split("/")[1:]:
            case ["health"]:
                self._answer(200, {"status": "ok"})
            case ["prices", article] if article in CATALOGUE:
                self._answer(200, {"price": str(CATALOGUE[article])})
            case ["orders", customer]:
                self._answer(200, self.orders_of(unquote(customer)))
            case _:
                self._answer(404, {"error": "not found"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > MAX_BODY_BYTES:
            self.rfile.read(min(length, 10 * MAX_BODY_BYTES))  # so that the answer is not lost in a reset
            self.close_connection = True
            self._answer(413, {"error": f"more than {MAX_BODY_BYTES} bytes"})
        elif self.path == "/orders":
            self._answer(*self.handle_order(self.rfile.read(length)))
        else:
            self._answer(404, {"error": "not found"})

    def handle_order(self, body: bytes) -> tuple[int, object]:
        raise NotImplementedError

    def orders_of(self, customer: str) -> list[dict[str, object]]:
        raise NotImplementedError

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name that the base class gives it
        """Say nothing: the tests say what happened."""
