"""``sergas baseline``: what relative budgets compare with, shown, set, and compared between branches."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pytest_sergas.cli._options import add_json, as_json
from pytest_sergas.core.baselines import Baselines, Samples, attempts, has_budget, judged_by, replaced
from pytest_sergas.core.regression import LEAST_HISTORY, compare
from pytest_sergas.core.text import keep_end
from pytest_sergas.errors import SergasError

HELP = "show, set and compare what relative budgets (max_regression) compare with"
EXAMPLES = f"""\
A test is compared with its newest runs on the same kind of machine, as soon as
there are {LEAST_HISTORY} of them. Times are medians.

examples:
  sergas baseline
  sergas baseline --compare main feature
  sergas baseline --set run.ctrf.json    its tests begin anew with this run
"""

_WIDTH = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--history", metavar="FILE", help="the file; default: the key history, or pytest's cache")
    add_json(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--compare", nargs=2, metavar="BRANCH", help="compare two branches, the second with the first")
    what.add_argument(
        "--set", nargs="+", metavar="RUN", help="CTRF files of runs on this machine whose tests are to begin anew"
    )


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.plugin import baselines

    path = _path(arguments.history)
    if arguments.set:
        return _set(path, arguments.set)
    found = baselines.read(path)
    if found.note:
        raise SergasError(f"sergas: {found.note}")
    if as_json(arguments):
        rows = _compared_json if arguments.compare else _shown_json
        print(json.dumps({"file": str(path), "machines": rows(found.baselines, *(arguments.compare or ()))}, indent=2))
        return 0
    if not any(found.baselines.values()):
        print(f"{path}: nothing yet; passing runs of tests with max_regression fill it")
        return 0
    lines = _compared(found.baselines, *arguments.compare) if arguments.compare else _shown(found.baselines)
    print("\n".join(lines))
    return 0


def _path(named: str | None) -> Path:
    """Return the file.

    Raises:
        SergasError: there is none.
    """
    if named:
        return Path(named)
    from pytest_sergas.cli._pytest import configured
    from pytest_sergas.config import load
    from pytest_sergas.plugin import baselines

    config = configured()
    loaded = load(config.rootpath, environ=os.environ)
    path = baselines.place(config, loaded.place(loaded.settings.history))
    if path is None:
        raise SergasError("sergas: pytest's cache is switched off here; name the file with --history")
    return path


def _set(path: Path, names: Sequence[str]) -> int:
    from pytest_sergas.cli._runs import read_run
    from pytest_sergas.plugin import baselines

    new: dict[str, Samples] = {}
    here = baselines.machine()
    for name in names:
        run = read_run(name)
        there = run.environment.machine or here
        if there != here:
            raise SergasError(
                f"sergas: {name} was made on another kind of machine ({there}) than this one ({here}), whose times say "
                "nothing about each other; set it there"
            )
        for test in filter(has_budget, run.tests):
            samples = attempts(test, run.finished_s, run.environment.branch)
            new[test.node_id] = (*new.get(test.node_id, ()), *samples)
    if not new:
        raise SergasError(f"sergas: no test with max_regression was measured in {', '.join(names)}")
    notes = baselines.change(path, lambda known: replaced(known, here, new))
    if notes:
        raise SergasError(f"sergas: {notes[0]}")
    print(f"{path}: anew: {', '.join(sorted(new))}")
    return 0


def _shown(known: Baselines) -> Iterator[str]:
    for machine, tests in sorted(known.items()):
        yield machine
        yield f"  {'runs':>4} {'median':>10} {'least':>10} {'most':>10}  test"
        for node_id, samples in sorted(tests.items()):
            took_s = judged_by(samples)
            if took_s:
                cells = " ".join(f"{_time(value):>10}" for value in (median(took_s), min(took_s), max(took_s)))
                few = "" if len(took_s) >= LEAST_HISTORY else " (too few)"
                yield f"  {len(took_s):>4} {cells}  {keep_end(node_id, _WIDTH - 42 - len(few))}{few}"


def _shown_json(known: Baselines) -> dict[str, Any]:
    """Return machine → test → what it is compared with, for `json.dumps`; times in seconds."""
    return {
        machine: {
            node_id: {"runs": len(took_s), "median": median(took_s), "least": min(took_s), "most": max(took_s)}
            for node_id, samples in sorted(tests.items())
            if (took_s := judged_by(samples))
        }
        for machine, tests in sorted(known.items())
    }


def _compared_json(known: Baselines, first: str, second: str) -> dict[str, Any]:
    """Return machine → test → how two branches compare, for `json.dumps`; times in seconds."""
    return {
        machine: {
            row.node_id: {"before": row.before_s, "now": row.now_s, "change": row.change, "verdict": row.word}
            for row in _rows(tests, first, second)
        }
        for machine, tests in sorted(known.items())
    }


def _compared(known: Baselines, first: str, second: str) -> Iterator[str]:
    """Return the tests that both branches have run, those that became slower for sure first.

    Raises:
        SergasError: no test was run on both.
    """
    any_row = False
    for machine, tests in sorted(known.items()):
        rows = sorted(_rows(tests, first, second), key=lambda row: (row.word != "slower", -row.change, row.node_id))
        if rows:
            any_row = True
            yield machine
            yield f"  {keep_end(first, 10):>10} {keep_end(second, 10):>10} {'change':>7}            test"
        for row in rows:
            times = f"{_time(row.before_s):>10} {_time(row.now_s):>10} {row.change:>+7.0%}"
            yield f"  {times} {row.word:<10} {keep_end(row.node_id, _WIDTH - 43)}"
    if not any_row:
        branches = sorted({one.branch for tests in known.values() for samples in tests.values() for one in samples})
        raise SergasError(
            f"sergas: no test was run on both {first!r} and {second!r} on one kind of machine; known branches: "
            f"{', '.join(map(repr, branches))}"
        )


@dataclass(frozen=True, slots=True)
class _Row:
    before_s: float
    now_s: float
    word: str
    node_id: str

    @property
    def change(self) -> float:
        return self.now_s / self.before_s - 1 if self.before_s else 0.0


def _rows(tests: Mapping[str, Samples], first: str, second: str) -> Iterator[_Row]:
    for node_id, samples in tests.items():
        before, now = ([one.seconds for one in samples if one.branch == name] for name in (first, second))
        if before and now:
            up, down = compare(before, now), compare(now, before)
            word = "slower" if up.is_sure else "faster" if down.is_sure else "not sure"
            yield _Row(up.before_s, up.now_s, word, node_id)


def _time(value_s: float) -> str:
    return f"{value_s:.2f} s" if value_s >= 1 else f"{value_s * 1000:.2f} ms"
