"""How a meter reads: the order of its clocks, what the kernel credits too much, and where the kernel says nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_sergas.core.measurement import MIB
from pytest_sergas.plugin import measuring, procfs
from pytest_sergas.plugin.measuring import Meter
from tests.plugin.conftest import Run
from tests.plugin.test_measuring import held, spin, stopped

pytestmark = pytest.mark.integration

NO_PROC = """
import pytest_sergas.plugin.procfs as procfs

def closed(*arguments):
    raise PermissionError("closed")

procfs._Files.open = closed
"""


class Credit:
    """A kernel that says, from one reading to the next, that the thread has waited for so many seconds more."""

    name = "schedstat"

    def __init__(self, step_s: float, read: list[str]) -> None:
        self._step_s = step_s
        self._total_s = 1000.0
        self._read = read

    def begin_s(self) -> float:
        return self.read_s()

    def read_s(self) -> float:
        self._read.append("delay")
        self._total_s += self._step_s
        return self._total_s

    def close(self) -> None:
        pass


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter()
    if meter._delay is not None:  # noqa: SLF001  a kernel of the test's own takes its place
        meter._delay.close()  # noqa: SLF001
    yield meter
    meter.close()


def over_credit(meter: Meter, step_s: float) -> list[str]:
    """Let the kernel credit so many seconds; return where it is noted what is read."""
    read: list[str] = []
    meter._delay = Credit(step_s, read)  # type: ignore[assignment]  # noqa: SLF001  it does what is asked of the real one
    return read


def test_kernel_that_credits_too_much_takes_off_nothing_that_the_thread_computed(meter: Meter) -> None:
    over_credit(meter, 3600.0)
    meter.start(exact=False)
    spin(0.01)
    found = stopped(meter)

    assert 0.01 <= found.undisturbed_s <= found.wall_s


def test_kernel_that_takes_back_what_it_credited_adds_nothing(meter: Meter) -> None:
    over_credit(meter, -3600.0)
    meter.start(exact=False)
    found = stopped(meter)

    assert found.undisturbed_s == found.wall_s


def test_clock_runs_round_the_delay_and_the_cpu_clocks_are_read_outside_of_it(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = over_credit(meter, 0.0)

    def noted(name: str, clock: Callable[[], float]) -> Callable[[], float]:
        return lambda: read.append(name) or clock()  # type: ignore[func-returns-value]  # it is None

    monkeypatch.setattr(meter, "_clock", noted("clock", time.perf_counter))
    monkeypatch.setattr(meter, "_thread_s", noted("thread", time.thread_time))
    meter.start(exact=False)
    meter.stop()

    assert read == ["thread", "clock", "delay", "delay", "clock"]


def test_where_the_kernel_says_nothing_wall_time_and_sampling_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: object) -> tuple[int, ...]:
        raise PermissionError("closed")

    # Closed for this meter alone: what measures this very test goes on.
    with monkeypatch.context() as patch:
        patch.setattr(procfs._Files, "open", closed)  # noqa: SLF001  the door to /proc
        meter = Meter()
    meter.start(exact=False)
    with held(20 * MIB):
        found = stopped(meter)
    meter.close()

    assert (meter.method, meter.fault) == ("wall+sampling", "")
    assert found.undisturbed_s == found.wall_s
    assert found.peak_memory_bytes is not None
    assert abs(found.peak_memory_bytes - 20 * MIB) <= 2 * MIB


def test_children_have_no_cpu_time_where_there_is_no_such_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        used_s = measuring._children_cpu()  # noqa: SLF001  the part of a meter that asks for it

    assert used_s() == 0


def test_run_without_the_kernels_word_judges_wall_time_and_says_so(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(NO_PROC)
    pytester.makepyfile(
        """
        import pytest, time

        @pytest.mark.unit(max_duration=0.001, budget_attempts=1)
        def test_one(): time.sleep(0.01)
        """
    )

    test = run().tests["test_one"]

    measured = test["extra"]["measured"]
    assert test["rawStatus"] == "over_budget"
    assert measured["method"] == "wall+sampling"
    assert measured["undisturbedSeconds"] == measured["wallSeconds"] >= 0.01
    assert "peakMemoryBytes" in measured
    assert test["message"].splitlines()[-2] == (
        "Here the system does not say how long a test waits for a CPU: wall time counts."
    )
