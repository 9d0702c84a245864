"""What the program says."""

from __future__ import annotations

import pytest

from monitor import look


@pytest.mark.e2e
async def test_program_runs_its_tests_and_tells_of_them() -> None:
    assert await look() == "1 tests, 100.0% success rate; 1 in the status"
