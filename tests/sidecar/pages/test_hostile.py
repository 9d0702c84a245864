"""Text that means harm: markup, letters that run the other way, ten thousand of them; wherever it came from."""

from __future__ import annotations

import pytest

from tests.servers.sidecar import Sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages import made
from tests.sidecar.pages.html import read, visit

pytestmark = pytest.mark.integration

HOSTILE_PAGES = (
    "/",
    "/runs",
    "/runs/shop-1",
    "/runs/foreign",
    "/tests",
    "/components",
    "/alerts",
    "/pushes",
    made.group_page("group", made.HOSTILE, branch=made.HOSTILE),
    made.group_page("delete", made.HOSTILE, branch=made.HOSTILE),
)
LONG_PAGES = (
    "/runs/long",
    made.group_page("group", made.LONG),
    made.group_page("group", "long", branch=made.LONG),
    made.group_page("group", "long", **{made.LONG: "value"}),
    made.group_page("delete", "long", **{made.LONG: "value"}),
)


def shortly(path: str) -> str:
    return path[:50]


@pytest.mark.parametrize("path", HOSTILE_PAGES, ids=shortly)
def test_text_from_elsewhere_stays_text(path: str, hostile: Sidecar) -> None:
    reply = ask(hostile.url, path)

    page = read(reply.text)  # where a text closed an attribute or an element, this fails
    assert made.HARM in page.all("main")[0].text
    assert not page.all("img")
    assert [script.attributes["src"].partition("?")[0] for script in page.all("script")] == ["/static/sergas.js"]
    assert not [link for link in page.all("a") if link.attributes.get("href", "").startswith("javascript")]
    assert "\u202e" not in reply.text


@pytest.mark.parametrize("path", HOSTILE_PAGES, ids=shortly)
def test_letters_that_run_from_right_to_left_turn_nothing_round_them(path: str, hostile: Sidecar) -> None:
    holders = set(visit(hostile, path).all("main")[0].holders(made.RIGHT_TO_LEFT))

    assert holders
    assert holders <= {"bdi", "pre", "title", "option"}


def test_name_of_ten_thousand_letters_is_shown_short(hostile: Sidecar) -> None:
    reply = ask(hostile.url, "/tests")

    assert "n" * 100 in reply.text
    assert len(max(read(reply.text).all("main")[0].text.split(), key=len)) <= 210


def test_test_with_a_name_that_means_harm_has_its_page(hostile: Sidecar) -> None:
    listed = visit(hostile, "/tests").all("tbody")[0]
    addresses = list(listed.links().values())

    assert len(addresses) >= 5
    for address in addresses:
        visit(hostile, address)


def test_group_with_a_name_that_means_harm_has_its_page(hostile: Sidecar) -> None:
    page = visit(hostile, made.group_page("group", made.HOSTILE, branch=made.HOSTILE))

    assert made.HARM in page.all("h1")[0].text
    assert made.HARM in page.all("summary")[0].text


@pytest.mark.parametrize("path", LONG_PAGES, ids=shortly)
def test_text_of_ten_thousand_letters_is_shown_short(path: str, hostile: Sidecar) -> None:
    page = visit(hostile, path).all("main")[0]

    assert "n" * 50 in page.text
    blocks = " ".join(block.text for block in page.all("pre"))  # what a test printed, or a series: as it is
    assert {word for word in page.text.split() if len(word) > 410} <= set(blocks.split())
