"""Where metrics come from: one file for each collector, found through the entry points `GROUP`.

An entry point names a factory: `Factory`. It is called when the sidecar starts and when the configuration is
read again, and returns the sources that it has here, which may be none.

    system         CPU, memory, swap, load and network of the machine; its disks as a source of their own
    container      what cgroup v2 allows this container and what it uses
    process        the sidecar itself
    http_requests  requests that an application has recorded
    scrape         the /metrics pages of other programs
    custom         functions and classes of yours that the configuration names
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.core.metrics import Family
from pytest_sergas.core.monitoring import MonitoringMetric
from pytest_sergas.core.series import Labels
from pytest_sergas.errors import ConfigurationError, gathered

GROUP = "pytest_sergas.collectors"

Measured = MonitoringMetric | Family


class Collector(Protocol):
    """What measures.

    `collect` is called again and again, each time on a thread of its own, never twice at once. It may
    block, but has to be back within the time that its `Source` gives it: what comes later is thrown away,
    and until it is back it is not called again. What it returns replaces what it returned before; a series
    that it leaves out is gone. Any exception costs its own data only, and its text is shown to people:
    `CollectError` for a reason that says everything, and other exceptions are shown with their class.
    It owns what it opens; nobody closes it. One that is equal to its predecessor when the configuration is read again
    is not put in its place.
    """

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        """Measure.

        Args:
            remaining_s: how many seconds are left, 0 when there are none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """A collector and how it is run.

    Attributes:
        name: the label ``collector`` of what is said about it; each name once.
        interval_s: seconds from one start to the next; 0 for what only hands out what it has in memory: it is
            asked whenever somebody looks, on the event loop, and must not block.
        timeout_s: seconds that it may take.
        target: None for what is exposed at ``/metrics``. Otherwise the labels that its series get where they
            have none of that name; they feed rules and pages, and are not exposed here again. ``up`` says
            whether it answered.
    """

    name: str
    collector: Collector
    interval_s: float
    timeout_s: float
    target: Labels | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What a factory may look at.

    Attributes:
        settings: the section ``[collect]`` in force.
        root: the directory that paths of the configuration are relative to.
        environ: the environment variables.
    """

    settings: CollectSettings
    root: Path
    environ: Mapping[str, str]

    def source(self, name: str, collector: Collector, *, interval_s: float | None = None) -> Source:
        """Return a source with the interval, unless given, and the timeout of the configuration."""
        interval = self.settings.interval if interval_s is None else interval_s
        return Source(name, collector, interval, self.settings.timeout)


Factory = Callable[[Context], Sequence[Source]]


def find_all(context: Context) -> list[Source]:
    """Return the sources of all entry points that the configuration has not switched off, by name.

    Raises:
        ConfigurationError: listing every fault of all of them: what the configuration says about a collector cannot
            be used, or one that is installed cannot be made.
    """
    made: list[Source] = []
    faults: list[str] = []
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name not in context.settings.disabled:
            with gathered(faults):
                made += _make(entry, context)
    if faults:
        raise ConfigurationError(tuple(faults))
    return made


def _make(entry: importlib.metadata.EntryPoint, context: Context) -> list[Source]:
    try:
        factory: Factory = entry.load()
        return list(factory(context))
    except ConfigurationError:
        raise
    except Exception as error:  # the edge of a stranger's factory
        text = (
            f"[collect]: the collector {entry.name!r} ({entry.value}) cannot be made: {type(error).__name__}: {error}; "
            f"repair it, or switch it off with disabled = [{entry.name!r}]"
        )
        raise ConfigurationError((text,)) from error
