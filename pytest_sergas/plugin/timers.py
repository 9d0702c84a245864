"""The timers of tests: who has one, when it ends, and that it fired.

pytest-timeout decides what a timeout does, and this module when: it implements pytest-timeout's hooks for that. The
signal method has one timer for the whole process, and a test may run pytest in its own process, whose tests have
timers, too. So the timers that are armed stand in a list, and the signal is asked for the one that ends first.

That a timer fired is noted here, in `FIRED`, whatever the test makes of the exception that is raised then. A test that
goes on in spite of it fails with `TimedOut`.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sergas.own import Own
from pytest_sergas.plugin.foreign import Failed, TimeoutActions

if TYPE_CHECKING:
    from types import FrameType

    import pluggy
    import pytest_timeout


class _Fired:
    """That a timer fired.

    Attributes:
        is_seen: whether the phase in which it fired has ended with a failure, or is expected to fail.
    """

    __slots__ = ("is_seen", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.is_seen = False


# By node id, for the tests whose present attempt has met its timeout. Most often empty, which callers look at first.
FIRED: dict[str, _Fired] = {}

MARK = "sergas_timed_out"
_PHASE = pytest.CallInfo.from_call.__func__.__code__  # type: ignore[attr-defined]  # a class method
_NEVER_S = float("inf")
_AT_ONCE_S = 0.000_001  # 0 would disarm
_EARLY_S = 0.005  # the kernel's clock of timers and ours may differ by so much


class TimedOut(Failed):
    """The timer fired, and the test went on as if it had not."""

    __module__ = "builtins"  # as pytest's own: the text begins with the name alone

    def __init__(self, timeout_s: float, where: str) -> None:
        text = f"Timeout (>{timeout_s:g}s): {where} went on after the timer had fired"
        super().__init__(text, pytrace=False)


class _Signals:
    """As `Own`, where there are signals that tell the time."""

    # Beneath the function of `signal`, which looks for each handler among the members of an enumeration, and raises and
    # catches an exception where it is a function: half the cost of a timer.
    handle: Callable[[int, Any], Any] = sys.modules.get("_signal", signal).signal
    setitimer = getattr(signal, "setitimer", None)
    alarm: int = getattr(signal, "SIGALRM", 0)
    real: int = getattr(signal, "ITIMER_REAL", 0)
    thread = threading.get_ident
    main_thread = threading.main_thread().ident


class _Armed:
    """A timer of the signal method."""

    __slots__ = ("act", "deadline_s", "item", "settings")

    def __init__(
        self,
        item: pytest.Item,
        settings: pytest_timeout.Settings,
        left_s: float,
        act: Callable[[pytest.Item, pytest_timeout.Settings], object],
    ) -> None:
        self.item = item
        self.settings = settings
        self.deadline_s = Own.perf_counter() + left_s
        self.act = act


# In the order in which they were armed: the tests of a session that a test runs stand behind that test.
_ARMED: list[_Armed] = []
_BEFORE: list[Any] = []


class Timers:
    """The timers of one session.

    Attributes:
        before_end: called with the timeout in seconds, in another thread, right before the thread method ends this
            process.
    """

    def __init__(self, actions: TimeoutActions) -> None:
        self._actions = actions
        self.before_end: Callable[[float], object] | None = None
        self._armed: dict[int, _Armed | threading.Timer] = {}

    def arm(self, item: pytest.Item, settings: pytest_timeout.Settings, left_s: float | None = None) -> None:
        """Give ``item`` a timer in place of any that it has.

        Args:
            left_s: seconds, where a part of the timeout has passed.
        """
        if left_s is None:
            left_s = settings.timeout
        key = id(item)
        if key in self._armed:
            self.cancel(item)
        if settings.method == "signal" and _Signals.thread() == _Signals.main_thread:
            armed = self._armed[key] = _Armed(item, settings, left_s, self._actions.raise_failure)
            _ARMED.append(armed)
            _ask()
        else:
            self._armed[key] = timer = Own.Timer(left_s, self._end_process, (item, settings))
            timer.name = f"pytest_timeout {item.nodeid}"
            timer.start()

    def cancel(self, item: pytest.Item | pytest.Collector) -> None:
        """Take the timer of ``item`` away, if it has one."""
        armed = self._armed.pop(id(item), None)
        if armed is None:
            return
        if isinstance(armed, _Armed):
            _ARMED.remove(armed)
            _ask()
        else:
            armed.cancel()
            armed.join()

    @staticmethod
    def close() -> None:
        """Give the signal back."""
        if not _ARMED and _BEFORE:
            _Signals.handle(_Signals.alarm, _BEFORE.pop())

    def _end_process(self, item: pytest.Item, settings: pytest_timeout.Settings) -> None:
        is_left_alone = not settings.disable_debugger_detection and self._actions.is_debugging()
        if self.before_end is not None and not is_left_alone:
            self.before_end(settings.timeout)
        self._actions.end_process(item, settings)


def resume() -> None:
    """Ask for the signal again, which another session in this process may have used and left disarmed."""
    if _ARMED:
        _ask()


def _ask() -> None:
    """Let the signal come for the timer that ends first."""
    setitimer = _Signals.setitimer
    if setitimer is None:
        return
    deadline_s = min([armed.deadline_s for armed in _ARMED]) if _ARMED else _NEVER_S
    if deadline_s == _NEVER_S:
        setitimer(_Signals.real, 0)
        return
    # Each time: a test may have put its own in the place of it.
    before = _Signals.handle(_Signals.alarm, _fire)
    if not _BEFORE:
        _BEFORE.append(signal.SIG_DFL if before is None else before)
    setitimer(_Signals.real, max(deadline_s - Own.perf_counter(), _AT_ONCE_S))


def _fire(number: int, frame: FrameType | None) -> None:
    """Let the outermost test whose time is over time out; without one, a test has used the signal for itself."""
    __tracebackhide__ = True
    del number
    now_s = Own.perf_counter() + _EARLY_S
    over = next((armed for armed in _ARMED if armed.deadline_s <= now_s), None)
    if over is not None:
        over.deadline_s = _NEVER_S  # once
    _ask()
    if over is None:
        return
    if not _is_in_phase(frame):
        # Between two phases, where pytest makes and shows reports, an exception would end the session. The next phase
        # fails instead.
        FIRED[over.item.nodeid] = _Fired(over.settings.timeout)
        return
    try:
        over.act(over.item, over.settings)
    except BaseException:
        FIRED[over.item.nodeid] = _Fired(over.settings.timeout)
        raise


def _is_in_phase(frame: FrameType | None) -> bool:
    """Whether pytest is running a phase of a test, and so takes what is raised for its failure."""
    while frame is not None:
        if frame.f_code is _PHASE:
            return True
        frame = frame.f_back
    return False


def begin(item: pytest.Item) -> None:
    """Forget what an earlier attempt of ``item`` has met."""
    FIRED.pop(item.nodeid, None)


def seen(item: pytest.Item) -> None:
    """Note that the phase in which the timer of ``item`` fired has failed for it."""
    if item.nodeid in FIRED:
        FIRED[item.nodeid].is_seen = True


def check(item: pytest.Item, where: str) -> None:
    """Fail the phase that runs where the timer has fired in it or before, and nothing has failed yet.

    Raises:
        TimedOut: that is so.
    """
    fired = FIRED.get(item.nodeid)
    if fired is not None and not fired.is_seen:
        fired.is_seen = True
        raise TimedOut(fired.timeout_s, where)


def check_call(item: pytest.Item, outcome: pluggy.Result[None]) -> None:
    """Let a call fail whose timer fired, and that passed or was skipped."""
    fired = FIRED.get(item.nodeid)
    if fired is None:
        return
    fired.is_seen = True
    error = outcome.exception
    if error is None or isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)):
        outcome.force_exception(TimedOut(fired.timeout_s, "the test"))


def mark(report: pytest.TestReport) -> None:
    """Note on a report that its attempt met its timeout; what is set there travels with it."""
    if report.nodeid in FIRED and not hasattr(report, "context"):
        setattr(report, MARK, True)


def timed_out(report: pytest.TestReport) -> bool:
    """Whether the attempt that ``report`` is about has met its timeout."""
    return MARK in report.__dict__
