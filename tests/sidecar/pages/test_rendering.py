"""How foreign text, moments and figures are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from pytest_sergas.sidecar.pages.rendering import age, ago, foreign, percent, render, safe_link, size, when

pytestmark = pytest.mark.unit


@given(st.text())
def test_text_from_elsewhere_opens_no_element_and_closes_none(text: str) -> None:
    shown = str(foreign(text))

    inside = shown.removeprefix("<bdi>").removesuffix("</bdi>")
    assert shown == f"<bdi>{inside}</bdi>"
    assert not {"<", ">", '"', "'"} & set(inside)


def test_text_from_elsewhere_is_short_and_on_one_line() -> None:
    assert foreign("a\nb\x1b[31m\u202ec") == "<bdi>a b c</bdi>"
    assert len(foreign("n" * 10_000)) == len("<bdi></bdi>") + 160


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ci.example.org/1?a=b", "https://ci.example.org/1?a=b"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
        ("javascript:alert(1)", ""),
        ("JAVASCRIPT://x/%0aalert(1)", ""),
        ("data:text/html,x", ""),
        ("//evil.example", ""),
        ("https:///no-host", ""),
        ("http://[", ""),
        ("", ""),
        (f"https://ci.example.org/{'a' * 2_000}", ""),
    ],
)
def test_only_addresses_of_the_web_become_links(url: str, shown: str) -> None:
    assert safe_link(url) == shown


@pytest.mark.parametrize(
    ("elapsed_s", "shown"), [(-5, "0 s"), (0, "0 s"), (59.9, "60 s"), (60, "1 min"), (7_199, "1 h"), (200_000, "2 d")]
)
def test_length_of_time_is_told_in_its_largest_unit(elapsed_s: float, shown: str) -> None:
    assert age(elapsed_s) == shown


def test_moment_is_told_by_its_age_and_says_when_it_was() -> None:
    assert ago(1_750_000_000.0, 1_750_000_300.0) == (
        '<time datetime="2025-06-15T15:06:40+00:00" title="2025-06-15 15:06:40 UTC">5 min ago</time>'
    )
    assert ">now<" in ago(100.0, 100.5)
    assert ago(None, 100.0) == "-"


def test_moment_is_told_in_utc() -> None:
    assert when(1_750_000_000.0) == '<time datetime="2025-06-15T15:06:40+00:00">2025-06-15 15:06 UTC</time>'
    assert when(None) == "-"


@pytest.mark.parametrize(
    ("share", "shown"), [(None, "-"), (100.0, "100%"), (99.97, "99.9%"), (50.0, "50%"), (33.333, "33.3%"), (0.0, "0%")]
)
def test_rate_is_never_rounded_to_all(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("count_bytes", "shown"), [(None, "-"), (0, "0 B"), (1_536, "1.5 KiB"), (3 * 2**20, "3.0 MiB"), (2**31, "2.0 GiB")]
)
def test_bytes_are_told_in_the_unit_of_people(count_bytes: float | None, shown: str) -> None:
    assert size(count_bytes) == shown


def test_templates_escape_what_they_are_given() -> None:
    frame = {"base": "", "here": "/", "now_s": 0.0, "sections": (), "file": str, "version": "1", "not_in_force": ()}

    page = render("refusal.html", {**frame, "title": "<i>", "text": "<b>"})

    assert str(escape("<i>")) in page
    assert "<i>" not in page
    assert "<b>" not in page
