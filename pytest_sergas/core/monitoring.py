"""What a program measures of itself: a `MonitoringMetric`, and the name under which it is exposed.

The name is the type, an underscore and the metric's own name, with the type never twice (`Machine` says ``system``
whatever its type, as the specification's page does):

    MonitoringMetric("cpu_usage_percent", ..., MonitorType.SYSTEM)         system_cpu_usage_percent
    MonitoringMetric("system_load1", ..., MonitorType.SYSTEM)              system_load1
    MonitoringMetric("cpu_usage_percent", ..., MonitorType.CPU)            cpu_usage_percent

`KEPT_NAMES` stay as they are, because they are known everywhere. A name that ends in ``_total`` is a
counter, every other one a gauge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from pytest_sergas.core.exposition import SUFFIXES
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.series import Labels
from pytest_sergas.core.text import show_value
from pytest_sergas.errors import MetricError

KEPT_NAMES = frozenset({"http_requests_total", "http_request_duration_seconds"})

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


class MonitorType(StrEnum):
    """What a metric is about; the first part of the name under which it is exposed."""

    SYSTEM = "system"
    APPLICATION = "application"
    DATABASE = "database"
    NETWORK = "network"
    MEMORY = "memory"
    CPU = "cpu"
    CUSTOM = "custom"
    BUSINESS = "business"


class Moment(Protocol):
    """What a `datetime.datetime` is to us."""

    def timestamp(self) -> float: ...


@dataclass(frozen=True, slots=True)
class MonitoringMetric:
    """One measured value.

    Args:
        name: letters, digits, ``_`` and ``:``, not starting with a digit.
        value: a number; NaN and the infinities are numbers here.
        timestamp: when it was measured: a datetime, or seconds since the Unix epoch; None for the moment in
            which it is collected.
        metric_type: what it is about.
        labels: name → value; what differs between metrics of one name. A value is text.
        unit: for people, such as ``"percent"``.
        description: for people; one line of it is exposed as the help text.

    Raises:
        MetricError: name, value or labels are not what Prometheus takes.
    """

    name: str
    value: float
    timestamp: Moment | float | None
    metric_type: MonitorType
    labels: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise MetricError(f"name {show_value('name', self.name)}: {_near_name(self.name)}")
        if not _is_number(self.value):
            raise MetricError(f"{self.name}: value {show_value('value', self.value)}: {_NUMBERS}")
        for label, text in self.labels.items():
            if not isinstance(label, str) or not _LABEL.fullmatch(label):
                raise MetricError(f"{self.name}: label {show_value('label', label)}: {_LABELS}")
            if not isinstance(text, str):
                raise MetricError(f"{self.name}: label {label}={show_value(label, text)}: allowed: text")

    @property
    def exported_name(self) -> str:
        """The name at ``/metrics``."""
        prefix = self.metric_type.value
        if self.name in KEPT_NAMES or self.name == prefix or self.name.startswith(f"{prefix}_"):
            return self.name
        return f"{prefix}_{self.name}"


@dataclass(frozen=True, slots=True)
class Machine(MonitoringMetric):
    """A metric of the machine: its type says which part of it, its exposed name begins with ``system_``."""

    @property
    def exported_name(self) -> str:
        return f"{MonitorType.SYSTEM.value}_{self.name}"


@dataclass(frozen=True, slots=True)
class Exposed(MonitoringMetric):
    """A sample of a family, under the name that it is exposed with."""

    @property
    def exported_name(self) -> str:
        return self.name


# What a name says about its metric; the first part of it that is found decides.
_ABOUT: Mapping[str, MonitorType] = MappingProxyType(
    {
        **{kind.value: kind for kind in MonitorType},
        **dict.fromkeys(("http", "process"), MonitorType.APPLICATION),
        **dict.fromkeys(("db", "postgresql", "postgres", "pg", "redis", "sqlite", "mysql"), MonitorType.DATABASE),
        **dict.fromkeys(("node", "container", "disk"), MonitorType.SYSTEM),
    }
)
_PARTS_OF_MACHINE = (MonitorType.CPU, MonitorType.MEMORY, MonitorType.NETWORK)


def about(name: str) -> MonitorType:
    """Return what a metric with this exposed ``name`` is about; what says nothing is an application's."""
    words = name.removeprefix("sergas_").split("_")
    found = next((_ABOUT[word] for word in words if word in _ABOUT), MonitorType.APPLICATION)
    if found is MonitorType.SYSTEM:
        return next((part for part in _PARTS_OF_MACHINE if part.value in words), found)
    return found


def metrics_of(
    found: Mapping[str, Iterable[tuple[Labels, float]]], at_s: float, about: Callable[[str, Labels], MonitorType]
) -> Iterator[Exposed]:
    """Return series as metrics.

    Args:
        found: name → labels and value of each of its series; see `pytest_sergas.core.series.seen`.
        at_s: when they were measured, in seconds since the Unix epoch.
        about: name and labels of a series → what it is about.
    """
    for name, series in found.items():
        for labels, value in series:
            yield Exposed(name, value, at_s, about(name, labels), dict(labels))


_LABELS = "allowed: letters, digits and _, not starting with a digit or __"
_NUMBERS = "allowed: an int or a float, no larger than a float can be"


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BEYOND_FLOAT


_BEYOND_FLOAT = 2**1023


def _near_name(name: object) -> str:
    near = re.sub(r"[^a-zA-Z0-9_:]+", "_", name).strip("_") if isinstance(name, str) else ""
    hint = f"; write {near!r}" if _NAME.fullmatch(near) else ""
    return f"allowed: letters, digits, _ and :, not starting with a digit{hint}"


def families_of(measured: Iterable[MonitoringMetric | Family]) -> tuple[Family, ...]:
    """Return what was measured as families, each name once, in the order of their first appearance.

    Of two metrics of the same name and labels the later one counts. Families pass unchanged.

    Raises:
        MetricError: a name is there both as metrics and as a family, or as two families.
    """
    families: dict[str, Family] = {}
    first: dict[str, MonitoringMetric] = {}
    values: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    order: dict[str, None] = {}
    for entry in measured:
        name = entry.name if isinstance(entry, Family) else entry.exported_name
        if name in families or (isinstance(entry, Family) and name in values):
            raise MetricError(f"{name}: there are two families of this name")
        order[name] = None
        if isinstance(entry, Family):
            families[name] = entry
        else:
            first.setdefault(name, entry)
            values.setdefault(name, {})[tuple(sorted(entry.labels.items()))] = float(entry.value)
    for name, metric in first.items():
        kind: FamilyType = "counter" if name.endswith("_total") else "gauge"
        samples = tuple(Sample(labels, value) for labels, value in values[name].items())
        families[name] = Family(name, kind, _help(metric), samples)
    return tuple(families[name] for name in order)


def _help(metric: MonitoringMetric) -> str:
    what = " ".join((metric.description or f"{metric.name.replace('_', ' ').capitalize()}").split())
    return what if metric.description or not metric.unit else f"{what} in {metric.unit}"


def check(families: Iterable[Family]) -> None:
    """Refuse families that would spoil the page for everybody else.

    Raises:
        MetricError: a name, a label or a suffix that Prometheus would not take, or a series that is there twice.
    """
    names: set[str] = set()
    for family in families:
        if not _NAME.fullmatch(family.name):
            raise MetricError(f"family {family.name!r}: {_near_name(family.name)}")
        if family.name in names:
            raise MetricError(f"{family.name}: there are two families of this name")
        names.add(family.name)
        _check_samples(family)


def _check_samples(family: Family) -> None:
    suffixes = {*SUFFIXES.get(family.type, ()), *(() if family.type == "histogram" else ("",))}
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for sample in family.samples:
        if sample.suffix not in suffixes:
            raise MetricError(f"{family.name}: a {family.type} has no sample {family.name}{sample.suffix}")
        if not _is_number(sample.value):
            raise MetricError(f"{family.name}: value {show_value('value', sample.value)}: {_NUMBERS}")
        for label, _ in sample.labels:
            if not _LABEL.fullmatch(label):
                raise MetricError(f"{family.name}: label {label!r}: {_LABELS}")
        labels = frozenset(sample.labels)
        if len(labels) != len(dict(sample.labels)):
            raise MetricError(f"{family.name}: a label is there twice: {dict(sample.labels)}")
        # A label without a value is no label: two series that differ by one are the same series.
        series = (sample.suffix, frozenset(pair for pair in labels if pair[1]))
        if series in seen:
            raise MetricError(f"{family.name}{sample.suffix}: the series {dict(sample.labels)} is there twice")
        seen.add(series)
