"""Smoke tests: whether it runs at all. They go first, and the rest waits for them."""

from __future__ import annotations

import pytest

from shop.client import Client

pytestmark = pytest.mark.smoke


def test_the_shop_is_open(client: Client) -> None:
    assert client.ask("GET", "/health") == (200, {"status": "ok"})
