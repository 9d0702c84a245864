"""The shop as a program that orders there sees it."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote


class Client:
    """Talks to a running shop.

    Args:
        url: where it runs, such as ``http://127.0.0.1:8080``.
    """

    def __init__(self, url: str) -> None:
        self._host = url.removeprefix("http://")

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        """Send a request; return status and document of the answer."""
        connection = http.client.HTTPConnection(self._host, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def order(self, customer: str, article: str, quantity: int) -> tuple[int, Any]:
        """Order something."""
        return self.ask("POST", "/orders", document(customer, article, quantity))

    def orders(self, customer: str) -> tuple[int, Any]:
        """Ask for what a customer has ordered."""
        return self.ask("GET", f"/orders/{quote(customer, safe='')}")


def document(customer: str, article: str, quantity: int) -> str:
    """Return an order in today's form."""
    return json.dumps({"version": 3, "customer": customer, "article": article, "quantity": quantity})
