"""What people do on the pages, in Chromium: search, choose, delete, silence; none of it needs a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages import made
from tests.sidecar.pages.browsing import WIDTHS, opened
from tests.sidecar.pages.served import alert, served

pytestmark = pytest.mark.integration


def test_groups_are_searched_by_their_labels(shop: Sidecar, browser: Browser) -> None:
    with opened(browser, script=False) as page:
        page.goto(f"{shop.url}/pushes")
        page.get_by_label("Labels that contain").fill("host=DB")
        page.get_by_role("button", name="Search").click()

        expect(page.locator(".rows li")).to_have_count(1)
        expect(page.locator(".rows li")).to_contain_text("backup")
        expect(page.get_by_label("Labels that contain")).to_have_value("host=DB")


def test_runs_of_a_branch_are_chosen(tmp_path: Path, browser: Browser) -> None:
    with sidecar(tmp_path) as running, opened(browser, script=False) as page:
        made.send(running, made.shop_run(1))
        made.send_document(running, made.foreign_document("other"))
        page.goto(f"{running.url}/runs")
        expect(page.locator("tbody tr")).to_have_count(2)
        page.get_by_label("Branch").select_option("main")
        page.get_by_role("button", name="Show").click()

        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.get_by_label("Branch")).to_have_value("main")


def test_more_runs_of_the_branch_are_shown(tmp_path: Path, browser: Browser) -> None:
    with sidecar(tmp_path) as running, opened(browser, script=False) as page:
        made.send_document(running, made.foreign_document("other"))
        made.send(running, *map(made.shop_run, range(51)))
        page.goto(f"{running.url}/runs?branch=main")
        expect(page.locator("tbody tr")).to_have_count(50)
        page.get_by_role("link", name="Show more").click()

        expect(page.locator("tbody tr")).to_have_count(51)
        expect(page.get_by_label("Branch")).to_have_value("main")
        expect(page.get_by_role("link", name="Show more")).to_have_count(0)


def test_history_of_alerts_is_filtered(tmp_path: Path, browser: Browser) -> None:
    with served(tmp_path) as running, opened(browser, script=False) as page:
        running.finds(alert("DiskFull", "critical", mountpoint="/"), alert("Other"), alert("DiskFull"))
        page.goto(f"{running.url}/alerts")
        expect(page.locator("tbody tr")).to_have_count(3)
        page.get_by_label("Alert", exact=True).fill("DiskFull")
        page.get_by_label("Level").select_option("critical")
        page.get_by_role("button", name="Show").click()

        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody th")).to_have_text("DiskFull critical")
        expect(page.get_by_label("Alert", exact=True)).to_have_value("DiskFull")
        expect(page.get_by_label("Level")).to_have_value("critical")


def test_silence_that_is_none_says_why_and_keeps_what_was_typed(tmp_path: Path, browser: Browser) -> None:
    with served(tmp_path) as running, opened(browser, script=False, refused=True) as page:
        page.goto(f"{running.url}/alerts")
        page.get_by_role("link", name="New silence …").click()
        page.get_by_label("Matchers").fill('severity="warning"\nnothing')
        page.get_by_label("Why").fill("known")
        page.get_by_role("button", name="Show what it would hold").click()

        expect(page.get_by_role("alert")).to_contain_text("'nothing': allowed: a label, one of = != =~ !~, and a value")
        expect(page.get_by_label("Matchers")).to_have_value('severity="warning"\nnothing')
        expect(page.get_by_label("Why")).to_have_value("known")
        expect(page.get_by_role("button", name="Silence until")).to_have_count(0)


def test_tests_are_searched_without_a_script(shop: Sidecar, browser: Browser) -> None:
    with opened(browser, script=False) as page:
        page.goto(f"{shop.url}/tests")
        page.get_by_label("Name contains").fill("stock")
        page.get_by_role("button", name="Search").click()

        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.get_by_label("Name contains")).to_have_value("stock")


@pytest.mark.parametrize("script", [True, False], ids=["script on", "script off"])
@pytest.mark.parametrize("width", WIDTHS)
def test_group_is_deleted_after_a_confirmation(
    width: str,
    script: bool,  # noqa: FBT001
    tmp_path: Path,
    browser: Browser,
) -> None:
    with sidecar(tmp_path) as running, opened(browser, width, script=script) as page:
        ask(running.url, made.group_path(made.HOSTILE), "POST", body=b"rows 3\n")
        page.goto(f"{running.url}/pushes")
        page.locator(".rows a").click()
        page.get_by_role("link", name="Delete this group …").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Delete this group?")
        page.get_by_role("button", name="Delete it").click()

        expect(page.get_by_text("0 groups")).to_be_visible()
        assert json.loads(ask(running.url, "/api/v1/metrics").text)["data"] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_alert_is_silenced_after_a_look_at_what_is_held(width: str, tmp_path: Path, browser: Browser) -> None:
    with served(tmp_path) as running, opened(browser, width, script=False) as page:
        running.finds(alert("DiskFull", mountpoint="/"), alert("Other"))
        page.goto(f"{running.url}/alerts")
        page.get_by_role("listitem").filter(has_text="DiskFull").get_by_role("link", name="Silence it …").click()
        expect(page.get_by_role("heading", level=2)).to_have_text("It would hold 1 alert now")
        page.get_by_label("Why").fill("known")
        page.get_by_role("button", name="Show what it would hold").click()
        page.get_by_role("button", name="Silence until").click()

        expect(page.get_by_text("nobody is told: silence")).to_have_count(1)
        assert [silence.comment for silence in running.engine.alerting.silences()] == ["known"]
        page.get_by_role("button", name="End it now").click()
        expect(page.get_by_text("nobody is told: silence")).to_have_count(0)
