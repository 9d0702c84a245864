"""Exclusive tests beside workers that die: in fifty runs none of them overlaps with anything.

Which tests kill their workers, and how, differs from run to run; half of the runs have our scheduler, and half have
pytest-xdist's own, under which only the lock keeps the tests apart.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.benchmarks.runs import plugins, run, show

pytestmark = [
    pytest.mark.performance,
    pytest.mark.skipif(sys.platform == "win32", reason="the locks are those of POSIX"),
]

RUNS = 50
UNITS, EXCLUSIVE = 8, 3
NAMES = [*(f"test_unit[{n}]" for n in range(UNITS)), *(f"test_load[{n}]" for n in range(EXCLUSIVE))]
# Each test leaves when it began and ended, on the clock that all workers share; what dies says so before.
SUITE = f"""
import os, pathlib, signal, time, pytest

DEATHS = dict(line.split() for line in pathlib.Path(__file__).with_name("deaths").read_text().splitlines())

def note(name, what):
    with open("spans", "a") as file:
        file.write(f"{{name}} {{what}} {{time.monotonic_ns()}}\\n")

@pytest.fixture(autouse=True)
def span(request):
    name = request.node.name
    note(name, "begins")
    yield
    note(name, "ends")

def work(request):
    time.sleep(0.002)
    death = DEATHS.get(request.node.name)
    if death:
        note(request.node.name, "ends")
        os._exit(3) if death == "exit" else os.kill(os.getpid(), signal.SIGKILL)

@pytest.mark.unit
@pytest.mark.parametrize("n", range({UNITS}))
def test_unit(n, request): work(request)

@pytest.mark.load
@pytest.mark.parametrize("n", range({EXCLUSIVE}))
def test_load(n, request): work(request)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run left: the pairs that overlapped, and the tests that ran not exactly once."""

    overlaps: list[tuple[str, str]]
    miscounted: list[str]


def seen(path: Path) -> Seen:
    begun: dict[str, list[int]] = {name: [] for name in NAMES}
    ended: dict[str, list[int]] = {name: [] for name in NAMES}
    for line in path.read_text("utf-8").splitlines():
        name, what, moment = line.split()
        (begun if what == "begins" else ended)[name].append(int(moment))
    miscounted = [name for name in NAMES if not len(begun[name]) == len(ended[name]) == 1]
    spans = [(name, begun[name][0], ended[name][0]) for name in NAMES if name not in miscounted]
    overlaps = [
        (name, other)
        for name, begins, ends in spans
        for other, other_begins, other_ends in spans
        if name.startswith("test_load") and name != other and other_begins < ends and begins < other_ends
    ]
    return Seen(overlaps, miscounted)


@pytest.mark.timeout(900)  # on a machine with other things to do
def test_exclusive_tests_never_overlap_while_workers_die(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  the same runs every time
    found: list[Seen] = []
    deaths = 0
    for number in range(RUNS):
        directory = tmp_path / f"run{number}"
        directory.mkdir()
        victims = chance.sample(NAMES, chance.randint(1, 2))
        deaths += len(victims)
        lines = [f"{name} {chance.choice(('exit', 'kill'))}" for name in victims]
        (directory / "deaths").write_text("\n".join(lines))
        (directory / "test_it.py").write_text(SUITE)
        scheduler = ("--dist=load",) if number % 2 else ()
        run(directory, "-n2", *scheduler, *plugins(), expect=pytest.ExitCode.TESTS_FAILED)
        found.append(seen(directory / "spans"))

    overlaps = [pair for one in found for pair in one.overlaps]
    miscounted = [name for one in found for name in one.miscounted]
    show(
        f"{RUNS} runs with {EXCLUSIVE} exclusive tests of {len(NAMES)}, workers die {deaths} times",
        ("", "seen", "allowed"),
        ("overlaps with an exclusive test", str(len(overlaps)), "0"),
        ("tests that ran twice, or never", str(len(miscounted)), "0"),
    )
    assert overlaps == []
    assert miscounted == []
