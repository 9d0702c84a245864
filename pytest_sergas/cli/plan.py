"""``sergas plan``: what would run together, and in which order; nothing is run."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sergas.cli._options import add_json, as_json
from pytest_sergas.core.makespan import makespan_s
from pytest_sergas.core.plan import History, Plan, Rules, plan
from pytest_sergas.core.shards import MOST, SourceOrder
from pytest_sergas.core.summary import seconds
from pytest_sergas.core.text import keep_end
from pytest_sergas.errors import SergasError

if TYPE_CHECKING:
    from pytest_sergas.plugin.session import Collection

HELP = "show which tests would run together and in which order, without running them"
EXAMPLES = """\
Durations are those of earlier runs, where there are any; a test without one
counts as the median of the others. What stands behind -- goes to pytest.

examples:
  sergas plan -n 4
  sergas plan -n 4 --shards 3 -- -m "unit or e2e" tests
"""

_SHOWN = 10
_WIDTH = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", type=_number, default=2, metavar="N", dest="workers", help="workers; 2 unless given")
    parser.add_argument("--shards", type=_number, default=1, metavar="N", help="show how N machines share the tests")
    parser.add_argument("--units", action="store_true", help="show every unit with its tests")
    add_json(parser)
    parser.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="what pytest is started with")


def run(arguments: argparse.Namespace) -> int:
    planned = _collect(arguments.pytest, arguments.workers, arguments.shards)
    if as_json(arguments):
        print(json.dumps(to_document(planned), indent=2))
    else:
        print("\n".join(to_lines(planned, every=arguments.units)))
    return 0


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what is needed to show it.

    Attributes:
        node_ids: of the tests, in the order that the units' places refer to.
        shards: the node ids of each; empty where the suite is not split.
    """

    node_ids: Sequence[str]
    rules: Rules
    plan: Plan
    workers: int
    history: History
    shards: Sequence[Sequence[str]] = ()


def to_document(planned: Planned) -> dict[str, Any]:
    """Return the plan for `json.dumps`; times in seconds, units in the order in which they would begin."""
    made, rules = planned.plan, planned.rules
    units = [
        {
            "stage": number,
            "gate": unit.gate is not None,
            "exclusive": unit.exclusive,
            "seconds": unit.seconds,
            "tests": [planned.node_ids[place] for place in unit.tests],
        }
        for number, stage in enumerate(made.stages, start=1)
        for unit in stage
    ]
    return {
        "reason": made.reason,
        "workers": planned.workers,
        "recorded": bool(made.recorded),
        "estimate": makespan_s(made, planned.workers) if made.units else 0.0,
        "max_workers": dict(rules.caps),
        "units": units,
        "shards": [list(part) for part in planned.shards],
    }


def to_lines(planned: Planned, *, every: bool) -> Iterator[str]:
    """Return the lines for a terminal.

    Args:
        every: show all units with all their tests, not only the first ones.
    """
    made, rules = planned.plan, planned.rules
    yield made.reason
    if not made.units:
        return
    lanes = [f"{name} on at most {cap}" for name, cap in rules.caps.items()]
    if lanes:
        yield f"{', '.join(lanes)} of the workers"
    total_s = sum(unit.seconds for unit in made.units)
    unknown = "" if made.recorded else ", were every test as long as a second"
    estimate_s = makespan_s(made, planned.workers)
    yield f"about {seconds(estimate_s)} at -n {planned.workers}, {seconds(total_s)} without{unknown}"
    for units in made.stages:
        gate = f"gate {units[0].gate + 1}" if units[0].gate is not None else "behind the gates"
        yield ""
        yield f"{gate if rules.gates else 'tests'}{', one at a time' if units[0].exclusive else ''}"
        for unit in units if every else units[:_SHOWN]:
            more = f" and {len(unit.tests) - 1} more" if len(unit.tests) > 1 and not every else ""
            names = [planned.node_ids[place] for place in unit.tests][: None if every else 1]
            for number, name in enumerate(names):
                time = seconds(unit.seconds) if not number else ""
                yield f"  {time:>7}  {keep_end(name, _WIDTH - 11 - len(more))}{more}"
        if len(units) > _SHOWN and not every:
            yield f"           and {len(units) - _SHOWN} more units"
    if planned.shards:
        yield ""
        expected_s = _expected_s(planned)
        for number, part in enumerate(planned.shards, start=1):
            part_s = sum(expected_s[node_id] for node_id in part)
            yield f"shard {number}/{len(planned.shards)}: {len(part)} tests, {seconds(part_s)}"


def _expected_s(planned: Planned) -> dict[str, float]:
    """Return node id → the seconds that a test is expected to take."""
    return {
        planned.node_ids[place]: planned.history.durations.get(planned.node_ids[place], unit.seconds / len(unit.tests))
        for unit in planned.plan.units
        for place in unit.tests
    }


class _Planner:
    """Takes what pytest has collected."""

    def __init__(self) -> None:
        self.config: pytest.Config | None = None
        self.items: list[pytest.Item] = []
        self.order = SourceOrder(())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        self.order = SourceOrder([item.nodeid for item in items])
        return (yield)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.config, self.items = session.config, session.items


class _NothingFound:
    """What collecting finds where no test has a type."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {}
        self.gates: dict[str, int] = {}


def _collect(arguments: list[str], workers: int, shards: int) -> Planned:
    """Let pytest collect, and return the plan.

    Raises:
        SergasError: pytest could not; it has said why.
    """
    planner = _Planner()
    options = ["--collect-only", "-qq"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main([*options, *arguments], plugins=[planner])
    if planner.config is None or status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        print(said.getvalue(), file=sys.stderr)
        raise SergasError(f"sergas: pytest could not collect the tests (status {int(status)}); fix that first")
    from pytest_sergas.plugin import LOADED
    from pytest_sergas.plugin.durations import KeptDurations
    from pytest_sergas.plugin.sharding import collected, cut

    found: Collection | _NothingFound | None = planner.config.pluginmanager.getplugin("sergas-collection")
    found = found or _NothingFound()
    tests, rules = collected(planner.items, found.types, found.gates)
    loaded = planner.config.stash.get(LOADED, None)  # None where no test file was met
    history, shared = History(), b""
    if loaded is not None:
        try:
            kept = KeptDurations(planner.config, loaded)
            history = kept.history()
            shared = kept.shared() if shards > 1 else b""
        except pytest.UsageError as error:
            raise SergasError(str(error)) from error
        for note in kept.notes:
            print(note, file=sys.stderr)
    made = plan(tests, rules, history, workers=workers)
    parts: list[list[str]] = []
    if shards > 1 and tests:
        ordered, units = cut(planner.items, planner.order, found, shared, shards)
        parts = [[ordered[place].nodeid for unit in part for place in unit.tests] for part in units]
    return Planned([test.node_id for test in tests], rules, made, workers, history, parts)


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used; allowed: a whole number from 1 to {MOST}")
    return int(text)
