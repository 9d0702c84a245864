"""What the application says of itself."""

from __future__ import annotations

import httpx2
import pytest

from app import app, system


@pytest.mark.integration
async def test_requests_are_counted_by_route() -> None:
    transport = httpx2.ASGITransport(app=app)
    async with system.lifespan(app), httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for user_id in range(3):
            await client.get(f"/users/{user_id}")
        page = (await client.get("/metrics")).text
        health = (await client.get("/health")).json()
        mounted = (await client.get("/sergas/health")).json()

    assert 'http_requests_total{method="GET",endpoint="/users/{user_id}",status="200"} 3\n' in page
    assert health["component"] == mounted["component"] == "overall_system"
