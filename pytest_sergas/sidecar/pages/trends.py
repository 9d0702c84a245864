"""What the machine and the checks were like over time, and when a disk will be full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_sergas.core.clock import Now
from pytest_sergas.core.plots import Axes, Extent, Point, line
from pytest_sergas.core.trends import Bucket, Forecast, Outlook, coarser, until_used_up
from pytest_sergas.engine.trend_rows import Known
from pytest_sergas.engine.trends import DURATION_METRIC, Trends
from pytest_sergas.sidecar.pages.rendering import age

WINDOW_S = 24 * 3_600.0
DISKS, CHECKS = 4, 4  # shown on the overview: the fullest, the slowest
CHECKS_IN_ALL = 12

_PARTS = 48  # more points would make the page large
_FEW = 3  # as long as there are fewer buckets, values are shown as they came
_YEAR_S = 365 * 24 * 3_600.0
_FREE = "system_disk_free_bytes"


@dataclass(frozen=True, slots=True)
class Shown:
    """What is plotted under ``title``.

    Attributes:
        least_top: the axis reaches at least to here.
        factor: values are multiplied by it.
        has_extents: whether least and greatest are drawn behind the mean.
    """

    title: str
    unit: str
    least_top: float = 0.0
    factor: float = 1.0
    has_extents: bool = True


@dataclass(frozen=True, slots=True)
class TrendView:
    """A plot, and what is to be said about it."""

    title: str
    svg: str
    note: str = ""


_MACHINE = {
    "system_cpu_usage_percent": Shown("CPU", "%", 100.0),
    "system_memory_usage_percent": Shown("Memory", "%", 100.0),
    "system_load1": Shown("Load", "", 1.0),
}
_DISK = "system_disk_usage_percent"


async def machine(trends: Trends, now: Now) -> list[TrendView]:
    """Return the plots of CPU, memory and load, and of the disks that are fullest.

    Raises:
        StoreError: the store cannot be read.
    """
    known = trends.series()
    shown = [(one, _MACHINE[name]) for name in _MACHINE for one in known if one.name == name]
    disks = sorted((one for one in known if one.name == _DISK), key=lambda one: _last(trends, one, now), reverse=True)
    shown += [(one, Shown(f"Disk {dict(one.labels).get('mountpoint', '')}", "%", 100.0)) for one in disks[:DISKS]]
    free = [one for one in known if one.name == _FREE and one.labels in {disk.labels for disk in disks[:DISKS]}]
    found = await _values(trends, (*(one for one, _ in shown), *free), now)
    notes = {one.labels: _until_full(found[one]) for one in free}
    views = [(one, _view(view, found[one], now)) for one, view in shown]
    return [
        TrendView(view.title, view.svg, notes.get(one.labels, "") if one.name == _DISK else "")
        for one, view in views
        if view is not None
    ]


async def response_times(trends: Trends, now: Now, most: int, *, has_extents: bool = True) -> dict[str, TrendView]:
    """Return name → plot of how long the check took, of the ``most`` that are slowest.

    Args:
        has_extents: whether the least and the greatest are drawn, too.

    Raises:
        StoreError: the store cannot be read.
    """
    checks = [one for one in trends.series() if one.name == DURATION_METRIC]
    slowest = sorted(checks, key=lambda one: _last(trends, one, now), reverse=True)[:most]
    found = await _values(trends, slowest, now)
    views: dict[str, TrendView] = {}
    for one in slowest:
        name = dict(one.labels)["check"]
        if (
            view := _view(
                Shown(f"Response time of {name}", " ms", factor=1_000.0, has_extents=has_extents), found[one], now
            )
        ) is not None:
            views[name] = view
    return views


def _last(trends: Trends, known: Known, now: Now) -> float:
    raw = trends.raw(known, now)
    return raw[-1][1] if raw else -1.0


async def _values(trends: Trends, wanted: Iterable[Known], now: Now) -> Mapping[Known, list[Bucket]]:
    """Return each series → its last day in buckets; as it came while there are too few of them."""
    found = await trends.buckets(wanted, now, WINDOW_S)
    return {
        one: buckets
        if len(buckets) >= _FEW
        else [Bucket(int(at_s), value, value, value) for at_s, value in trends.raw(one, now) if value == value]  # noqa: PLR0124  not NaN
        for one, buckets in found.items()
    }


def _view(shown: Shown, buckets: Sequence[Bucket], now: Now) -> TrendView | None:
    """Return the plot of at least two buckets; None of fewer."""
    distances = [later.start_s - earlier.start_s for earlier, later in pairwise(buckets)]
    if not distances:
        return None
    width_s = max(int((now.wall_s - buckets[0].start_s) / _PARTS), min(distances), 1)
    points: list[Point] = []
    extents: list[Extent] = []
    for one in coarser(buckets, width_s):
        x = min(one.start_s + width_s / 2 - now.wall_s, 0.0)
        if points and x - points[-1].x > 3 * width_s:  # nobody measured
            points.append(Point(x, None))
            extents.append(Extent(x, None, None))
        points.append(Point(x, one.mean * shown.factor))
        extents.append(Extent(x, one.least * shown.factor, one.greatest * shown.factor))
    if not shown.has_extents or all(one.low == one.high for one in extents):
        extents = []
    past = age(now.wall_s - buckets[0].start_s)
    labels = ((points[0].x, f"{past} ago"), (points[-1].x, "now"))
    title = f"{shown.title} over the last {past}"
    return TrendView(shown.title, line(title, points, Axes(shown.unit, None, labels, shown.least_top), extents))


def _until_full(free: Sequence[Bucket]) -> str:
    """Return when a disk will be full, in words."""
    found = until_used_up([(one.start_s, one.mean) for one in free])
    return _said(found, f"the last {age(found.span_s)}")


def _said(found: Forecast, past: str) -> str:
    match found.outlook:
        case Outlook.TOO_SHORT:
            return "When it will be full is unknown: that takes an hour of measurements."
        case Outlook.STEADY:
            return f"It has not filled up over {past}."
        case Outlook.UNSTEADY:
            return f"When it will be full is unknown: it filled and emptied over {past}."
    left_s = found.left_s or 0.0
    if left_s > _YEAR_S:
        return f"Full in more than a year, at the pace of {past}."
    return f"Full in {age(left_s)}, at the pace of {past}."
