"""How the shop is, as the sidecar asks it: ``[[tool.sergas.checks]]`` in pyproject.toml names these functions."""

from __future__ import annotations

from shop.client import Client
from shop.orders import CATALOGUE, Orders
from shop.service import running


def catalogue() -> str:
    """Return what there is to buy."""
    return f"for sale: {', '.join(sorted(CATALOGUE))}"


def service() -> str:
    """Order something, as a customer would, in a shop that is started for it."""
    orders = Orders(":memory:")
    try:
        with running(orders) as url:
            status, answer = Client(url).order("health", "tea", 1)
    finally:
        orders.close()
    if status != 201:
        raise RuntimeError(f"an order was answered with {status}: {answer}")
    return "an order was taken"
