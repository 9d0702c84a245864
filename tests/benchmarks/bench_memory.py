"""What the recorder holds in memory."""

from __future__ import annotations

import pytest

from tests.benchmarks.memory import held_by_recorder
from tests.benchmarks.runs import show

pytestmark = pytest.mark.performance

TESTS = 5_000
BOUND_BYTES = 2 * 1024


def test_recorder_holds_under_2_kib_a_test() -> None:
    held = held_by_recorder(tests=TESTS)

    show(
        f"the recorder, bytes a test, {TESTS} tests",
        ("", "bytes", "bound"),
        ("while tests run", f"{held.running_bytes / TESTS:.0f}", f"{BOUND_BYTES}"),
        ("as records", f"{held.finished_bytes / TESTS:.0f}", f"{BOUND_BYTES}"),
        ("at most, on the way from one to the other", f"{held.peak_bytes / TESTS:.0f}", f"{BOUND_BYTES}"),
    )
    assert max(held.running_bytes, held.finished_bytes, held.peak_bytes) < TESTS * BOUND_BYTES
