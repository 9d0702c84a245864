"""Runs of pytest that are measured: generated suites, alternated pairs, counted instructions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median

from tests.servers import tools

SERGAS = "pytest-sergas"
JSON_CTRF = "pytest-json-ctrf"
# What ``pip install pytest-sergas`` brings; the plugins that only our own tests use would cost both sides the same.
INSTALLED = frozenset(
    {SERGAS, "pytest-asyncio", "pytest-cov", "pytest-rerunfailures", "pytest-timeout", "pytest-xdist"}
)

_CONFIGURATION = """\
[pytest]
# Without the plugin nobody registers the marker, and pytest-asyncio warns: neither is part of the comparison.
markers = unit
asyncio_default_fixture_loop_scope = function
"""
# Under valgrind everything takes fifty times as long, and the deadline would cut off what is to be measured.
_SERGAS = "publish_deadline = 600\n"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds on the clock, and of the CPU (in user mode and in the kernel)."""

    wall_s: float
    cpu_s: float


def plugins(*, add: str = "", drop: str = "") -> tuple[str, ...]:
    """Return the arguments with which a run has the plugins of `INSTALLED`, one more or one fewer, and no others."""
    wanted = (INSTALLED | {add}) - {drop}
    return tuple(
        f"-pno:{entry.name}"
        for entry in entry_points(group="pytest11")
        if entry.dist is not None and entry.dist.name not in wanted
    )


def write_suite(directory: Path, *, tests: int, modules: int) -> Path:
    """Write trivial tests, all of the type ``unit``, and return their directory."""
    directory.mkdir()
    (directory / "pytest.ini").write_text(_CONFIGURATION)
    (directory / "sergas.toml").write_text(_SERGAS)
    functions = "".join(f"\n\ndef test_{number}():\n    pass\n" for number in range(tests // modules))
    for number in range(modules):
        text = f"import pytest\n\npytestmark = pytest.mark.unit\n{functions}"
        (directory / f"test_{number:02}.py").write_text(text)
    run(directory)  # fills __pycache__
    return directory


def run(directory: Path, *arguments: str, before: Sequence[str] = (), expect: int = 0) -> Cost:
    """Run pytest in ``directory`` and return what it took.

    Args:
        before: a program that runs pytest for us, with its arguments.
        expect: the exit status that a right run has.
    """
    command = [*before, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    started_s = time.perf_counter()
    with subprocess.Popen(command, cwd=directory, env=environment(), stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - started_s
    assert process.returncode == expect, command
    return Cost(wall_s, usage.ru_utime + usage.ru_stime)


def alternate(
    directory: Path, one: Sequence[str], other: Sequence[str], *, pairs: int, expect: int = 0
) -> tuple[list[Cost], list[Cost]]:
    """Run ``one`` and ``other`` in turns, after a pair that does not count."""
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for number in range(pairs + 1):
        for arguments, found in zip((one, other), costs, strict=True):
            cost = run(directory, *arguments, expect=expect)
            if number:
                found.append(cost)
    return costs


def cpu_s(costs: Iterable[Cost]) -> float:
    return median(cost.cpu_s for cost in costs)


def wall_s(costs: Iterable[Cost]) -> float:
    return median(cost.wall_s for cost in costs)


def instructions(directory: Path, *arguments: str, expect: int = 0) -> int:
    """Return how many instructions a run takes, as valgrind counts them."""
    valgrind = str(tools.find("valgrind", "apt-get install valgrind"))
    log = directory.parent / "valgrind.txt"
    # Without the simulated caches cachegrind counts the same as callgrind, in half the time.
    tool = ("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={log}")
    run(directory, *arguments, before=(valgrind, *tool), expect=expect)
    found = re.search(r"I +refs: +([\d,]+)", log.read_text())
    assert found is not None, log.read_text()
    return int(found[1].replace(",", ""))


def environment() -> dict[str, str]:
    """Return an environment without anything that speaks to pytest or its plugins."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONHASHSEED": "0"}


def show(title: str, *rows: tuple[str, ...]) -> None:
    """Print a table; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n\n{title}")
    for row in rows:
        first, *others = row
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ", first.ljust(widths[0]), *cells, sep="  ")
