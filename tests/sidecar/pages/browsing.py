"""A page in Chromium, on a phone or a desk, in light or dark, with or without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, Page

PATIENCE_MS = 60_000
WIDTHS = {"phone": 360, "desktop": 1200}
_REFUSED = "Failed to load resource: the server responded with a status of 4"


@contextmanager
def opened(
    browser: Browser,
    width: str = "desktop",
    scheme: Literal["light", "dark"] = "light",
    *,
    script: bool = True,
    refused: bool = False,
) -> Iterator[Page]:
    """Yield a page that fails the test with whatever the browser complains about.

    Args:
        refused: the sidecar is to refuse a page, of which the browser complains as well.
    """
    context = browser.new_context(
        viewport={"width": WIDTHS[width], "height": 800}, color_scheme=scheme, java_script_enabled=script
    )
    complaints: list[str] = []
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
        yield page
        unexpected = [text for text in complaints if not (refused and text.startswith(_REFUSED))]
        assert unexpected == [], unexpected
    finally:
        context.close()
