"""What the endpoints answer."""

from __future__ import annotations

import pytest

from shop_sidecar import sidecar


@pytest.mark.integration
def test_endpoints_answer_in_the_documented_shape() -> None:
    with sidecar() as client:
        client.put("/metrics/job/shop", content="orders 3\n").raise_for_status()
        health = client.get("/health").json()
        page = client.get("/metrics").text
        status = client.get("/api/monitoring/status").json()

    assert list(health) == ["status", "component", "message", "details"]
    assert 'orders{instance="",job="shop"} 3\n' in page
    assert {"timestamp", "health", "alerts", "metrics", "tests"} <= status.keys()
