"""The page of a run as one file that needs nothing else: no script, and a style sheet inside that the policy names."""

from __future__ import annotations

import base64
import hashlib

from pytest_sergas.core.records import RunRecord
from pytest_sergas.core.text import one_line
from pytest_sergas.sidecar.pages.rendering import render, static
from pytest_sergas.sidecar.pages.run_view import FAILURES_SHOWN, TESTS_SHOWN, view
from pytest_sergas.version import VERSION


def report(run: RunRecord) -> str:
    """Return ``run`` as an HTML document."""
    style = static("sergas.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return render(
        "report.html",
        {
            "title": one_line(f"Run of {run.project}" if run.project else "Run", 120),
            "view": view(run),
            "earlier": None,
            "note": "",
            "history": False,
            "base": "",
            "now_s": run.finished_s,
            "failures_shown": FAILURES_SHOWN,
            "tests_shown": TESTS_SHOWN,
            "style": style,
            "digest": f"sha256-{digest}",
            "version": VERSION,
        },
    )
