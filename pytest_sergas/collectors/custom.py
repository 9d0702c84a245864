"""Functions and classes of yours: ``custom = ["shop.metrics:collect"]``, or `adapted` in a program.

A function is called each time; a class is made once, without arguments, and its `collect` is called. Either
may take ``remaining_s`` (see `Collector`), and returns `MonitoringMetric`s or families. Modules are also looked for
in the directory of the configuration.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_sergas.collectors import Collector, Context, Measured, Source
from pytest_sergas.core.metrics import Family
from pytest_sergas.core.monitoring import MonitoringMetric
from pytest_sergas.core.text import one_line, show_value
from pytest_sergas.errors import ConfigurationError, MetricError


def create(context: Context) -> Sequence[Source]:
    faults: list[str] = []
    sources = []
    root = str(context.root.resolve())
    if context.settings.custom and root not in sys.path:
        sys.path.insert(0, root)  # a module beside the configuration is found, as other servers find applications
    for reference in dict.fromkeys(context.settings.custom):
        try:
            collector = adapted(_find(reference))
        except MetricError as error:
            faults.append(f"[collect] custom = {reference!r}: {error}")
        else:
            sources.append(context.source(reference, collector))
    if faults:
        raise ConfigurationError(tuple(faults))
    return sources


def adapted(given: object) -> Collector:
    """Return the collector that a function, a class or an object with `collect` amounts to.

    Raises:
        MetricError: it is none of them, or a coroutine function; the text says which.
    """
    if isinstance(given, type):
        return adapted(_made(given))
    function = getattr(given, "collect", given)
    if not callable(function):
        raise MetricError(f"{show_value('collector', given)} is neither a function nor has it a method collect")
    if inspect.iscoroutinefunction(function):
        raise MetricError(
            f"{_name(function)} is a coroutine function; collectors run on threads, write def, not async def"
        )
    return _Custom(function, takes_remaining=_takes_remaining(function))


def _name(function: object) -> str:
    return one_line(str(getattr(function, "__qualname__", function)), 80)


def _made(kind: type) -> object:
    if not callable(getattr(kind, "collect", None)):
        raise MetricError(f"the class {kind.__qualname__} has no method collect")
    try:
        return kind()
    except Exception as error:  # the edge of a stranger's class
        raise MetricError(f"{kind.__qualname__}() failed: {type(error).__name__}: {error}") from error


def _takes_remaining(function: Callable[..., Any]) -> bool:
    try:
        return "remaining_s" in inspect.signature(function).parameters
    except ValueError:  # written in C, and says nothing about its arguments
        return False


@dataclass(frozen=True, slots=True)
class _Custom:
    function: Callable[..., Any]
    takes_remaining: bool

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        measured = self.function(remaining_s=remaining_s) if self.takes_remaining else self.function()
        if isinstance(measured, MonitoringMetric | Family):
            measured = [measured]
        if measured is None or not isinstance(measured, Iterable):
            raise MetricError(f"it returned {show_value('metrics', measured)}: allowed: a list of MonitoringMetric")
        entries = list(measured)
        for entry in entries:
            if not isinstance(entry, MonitoringMetric | Family):
                raise MetricError(f"its list holds {show_value('metric', entry)}: allowed: MonitoringMetric")
        return entries


def _find(reference: str) -> object:
    module, _, name = reference.partition(":")
    try:
        found = importlib.import_module(module)
    except Exception as error:  # the edge of a stranger's module
        raise MetricError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    try:
        return getattr(found, name)
    except AttributeError as error:
        raise MetricError(f"{module} has no {name}") from error
