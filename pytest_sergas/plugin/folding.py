"""One traceback for each cause: pytest's own sections show the first failure of it, and with -v all of them.

The terminal reporter prints what its ``stats`` hold. While it prints, they hold the first report of each cause; what
other plugins see, between the sections, and what pytest counts at the end is all of them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

_FOLDED = ("failed", "error")


class Folding:
    """Leaves out of pytest's sections the failures whose cause is shown; `Unfolding` is its other end."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Any]] = {}
        self._left_out = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None, object, object]:
        if terminalreporter.verbosity > 0:
            return (yield)
        self.fold(terminalreporter)
        try:
            return (yield)
        finally:
            self.unfold(terminalreporter)
            if self._left_out and not terminalreporter.config.getoption("no_summary", default=False):
                noun = "1 more failure has" if self._left_out == 1 else f"{self._left_out} more failures have"
                terminalreporter.write_line(f"{noun} a cause that is shown; -v shows each", yellow=True)

    def fold(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Keep back the reports that say nothing new."""
        stats = terminalreporter.stats
        self._left_out = 0
        for name in _FOLDED:
            if name in stats:
                self._kept[name], stats[name] = stats[name], first_of_each(stats[name])
                self._left_out += len(self._kept[name]) - len(stats[name])

    def unfold(self, terminalreporter: pytest.TerminalReporter) -> bool:
        """Give back what was kept; return whether anything was."""
        folded = bool(self._kept)
        terminalreporter.stats.update(self._kept)
        self._kept = {}
        return folded


class Unfolding:
    """Within pytest's own part of the summary, where other plugins have their turn: they see every report."""

    def __init__(self, folding: Folding) -> None:
        self._folding = folding

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None, object, object]:
        folded = self._folding.unfold(terminalreporter)
        try:
            return (yield)
        finally:
            if folded:
                self._folding.fold(terminalreporter)


def first_of_each(reports: list[Any]) -> list[Any]:
    """Return the reports without those whose cause an earlier one has; those without a cause all stay."""
    seen: set[str] = set()
    first = []
    for report in reports:
        cause = getattr(report, "sergas_cause", "")
        if not cause or cause not in seen:
            seen.add(cause)
            first.append(report)
    return first
