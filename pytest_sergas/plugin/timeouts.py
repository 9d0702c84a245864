"""A timeout for every attempt and every phase, by pytest-timeout.

pytest-timeout arms one timer round the whole protocol of a test. pytest-rerunfailures repeats the test
*inside* that protocol, and the first failure cancels the timer: attempt two, and the teardown of a test
that failed, run unguarded. So the timer is armed again

- at the start of every attempt (of the first, too, when the timeout comes from the policy);
- after a failure in set-up or call, for the teardown, with the whole timeout;
- after a failure in a subtest, with what is left;

and cancelled after every teardown, so that nothing is armed during the delay before the next attempt.
`Timeouts` relies on what pytest-timeout does, not on its version: arming what is armed already only sets
the same timer again. A timeout for the function only (``func_only``) is left to pytest-timeout.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sergas.plugin.foreign import TimeoutSettings
from pytest_sergas.plugin.types import Typed

if TYPE_CHECKING:
    import pytest_timeout


class Timeouts:
    """Arms and cancels."""

    def __init__(self, config: pytest.Config, settings: TimeoutSettings) -> None:
        self._settings = settings
        self._env = settings.of_run
        self._engine_arms = bool(self._env.timeout and self._env.timeout > 0 and not self._env.func_only)
        self._hook = config.hook
        self._set: Callable[..., object] = config.hook.pytest_timeout_set_timer
        self._cancel: Callable[..., object] = config.hook.pytest_timeout_cancel_timer
        self._known: dict[Typed, pytest_timeout.Settings | None] = {}
        # By the identity of the item, which lives as long as the session: to ask its stash would take three calls.
        self._assigned: dict[int, pytest_timeout.Settings] = {}
        self._started_s = 0.0
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
        # Not earlier: a conftest.py in a directory of tests, and what notes deadlines, come with the collection.
        self._set = _implementation(self._hook.pytest_timeout_set_timer)
        self._cancel = _implementation(self._hook.pytest_timeout_cancel_timer)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._started_s = time.perf_counter()
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

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[object], report: pytest.TestReport
    ) -> None:
        # It is here that pytest-timeout cancels, and a debugger, where there is one, has been left again.
        if not isinstance(node, pytest.Item) or call.when not in {"setup", "call"}:
            return
        settings = self._assigned.get(id(node)) or self._settings.of_item(node)
        if hasattr(report, "context") and settings.timeout:  # a subtest: the call goes on
            left_s = settings.timeout - (time.perf_counter() - self._started_s)
            settings = settings._replace(timeout=max(left_s, 0.001))
        self._arm(node, settings, armed=True)

    def _arm(self, item: pytest.Item, settings: pytest_timeout.Settings, *, armed: bool) -> None:
        if settings.func_only:
            return
        if armed:
            self._cancel(item=item)
        if settings.timeout and settings.timeout > 0:
            self._set(item=item, settings=settings)


def _implementation(hook: Any) -> Callable[..., object]:
    """Return pytest-timeout's own function where nobody overrides it.

    The way through the hook costs more than all the rest of a test's timeout.
    """
    implementations = hook.get_hookimpls()
    function: Callable[..., object] = implementations[0].function if len(implementations) == 1 else hook
    return function
