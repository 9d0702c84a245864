"""An alert arrives once."""

from __future__ import annotations

import asyncio

import pytest

from pytest_sergas import MonitoringMetric, MonitorType
from shop_rules import Pager, monitored


@pytest.mark.integration
async def test_low_conversion_rate_is_told_once() -> None:
    low = MonitoringMetric("conversion_rate", 1.5, None, MonitorType.BUSINESS)
    pager = Pager()
    system = monitored(pager)
    async with system.lifespan(), asyncio.timeout(60):
        first, second = (system.alert_manager.evaluate_metrics([low]) for _ in range(2))
        message = await pager.messages.get()

    assert message == "Low conversion rate: 1.5%"
    assert [alert.name for alert in first] == ["low_conversion_rate"]
    assert second == []
    assert pager.messages.empty()
