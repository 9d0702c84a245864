"""A timeout for every attempt and every phase, by pytest-timeout.

pytest-timeout arms one timer round the whole protocol of a test. pytest-rerunfailures repeats the test
*inside* that protocol, and the first failure cancels the timer: attempt two, and the teardown of a test
that failed, run unguarded. So the timer is armed again

- at the start of every attempt (of the first, too, when the timeout comes from the policy);
- after a failure in set-up or call, for the teardown, with the whole timeout;
- after a failure in a subtest, with what is left;

and cancelled after every teardown, so that nothing is armed during the delay before the next attempt.
`Timeouts` relies on what pytest-timeout does, not on its version: arming what is armed already only sets
the same timer again. When a timeout for the function only (``func_only``) begins is left to pytest-timeout.

The timers themselves are ours (`pytest_sergas.plugin.timers`), through the hooks that pytest-timeout has for that. A
suite that implements these hooks itself goes first: that its timers fired is then not known, and such a test failed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sergas.own import Own
from pytest_sergas.plugin.foreign import TimeoutSettings, timeout_actions
from pytest_sergas.plugin.timers import FIRED, Timers, begin, check, check_call, mark, seen
from pytest_sergas.plugin.types import Typed

if TYPE_CHECKING:
    import pluggy
    import pytest_timeout


class Timeouts:
    """Arms and cancels.

    Attributes:
        timers: ours; None where pytest-timeout's own are used, because it has changed.
    """

    def __init__(self, config: pytest.Config, settings: TimeoutSettings) -> None:
        self._config = config
        actions = timeout_actions(config)
        self.timers = None if actions is None else Timers(actions)
        self._others: tuple[Callable[..., object], Callable[..., object]] | None = None
        self._settings = settings
        self._env = settings.of_run
        self._engine_arms = bool(self._env.timeout and self._env.timeout > 0 and not self._env.func_only)
        self._set: Callable[..., object] = config.hook.pytest_timeout_set_timer
        self._cancel: Callable[..., object] = config.hook.pytest_timeout_cancel_timer
        self._known: dict[Typed, pytest_timeout.Settings | None] = {}
        # By the identity of the item, which lives as long as the session: to ask its stash would take three calls.
        self._assigned: dict[int, pytest_timeout.Settings] = {}
        self._started_s = self._called_s = 0.0
        self._last: pytest.Item | None = None

    def assign(self, item: pytest.Item, typed: Typed) -> None:
        """Note the timeout of ``item`` where pytest-timeout would not apply it by itself."""
        try:
            settings = self._known[typed]
        except KeyError:
            settings = self._known[typed] = self._work_out(item, typed)
        if settings is None:
            return
        if settings.func_only:
            mark = pytest.mark.timeout(settings.timeout, method=settings.method, func_only=True)
            item.add_marker(mark, append=False)
        else:
            self._assigned[id(item)] = settings

    def _work_out(self, item: pytest.Item, typed: Typed) -> pytest_timeout.Settings | None:
        if typed.policy.choices["timeout"].source.is_engine:
            return None
        base = self._settings.of_item(item) if "timeout" in typed.engine_marks else self._env
        return base._replace(timeout=typed.policy.timeout_s)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        # Not earlier: a conftest.py in a directory of tests comes with the collection.
        if self.timers is None:
            return
        hook = self._config.hook
        if any(map(_is_implemented, (hook.pytest_timeout_set_timer, hook.pytest_timeout_cancel_timer))):
            known = [self, self._config.pluginmanager.getplugin("timeout")]
            subset = self._config.pluginmanager.subset_hook_caller
            names = "pytest_timeout_set_timer", "pytest_timeout_cancel_timer"
            self._others = subset(names[0], known), subset(names[1], known)
        else:
            # The way through the hook costs more than all the rest of a test's timeout.
            self._set, self._cancel = self.timers.arm, self.timers.cancel

    def pytest_timeout_set_timer(self, item: pytest.Item, settings: pytest_timeout.Settings) -> object:
        if self.timers is None:
            return None
        if self._others is not None and (result := self._others[0](item=item, settings=settings)) is not None:
            return result
        if settings.func_only:
            self._called_s = Own.perf_counter()
        self.timers.arm(item, settings)
        return True

    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> object:
        if self.timers is None:
            return None
        if self._others is not None and (result := self._others[1](item=item)) is not None:
            return result
        self.timers.cancel(item)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._started_s = Own.perf_counter()
        if FIRED:
            begin(item)
        settings = self._assigned.get(id(item))
        if settings is not None:
            self._arm(item, settings, armed=self._engine_arms)
        elif item is self._last:  # another attempt
            self._arm(item, self._settings.of_item(item), armed=True)
        self._last = item

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        # Not reached when the teardown failed: then pytest-timeout has cancelled by itself.
        self._cancel(item=item)
        if FIRED:
            check(item, "a fixture")

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[object], report: pytest.TestReport
    ) -> None:
        # It is here that pytest-timeout cancels, and a debugger, where there is one, has been left again.
        if not isinstance(node, pytest.Item) or call.when not in {"setup", "call"}:
            return
        settings = self._assigned.get(id(node)) or self._settings.of_item(node)
        if hasattr(report, "context"):  # a subtest: the call goes on
            if settings.timeout:
                self._go_on(node, settings)
        else:
            if FIRED:
                seen(node)
            self._arm(node, settings, armed=True)

    def _go_on(self, item: pytest.Item, settings: pytest_timeout.Settings) -> None:
        """Arm for what is left of the time of ``item``, or anew where it has fired and the call goes on."""
        if item.nodeid in FIRED:
            self._arm(item, settings, armed=True)
            return
        began_s = self._called_s if settings.func_only else self._started_s
        left_s = max(settings.timeout - (Own.perf_counter() - began_s), 0.001)
        if self.timers is None or self._others is not None:
            self._cancel(item=item)
            self._set(item=item, settings=settings._replace(timeout=left_s))
        else:
            self.timers.arm(item, settings, left_s)

    def _arm(self, item: pytest.Item, settings: pytest_timeout.Settings, *, armed: bool) -> None:
        if settings.func_only:
            return
        if armed:
            self._cancel(item=item)
        if settings.timeout and settings.timeout > 0:
            self._set(item=item, settings=settings)

    def pytest_unconfigure(self) -> None:
        if self.timers is not None:
            self.timers.close()


def _is_implemented(hook: Any) -> bool:
    """Whether there is an implementation beside pytest-timeout's and ours."""
    return len(hook.get_hookimpls()) > 2


class CallGuard:
    """What a test makes of its timeout, where no measurement surrounds the call and looks at it."""

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, pluggy.Result[None], None]:
        if FIRED:
            check(item, "the set-up")
        outcome = yield
        if FIRED:
            check_call(item, outcome)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if FIRED:
            mark(report)
