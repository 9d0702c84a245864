"""How the terminal names an attempt that only its time budget failed: "sampled", where others are "rerun"."""

from __future__ import annotations

import pytest


class Relabelling:
    """Tells, where reports are shown, a sample of a time budget from a repeated failure."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        found = getattr(report, "sergas", None)
        outcome: str = report.outcome
        if outcome == "rerun" and found is not None and found[-1]:
            return "sampled", "S", ("SAMPLED", {"yellow": True})
        return None
