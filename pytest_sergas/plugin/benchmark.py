"""The fixture ``benchmark``: the same call again and again, so that a budget is judged by one round of it.

pytest-benchmark's fixture wins where it is installed, and its statistics are used; pytest-codspeed's is left alone,
and so is a fixture of that name in the suite. Ours is there where neither plugin is.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pytest_sergas.core.rounds import Statistics, summarise
from pytest_sergas.own import Own
from pytest_sergas.plugin.foreign import plugin_median_s

MIN_ROUNDS = 5
MAX_ROUNDS = 10_000
MAX_TIME_S = 0.5


class Benchmark:
    """Calls a function, or awaits a coroutine function, in rounds.

    There are at least `MIN_ROUNDS` rounds and at most `MAX_ROUNDS`; between them, rounds begin for `MAX_TIME_S`
    seconds. An exception ends them.

    Attributes:
        statistics: of the rounds of the last call; None before it.
    """

    def __init__(self) -> None:
        self.statistics: Statistics | None = None

    def __call__(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Return what the last round returned; for a coroutine function, an awaitable of it."""
        if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None)):  # noqa: B004  an object whose __call__ is a coroutine function
            return self._await(call, args, kwargs)
        rounds_s: list[float] = []
        begun_s = Own.perf_counter()
        while _goes_on(len(rounds_s), begun_s):
            start_s = Own.perf_counter()
            result = call(*args, **kwargs)
            rounds_s.append(Own.perf_counter() - start_s)
        self.statistics = summarise(rounds_s)
        return result

    async def _await(self, call: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rounds_s: list[float] = []
        begun_s = Own.perf_counter()
        while _goes_on(len(rounds_s), begun_s):
            start_s = Own.perf_counter()
            result = await call(*args, **kwargs)
            rounds_s.append(Own.perf_counter() - start_s)
        self.statistics = summarise(rounds_s)
        return result


def median_s(item: pytest.Item) -> float | None:
    """Return the median of the rounds that ``item`` made, or None when it made none."""
    fixture = getattr(item, "funcargs", {}).get("benchmark")
    if isinstance(fixture, Benchmark):
        return fixture.statistics.median_s if fixture.statistics is not None else None
    return plugin_median_s(item.config, fixture)


def _goes_on(made: int, begun_s: float) -> bool:
    return made < MIN_ROUNDS or (made < MAX_ROUNDS and Own.perf_counter() - begun_s < MAX_TIME_S)
