"""What a worker of pytest-xdist does when it has collected: it tells the controller, and takes its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pytest_sergas.core.plan import Rules, gates_of_tests
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.plugin import exchange, foreign
from pytest_sergas.plugin.crashes import note_timeout
from pytest_sergas.plugin.forks import end_strays
from pytest_sergas.plugin.gain import TellTimes
from pytest_sergas.plugin.gate import WorkerGate
from pytest_sergas.plugin.rerun_counts import OnWorker
from pytest_sergas.plugin.types import TYPED
from pytest_sergas.plugin.units import Ties

if TYPE_CHECKING:
    from pytest_sergas.plugin.quarantine import Quarantining
    from pytest_sergas.plugin.timeouts import Timeouts


class Findings(Protocol):
    """What collecting has found out: node id → type, faults, and notes for the summary."""

    types: dict[str, str]
    faults: list[str]
    notes: dict[str, None]
    needs_checks: bool


def finish_collection(session: pytest.Session, found: Findings, gates: dict[str, int], exclusive_wait_s: float) -> None:
    """Leave the controller what it needs for its plan, and register what guards this worker's tests.

    Raises:
        pytest.UsageError: there are faults, and the controller will not see them.
    """
    config = session.config
    workerinput: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]  # set by pytest-xdist
    shared = exchange.directory(workerinput)
    if shared is None and found.faults:
        raise pytest.UsageError(str(ConfigurationError(tuple(found.faults))))
    end_strays(config.pluginmanager, workerinput["workerid"])
    config.pluginmanager.register(TellTimes(), "sergas-times")
    exclusive, caps = policies(session.items)
    alone = frozenset(session.items[place].nodeid for place in exclusive)
    parallel = workerinput["workercount"] > 1
    note = _guard(config, shared, alone, exclusive_wait_s) if alone and parallel else ""
    if note:
        found.notes[note] = None
    quarantining: Quarantining | None = config.pluginmanager.getplugin("sergas-quarantine")
    needs, needed_by = _guard_dependencies(session, shared) if found.needs_checks else ([], {})
    known = Ties()
    ties = [known.of(item) for item in session.items]
    left = exchange.Left(
        types=found.types,
        faults=found.faults,
        notes=[*found.notes, *foreign.lost(config)],
        rules=Rules(gates, caps),
        ties=ties,
        exclusive=exclusive,
        unmatched=quarantining.unmatched if quarantining is not None else (),
        needs=needs,
        needed_by=needed_by,
    )
    if shared is not None:
        exchange.leave(shared, left)
        _note_timeouts(config, shared)
        count = foreign.reruns_of_tests(config)
        if count is not None:
            OnWorker(config, count, shared, workerinput["workerid"])
    _guard_gates(config, left, [item.nodeid for item in session.items], shared)


def _guard_gates(config: pytest.Config, left: exchange.Left, node_ids: list[str], shared: Path | None) -> None:
    gates = left.rules.gates
    gated = {node_id: gates[name] for node_id in node_ids if (name := left.types.get(node_id, "")) in gates}
    if gated:
        workers: int = config.workerinput["workercount"]  # type: ignore[attr-defined]  # set by pytest-xdist
        found = zip(node_ids, gates_of_tests(left.collected(node_ids), left.rules, workers=workers), strict=True)
        units = {node_id: gate for node_id, gate in found if gate is not None}
        config.pluginmanager.register(WorkerGate(gated, units, left.types, shared), "sergas-gate")


def _guard_dependencies(
    session: pytest.Session, shared: Path | None
) -> tuple[list[tuple[str, float, Sequence[str]]], Mapping[str, Sequence[str]]]:
    from pytest_sergas.plugin import dependencies

    if shared is None:
        dependencies.register_alone(session.config, session.items)
        return [], {}
    dependencies.register_on_worker(session.config, shared)
    wanted: list[tuple[str, float, Sequence[str]]] = [
        (need.name, need.wait_s, need.types) for need in dependencies.needs_of(session.items)
    ]
    return wanted, dependencies.needed_by(session.items)


def policies(items: list[pytest.Item]) -> tuple[frozenset[int], dict[str, int]]:
    """Return the places of the exclusive tests, and type → how many workers may run it."""
    exclusive: set[int] = set()
    caps: dict[str, int] = {}
    for place, item in enumerate(items):
        typed = item.stash.get(TYPED, None)
        if typed is None:
            continue
        if typed.policy.exclusive:
            exclusive.add(place)
        if typed.policy.max_workers is not None:
            caps[typed.policy.type] = typed.policy.max_workers
    return frozenset(exclusive), caps


def _guard(config: pytest.Config, shared: Path | None, alone: frozenset[str], wait_s: float) -> str:
    """Put the lock round every test; return what to say where that cannot be done."""
    try:
        from pytest_sergas.plugin.exclusive import Exclusive, Locks
    except ImportError:
        return "exclusive: this system has no POSIX locks; what keeps other tests away is the scheduler alone"
    if shared is None:
        return ""  # on another machine, and the controller says so
    worker = config.workerinput["workerid"]  # type: ignore[attr-defined]  # set by pytest-xdist
    config.pluginmanager.register(Exclusive(config, Locks(shared, worker), alone, wait_s), "sergas-exclusive")
    return ""


def _note_timeouts(config: pytest.Config, shared: Path) -> None:
    timeouts: Timeouts | None = config.pluginmanager.getplugin("sergas-timeouts")
    if timeouts is not None and timeouts.timers is not None:
        worker = config.workerinput["workerid"]  # type: ignore[attr-defined]  # set by pytest-xdist
        timeouts.timers.before_end = partial(note_timeout, shared, worker)
