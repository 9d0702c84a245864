"""Health: what the checks found, which state that makes, and what is said about the whole.

    results → thresholds → state of each component → dependencies → what is reported → overall

A state changes by this table; from best to worst: healthy, degraded, unknown, unhealthy.

    what the latest results say                            the state becomes
    ------------------------------------------------------------------------
    nothing yet                                            unknown
    there is a first one, and the state is unknown         what it says
    the last ``failures`` are all worse than the state     the best of them
    the last ``successes`` are all better than the state   the worst of them
    anything else                                          what it was

What depends on a dead component is ``unknown``: one dead database is one alarm. While a component's
results are bad and its thresholds are not yet reached, what depends on it and is in a bad state is
``unknown`` too, because that may be the reason.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any

from pytest_sergas.core import kinds
from pytest_sergas.core.metrics import Family
from pytest_sergas.core.text import one_line

OVERALL = "overall_system"
CAUSE_LIMIT = 300  # letters of the cause of a change

# Windows over which uptime is told, in seconds.
WINDOWS_S: Mapping[str, float] = MappingProxyType(
    {"1h": 3600.0, "24h": 24 * 3600.0, "7d": 7 * 24 * 3600.0, "30d": 30 * 24 * 3600.0}
)


class HealthStatus(StrEnum):
    """How a component is, or the whole; in the order from best to worst."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    UNHEALTHY = "unhealthy"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return _RANKS[self]


_RANKS = {status: rank for rank, status in enumerate(HealthStatus)}
UP = frozenset({HealthStatus.HEALTHY, HealthStatus.DEGRADED})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found, or what is said about a component.

    Attributes:
        component: the check's name.
        message: one line for people, without secrets.
        details: values for JSON.
        figures: what the check measured on the way, as metrics without the label of the check.
        duration_s: how long the check took, in seconds.
        due_to: the other component that its status is put down to, or "".
    """

    component: str
    status: HealthStatus
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Family, ...] = ()
    duration_s: float = 0.0
    due_to: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the documented JSON: status, component, message, details."""
        return {
            "status": self.status.value,
            "component": self.component,
            "message": self.message,
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many results in a row change a state: ``failures`` for the worse, ``successes`` for the better."""

    failures: int = 1
    successes: int = 1


@dataclass(frozen=True, slots=True)
class Component:
    """A checked component.

    Attributes:
        depends_on: names of the components without which this one cannot work.
        status: its state, by the table above.
        recent: the statuses of its latest results, as many as the thresholds can ask for, the newest last.
        latest: its newest result, or None before the first.
    """

    name: str
    depends_on: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    status: HealthStatus = HealthStatus.UNKNOWN
    recent: tuple[HealthStatus, ...] = ()
    latest: CheckResult | None = None

    def observe(self, result: CheckResult) -> Component:
        """Return the component after one more ``result``."""
        limits = self.thresholds
        recent = (*self.recent, result.status)[-max(limits.failures, limits.successes) :]
        first = self.latest is None and self.status is HealthStatus.UNKNOWN
        status = result.status if first else _changed(self.status, recent, limits)
        return replace(self, status=status, recent=recent, latest=result)


def _changed(status: HealthStatus, recent: Sequence[HealthStatus], limits: Thresholds) -> HealthStatus:
    # While there are fewer results than a threshold asks for, the one that made the state is among them.
    best_of_bad = min(recent[-limits.failures :], key=_RANKS.__getitem__)
    worst_of_good = max(recent[-limits.successes :], key=_RANKS.__getitem__)
    if best_of_bad.rank > status.rank:
        return best_of_bad
    if worst_of_good.rank < status.rank:
        return worst_of_good
    return status


def report(components: Iterable[Component]) -> dict[str, CheckResult]:
    """Return name → what is reported about each component, dependencies taken into account.

    The dependencies are complete and without a cycle, as `dependency_faults` makes sure.
    """
    known = {component.name: component for component in components}
    order = TopologicalSorter({name: component.depends_on for name, component in known.items()}).static_order()
    causes: dict[str, _Cause] = {}
    for name in order:
        causes[name] = _cause(known[name], [causes[dependency] for dependency in known[name].depends_on])
    return {name: _reported(component, causes[name]) for name, component in known.items()}


@dataclass(frozen=True, slots=True)
class _Cause:
    """The component because of which another is not itself: dead for sure, and suspected by its newest result."""

    dead: str = ""
    suspected: str = ""


def _cause(component: Component, dependencies: Sequence[_Cause]) -> _Cause:
    """Return what the failure of everything that depends on ``component`` is put down to, its own included."""
    dead = next((cause.dead for cause in dependencies if cause.dead), "")
    suspected = next((cause.suspected for cause in dependencies if cause.suspected), "")
    if not dead and component.status is HealthStatus.UNHEALTHY and not suspected:
        dead = component.name
    if not suspected and component.latest is not None and component.latest.status is HealthStatus.UNHEALTHY:
        suspected = component.name
    return _Cause(dead, suspected)


def _reported(component: Component, cause: _Cause) -> CheckResult:
    name, latest, status = component.name, component.latest, component.status
    if cause.dead not in {"", name}:
        return _unknown(component, cause.dead, f"depends on {cause.dead}, which is unhealthy")
    if status is not HealthStatus.HEALTHY and cause.suspected not in {"", name}:
        return _unknown(component, cause.suspected, f"depends on {cause.suspected}, whose latest check failed")
    if latest is None:
        return CheckResult(name, status, "not checked yet")
    if latest.status is status:
        return latest
    worse = latest.status.rank > status.rank
    needed = component.thresholds.failures if worse else component.thresholds.successes
    return replace(
        latest, status=status, message=f"still {status}: {latest.message} ({_streak(component)} of {needed} in a row)"
    )


def _unknown(component: Component, due_to: str, text: str) -> CheckResult:
    duration_s = component.latest.duration_s if component.latest else 0.0
    return CheckResult(component.name, HealthStatus.UNKNOWN, text, duration_s=duration_s, due_to=due_to)


def _streak(component: Component) -> int:
    """How many of the newest results are on one side of the state."""
    count = 0
    worse = component.recent[-1].rank > component.status.rank
    for status in reversed(component.recent):
        if status is component.status or (status.rank > component.status.rank) is not worse:
            break
        count += 1
    return count


def overall(results: Iterable[CheckResult]) -> CheckResult:
    """Return the health of the whole in the documented shape.

    Unhealthy when anything is; degraded when anything is degraded or unknown; healthy otherwise, also when
    there is nothing to check. `degraded_checks` counts the unknown ones, so that the numbers add up.
    """
    found = list(results)
    healthy = sum(result.status is HealthStatus.HEALTHY for result in found)
    unhealthy = sum(result.status is HealthStatus.UNHEALTHY for result in found)
    status = HealthStatus.HEALTHY if healthy == len(found) else HealthStatus.DEGRADED
    status = HealthStatus.UNHEALTHY if unhealthy else status
    durations_s = [result.duration_s for result in found if result.duration_s > 0]
    details = {
        "total_checks": len(found),
        "healthy_checks": healthy,
        "degraded_checks": len(found) - healthy - unhealthy,
        "unhealthy_checks": unhealthy,
        "average_response_time": round(sum(durations_s) / len(durations_s), 6) if durations_s else 0.0,
    }
    message = f"Overall system health: {status} ({healthy}/{len(found)} components healthy)"
    return CheckResult(OVERALL, status, message, details)


def dependency_faults(depends_on: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return what is wrong with the dependencies between components, one line of text each.

    Args:
        depends_on: name of each component → names of those that it depends on.
    """
    faults = []
    for name, dependencies in depends_on.items():
        for dependency in dependencies:
            if dependency not in depends_on:
                near = kinds.nearest(dependency, depends_on)
                hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(map(repr, depends_on))}"
                faults.append(f"checks.{name}: depends_on = {dependency!r}: there is no check of that name; {hint}")
    try:
        TopologicalSorter(depends_on).prepare()
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        faults.append(f"checks: depends_on goes in a circle: {circle}; remove one of these")
    return tuple(faults)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time during which a component had one status; seconds since the epoch.

    Attributes:
        cause: what was reported when it began, in words.
        due_to: the other component that the status was put down to then, or "".
    """

    status: HealthStatus
    from_s: float
    until_s: float
    cause: str = ""
    due_to: str = ""


def record(last: Span | None, seen: CheckResult, at_s: float, max_gap_s: float) -> tuple[Span, ...]:
    """Return what takes the place of the ``last`` span now that ``seen`` is reported at ``at_s``.

    Args:
        last: the newest span, which ends at ``at_s`` or before.
        max_gap_s: after a longer silence nobody knows what was in between, and it counts as nothing.
    """
    new = Span(seen.status, at_s, at_s, one_line(seen.message, CAUSE_LIMIT), seen.due_to)
    if last is None:
        return (new,)
    if at_s - last.until_s > max_gap_s:
        return (last, new)
    prolonged = replace(last, until_s=at_s)
    return (prolonged,) if seen.status is last.status else (prolonged, new)


@dataclass(frozen=True, slots=True)
class Change:
    """The beginning of ``span``.

    Attributes:
        before: the status until then; None where nothing was known.
        unobserved_s: for how long nobody had looked, in seconds.
    """

    span: Span
    before: HealthStatus | None
    unobserved_s: float


def changes(spans: Sequence[Span]) -> list[Change]:
    """Return what began each of ``spans``, in the order of time; the end of a time in which nobody looked is one."""
    found = []
    earlier: Span | None = None
    for span in spans:
        unobserved_s = span.from_s - earlier.until_s if earlier is not None else 0.0
        before = earlier.status if earlier is not None and unobserved_s <= 0 else None
        found.append(Change(span, before, max(unobserved_s, 0.0)))
        earlier = span
    return found


def cut(spans: Sequence[Span], now_s: float) -> list[Span]:
    """Return ``spans`` without what lies after ``now_s``: a clock that was set back has not lived through it yet."""
    return [replace(span, until_s=min(span.until_s, now_s)) for span in spans if span.from_s <= now_s]


def uptime(spans: Sequence[Span], now_s: float, window_s: float) -> float | None:
    """Return the share of the observed time of the last ``window_s`` seconds that was healthy or degraded, 0 to 1.

    Args:
        spans: in the order of time.

    Returns:
        None when nothing was observed; time of unknown health is not observed.
    """
    start_s = now_s - window_s
    up_s = observed_s = 0.0
    first = bisect_left(spans, start_s, key=lambda span: span.until_s)
    for span in spans[first:]:
        length_s = min(span.until_s, now_s) - max(span.from_s, start_s)
        if span.status is not HealthStatus.UNKNOWN and length_s > 0:
            observed_s += length_s
            up_s += length_s if span.status in UP else 0.0
    return up_s / observed_s if observed_s else None


def worst_by_part(spans: Sequence[Span], now_s: float, window_s: float, parts: int) -> list[HealthStatus | None]:
    """Return the worst status in each of ``parts`` equal parts of the last ``window_s`` seconds, oldest first.

    Args:
        spans: in the order of time.

    Returns:
        None for a part in which nobody looked.
    """
    start_s, width_s = now_s - window_s, window_s / parts
    worst: list[HealthStatus | None] = [None] * parts
    for span in spans[bisect_left(spans, start_s, key=lambda span: span.until_s) :]:
        first = max(int((span.from_s - start_s) / width_s), 0)
        last = min(int((span.until_s - start_s) / width_s), parts - 1)
        for part in range(first, last + 1):
            known = worst[part]
            if known is None or span.status.rank > known.rank:
                worst[part] = span.status
    return worst
