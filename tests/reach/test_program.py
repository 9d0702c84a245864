"""What a program alone does with its configuration: requests are recorded by an application."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sergas import ComprehensiveMonitoringSystem
from pytest_sergas.core.monitoring import families_of

pytestmark = pytest.mark.unit


def recorded(**collect: Any) -> set[tuple[str, float]]:
    """Return each endpoint of three requests to three endpoints, and how many they were."""
    requests = ComprehensiveMonitoringSystem({"collect": collect}).metrics_collector.http_requests
    for endpoint in ("/a", "/b", "/c"):
        requests.record_http_request("GET", endpoint, 200, 0.1)
    families = {family.name: family for family in families_of(requests.collect(lambda: 1.0))}
    counted = families["http_requests_total"].samples
    return {(dict(sample.labels)["endpoint"], sample.value) for sample in counted}


def test_endpoints_beyond_max_endpoints_are_one() -> None:
    assert recorded(max_endpoints=1) == {("/a", 1), ("other", 2)}
    assert recorded() == {("/a", 1), ("/b", 1), ("/c", 1)}


OBSERVED = ("collect.max_endpoints",)
