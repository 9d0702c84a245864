"""Asks several suppliers at once what an article costs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal

Supplier = Callable[[str], Awaitable[Decimal]]


async def cheapest(suppliers: Mapping[str, Supplier], article: str, patience_s: float) -> tuple[str, Decimal]:
    """Return who offers ``article`` for least among those that answer within ``patience_s`` seconds.

    Raises:
        LookupError: nobody answered in time.
    """

    async def ask(name: str, supplier: Supplier) -> tuple[str, Decimal] | None:
        try:
            async with asyncio.timeout(patience_s):
                return name, await supplier(article)
        except TimeoutError:
            return None

    answers = await asyncio.gather(*(ask(name, supplier) for name, supplier in suppliers.items()))
    offers = [answer for answer in answers if answer is not None]
    if not offers:
        raise LookupError(f"no supplier offered {article!r} within {patience_s} s")
    return min(offers, key=lambda offer: offer[1])
