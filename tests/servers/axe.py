"""axe-core, which finds what keeps people from using a page: an npm package that is run inside the browser."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.servers import npm

_RUN = "() => axe.run(document, {rules: {'target-size': {enabled: true}}})"


def findings(page: Page) -> list[str]:
    """Return what is serious or critical on ``page``: the rule, and where."""
    _, directory = npm.installed("axe-core")
    page.evaluate((directory / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8"))
    found: dict[str, Any] = page.evaluate(_RUN)
    assert found["passes"], "axe has looked at nothing"
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
