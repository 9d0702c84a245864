"""Plots as SVG text, small enough for a page to have dozens of them.

    line        values over runs or time, with axes and, where there is one, the line of the budget
    sparkline   the same without axes, inside a line of text
    stretches   what a component was like, as bars: the higher, the better, so that nobody needs the colours
    lanes       who ran what when: a row for each worker

Nothing is styled here: each part has a class, and the page's style sheet says how it looks, in light and dark. No
attribute ``style`` and no script, so that the strictest content security policy lets them pass. Each plot says in
words what it shows (``role="img"`` with a title), and what it is given as text is escaped. A plot fills the width
that it is given; its coordinates are those of a view box.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TypeGuard

WIDTH, HEIGHT = 400, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 22
_SPARK_WIDTH, _SPARK_HEIGHT = 100, 24
_BAR_HEIGHT = 28
_LANE_HEIGHT, _LANE_GAP = 16, 6
_TIMELINE_WIDTH = 1_000
_LEAST = 0.8  # nothing is drawn narrower, or it would not be seen


@dataclass(frozen=True, slots=True)
class Point:
    """One value; ``y`` is None where there is none, and the line has a gap.

    Attributes:
        mark: class of its dot; "" for no dot.
        text: what is said when one points at the dot.
    """

    x: float
    y: float | None
    mark: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Extent:
    """How far values reached at ``x``; ``low`` and ``high`` are None where there are none, and the shape has a gap."""

    x: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One lane's piece of a timeline, from ``start`` to ``stop``; ``kind`` is its class.

    Attributes:
        text: what is said when one points at it; bars without it are drawn as one shape, and cost little.
    """

    start: float
    stop: float
    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of a timeline."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """A part of a timeline that is marked, from ``start`` to ``stop``, over ``rows`` rows from ``first_row`` on."""

    start: float
    stop: float
    first_row: int
    rows: int


@dataclass(frozen=True, slots=True)
class Axes:
    """What stands round a line.

    Attributes:
        unit: written behind the values of the axis.
        budget: where the line of the budget lies.
        x_labels: places on the axis of ``x``, and what is written there.
        least_top: the axis of values reaches at least to here.
    """

    unit: str = ""
    budget: float | None = None
    x_labels: tuple[tuple[float, str], ...] = ()
    least_top: float = 0.0


DEFAULT_AXES = Axes()


def ticks(low: float, high: float, most: int = 4) -> tuple[float, ...]:
    """Return round numbers, at most ``most`` + 1 of them, the first at or below ``low``, the last at or above ``high``.

    Steps are 1, 2 or 5 times a power of ten.
    """
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return (low, low + 1.0)
    step = 10.0 ** math.floor(math.log10(span / most))
    factor = next(
        (one for one in (1, 2, 5, 10, 20) if math.ceil(high / (step * one)) - math.floor(low / (step * one)) <= most),
        20,
    )
    first, last = math.floor(low / (step * factor)), math.ceil(high / (step * factor))
    return tuple(float(f"{number * step * factor:.12g}") for number in range(first, last + 1))


def short(value: float) -> str:
    """Return a number as an axis has it: ``1.5``, ``250``, ``12k``, ``3M``."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.3g}{letter}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def line(title: str, points: Sequence[Point], axes: Axes = DEFAULT_AXES, extents: Sequence[Extent] = ()) -> str:
    """Return ``points`` as a line over axes; the axis of values begins at 0.

    Args:
        title: what is plotted, for those who do not see it as well.
        points: in the order of ``x``.
        extents: a shape behind the line, in the order of ``x``.
    """
    unit, budget = axes.unit, axes.budget
    values = [value for value in (*(one.y for one in points), *(one.high for one in extents)) if _drawn(value)]
    grid = ticks(
        0.0, max((value for value in (*values, budget, axes.least_top) if value is not None), default=1.0) or 1.0
    )
    xs = [point.x for point in points] or [0.0]
    first, last = min(xs), max(xs)
    area = _Area(first, last, grid[-1])
    parts = [_opening(_summary(title, points, axes, extents), WIDTH, HEIGHT, "plot")]
    for value in grid:
        y = area.y(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 5}" y="{y}" dy=".35em">{_text(short(value) + unit)}</text>')
    for place, text in axes.x_labels:
        anchor = " start" if place <= first else " end" if place >= last else ""
        x = area.x(place) if first < last else _LEFT
        parts.append(f'<text class="x{anchor}" x="{x}" y="{HEIGHT - 6}">{_text(text)}</text>')
    if budget is not None:
        y = area.y(budget)
        parts.append(f'<path class="budget" d="M{_LEFT} {y}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="budget" x="{WIDTH - _RIGHT}" y="{_number(float(y) - 4)}">budget</text>')
    parts.append(_shape(extents, area))
    parts.append(_curve([(area.x(point.x), area.y(point.y) if _drawn(point.y) else None) for point in points]))
    parts += [
        f'<circle class="{escape(point.mark)}" cx="{area.x(point.x)}" cy="{area.y(point.y)}" r="3">{_title(point.text)}'
        "</circle>"
        for point in points
        if point.mark and _drawn(point.y)
    ]
    return "".join([*parts, "</svg>"])


def sparkline(title: str, values: Sequence[float | None]) -> str:
    """Return ``values``, oldest first, as a small line from 0 to the largest of them."""
    found = [value for value in values if value is not None and math.isfinite(value)]
    top = max(found, default=0.0) or 1.0
    step = (_SPARK_WIDTH - 4) / max(len(values) - 1, 1)
    places = [
        (
            _number(2 + index * step),
            None if not _drawn(value) else _number(_SPARK_HEIGHT - 2 - (_SPARK_HEIGHT - 4) * max(value, 0.0) / top),
        )
        for index, value in enumerate(values)
    ]
    dot = next((f'<circle cx="{x}" cy="{y}" r="2"/>' for x, y in reversed(places) if y is not None), "")
    return f"{_opening(title, _SPARK_WIDTH, _SPARK_HEIGHT, 'spark')}{_curve(places)}{dot}</svg>"


def stretches(title: str, kinds: Sequence[str], heights: dict[str, float]) -> str:
    """Return a bar for each stretch of equal ``kinds``, which are classes; "" is one of which nothing is known.

    Args:
        heights: class → how high its bars are, 0 to 1.
    """
    width = 4
    shapes: dict[str, list[str]] = {}
    index = 0
    for kind, same in groupby(kinds):
        count = len(list(same))
        height = _number(max(_BAR_HEIGHT * heights.get(kind, 0.0), 2.0))
        shape = f"M{index * width} {_BAR_HEIGHT}v-{height}h{count * width - 1}v{height}z"
        shapes.setdefault(kind or "nothing", []).append(shape)
        index += count
    paths = "".join(f'<path class="{escape(kind)}" d="{"".join(found)}"/>' for kind, found in shapes.items())
    whole = max(len(kinds) * width - 1, 1)
    return f"{_opening(title, whole, _BAR_HEIGHT, 'bars', stretched=True)}{paths}</svg>"


def lanes(title: str, rows: Sequence[Lane], bands: Iterable[Band] = ()) -> str:
    """Return the timeline of ``rows``; its names stand beside it, in the page's own text."""
    bars = [bar for row in rows for bar in row.bars]
    first = min((bar.start for bar in bars), default=0.0)
    last = max((bar.stop for bar in bars), default=0.0)
    scale = _TIMELINE_WIDTH / (last - first) if last > first else 1.0
    height = max(len(rows) * (_LANE_HEIGHT + _LANE_GAP) - _LANE_GAP, 1)
    parts = [_opening(title, _TIMELINE_WIDTH, height, "lanes", stretched=True)]
    parts += [f'<path class="lane" d="M0 {_y(row)}H{_TIMELINE_WIDTH}v{_LANE_HEIGHT}H0z"/>' for row in range(len(rows))]
    for band in bands:
        x, width = _number((band.start - first) * scale), _number(max((band.stop - band.start) * scale, _LEAST))
        down = band.rows * (_LANE_HEIGHT + _LANE_GAP) - _LANE_GAP
        parts.append(f'<path class="alone" d="M{x} {_y(band.first_row)}h{width}v{down}h-{width}z"/>')
    parts += [_row(row.bars, first, scale, _y(number)) for number, row in enumerate(rows)]
    return "".join([*parts, "</svg>"])


def _y(row: int) -> int:
    return row * (_LANE_HEIGHT + _LANE_GAP)


def _row(bars: Iterable[Bar], first: float, scale: float, y: int) -> str:
    """Return the bars of a lane: those that say something one by one, the others as a shape for each kind."""
    shapes: dict[str, list[str]] = {}
    spoken = []
    for bar in bars:
        width = _number(max((bar.stop - bar.start) * scale - 0.4, _LEAST))
        shape = f"M{_number((bar.start - first) * scale)} {y}h{width}v{_LANE_HEIGHT}h-{width}z"
        if bar.text:
            spoken.append(f'<path class="{escape(bar.kind)}" d="{shape}">{_title(bar.text)}</path>')
        else:
            shapes.setdefault(bar.kind, []).append(shape)
    silent = [f'<path class="{escape(kind)}" d="{"".join(found)}"/>' for kind, found in shapes.items()]
    return "".join([*silent, *spoken])


class _Area:
    """Where values lie in the view box."""

    def __init__(self, first: float, last: float, top: float) -> None:
        self._first, self._last, self._top = first, last, top

    def x(self, value: float) -> str:
        return _number(self._x(value))

    def y(self, value: float) -> str:
        return _number(self._y(value))

    def whole_x(self, value: float) -> int:
        return round(self._x(value))

    def whole_y(self, value: float) -> int:
        return round(self._y(value))

    def _x(self, value: float) -> float:
        span = self._last - self._first
        share = (value - self._first) / span if span > 0 else 0.5
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - max(value, 0.0) / self._top * (HEIGHT - _TOP - _BOTTOM)


def _drawn(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _curve(places: Sequence[tuple[str, str | None]]) -> str:
    drawn = []
    pen = "M"
    for x, y in places:
        if y is None:
            pen = "M"
        else:
            drawn.append(f"{pen}{x} {y}")
            pen = "L"
    return f'<path class="curve" d="{"".join(drawn)}"/>' if drawn else ""


def _shape(extents: Sequence[Extent], area: _Area) -> str:
    """Return the shape between the lows and the highs, a piece for each stretch without a gap."""
    drawn: list[str] = []
    there: list[Extent] = []
    for one in (*extents, Extent(0.0, None, None)):
        if _drawn(one.low) and _drawn(one.high):
            there.append(one)
        elif there:
            # A background needs no more than whole coordinates, and they are a third of it less.
            highs = "L".join(f"{area.whole_x(each.x)} {area.whole_y(each.high or 0.0)}" for each in there)
            lows = "L".join(f"{area.whole_x(each.x)} {area.whole_y(each.low or 0.0)}" for each in reversed(there))
            drawn.append(f"M{highs}L{lows}z")
            there = []
    return f'<path class="range" d="{"".join(drawn)}"/>' if drawn else ""


def _summary(title: str, points: Sequence[Point], axes: Axes, extents: Sequence[Extent]) -> str:
    unit, budget = axes.unit, axes.budget
    values = [point.y for point in points if _drawn(point.y)]
    if not values:
        return f"{title}: no values"
    reached = [*values, *(end for one in extents for end in (one.low, one.high) if _drawn(end))]
    said = f"{title}: {len(values)} values, from {min(reached):.3g}{unit} to {max(reached):.3g}{unit}, the last one "
    return f"{said}{values[-1]:.3g}{unit}" + ("" if budget is None else f"; the budget is {budget:.3g}{unit}")


def _opening(title: str, width: float, height: float, kind: str, *, stretched: bool = False) -> str:
    ratio = f' height="{height}" preserveAspectRatio="none"' if stretched else ""
    return f'<svg class="{kind}" viewBox="0 0 {width} {height}"{ratio} role="img">{_title(title)}'


def _title(text: str) -> str:
    return f"<title>{_text(text)}</title>" if text else ""


def _text(text: str) -> str:
    """Return ``text`` escaped, without what no XML may hold and what turns the direction of writing."""
    return escape("".join(char if char.isprintable() or char == "\n" else " " for char in text))


def _number(value: float) -> str:
    """Return a coordinate with at most one digit behind the point."""
    return f"{value:.1f}".removesuffix(".0")
