"""A line below the tests while they run, on a terminal: how many of each type are done and left, and for how long.

Everybody who writes to the terminal does so through the file of pytest's terminal writer. So this stands before that
file: it takes the line away before each write, and hooks draw it again. It is drawn on a line of its own, from
where the cursor goes back relatively to where pytest's output ends: what scrolls does not move it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from pytest_sergas.plugin.crashes import is_crash
from pytest_sergas.plugin.foreign import set_terminal_file, terminal_file

if TYPE_CHECKING:
    from pytest_sergas.core.plan import History
    from pytest_sergas.core.progress import Progress

# Plugins that draw a progress of their own; those that replace pytest's reporter are seen by its class.
OTHERS = ("sugar", "rich", "progress", "pytest_progress", "tqdm")

_CLEAR = "\r\x1b[2K"


def wanted(config: pytest.Config, environ: Mapping[str, str]) -> bool:
    """Whether a line is of use on a terminal, and nothing else writes or stands where it would.

    Not with ``-q``, in CI, with ``-s`` (what tests print goes past us), with a debugger, or on a terminal that cannot
    move its cursor.
    """
    option = config.option
    if option.verbose < 0 or option.capture == "no" or option.collectonly or getattr(option, "usepdb", False):
        return False
    if (
        environ.get("CI")
        or environ.get("BUILD_NUMBER")
        or environ.get("TERM", "") in {"", "dumb"}
        or os.name != "posix"
    ):
        return False
    return getattr(option, "dist", "no") != "each" and not any(map(config.pluginmanager.hasplugin, OTHERS))


class StatusFile:
    """Stands before the file of a terminal writer.

    Args:
        writer: pytest's.
        file: that of the writer, through which everybody writes.
    """

    def __init__(self, writer: Any, file: TextIO) -> None:
        self._writer = writer
        self._file = file
        self._shown = ""
        self._back = ""
        set_terminal_file(writer, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    @property
    def width(self) -> int:
        """How many columns a line has."""
        return int(self._writer.fullwidth)

    def write(self, text: str) -> int:
        self.clear()
        return self._file.write(text)

    def draw(self, text: str) -> None:
        """Show ``text``, which has to be shorter than a line; "" shows nothing."""
        column = self._writer.width_of_current_line
        if text == self._shown or column < 0:  # somebody rewrites the line; it will end
            return
        self.clear()
        if not text:
            return
        # From the line below, up again, and to the column where pytest goes on.
        column %= self.width
        below, self._back = ("\n", f"\x1b[A\x1b[{column}C") if column else ("", "")
        self._file.write(f"{below}\r{text}")
        self._file.flush()
        self._shown = text

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._file.write(_CLEAR + self._back)
            self._shown = ""

    def forget(self) -> None:
        """Leave the line as it is: somebody has written below it."""
        self._shown = ""

    def close(self) -> None:
        """Take the line away, and give the file back."""
        self.clear()
        set_terminal_file(self._writer, self._file)


class Status:
    """The hooks that draw.

    Args:
        types: node id → type; filled when the tests are collected.
        history: asked for once, when the tests begin.
        alone: the exclusive tests; asked for when they are collected.
    """

    def __init__(
        self, types: Mapping[str, str], history: Callable[[], History], alone: Callable[[Sequence[str]], frozenset[str]]
    ) -> None:
        self._types = types
        self._history = history
        self._alone = alone
        self._file: StatusFile | None = None
        self._progress: Progress | None = None
        self._workers = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        # Exactly pytest's own: whoever replaces it shows something of his own.
        file = terminal_file(session.config) if type(reporter) is pytest.TerminalReporter else None
        if file is None:
            return
        if session.items:
            self._expect([item.nodeid for item in session.items])
        self._file = StatusFile(session.config.get_terminal_writer(), file)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._workers += 1
        if self._progress is None:
            self._expect(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self) -> None:
        self._workers -= 1

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self) -> None:
        self._draw()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if is_crash(report) and report.outcome == "failed":  # a worker has died in it, and it is not repeated
            self._over(report.nodeid)
        self._draw()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._over(nodeid)
        self._draw()

    def pytest_enter_pdb(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Take it that somebody has written to the terminal past us; may be called from any thread."""
        if self._file is not None:
            self._file.forget()

    def _expect(self, node_ids: Sequence[str]) -> None:
        from pytest_sergas.core.progress import Expected, Progress
        from pytest_sergas.core.records import UNTYPED

        seconds = self._history().durations
        alone = self._alone(node_ids)
        self._progress = Progress(
            [
                Expected(node_id, self._types.get(node_id, UNTYPED), seconds.get(node_id), node_id in alone)
                for node_id in node_ids
            ]
        )

    def _over(self, node_id: str) -> None:
        if self._progress is not None:
            self._progress.over(node_id)

    def _draw(self) -> None:
        if self._file is not None and self._progress is not None:
            self._file.draw(self._progress.line(max(self._workers, 1), self._file.width - 1))
