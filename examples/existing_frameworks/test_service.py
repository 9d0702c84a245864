"""Decorators beside what a suite has already: pytest's marks, fixtures, and the fixture benchmark."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pytest_sergas import TestType, performance_test, test


@pytest.fixture
def service() -> dict[str, int]:
    return {"/api/users": 200}


@test(test_type=TestType.UNIT)
@pytest.mark.asyncio
async def test_service_knows_its_users(service: dict[str, int]) -> None:
    assert "/api/users" in service


@test(test_type=TestType.UNIT)
@pytest.mark.parametrize("path", ["/api/users"])
def test_service_answers(service: dict[str, int], path: str) -> bool:
    return service[path] == 200


@performance_test(max_duration=1.0)
@test(test_type=TestType.PERFORMANCE)
@pytest.mark.asyncio
async def test_api_performance(benchmark: Any, service: dict[str, int]) -> None:
    async def call() -> int:
        await asyncio.sleep(0)
        return service["/api/users"]

    assert await benchmark(call) == 200
