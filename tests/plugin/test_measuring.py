"""What is measured of a call, against what it is known to have used."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_sergas.core.measurement import MIB, Measurement
from pytest_sergas.plugin.measuring import Meter
from pytest_sergas.plugin.sampling import Sampling
from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells it")


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter()
    yield meter
    meter.close()


def stopped(meter: Meter) -> Measurement:
    return Measurement(*meter.stop())


def spin(cpu_s: float) -> None:
    """Use CPU time of this thread; how long that takes depends on the machine."""
    end_s = time.thread_time() + cpu_s
    while time.thread_time() < end_s:
        pass


@linux
def test_method_on_linux_is_the_kernels(meter: Meter) -> None:
    assert meter.method == "schedstat+VmHWM"


@linux
@pytest.mark.parametrize("mib", [1, 5, 20, 100])
def test_peak_of_memory_is_that_of_a_known_allocation(meter: Meter, mib: int) -> None:
    meter.start(exact=True)
    block = bytearray(mib * MIB)
    del block
    peak = stopped(meter).peak_memory_bytes

    assert peak is not None
    assert abs(peak - mib * MIB) <= max(MIB, 0.02 * mib * MIB)


@linux
def test_peak_is_seen_again_after_the_same_was_freed(meter: Meter) -> None:
    for _ in range(2):
        meter.start(exact=True)
        blocks = [bytes(1000) for _ in range(20_000)]
        del blocks
        peak = stopped(meter).peak_memory_bytes

    assert peak is not None
    assert peak > 18 * MIB


@linux
def test_peak_is_seen_under_a_large_parent() -> None:
    # The child's getrusage() never says less than what its parent held when it was started.
    child = (
        "from pytest_sergas.plugin.measuring import Meter\n"
        "import resource\n"
        "meter = Meter(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "meter.start(exact=False); block = bytearray(100 << 20); del block\n"
        "print(before, meter.stop()[5])\n"
    )
    parent = f"import subprocess, sys; held = bytearray(300 << 20); subprocess.run([sys.executable, '-c', {child!r}])"

    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)

    before_kib, peak = map(int, done.stdout.split())
    assert before_kib > 300 * 1024
    assert abs(peak - 100 * MIB) <= 2 * MIB


@linux
def test_undisturbed_time_is_never_less_than_what_the_thread_computed(meter: Meter) -> None:
    for _ in range(20):
        meter.start(exact=False)
        spin(0.002)
        found = stopped(meter)
        assert 0.002 <= found.undisturbed_s <= found.wall_s


def test_sleeping_is_wall_time_and_no_cpu_time(meter: Meter) -> None:
    meter.start(exact=False)
    threading.Event().wait(0.05)
    found = stopped(meter)

    assert found.wall_s >= 0.05
    assert found.cpu_s < found.wall_s


def test_cpu_time_of_other_threads_is_the_tests(meter: Meter) -> None:
    meter.start(exact=False)
    thread = threading.Thread(target=spin, args=(0.05,))
    thread.start()
    thread.join()

    assert stopped(meter).cpu_s >= 0.05


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such figure")
def test_cpu_time_of_children_is_told_apart(meter: Meter) -> None:
    program = "import time\nwhile time.process_time() < 0.2: pass"
    meter.start(exact=False)
    subprocess.run([sys.executable, "-c", program], check=True)
    found = stopped(meter)

    assert found.children_cpu_s >= 0.2
    assert found.all_cpu_s == found.cpu_s + found.children_cpu_s


@linux
def test_another_thread_measures_its_own_waiting() -> None:
    meter = Meter()
    found: list[Measurement] = []

    def measure() -> None:
        meter.start(exact=False)
        spin(0.01)
        found.append(stopped(meter))

    # Threads that come one after another: Python gives the identity of one that has ended to the next.
    for _ in range(10):
        thread = threading.Thread(target=measure)
        thread.start()
        thread.join()
    measure()
    meter.close()

    assert len(found) == 11
    assert all(0.01 <= one.undisturbed_s <= one.wall_s for one in found)


@linux
def test_a_forked_child_measures_itself(meter: Meter) -> None:
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a worker of pytest-xdist has threads
        child = os.fork()
    if child == 0:
        try:
            meter.start(exact=True)
            block = bytearray(20 * MIB)
            del block
            os.write(write, str(meter.stop()[5]).encode())
        except OSError:
            os.write(write, traceback.format_exc().encode())
        finally:
            os._exit(0)  # whatever happens: it must not go on as pytest
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as told:
        peak = told.read()

    assert peak.isdigit(), peak
    assert abs(int(peak) - 20 * MIB) <= MIB


@contextmanager
def held(size: int) -> Iterator[None]:
    """Hold memory of the system's own: the heap may have some that an earlier test has freed, which nobody sees."""
    with mmap.mmap(-1, size) as block:
        for page in range(0, size, mmap.PAGESIZE):
            block[page] = 1
        yield


def test_sampling_sees_what_is_held_at_the_end() -> None:
    sampling = Sampling()
    sampling.start(exact=False)
    with held(20 * MIB):
        peak = sampling.stop()[0]
    sampling.close()

    assert abs(peak - 20 * MIB) <= 2 * MIB


def test_sampling_sees_a_peak_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    sampling = Sampling()
    looked = threading.Event()
    held_bytes = sampling._held_bytes  # noqa: SLF001  to wait for a look instead of for time

    def look() -> int:
        value = held_bytes()
        if threading.current_thread().name == "sergas-memory" and value > start + 15 * MIB:
            looked.set()
        return value

    sampling.start(exact=False)
    start = held_bytes()
    monkeypatch.setattr(sampling, "_held_bytes", look)
    with held(20 * MIB):
        assert looked.wait(60)
    peak = sampling.stop()[0]
    sampling.close()

    assert peak >= 15 * MIB


CHILD = """
import pytest, subprocess, sys

@pytest.mark.unit
def test_child():
    held = "import sys; held = bytearray(b'1' * (50 << 20)); print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    __import__("time").sleep(0.2)  # several looks
    child.communicate(b"")
"""


@pytest.mark.parametrize("asked", [True, False])
def test_memory_of_children_counts_where_it_is_asked_for(pytester: pytest.Pytester, run: Run, asked: bool) -> None:  # noqa: FBT001
    pytester.makefile(".toml", sergas=f"measure_children = {json.dumps(asked)}\n")
    pytester.makepyfile(CHILD)

    measured = run().tests["test_child"]["extra"]["measured"]

    assert (measured["peakMemoryBytes"] >= 50 * MIB) is asked
    assert measured["method"].endswith("+children by sampling") is asked


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with a worker"])
def test_every_attempt_is_measured_and_recorded(pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(
        """
        import pytest
        calls = []

        @pytest.mark.unit(retries=1)
        def test_one():
            calls.append(1)
            held = bytearray(30 << 20)
            assert len(calls) > 1
        """
    )

    test = run(*workers).tests["test_one"]

    measured = [attempt["extra"]["measured"] for attempt in (*test["retryAttempts"], test)]
    peaks_mib = [one["peakMemoryBytes"] / MIB for one in measured]
    assert max(abs(peak - 30) for peak in peaks_mib) <= 1, peaks_mib
    assert all(0 < one["undisturbedSeconds"] <= one["wallSeconds"] for one in measured)


def test_untyped_tests_are_not_measured(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_one(): pass")

    assert "measured" not in run().tests["test_one"]["extra"]


def test_one_switch_turns_it_off(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas="measure = false\n")
    pytester.makepyfile("import pytest\n@pytest.mark.unit(max_duration=1e-9)\ndef test_one(): pass")

    ran = run()

    assert ran.outcomes == {"test_one": "passed"}
    assert "measured" not in ran.tests["test_one"]["extra"]
    assert "note: budgets are not judged, because measure = false\n" in ran.text


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])
def test_memory_budget_that_cannot_be_measured_ends_the_run(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    # No kernel is without all of it, so both doors are closed.
    pytester.makeconftest(
        """
        import psutil
        import pytest_sergas.plugin.procfs as procfs

        def closed(*arguments):
            raise PermissionError("closed")

        procfs.HighWaterMark.__init__ = lambda self: closed()
        psutil.Process = closed
        """
    )
    pytester.makepyfile("import pytest\n@pytest.mark.unit(max_memory_mb=5)\ndef test_one(): pass")

    result = run(*workers, record=False).result

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "test_memory_budget_that_cannot_be_measured_ends_the_run.py::test_one: max_memory_mb: memory cannot be "
        "measured here (closed; closed); remove the budget"
    ) in result.stderr.str()
