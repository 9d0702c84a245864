"""Integration tests: orders with their database, and a warehouse that is slow to wake up."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from shop.orders import Order, Orders


def test_orders_outlive_the_process(tmp_path: Path) -> None:
    path = str(tmp_path / "orders.db")
    first = Orders(path)
    first.add(Order("Ada", "tea", 2))
    first.close()

    again = Orders(path)

    assert again.of("Ada") == [Order("Ada", "tea", 2)]
    again.close()


def test_customers_see_their_own_orders_only(orders: Orders) -> None:
    orders.add(Order("Ada", "tea", 2))
    orders.add(Order("Bob", "mug", 1))

    assert [order.total for order in orders.of("Bob")] == [Decimal("11.00")]


@pytest.fixture(scope="module")
def warehouse() -> Callable[[str], int]:
    """Tells the stock; the first call after a start finds it still asleep."""
    calls: list[str] = []

    def stock(article: str) -> int:
        calls.append(article)
        if len(calls) == 1:
            raise ConnectionError("the warehouse is starting")
        return 12

    return stock


def test_the_warehouse_tells_its_stock(warehouse: Callable[[str], int]) -> None:
    # Fails, is repeated because of [tool.sergas.types.integration], and passes: flaky, and called so.
    assert warehouse("tea") == 12
