"""Browsers where there are tokens alone: the page that takes one, the cookie, and how often one may guess."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from pytest_sergas.sidecar import session
from pytest_sergas.sidecar.session import ATTEMPTS, ATTEMPTS_S, CLIENTS, LASTS_S, Attempts, is_valid, issue
from tests.servers import axe
from tests.servers.chromium import chromium
from tests.servers.reverse_proxy import reverse_proxy
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import Reply, ask
from tests.sidecar.pages.browsing import opened

pytestmark = pytest.mark.integration

TOKEN = "s3cr3t-token"  # noqa: S105  the sidecars that tests start know it, and no other
PREFIX = "/sergas"
PROXIED = {"X-Forwarded-Proto": "https"}
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    directory: Path = tmp_path_factory.mktemp("locked")
    (directory / "tokens").write_text(f"other\n{TOKEN}\n", encoding="utf-8")
    config = f"""
    [serve]
    token_file = "tokens"
    external_url = "http://127.0.0.1{PREFIX}"
    trusted_proxies = ["127.0.0.1"]
    """
    with sidecar(directory, config=config) as running:
        yield running


def enter(url: str, token: str, after: str = "/runs?limit=5", client: str = "192.0.2.1", **more: str) -> Reply:
    headers = {"X-Forwarded-For": client, **more}
    return ask(url, "/login", "POST", headers=headers, body=urlencode({"token": token, "next": after}).encode())


def test_browser_is_led_to_the_login_and_a_program_is_refused(locked: Sidecar) -> None:
    led = ask(locked.url, "/runs?limit=5", headers=HTML)
    assert (led.status, led.headers["location"]) == (303, f"{PREFIX}/login?next=%2Fruns%3Flimit%3D5")
    page = ask(locked.url, "/login?next=%2Fruns%3Flimit%3D5")
    assert page.status == 200
    assert f'action="{PREFIX}/login"' in page.text
    assert 'name="next" value="/runs?limit=5"' in page.text
    refused = ask(locked.url, "/api/runs")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="sergas"')
    assert ask(locked.url, "/alerts/silence", "POST", headers=HTML).status == 401
    assert ask(locked.url, "/login", "DELETE").status == 405


def test_token_opens_a_session(locked: Sidecar) -> None:
    welcome = enter(locked.url, f" {TOKEN} ")
    cookie, *attributes = welcome.headers["set-cookie"].split("; ")

    assert (welcome.status, welcome.headers["location"]) == (303, f"{PREFIX}/runs?limit=5")
    assert set(attributes) == {"HttpOnly", f"Max-Age={LASTS_S}", f"Path={PREFIX}", "SameSite=lax"}
    assert "Secure" in enter(locked.url, TOKEN, **PROXIED).headers["set-cookie"]
    assert TOKEN not in cookie
    for path in ("/runs", "/api/runs", "/metrics"):
        assert ask(locked.url, path, headers={"Cookie": cookie}).status == 200
    assert "details" in ask(locked.url, "/health", headers={"Cookie": cookie}).json
    changed = cookie[:-1] + ("0" if cookie[-1] != "0" else "1")
    assert ask(locked.url, "/api/runs", headers={"Cookie": changed}).status == 401
    foreign = {"Cookie": cookie, "Origin": "http://evil.example"}
    assert ask(locked.url, "/alerts/silence", "POST", headers=foreign).status == 403
    assert TOKEN not in locked.printed


@pytest.mark.parametrize(
    "after", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\n/evil", ""]
)
def test_login_leads_to_no_other_site(after: str, locked: Sidecar) -> None:
    assert enter(locked.url, TOKEN, after).headers["location"] == f"{PREFIX}/"


def test_guessing_is_slow_and_keeps_nobody_else_out(locked: Sidecar) -> None:
    guesses = [enter(locked.url, "wrong", client="192.0.2.9") for _ in range(ATTEMPTS + 1)]

    assert [guess.status for guess in guesses] == [403] * ATTEMPTS + [429]
    assert 0 < int(guesses[-1].headers["retry-after"]) <= ATTEMPTS_S
    assert enter(locked.url, TOKEN, client="192.0.2.9").status == 429
    assert enter(locked.url, TOKEN, client="192.0.2.10").status == 303


def test_browser_logs_in_behind_a_proxy_and_the_page_keeps_itself_up_to_date(locked: Sidecar) -> None:
    with (
        reverse_proxy(locked.url, PREFIX, strips=True) as url,
        chromium() as browser,
        opened(browser, refused=True) as page,
    ):
        page.goto(f"{url}/alerts")
        assert axe.findings(page) == []
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("This token is not accepted.")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Alerts")
        page.get_by_role("link", name="sergas").click()
        page.wait_for_url(f"{url}/")
        page.evaluate("document.querySelector('main').dataset.here = 'the same document'")
        push = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(locked.url, "/metrics/job/brand-new", "POST", headers=push, body=b"rows 1\n").status == 200
        expect(page.locator("main[data-here]")).to_contain_text("brand-new", timeout=30_000)
        page.context.clear_cookies()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_url(f"{url}/login?next=%2F")


def test_session_ends_with_its_time_and_with_its_token() -> None:
    mine, others = (hashlib.sha256(text).digest() for text in (b"mine", b"others"))
    cookie = issue(mine, 1_000.5)

    assert is_valid(cookie, (others, mine), 1_001)
    assert not is_valid(cookie, (others,), 1_001)
    assert not is_valid(cookie, (), 1_001)
    assert not is_valid(cookie, (mine,), 1_000 + LASTS_S)
    assert not is_valid(issue(mine, 1e9), (mine,), 1_001)  # of a clock that was far ahead
    expiry, _, signature = cookie.partition(".")
    for wrong in (
        "",
        ".",
        expiry,
        f"{int(expiry) + 1}.{signature}",
        f"{expiry}.",
        f"-{cookie}",
        f"{expiry}.é",
        "9" * 99,
    ):
        assert not is_valid(wrong, (mine,), 1_001), wrong


def test_wrong_attempts_are_forgotten_after_their_time_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts()
    for second in range(ATTEMPTS):
        assert attempts.wait_s("a", second) == 0
        attempts.wrong("a", second)

    assert attempts.wait_s("a", ATTEMPTS) == ATTEMPTS_S - ATTEMPTS
    assert attempts.wait_s("b", ATTEMPTS) == 0
    assert attempts.wait_s("a", ATTEMPTS_S) == 0
    assert CLIENTS > 1_000
    monkeypatch.setattr(session, "CLIENTS", 2)
    for name in "bcd":
        attempts.wrong(name, 10)
    assert attempts.wait_s("a", 10) == 0
