"""Prices: exact decimal amounts, rounded once, at the end."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
_PRICE = re.compile(r"[0-9]{1,9}\.[0-9]{2}")


def parse(text: str) -> Decimal:
    """Return the price that ``text`` says, such as ``"12.50"``.

    Raises:
        ValueError: it is not a price.
    """
    if not _PRICE.fullmatch(text):
        raise ValueError(f"{text!r} is not a price; write it as 12.50")
    return Decimal(text)


def gross(net: Decimal, vat_percent: int) -> Decimal:
    """Return the price with value-added tax."""
    return (net * (100 + vat_percent) / 100).quantize(CENT, ROUND_HALF_UP)


def discounted(price: Decimal, quantity: int) -> Decimal:
    """Return the price of ``quantity`` pieces: 10 % off from ten pieces on."""
    total = price * quantity
    if quantity >= 10:
        total = total * 9 / 10
    return total.quantize(CENT, ROUND_HALF_UP)
