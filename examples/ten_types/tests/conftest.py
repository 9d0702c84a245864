"""The shop, empty and running, for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shop.client import Client
from shop.orders import Orders
from shop.service import running


@pytest.fixture
def orders() -> Iterator[Orders]:
    """An empty book of orders."""
    orders = Orders(":memory:")
    yield orders
    orders.close()


@pytest.fixture
def client(orders: Orders) -> Iterator[Client]:
    """A customer of the running shop."""
    with running(orders) as url:
        yield Client(url)
