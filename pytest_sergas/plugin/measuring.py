"""What the call of every typed test costs: wall, undisturbed and CPU time, and the peak of memory.

    what                     Linux                                elsewhere
    undisturbed time         wall - run delay (`RunDelay`)        wall time
    CPU time                 of the process, and of the children that it waited for
    peak of memory           the kernel's mark (`HighWaterMark`)  looked at again and again (`Sampling`)

The mark is set back at the start of each call: code under test that reads ``VmHWM`` or ``ru_maxrss`` sees it.
Only the call is measured, innermost: what fixtures and other plugins do is not part of it.

A measurement travels on its report as a plain tuple, ``report.sergas``, because that is what pytest-xdist
carries from worker to controller.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_sergas.core.budgets import Budgets
from pytest_sergas.core.measurement import PACE, Measurement, at_best_pace
from pytest_sergas.own import Own
from pytest_sergas.plugin.budgets import BudgetExceeded, Judging
from pytest_sergas.plugin.timers import FIRED, check, check_call, mark
from pytest_sergas.plugin.types import TYPED, Typed

if TYPE_CHECKING:
    import pluggy

    from pytest_sergas.plugin.pace import Pace
    from pytest_sergas.plugin.procfs import RunDelay

# With what it took at the best pace, where that was measured.
Taken = tuple[str, float, float, float, float, int | None] | tuple[str, float, float, float, float, int | None, float]
# On a report: what was taken, (budget, used, allowed) of each that was judged, and whether one was exceeded.
OnReport = tuple[Taken, tuple[tuple[str, float, float], ...], bool]


class Memory(Protocol):
    """A way to find the peak of memory: `start`, then `stop`, one measurement at a time.

    Both return the CPU seconds of the process, too, which the kernel says in the same breath.
    """

    name: str

    def start(self, *, exact: bool) -> float: ...

    def stop(self) -> tuple[int, float]: ...

    def close(self) -> None: ...


class Meter:
    """Measures one call at a time, by the best way that there is here.

    Args:
        children: count the memory of child processes, too.

    Attributes:
        method: how it measures, as the records say it.
        fault: why memory cannot be measured here, or "".
    """

    def __init__(self, *, children: bool = False) -> None:
        self._delay = _run_delay()
        self._memory, self.fault = _memory(children=children)
        self._children: Memory | None = None
        if children and self._memory is not None and self._memory.name != "sampling":
            from pytest_sergas.plugin.sampling import Sampling

            self._children = Sampling(own=False, children=True)
        self._children_cpu_s = _children_cpu()
        memory = self._memory.name if self._memory else "no memory"
        both = "+children by sampling" if self._children else ""
        self.method = f"{self._delay.name if self._delay else 'wall'}+{memory}{both}"
        self._begun: tuple[float, float, float, float, float] = (0.0,) * 5
        # As attributes, which are found faster than those of a module, and by no patch.
        self._clock, self._thread_s = Own.perf_counter, Own.thread_time

    def start(self, *, exact: bool) -> None:
        """Begin; ``exact`` for a test with a memory budget."""
        # To say how much CPU was used the kernel settles its account, and then a thread whose share is used up has to
        # wait. So these stand outside of the clock: inside, that wait would count, and not be taken off.
        cpu_s = Own.process_time() if self._memory is None else self._memory.start(exact=exact)
        if self._children is not None:
            self._children.start(exact=exact)
        children_s, thread_s = self._children_cpu_s(), self._thread_s()
        # The clock round the delay: inside, a preemption between the two would be taken off time that was not counted.
        start_s = self._clock()
        self._begun = (cpu_s, children_s, start_s, thread_s, self._delay.begin_s() if self._delay else 0.0)

    def stop(self) -> Taken:
        """End, and return the fields of a `Measurement`, in its order, without the uses."""
        cpu_s, children_s, start_s, thread_s, delay_s = self._begun
        delay_s = (self._delay.read_s() if self._delay else 0.0) - delay_s
        undisturbed_s = wall_s = self._clock() - start_s
        if delay_s > 0:
            # Now and then the kernel books sleep as waiting: there is never less than what the thread has computed.
            undisturbed_s = min(wall_s, max(wall_s - delay_s, self._thread_s() - thread_s))
        if self._memory is None:
            peak_bytes, cpu_s = None, Own.process_time() - cpu_s
        else:
            peak_bytes, end_s = self._memory.stop()
            cpu_s = end_s - cpu_s
            if self._children is not None:
                peak_bytes += self._children.stop()[0]
        return self.method, wall_s, undisturbed_s, cpu_s, self._children_cpu_s() - children_s, peak_bytes

    def try_out(self) -> str:
        """Return why memory budgets cannot be judged here, or ""; called once, before the first test that has one."""
        memory = self._memory
        if memory is None or memory.name == "sampling":
            return self.fault
        from pytest_sergas.plugin.allocator import prepare

        def measured_bytes(call: Callable[[], None]) -> int:
            memory.start(exact=True)
            call()
            return memory.stop()[0]

        return prepare(measured_bytes)

    def close(self) -> None:
        """Let go of files and threads."""
        for part in (self._memory, self._children, self._delay):
            if part is not None:
                part.close()


class Measuring:
    """Measures the calls, has them judged, and puts what was measured onto their reports."""

    def __init__(self, judging: Judging, *, children: bool) -> None:
        self._meter = Meter(children=children)
        self._judging = judging
        # By the identity of the item, which lives as long as the session: to ask its stash would take three calls.
        self._budgets: dict[int, Budgets] = {}
        self._pace: Pace | None = None
        self._last: tuple[str, OnReport] | None = None

    def assign(self, item: pytest.Item, typed: Typed) -> None:
        """Measure ``item``, and judge it by the budgets of its policy."""
        self._budgets[id(item)] = self._judging.assign(item, typed)

    def faults(self, items: Sequence[pytest.Item]) -> list[str]:
        """Return a line for each test whose memory budget cannot be judged here."""
        known: dict[int, bool] = {}  # by the identity of what tests share: their policy is not asked for each of them
        names = []
        for item in items:
            typed = item.stash.get(TYPED, None)
            if typed is None:
                continue
            if id(typed) not in known:
                known[id(typed)] = typed.policy.budgets.memory_mb is not None
            if known[id(typed)]:
                names.append(item.nodeid)
        fault = self._meter.try_out() if names else ""
        return [f"{name}: max_memory_mb: {fault}; remove the budget" for name in names] if fault else []

    # Innermost: what other plugins do round the call is not the test's. Of the two kinds of wrapper, this one has no
    # frame in the traceback of a failure, which is shown as it would be without us.
    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, pluggy.Result[None], None]:
        if FIRED:
            check(item, "the set-up")
        budgets = self._budgets.get(id(item))
        if budgets is None:
            outcome = yield
            if FIRED:
                check_call(item, outcome)
            return
        meter = self._meter
        pace = self._start_pace() if budgets.regression is not None else None
        meter.start(exact=budgets.memory_mb is not None)
        outcome = yield
        taken = meter.stop()
        if FIRED:
            check_call(item, outcome)
        if pace is not None:
            taken = _at_best_pace(taken, pace.slowness())
        self._last = (item.nodeid, (taken, (), False))
        if outcome.exception is not None:
            return
        if "benchmark" in getattr(item, "fixturenames", ()):
            taken = _of_one_round(item, taken)
            self._last = (item.nodeid, (taken, (), False))
        if budgets.any:
            verdict = self._judging.judge(item, budgets, Measurement(*taken))
            uses = tuple((use.budget, use.used, use.allowed) for use in verdict.uses)
            self._last = (item.nodeid, (taken, uses, bool(verdict.text)))
            if verdict.text:
                outcome.force_exception(BudgetExceeded(verdict))

    def _start_pace(self) -> Pace:
        if self._pace is None:
            from pytest_sergas.plugin.pace import Pace

            self._pace = Pace()
        self._pace.start()
        return self._pace

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Ahead of pytest-xdist, which sends the report away. What is set on a report travels with it.
        if FIRED:
            mark(report)
        last = self._last
        if last is not None and report.when == "call" and not hasattr(report, "context") and report.nodeid == last[0]:
            report.sergas = last[1]  # type: ignore[attr-defined]  # what pytest-xdist carries, too
            self._last = None

    def pytest_unconfigure(self) -> None:
        self._meter.close()


def _at_best_pace(taken: Taken, slowness: float) -> Taken:
    method, wall_s, undisturbed_s, cpu_s, children_s, peak_bytes = taken[:6]
    paced_s = at_best_pace(undisturbed_s, cpu_s, slowness)
    return f"{method}+{PACE}", wall_s, undisturbed_s, cpu_s, children_s, peak_bytes, paced_s


def _of_one_round(item: pytest.Item, taken: Taken) -> Taken:
    # Few tests measure rounds.
    from pytest_sergas.core.rounds import per_round
    from pytest_sergas.plugin.benchmark import median_s

    median = median_s(item)
    if median is None:
        return taken
    one = per_round(Measurement(*taken), median)

    of_one = (one.method, one.wall_s, one.undisturbed_s, one.cpu_s, one.children_cpu_s, one.peak_memory_bytes)
    return of_one if one.paced_s is None else (*of_one, one.paced_s)


def _run_delay() -> RunDelay | None:
    try:
        from pytest_sergas.plugin.procfs import RunDelay

        return RunDelay()
    except (ImportError, OSError):  # not Linux, or a kernel that does not say
        return None


def _memory(*, children: bool) -> tuple[Memory | None, str]:
    """Return the best way to find the peak of memory, or why there is none."""
    try:
        from pytest_sergas.plugin.procfs import HighWaterMark

        return HighWaterMark(), ""
    except (ImportError, OSError) as error:
        reason = error
    import psutil

    from pytest_sergas.plugin.sampling import Sampling

    try:
        return Sampling(children=children), ""
    except (psutil.Error, OSError) as error:
        return None, f"memory cannot be measured here ({reason}; {error})"


def _children_cpu() -> Callable[[], float]:
    """Return what tells the CPU seconds of the child processes that ended; always 0 where there is no such figure."""
    if sys.platform == "win32":
        return lambda: 0.0
    import resource

    getrusage, children = resource.getrusage, resource.RUSAGE_CHILDREN

    def used_s() -> float:
        usage = getrusage(children)
        return usage.ru_utime + usage.ru_stime

    return used_s
