"""The whole shop as its customers see it, as an attacker would like it, and with all of them at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from shop.client import Client, document


@pytest.mark.e2e
def test_a_customer_orders_and_finds_the_order_again(client: Client) -> None:
    assert client.ask("GET", "/prices/mug") == (200, {"price": "11.00"})

    assert client.order("Ada", "mug", 10) == (201, {"number": 1, "total": "99.00"})

    assert client.orders("Ada") == (200, [{"article": "mug", "quantity": 10}])


@pytest.mark.security
@pytest.mark.parametrize(
    "customer", ["x' OR '1'='1", "x'; DROP TABLE orders; --", "../../etc/passwd"], ids=["or", "drop", "path"]
)
def test_a_name_is_never_a_command(client: Client, customer: str) -> None:
    client.order("Ada", "mug", 1)
    client.order(customer, "tea", 1)

    assert client.orders("Ada") == (200, [{"article": "mug", "quantity": 1}])
    assert client.orders(customer) == (200, [{"article": "tea", "quantity": 1}])


@pytest.mark.security
def test_a_body_that_is_too_long_is_refused(client: Client) -> None:
    assert client.ask("POST", "/orders", "x" * 10_001) == (413, {"error": "more than 10000 bytes"})


@pytest.mark.load
def test_two_hundred_customers_at_once(client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: client.order(f"c{number}", "tea", 1), range(200)))

    assert {status for status, _ in answers} == {201}
    assert sorted(answer["number"] for _, answer in answers) == list(range(1, 201))


@pytest.mark.stress(timeout=60)  # ten times what it was built for; the keyword counts for this test alone
def test_nonsense_in_any_amount_is_answered(client: Client) -> None:
    nonsense = ["", "{", "null", "[]", '{"version": 3}', document("Ada", "tea", 0), document("Ada", "gold", 1)]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: client.ask("POST", "/orders", body), nonsense * 40))

    assert {status for status, _ in answers} == {400}
    assert client.ask("GET", "/health") == (200, {"status": "ok"})
