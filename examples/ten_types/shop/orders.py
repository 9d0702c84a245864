"""Orders, kept in SQLite."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from decimal import Decimal

from shop.prices import discounted, parse

CATALOGUE = {"tea": Decimal("4.20"), "coffee": Decimal("7.90"), "mug": Decimal("11.00")}


@dataclass(frozen=True, slots=True)
class Order:
    """How many pieces of which article a customer wants.

    Raises:
        ValueError: there is no such article, or the quantity is out of range.
    """

    customer: str
    article: str
    quantity: int

    def __post_init__(self) -> None:
        if self.article not in CATALOGUE:
            raise ValueError(f"no article {self.article!r}; there are {', '.join(sorted(CATALOGUE))}")
        if not 1 <= self.quantity <= 1000:
            raise ValueError(f"quantity {self.quantity} is not between 1 and 1000")

    @property
    def total(self) -> Decimal:
        """What the order costs, without tax."""
        return discounted(CATALOGUE[self.article], self.quantity)


def load(document: str) -> Order:
    """Read an order in any of the three forms that were ever sent to us.

    Raises:
        ValueError: it is in none of them.
    """
    fields = json.loads(document)
    match fields:
        case {"version": 3, "customer": str(customer), "article": str(article), "quantity": int(quantity)}:
            return Order(customer, article, quantity)
        case {"version": 2, "customer": str(customer), "line": [str(article), int(quantity)]}:
            return Order(customer, article, quantity)
        case {"name": str(customer), "sku": str(article), "price": str(price)}:  # before there were versions
            parse(price)
            return Order(customer, article, 1)
        case _:
            raise ValueError("not an order")


class Orders:
    """The orders of all customers.

    Args:
        path: the database; ``:memory:`` for one that ends with the process.
    """

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, customer TEXT, article TEXT, quantity INTEGER)"
        )

    def add(self, order: Order) -> int:
        """Keep ``order``; return its number."""
        with self._database:
            cursor = self._database.execute(
                "INSERT INTO orders (customer, article, quantity) VALUES (?, ?, ?)",
                (order.customer, order.article, order.quantity),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def of(self, customer: str) -> list[Order]:
        """Return the orders of ``customer``, oldest first."""
        rows = self._database.execute(
            "SELECT customer, article, quantity FROM orders WHERE customer = ? ORDER BY id", (customer,)
        )
        return [Order(*row) for row in rows]

    def close(self) -> None:
        """Close the database."""
        self._database.close()
