"""The pytest half: hooks, thin round `pytest_sergas.core`."""

from __future__ import annotations

import pytest

from pytest_sergas.core.records import TestType


def pytest_configure(config: pytest.Config) -> None:
    for test_type in TestType:
        config.addinivalue_line("markers", f"{test_type.value}: a test of this type")
