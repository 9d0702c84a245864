"""Shows how far trials are: on a line that is drawn anew, or, where there is none, in a line now and then."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_sergas.own import Own
from pytest_sergas.plugin.foreign import terminal_file
from pytest_sergas.plugin.status import StatusFile, wanted

# Some CI ends a job that says nothing for minutes.
_EACH_S = 30.0


class TrialProgress:
    """The line about trials; with ``-p no:terminal`` or ``-qq`` there is none.

    Args:
        environ: of the run, as the user gave it.
    """

    def __init__(self, config: pytest.Config, environ: Mapping[str, str]) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        self._reporter = reporter if reporter is not None and config.option.verbose >= -1 else None
        self._file: StatusFile | None = None
        self._again_s = 0.0
        if self._reporter is None:
            return
        self._writer = config.get_terminal_writer()
        if self._reporter.isatty and wanted(config, environ):
            file = terminal_file(config)
            self._file = StatusFile(self._writer, file) if file is not None else None

    def show(self, text: str) -> None:
        """Show how far the trials are, such as ``trial 3 of 12: 4 of 9 tests``."""
        line = f"detect-flaky: {text}"
        if self._file is not None:
            self._file.draw(line[: self._file.width - 1])
        elif self._reporter is not None and Own.monotonic() >= self._again_s:
            self._again_s = Own.monotonic() + _EACH_S
            self._reporter.ensure_newline()
            if self._writer.width_of_current_line:  # with workers the reporter does not know
                self._writer.line()
            self._writer.line(line)
            self._writer.flush()

    def close(self) -> None:
        """Take the line away."""
        if self._file is not None:
            self._file.close()
