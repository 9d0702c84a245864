"""Retries by type, by pytest-rerunfailures: a ``flaky`` marker where that engine would do something else.

The marker repeats every setting that it would otherwise hide: the delay and the backoff of the command
line, because any ``flaky`` marker sets both to zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.policy import Policy
from pytest_sergas.plugin.foreign import failed_subtests, ini, option
from pytest_sergas.plugin.types import Typed


def _is_unittest(item: pytest.Function) -> bool:
    import unittest  # only where a subtest failed

    return item.cls is not None and issubclass(item.cls, unittest.TestCase)


@dataclass(frozen=True, slots=True)
class RaisedOneOf:
    """Whether an exception, or one that it derives from, has one of these names."""

    names: tuple[str, ...]

    def __call__(self, error: BaseException | None) -> bool:
        return any(base.__name__ in self.names for base in type(error).__mro__)


class Retries:
    """Puts the retries of the policies onto the items.

    Args:
        count: how often pytest-rerunfailures would repeat an item by itself.
    """

    def __init__(self, config: pytest.Config, count: Callable[[pytest.Item], int | None]) -> None:
        self._count = count
        self._backoff = option(config, "reruns_delay_backoff_factor")
        configured = ini(config, "reruns_delay_backoff_factor") or ""
        if self._backoff is None and re.fullmatch(r"\d+(\.\d+)?", configured):
            self._backoff = float(configured)
        self._known: dict[Typed, pytest.MarkDecorator | None] = {}

    def assign(self, item: pytest.Item, typed: Typed) -> None:
        """Mark ``item`` if its policy asks for something that the engine would not do by itself."""
        try:
            mark = self._known[typed]
        except KeyError:
            mark = self._known[typed] = self._work_out(item, typed.policy)
        if mark is not None:
            item.add_marker(mark, append=False)

    # pytest counts the subtests of its fixture that failed, not those of unittest, and what is counted is repeated.
    @pytest.hookimpl(tryfirst=True)
    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, report: pytest.CollectReport | pytest.TestReport
    ) -> None:
        if not hasattr(report, "context") or not isinstance(node, pytest.Function) or not _is_unittest(node):
            return
        if self._count(node) and (found := failed_subtests(node.config, node)) is not None:
            counts, name = found
            counts[name] += 1

    def _work_out(self, item: pytest.Item, policy: Policy) -> pytest.MarkDecorator | None:
        if policy.choices["retries"].source.is_engine and not self._refined(policy):
            return None
        would = self._count(item) or 0
        if policy.retries == would == 0:
            return None
        keywords: dict[str, Any] = {"reruns": policy.retries, "reruns_delay": policy.retry_delay_s}
        if self._backoff is not None:
            keywords["reruns_delay_backoff_factor"] = self._backoff
        if policy.retry_on and not policy.choices["retry_on"].source.is_engine:
            keywords["condition"] = RaisedOneOf(policy.retry_on)
        mark: pytest.MarkDecorator = pytest.mark.flaky(**keywords)
        return mark

    @staticmethod
    def _refined(policy: Policy) -> bool:
        """Whether a type adds a delay or exceptions to a number that the engine already has."""
        choices = policy.choices
        return policy.retries > 0 and any(
            choices[name].value and not choices[name].source.is_engine for name in ("retry_delay", "retry_on")
        )
