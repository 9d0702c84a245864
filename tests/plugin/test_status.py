"""The line of progress on a terminal: pyte is the terminal, and a pseudo-terminal is what pytest believes it has."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyte
import pytest
from _pytest._io import TerminalWriter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_sergas.plugin.status import StatusFile, wanted
from tests.plugin.conftest import OURS_ALONE

pytestmark = pytest.mark.integration

WIDTH = 40
PATIENCE_S = 90.0


class Screen:
    """A terminal, as the file that a terminal writer writes to."""

    def __init__(self, height: int, width: int = WIDTH) -> None:
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.Stream(self.screen)

    def write(self, text: str) -> int:
        self.stream.feed(text.replace("\n", "\r\n"))  # as the line discipline of a terminal does
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What is to be seen, down to the last line that has something."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip("\n").split("\n")


def terminal(height: int = 200) -> tuple[Screen, Any]:
    screen = Screen(height)
    writer = TerminalWriter(screen)  # type: ignore[arg-type]  # it has what a writer asks for
    writer.fullwidth = WIDTH
    return screen, writer


WRITES = st.lists(st.one_of(st.text("ab.\n", min_size=1, max_size=50), st.just(None)), max_size=30)


@given(WRITES)
@example(["a" * (WIDTH + 5), None, "b"])
@example(["a", "b", "c", None])
@settings(deadline=None)
def test_line_that_was_taken_away_leaves_no_trace(writes: list[str | None]) -> None:
    screen, writer = terminal()
    plain, alone = terminal()
    file = StatusFile(writer, vars(writer)["_file"])
    for number, text in enumerate(writes):
        if text is None:
            # Where pytest's output ends exactly at the edge, the cursor is nowhere in particular; pytest avoids that.
            if writer.width_of_current_line == 0 or writer.width_of_current_line % WIDTH:
                file.draw(f"status {number}" if number % 3 else "")
        else:
            writer.write(text)
            alone.write(text)
    file.close()
    writer.write("end")
    alone.write("end")

    assert screen.lines == plain.lines
    assert (screen.screen.cursor.x, screen.screen.cursor.y) == (plain.screen.cursor.x, plain.screen.cursor.y)


def test_line_stands_below_what_pytest_writes() -> None:
    screen, writer = terminal()
    file = StatusFile(writer, vars(writer)["_file"])

    writer.write("test_a.py ..")
    file.draw("3 left")

    assert screen.lines == ["test_a.py ..", "3 left"]


def test_line_that_says_the_same_is_not_drawn_again() -> None:
    screen, writer = terminal()
    file = StatusFile(writer, vars(writer)["_file"])
    file.draw("3 left")
    screen.screen.reset()

    file.draw("3 left")

    assert screen.lines == [""]


def test_line_at_the_bottom_scrolls_and_leaves_no_trace() -> None:
    screen, writer = terminal(height=4)
    file = StatusFile(writer, vars(writer)["_file"])
    for number in range(9):
        writer.write(f"line {number}\n..")
        file.draw("status")
        writer.write(".\n")
    file.close()

    assert screen.lines[-2:] == ["line 8", "..."]
    assert "status" not in "".join(screen.lines)


def test_what_somebody_else_wrote_below_stays() -> None:
    screen, writer = terminal()
    file = StatusFile(writer, vars(writer)["_file"])
    writer.write("..")
    file.draw("status")
    screen.write("\nsergas: nothing heard\n")

    file.forget()
    writer.write(".")

    assert screen.lines == ["..", "status", "sergas: nothing heard", "."]


def test_line_is_not_drawn_where_somebody_rewrites_his() -> None:
    screen, writer = terminal()
    file = StatusFile(writer, vars(writer)["_file"])
    writer.write("\rcreated: 1/2 workers")

    file.draw("status")

    assert screen.lines == ["created: 1/2 workers"]


def test_file_is_given_back() -> None:
    screen, writer = terminal()
    own = vars(writer)["_file"]

    StatusFile(writer, vars(writer)["_file"]).close()

    assert own is screen
    assert vars(writer)["_file"] is screen


def config(plugins: tuple[str, ...] = (), **options: object) -> pytest.Config:
    option = {"verbose": 0, "capture": "fd", "collectonly": False, "usepdb": False, "dist": "no", **options}
    return SimpleNamespace(  # type: ignore[return-value]  # as much of it as is looked at
        option=SimpleNamespace(**option), pluginmanager=SimpleNamespace(hasplugin=plugins.__contains__)
    )


def test_line_is_wanted_on_a_terminal() -> None:
    assert wanted(config(), {"TERM": "xterm"})
    assert wanted(config(verbose=2, dist="load"), {"TERM": "xterm", "CI": ""})


@pytest.mark.parametrize(
    ("configured", "environ"),
    [
        pytest.param(config(verbose=-1), {}, id="-q"),
        pytest.param(config(capture="no"), {}, id="-s"),
        pytest.param(config(collectonly=True), {}, id="--collect-only"),
        pytest.param(config(usepdb=True), {}, id="--pdb"),
        pytest.param(config(dist="each"), {}, id="--dist each"),
        pytest.param(config(("sugar",)), {}, id="pytest-sugar"),
        pytest.param(config(("rich",)), {}, id="pytest-rich"),
        pytest.param(config(), {"CI": "true"}, id="CI"),
        pytest.param(config(), {"BUILD_NUMBER": "7"}, id="Jenkins"),
        pytest.param(config(), {"TERM": "dumb"}, id="a terminal that cannot move its cursor"),
        pytest.param(config(), {"TERM": ""}, id="no terminal that is known"),
    ],
)
def test_line_is_not_wanted(configured: pytest.Config, environ: dict[str, str]) -> None:
    assert not wanted(configured, {"TERM": "xterm", **environ})


# Two tests, of which the second waits until somebody has looked.
SUITE = """
import os, pytest, time

@pytest.mark.unit
def test_first(): pass

@pytest.mark.e2e
def test_second():
    while not os.path.exists("go"):
        time.sleep(0.01)
"""


class Terminal:
    """A pytest on a pseudo-terminal."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self.screen = Screen(60, 200)
        self.seen = ""
        controlling, controlled = pty.openpty()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CI", "BUILD_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *OURS_ALONE, *arguments],
            cwd=directory,
            env={**kept, "TERM": "xterm", "COLUMNS": "200", **environ},
            stdin=controlled,
            stdout=controlled,
            stderr=controlled,
        )
        os.close(controlled)
        self._controlling = controlling

    def read(self, until: Callable[[], bool] = lambda: False) -> None:
        """Read until something is seen, or to the end."""
        guard = threading.Timer(PATIENCE_S, self._process.kill)
        guard.start()
        try:
            while not until():
                data = os.read(self._controlling, 65536)
                self.seen += data.decode()
                self.screen.stream.feed(data.decode())
        except OSError:
            return  # the other side is closed
        finally:
            guard.cancel()

    def end(self) -> int:
        self.read()
        os.close(self._controlling)
        return self._process.wait(PATIENCE_S)


@pytest.mark.parametrize("arguments", [pytest.param((), id="alone"), pytest.param(("-n2",), id="with workers")])
def test_line_is_shown_while_a_test_runs_and_is_gone_at_the_end(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    pytester.makepyfile(SUITE)
    shown = "unit 1 done, 0 left | e2e 0 done, 1 left"
    started = Terminal(pytester.path, *arguments)

    started.read(lambda: any(line == shown for line in started.screen.lines))
    assert shown in started.screen.lines
    assert started.screen.lines[-1] == shown

    (pytester.path / "go").touch()
    status = started.end()

    assert not any("left" in line for line in started.screen.lines)
    assert "2 passed" in started.screen.lines[-1]
    assert status == 0


def test_line_tells_the_time_left_by_recorded_durations(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    recorded = ("--sergas-durations", "durations.json")
    (pytester.path / "go").touch()
    assert Terminal(pytester.path, *recorded).end() == 0
    (pytester.path / "go").unlink()
    shown = re.compile(r"unit 1 done, 0 left \| e2e 0 done, 1 left \| about \S+ \S+ left")

    started = Terminal(pytester.path, *recorded)
    started.read(lambda: any(map(shown.fullmatch, started.screen.lines)))
    last = started.screen.lines[-1]
    (pytester.path / "go").touch()

    assert started.end() == 0
    assert shown.fullmatch(last)


def test_quiet_run_on_a_terminal_shows_no_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    (pytester.path / "go").touch()
    started = Terminal(pytester.path, "-q")

    assert started.end() == 0

    assert "2 passed" in started.seen
    assert " done, " not in started.seen


def test_reporter_of_another_plugin_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    pytester.makeconftest(
        """
        import pytest
        from _pytest.terminal import TerminalReporter

        class Theirs(TerminalReporter): pass

        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            old = config.pluginmanager.unregister(name="terminalreporter")
            config.pluginmanager.register(Theirs(config), "terminalreporter")
        """
    )
    (pytester.path / "go").touch()
    started = Terminal(pytester.path)

    assert started.end() == 0

    assert "2 passed" in started.seen
    assert " done, " not in started.seen
