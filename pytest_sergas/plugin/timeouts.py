"""A timeout for every attempt and every phase, by pytest-timeout.

pytest-timeout arms one timer round the whole protocol of a test. pytest-rerunfailures repeats the test
*inside* that protocol, and the first failure cancels the timer: attempt two, and the teardown of a test
that failed, run unguarded. So the timer is armed again

- at the start of every attempt (of the first, too, when the timeout comes from the policy);
- for the teardown of an attempt whose set-up or call failed, with the whole timeout;
- after a subtest failed, with what is left;

and cancelled at the end of every attempt, so that nothing is armed during the delay before the next.
`Timeouts` relies on what pytest-timeout does, not on its version: arming what is armed already only sets
the same timer again. A timeout for the function only (``func_only``) is left to pytest-timeout.
"""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest
import pytest_timeout

from pytest_sergas.core.policy import Policy
from pytest_sergas.plugin.types import Typed

_SETTINGS = pytest.StashKey[pytest_timeout.Settings]()


class Timeouts:
    """Arms and cancels; at any time one item is between its set-up and its teardown."""

    def __init__(self, config: pytest.Config) -> None:
        self._hook = config.hook
        self._env = pytest_timeout.get_env_settings(config)
        self._engine_arms = bool(self._env.timeout and self._env.timeout > 0 and not self._env.func_only)
        self._shared: dict[float, pytest_timeout.Settings] = {}
        self._call_passed = False
        self._in_call = False
        self._started_s = 0.0

    def assign(self, item: pytest.Item, typed: Typed) -> None:
        """Note the timeout of ``item`` where pytest-timeout would not apply it by itself."""
        if typed.policy.choices["timeout"].source.is_engine:
            return
        if "timeout" in typed.engine_marks:
            settings = pytest_timeout._get_item_settings(item)._replace(timeout=typed.policy.timeout_s)  # noqa: SLF001  its marker parser is not public
        else:
            settings = self._settings(typed.policy)
        if settings.func_only:
            item.add_marker(
                pytest.mark.timeout(settings.timeout, method=settings.method, func_only=True), append=False
            )
        else:
            item.stash[_SETTINGS] = settings

    def _settings(self, policy: Policy) -> pytest_timeout.Settings:
        timeout_s = policy.timeout_s
        if timeout_s not in self._shared:
            self._shared[timeout_s] = self._env._replace(timeout=timeout_s)
        return self._shared[timeout_s]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._call_passed = False
        self._started_s = time.perf_counter()
        settings = item.stash.get(_SETTINGS, None)
        if settings is not None:
            self._arm(item, settings, armed=self._engine_arms)
        elif getattr(item, "execution_count", 1) > 1:
            self._arm(item, _effective(item), armed=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        self._in_call = True
        try:
            result = yield
        finally:
            self._in_call = False
        self._call_passed = True
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        if not self._call_passed:
            self._arm(item, _effective(item), armed=True)
        try:
            return (yield)
        finally:
            self._hook.pytest_timeout_cancel_timer(item=item)

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self, node: pytest.Item | pytest.Collector) -> None:
        if self._in_call and isinstance(node, pytest.Item):
            settings = _effective(node)
            if settings.timeout:
                left_s = settings.timeout - (time.perf_counter() - self._started_s)
                self._arm(node, settings._replace(timeout=max(left_s, 0.001)), armed=True)

    def _arm(self, item: pytest.Item, settings: pytest_timeout.Settings, *, armed: bool) -> None:
        if armed and not settings.func_only:
            self._hook.pytest_timeout_cancel_timer(item=item)
        if settings.timeout and settings.timeout > 0 and not settings.func_only:
            self._hook.pytest_timeout_set_timer(item=item, settings=settings)


def _effective(item: pytest.Item) -> pytest_timeout.Settings:
    own = item.stash.get(_SETTINGS, None)
    return own if own is not None else pytest_timeout._get_item_settings(item)  # noqa: SLF001  its marker parser is not public
