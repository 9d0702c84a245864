"""Debian's Chromium, driven by Playwright; Playwright's own browsers are never downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.servers.tools import find

_HINT = "apt-get install chromium, or make test"
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # in a container there is no user namespace for it, and the pages are ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium with a profile that is made for the moment, and yield it."""
    program = find("chromium", _HINT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
