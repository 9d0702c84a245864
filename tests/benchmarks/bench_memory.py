"""What the recorder holds in memory, and how well the peak of a call's memory is measured."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

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


SCENARIOS = ("one block", "small objects", "numpy", "in a thread", "freed within", "after the same", "large parent")
MEASURE = """
import sys, threading
from pytest_sergas.plugin.measuring import Meter
scenario, mib = sys.argv[1], int(sys.argv[2])
size = mib << 20

def block():
    return bytearray(size)

def objects():
    each = 1024 + sys.getsizeof(b"") + 7 & ~7
    return [bytes(1024) for _ in range((size - size // 130) // (each + 8))]

def numpy_block():
    import numpy
    return numpy.ones(size // 8)

def thread():
    kept = []
    worker = threading.Thread(target=lambda: kept.append(block()))
    worker.start(); worker.join()
    return kept

def freed():
    held = block()
    del held

calls = {"small objects": objects, "after the same": objects, "numpy": numpy_block, "in a thread": thread,
         "freed within": freed}
call = calls.get(scenario, block)
if scenario == "numpy":
    import numpy
meter = Meter()
for _ in range(2 if scenario == "after the same" else 1):
    meter.start(exact=True)
    held = call()
    peak = meter.stop()[5]
    del held
print(peak / (1 << 20))
"""


def peak_mb(scenario: str, mib: int) -> float:
    """Return the peak that is measured of a call that allocates ``mib`` MiB, in a process of its own."""
    command = [sys.executable, "-c", MEASURE, scenario, str(mib)]
    if scenario == "large parent":
        parent = "import subprocess, sys; held = bytearray(300 << 20); subprocess.run(sys.argv[1:], check=True)"
        command = [sys.executable, "-c", parent, *command]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_peak_is_within_1_mib_or_2_percent_of_a_known_allocation() -> None:
    sizes = (1, 5, 20, 100, 500)
    scenarios = [name for name in SCENARIOS if name != "numpy" or find_spec("numpy")]
    found = {name: [peak_mb(name, mib) for mib in sizes] for name in scenarios}

    show(
        "measured peak (MiB) of an allocation of so many MiB",
        ("", *map(str, sizes)),
        *((name, *(f"{peak:.2f}" for peak in peaks)) for name, peaks in found.items()),
    )
    for name, peaks in found.items():
        for mib, peak in zip(sizes, peaks, strict=True):
            assert abs(peak - mib) <= max(1.0, 0.02 * mib), (name, mib, peak)
