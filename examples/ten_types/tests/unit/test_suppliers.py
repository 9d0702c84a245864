"""Unit tests of a coroutine: no more marks than any other test."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from shop.suppliers import cheapest


async def north(article: str) -> Decimal:
    return Decimal("3.10")


async def south(article: str) -> Decimal:
    return Decimal("2.95")


async def silent(article: str) -> Decimal:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


async def test_the_cheapest_offer_wins() -> None:
    assert await cheapest({"north": north, "south": south}, "tea", 1) == ("south", Decimal("2.95"))


async def test_who_does_not_answer_in_time_is_left_out() -> None:
    assert await cheapest({"north": north, "silent": silent}, "tea", 0.02) == ("north", Decimal("3.10"))


async def test_no_answer_at_all_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"no supplier offered 'tea' within 0\.02 s"):
        await cheapest({"silent": silent}, "tea", 0.02)
