"""The pages in Debian's Chromium: at two widths, in light and dark, with and without the script, with the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from pytest_sergas.sidecar.pages.report import report
from tests.servers import axe
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.pages import made
from tests.sidecar.pages.browsing import WIDTHS, opened
from tests.sidecar.pages.html import quoted, visit
from tests.sidecar.pages.served import alert, served
from tests.sidecar.pages.test_hostile import HOSTILE_PAGES, LONG_PAGES
from tests.sidecar.pages.test_pages import PAGES

pytestmark = pytest.mark.integration

HEADINGS = {"Runs": "Runs", "Tests": "Tests", "Health": "Health", "Alerts": "Alerts", "Pushes": "Pushed groups"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_its_width_and_keeps_nobody_out(
    width: str, scheme: Literal["light", "dark"], shop: Sidecar, browser: Browser
) -> None:
    with opened(browser, width, scheme) as page:
        for path in PAGES:
            page.goto(shop.url + path)

            assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width], path
            assert axe.findings(page) == [], path


def test_dark_and_light_are_what_the_browser_asks_for(shop: Sidecar, browser: Browser) -> None:
    found = []
    for scheme in ("light", "dark"):
        with opened(browser, scheme=scheme) as page:
            page.goto(shop.url)
            found.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert found == ["rgb(246, 246, 243)", "rgb(21, 24, 27)"]


def test_every_page_is_reached_from_the_overview_without_a_script(shop: Sidecar, browser: Browser) -> None:
    with opened(browser, script=False) as page:
        page.goto(shop.url)
        for name, heading in HEADINGS.items():
            page.get_by_label("Pages").get_by_role("link", name=name, exact=True).click()
            expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        page.get_by_label("Pages").get_by_role("link", name="sergas").click()
        page.get_by_role("link", name="failed, ", exact=False).last.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Run of shop")
        page.get_by_role("link", name="its history").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(made.TOTAL)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_that_are_seldom_seen_keep_nobody_out(
    width: str, scheme: Literal["light", "dark"], rare: Sidecar, browser: Browser
) -> None:
    pages = {
        "/": "System",
        "/runs": "2 of 3 shards",
        "/runs/part-1": "joined without shard 3/3",
        "/runs/other": "Its document says too little to show more",
        "/runs/nobody": "there is no such run",
        "/tests?class=x": "class: allowed: broken",
        "/alerts/silence?matchers=nothing": "'nothing': allowed: a label",
    }
    with opened(browser, width, scheme, refused=True) as page:
        for path, text in pages.items():
            page.goto(rare.url + path)

            expect(page.locator("main")).to_contain_text(text)
            assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width], path
            assert axe.findings(page) == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_of_alerts_that_fire_keep_nobody_out(
    width: str, scheme: Literal["light", "dark"], tmp_path: Path, browser: Browser
) -> None:
    with served(tmp_path) as running, opened(browser, width, scheme) as page:
        long = alert("B", "info", 1.0, label=made.LONG, **{made.LONG: "value"})
        running.finds(alert("A", "critical", summary=made.HOSTILE), long, alert("C"))
        for path in ("/", "/alerts", "/alerts/silence?matchers=" + quoted('severity=~".+"')):
            page.goto(running.url + path)

            assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width], path
            assert axe.findings(page) == [], path


def test_overview_shows_a_new_run_by_itself_and_keeps_the_focus(tmp_path: Path, browser: Browser) -> None:
    with sidecar(tmp_path) as running, opened(browser) as page:
        made.send(running, made.shop_run(1))
        page.clock.install()
        page.goto(running.url)
        expect(page.get_by_role("heading", level=1)).to_have_text("Everything is fine")
        page.locator(".squares a").first.focus()
        made.send(running, made.shop_run(2, fails=True))
        page.clock.run_for(10_000)

        expect(page.get_by_role("heading", level=1)).to_have_text("1 thing needs a look")
        focused = page.evaluate("document.activeElement.getAttribute('href')")
        assert focused == "/runs/shop-1"


def test_page_says_when_the_sidecar_is_gone(tmp_path: Path, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    with sidecar(tmp_path) as running:
        page.clock.install()
        page.goto(running.url)
    page.clock.run_for(10_000)

    expect(page.get_by_role("status")).to_have_text("The sidecar does not answer; what you see is old.")
    context.close()


def test_keyboard_skips_to_the_content_and_shows_where_it_is(shop: Sidecar, browser: Browser) -> None:
    with opened(browser) as page:
        page.goto(shop.url)
        page.keyboard.press("Tab")
        link = page.get_by_role("link", name="Skip to the content")
        expect(link).to_be_focused()
        expect(link).to_be_in_viewport()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
        page.keyboard.press("Enter")

        assert page.url.endswith("#main")
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_failure_is_opened_with_the_keyboard(shop: Sidecar, browser: Browser) -> None:
    with opened(browser) as page:
        page.goto(f"{shop.url}/runs/shop-6")
        summary = page.locator("#failures + div summary").first
        expect(page.locator("#failures + div pre").first).to_be_visible()
        summary.focus()
        page.keyboard.press("Enter")

        expect(page.locator("#failures + div pre").first).to_be_hidden()


def test_no_script_of_a_hostile_text_runs(hostile: Sidecar, browser: Browser) -> None:
    with opened(browser, "phone") as page:
        for path in (*HOSTILE_PAGES, *LONG_PAGES):
            page.goto(hostile.url + path)
            assert page.evaluate("document.querySelectorAll('img, main script').length") == 0
            assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS["phone"], path
        for address in set(visit(hostile, "/tests").all("tbody")[0].links().values()):
            page.goto(hostile.url + address)
            assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS["phone"], address


def test_policy_stops_a_script_that_got_in(shop: Sidecar, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(f"{shop.url}/tests?q={quoted('x')}")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=/nothing onerror=\"window.ran = 1\">')")
    loaded = "performance.getEntriesByType('resource').some((one) => one.name.endsWith('/nothing'))"
    until(
        lambda: page.evaluate(loaded), "the image has failed to load"
    )  # Playwright would wait with eval, which is blocked

    expect(page.locator("body > img")).to_have_count(1)
    assert page.evaluate("window.ran") is None
    assert any("inline event handler" in text and "Content Security Policy" in text for text in blocked), blocked
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_report_is_a_page_by_itself(width: str, tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "report.html").write_text(report(made.hostile_run(1)), encoding="utf-8")
    asked: list[str] = []
    with opened(browser, width) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())

        assert page.evaluate("getComputedStyle(document.body).margin") == "0px"  # the style sheet is in force
        assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width]
        assert page.evaluate("document.querySelectorAll('img, script').length") == 0
        assert axe.findings(page) == []
    assert asked == [(tmp_path / "report.html").as_uri()]
