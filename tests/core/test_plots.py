"""The plots: read again as the XML that they are."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.plots import (
    HEIGHT,
    WIDTH,
    Axes,
    Band,
    Bar,
    Extent,
    Lane,
    Point,
    lanes,
    line,
    short,
    sparkline,
    stretches,
    ticks,
)

pytestmark = pytest.mark.unit

HOSTILE = "\"><img src=x onerror=alert(1)> ' & \u202e \x00\x1b[31m"
numbers = st.floats(-1e12, 1e12) | st.just(math.nan) | st.just(math.inf) | st.none()


def read(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  our own


def of_class(svg: str, name: str) -> list[ET.Element]:
    return [element for element in read(svg).iter() if name in element.get("class", "").split()]


def title(svg: str) -> str:
    found = read(svg).find("title")
    assert found is not None
    return found.text or ""


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_reach_round_the_values(low: float, span: float) -> None:
    found = ticks(low, low + span)

    assert 2 <= len(found) <= 6
    assert found[0] <= low + abs(low) * 1e-9 + 1e-9
    assert found[-1] >= (low + span) - abs(low + span) * 1e-9 - 1e-9


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        pytest.param(1.0, (0, 0.5, 1.0), id="one"),
        pytest.param(0.37, (0, 0.1, 0.2, 0.3, 0.4), id="a part"),
        pytest.param(730, (0, 200, 400, 600, 800), id="hundreds"),
        pytest.param(4, (0, 1, 2, 3, 4), id="four"),
    ],
)
def test_ticks_are_those_that_people_would_take(high: float, expected: tuple[float, ...]) -> None:
    assert ticks(0, high) == expected


def test_no_span_has_ticks_all_the_same() -> None:
    assert ticks(3.0, 3.0) == (3.0, 4.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (0.05, "0.05"), (1.5, "1.5"), (250, "250"), (1500, "1500"), (12000, "12k"), (3e6, "3M"), (5e9, "5G")],
)
def test_numbers_on_an_axis_are_short(value: float, expected: str) -> None:
    assert short(value) == expected


def test_line_lies_between_the_axes_and_higher_for_more() -> None:
    svg = line("Duration", [Point(0, 1.0), Point(1, 3.0)])

    [curve] = of_class(svg, "curve")
    (x1, y1), (x2, y2) = re.findall(r"[ML]([\d.]+) ([\d.]+)", curve.attrib["d"])
    assert float(x1) < float(x2) == WIDTH - 10
    assert HEIGHT > float(y1) > float(y2) >= 12


def test_value_that_is_missing_leaves_a_gap() -> None:
    svg = line("Duration", [Point(0, 1), Point(1, 1), Point(2, None), Point(3, 1), Point(4, math.nan), Point(5, 1)])

    [curve] = of_class(svg, "curve")
    assert re.sub(r"[\d. ]", "", curve.attrib["d"]) == "MLMM"


def test_budget_is_a_line_and_lies_on_the_axis_also_when_no_value_reaches_it() -> None:
    svg = line("Duration", [Point(0, 1.0)], Axes(unit=" s", budget=10))

    drawn, text = of_class(svg, "budget")
    assert "H390" in drawn.attrib["d"]
    assert (text.text, title(svg)) == (
        "budget",
        "Duration: 1 values, from 1 s to 1 s, the last one 1 s; the budget is 10 s",
    )
    assert [element.text for element in of_class(svg, "y")] == ["0 s", "5 s", "10 s"]


def test_axis_reaches_as_far_as_it_is_told_to() -> None:
    svg = line("CPU", [Point(0, 3)], Axes(unit="%", least_top=100))

    assert [element.text for element in of_class(svg, "y")] == ["0%", "50%", "100%"]


def test_point_says_what_it_is_when_one_points_at_it() -> None:
    svg = line("Duration", [Point(0, 1), Point(1, 2, "failed", "run 7: failed")])

    [dot] = of_class(svg, "failed")
    assert [child.text for child in dot] == ["run 7: failed"]


def test_names_stand_at_their_places() -> None:
    svg = line(
        "Duration", [Point(5, 1), Point(6, 1), Point(7, 1)], Axes(x_labels=((5, "12:00"), (6, "now"), (7, "later")))
    )

    assert [(e.text, e.attrib["class"], e.attrib["x"]) for e in of_class(svg, "x")] == [
        ("12:00", "x start", "46"),
        ("now", "x", "218"),
        ("later", "x end", "390"),
    ]


@given(st.lists(st.builds(Point, st.floats(-1e9, 1e9), numbers, st.just("m"), st.text()), max_size=20), numbers)
def test_every_line_is_well_formed_and_stays_within_the_picture(points: list[Point], least: float | None) -> None:
    svg = line("t", points, Axes(least_top=least if least and math.isfinite(least) and least > 0 else 0.0))

    for dot in read(svg).iter("circle"):
        assert 0 <= float(dot.attrib["cx"]) <= WIDTH
        assert 0 <= float(dot.attrib["cy"]) <= HEIGHT


def test_line_without_values_says_so() -> None:
    assert title(line("Memory", [])) == "Memory: no values"


def test_sparkline_ends_with_a_dot_at_its_last_value() -> None:
    svg = sparkline("trend", [1.0, 2.0, None])

    [dot] = read(svg).iter("circle")
    assert (dot.attrib["cx"], dot.attrib["cy"]) == ("50", "2")


@given(st.lists(numbers, max_size=30))
def test_every_sparkline_is_well_formed(values: list[float | None]) -> None:
    read(sparkline("t", values))


def test_stretch_of_a_worse_state_is_lower() -> None:
    svg = stretches("uptime", ["healthy", "unhealthy", "healthy", ""], {"healthy": 1.0, "unhealthy": 0.5})

    heights = {
        element.attrib["class"]: set(re.findall(r"v-([\d.]+)", element.attrib["d"]))
        for element in read(svg).iter("path")
    }
    assert heights == {"healthy": {"28"}, "unhealthy": {"14"}, "nothing": {"2"}}
    assert [len(re.findall("M", element.attrib["d"])) for element in read(svg).iter("path")] == [2, 1, 1]


def test_stretch_that_goes_on_is_one_bar() -> None:
    svg = stretches("uptime", ["healthy"] * 59 + ["unhealthy"], {"healthy": 1.0, "unhealthy": 0.5})

    shapes = {element.attrib["class"]: element.attrib["d"] for element in read(svg).iter("path")}
    assert shapes == {"healthy": "M0 28v-28h235v28z", "unhealthy": "M236 28v-14h3v14z"}


def test_extents_are_a_shape_with_gaps_that_counts_for_the_axis_and_the_words() -> None:
    points = [Point(0, 2.0), Point(1, 3.0), Point(2, None), Point(3, 4.0)]
    extents = [Extent(0, 1.0, 10.0), Extent(1, 2.0, 4.0), Extent(2, None, None), Extent(3, 4.0, 4.0)]
    svg = line("CPU", points, extents=extents)

    [shape] = of_class(svg, "range")
    assert shape.attrib["d"] == "M46 12L161 82L161 105L46 116zM390 82L390 82z"
    assert [element.text for element in of_class(svg, "y")] == ["0", "5", "10"]
    assert read(svg)[0].text == "CPU: 3 values, from 1 to 10, the last one 4"


def test_lanes_show_who_ran_what_when() -> None:
    svg = lanes(
        "workers",
        [
            Lane("gw0", (Bar(0, 5, "passed"), Bar(5, 6, "passed"), Bar(6, 8, "failed", "test_a failed"))),
            Lane("gw1", (Bar(0, 4, "passed"),)),
        ],
        [Band(4, 8, 0, 2)],
    )

    first, second = of_class(svg, "passed")
    assert len(re.findall("M", first.attrib["d"])) == 2
    assert second.attrib["d"].startswith("M0 22h499.6")
    [failed] = of_class(svg, "failed")
    assert [child.text for child in failed] == ["test_a failed"]
    [alone] = of_class(svg, "alone")
    assert alone.attrib["d"] == "M500 0h500v38h-500z"
    assert len(of_class(svg, "lane")) == 2


def test_bar_of_no_length_can_be_seen() -> None:
    svg = lanes("workers", [Lane("", (Bar(0, 0, "passed"), Bar(0, 100, "slow")))])

    [shape] = of_class(svg, "passed")
    assert "h0.8v" in shape.attrib["d"]


@given(st.lists(st.builds(Bar, st.floats(0, 1e9), st.floats(0, 1e9), st.just("k"), st.text()), max_size=20))
def test_every_timeline_is_well_formed(bars: list[Bar]) -> None:
    read(lanes("t", [Lane("n", tuple(bars))]))


def test_text_stays_text() -> None:
    for svg in (
        line(HOSTILE, [Point(0, 1, "m", HOSTILE)], Axes(unit=HOSTILE, x_labels=((0, HOSTILE),))),
        sparkline(HOSTILE, [1]),
        stretches(HOSTILE, ["healthy"], {}),
        lanes(HOSTILE, [Lane(HOSTILE, (Bar(0, 1, "k", HOSTILE),))]),
    ):
        assert [element.tag for element in read(svg).iter() if element.tag in {"img", "script"}] == []
        assert "style=" not in svg
