"""Orders as documents: of every age, with a defect that came back once, and fast enough."""

from __future__ import annotations

import sys
import tracemalloc

import pytest

from shop.client import document
from shop.orders import Order, load


@pytest.mark.compatibility
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"name": "Ada", "sku": "tea", "price": "4.20"}', Order("Ada", "tea", 1), id="before versions"),
        pytest.param('{"version": 2, "customer": "Ada", "line": ["tea", 3]}', Order("Ada", "tea", 3), id="version 2"),
        pytest.param(document("Ada", "tea", 3), Order("Ada", "tea", 3), id="version 3"),
    ],
)
def test_orders_of_every_age_are_read(text: str, expected: Order) -> None:
    assert load(text) == expected


@pytest.mark.compatibility
@pytest.mark.skipif(sys.platform != "win32", reason="line ends of Windows are written on Windows")
def test_the_spool_file_of_the_old_till_is_read() -> None:
    assert load('{"version": 2,\r\n"customer": "Ada", "line": ["tea", 3]}\r\n') == Order("Ada", "tea", 3)


@pytest.mark.regression
def test_an_order_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="quantity 0 is not between 1 and 1000"):
        Order("Ada", "tea", 0)


@pytest.mark.regression
@pytest.mark.xfail(reason="true is a whole number to Python; version 4 will be strict")
def test_true_is_not_a_quantity() -> None:
    with pytest.raises(ValueError, match="not an order"):
        load('{"version": 3, "customer": "Ada", "article": "tea", "quantity": true}')


@pytest.mark.performance
def test_reading_ten_thousand_orders_keeps_nothing() -> None:
    text = document("Ada", "tea", 3)
    load(text)

    tracemalloc.start()
    try:
        for _ in range(10_000):
            load(text)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept_bytes < 100_000
