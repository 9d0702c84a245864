"""What publishers leave on the terminal: their lines, where the run can be found, and what was not sent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_sergas.plugin.publishing import not_sent, places
from pytest_sergas.plugin.session import Run
from pytest_sergas.publishers import Line, Publication


class Report:
    """Prints once, after everything has been published."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._printed = False

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        self.print_once(terminalreporter, config)

    def print_once(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Print, unless that has been done."""
        if self._printed:
            return
        self._printed = True
        if terminalreporter.verbosity < 0:
            self._print_briefly(terminalreporter)
        else:
            self._print(terminalreporter, config.invocation_params.dir)

    def _print(self, terminalreporter: pytest.TerminalReporter, directory: Path) -> None:
        titled = False
        for publication in self._publications():
            if publication.title:
                terminalreporter.write_sep("=", publication.title)
                titled = True
            _write(terminalreporter, publication.lines)
        found, failed = places(self._run.sent), not_sent(self._run.sent)
        if (found or failed) and not titled:
            terminalreporter.write_sep("-", "sergas")
        for name, place in found.items():
            terminalreporter.write_line(f"{name}: {_near(place, directory)}")
        if failed:
            terminalreporter.write_line(failed, red=True)

    def _print_briefly(self, terminalreporter: pytest.TerminalReporter) -> None:
        for publication in self._publications():
            _write(terminalreporter, publication.brief if publication.title else publication.lines)
        if failed := not_sent(self._run.sent):
            terminalreporter.write_line(f"sergas: {failed}", red=True)

    def pytest_unconfigure(self) -> None:
        # Without a terminal reporter: only what a machine reads, and what went wrong.
        if self._printed:
            return
        for publication in self._publications():
            for line in () if publication.title else publication.lines:
                print("".join(segment.text for segment in line))  # noqa: T201  there is no terminal reporter
        for refusal in self._run.refused:
            print(f"sergas: the run fails: {refusal.text}", file=sys.stderr)  # noqa: T201  there is no terminal reporter
        if failed := not_sent(self._run.sent):
            print(f"sergas: {failed}", file=sys.stderr)  # noqa: T201  there is no terminal reporter

    def _publications(self) -> list[Publication]:
        return [sent.publication for sent in self._run.sent if sent.publication is not None and sent.publication.lines]


def _near(place: str, directory: Path) -> str:
    """Return a path as short as the one that was typed; anything else as it is."""
    path = Path(place)
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else place


def _write(terminalreporter: pytest.TerminalReporter, lines: Sequence[Line]) -> None:
    for line in lines:
        for segment in line:
            terminalreporter.write(segment.text, **({segment.style: True} if segment.style else {}))
        # Not write_line: it may first end the line of dots once more.
        terminalreporter.write("\n")
