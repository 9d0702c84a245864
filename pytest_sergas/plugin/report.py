"""What publishers leave on the terminal: their lines, where the run can be found, and what was not sent."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from pytest_sergas.plugin.publishing import not_sent, places
from pytest_sergas.plugin.session import Run
from pytest_sergas.publishers import Line


class Report:
    """Prints once, after everything has been published."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._printed = False

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        self._printed = True
        quiet = terminalreporter.verbosity < 0
        titled = False
        for result in self._run.sent:
            publication = result.publication
            if publication is None or not publication.lines or (publication.title and quiet):
                continue
            if publication.title:
                terminalreporter.write_sep("=", publication.title)
                titled = True
            _write(terminalreporter, publication.lines)
        found = {} if quiet else places(self._run.sent)
        failed = not_sent(self._run.sent)
        if (found or failed) and not titled:
            terminalreporter.write_sep("-", "sergas")
        for name, place in found.items():
            terminalreporter.write_line(f"{name}: {place}")
        if failed:
            terminalreporter.write_line(failed, red=True)

    def pytest_unconfigure(self) -> None:
        # Without a terminal reporter: only what a machine reads, and what went wrong.
        if self._printed:
            return
        for result in self._run.sent:
            if result.publication is not None and not result.publication.title:
                for line in result.publication.lines:
                    print("".join(segment.text for segment in line))  # noqa: T201  there is no terminal reporter
        if failed := not_sent(self._run.sent):
            print(f"sergas: {failed}", file=sys.stderr)  # noqa: T201  there is no terminal reporter


def _write(terminalreporter: pytest.TerminalReporter, lines: Sequence[Line]) -> None:
    for line in lines:
        for segment in line:
            terminalreporter.write(segment.text, **({segment.style: True} if segment.style else {}))
        terminalreporter.write_line("")
