"""How much memory the recorder holds, by tracemalloc."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pytest_sergas.plugin.measuring import OnReport
from pytest_sergas.plugin.recorder import Recorder
from pytest_sergas.plugin.starts import Starts


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that the recorder holds: when all tests have run, as records, and at most in between."""

    running_bytes: int
    finished_bytes: int
    peak_bytes: int


def held_by_recorder(*, tests: int) -> Held:
    """Let a recorder see ``tests`` that pass, and return what it holds.

    The reports are made as a controller of pytest-xdist makes them, one after another with texts of their own:
    what is alive after them is what the recorder keeps. Each call brings its measurement, as without any setting.
    """
    starts = Starts()
    recorder = Recorder({}, starts)
    gc.collect()
    tracemalloc.start()
    try:
        for report in _reports(tests):
            if report.when == "setup":
                starts.pytest_runtest_logstart(report.nodeid, report.location)
            recorder.pytest_runtest_logreport(report)
        gc.collect()
        running_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        records, unfinished = recorder.finish()
        _, peak_bytes = tracemalloc.get_traced_memory()
        gc.collect()
        finished_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(records), unfinished) == (tests, ())
    assert all(record.last.measured is not None for record in records)
    return Held(running_bytes, finished_bytes, peak_bytes)


def _reports(tests: int) -> Iterator[pytest.TestReport]:
    for number in range(tests):
        for when in ("setup", "call", "teardown"):
            file, name = f"tests/package/test_module_{number // 100}.py", f"TestSomething::test_behaviour_{number}"
            node_id, location, worker = f"{file}::{name}", (file, number, name), f"gw{number % 2}"
            report = pytest.TestReport(
                node_id,
                location,
                {},
                "passed",
                None,
                when,
                duration=number / 7,
                start=number / 3,
                worker_id=worker,
            )
            if when == "call":
                report.sergas = _measured(number)  # type: ignore[attr-defined]  # as the plugin does
            yield report


def _measured(number: int) -> OnReport:
    method = b"schedstat+VmHWM".decode()  # a text of its own each time
    return (method, number / 11, number / 13, number / 17, number / 19, 4096 * (number + 1)), (), False
