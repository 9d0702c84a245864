"""``--sergas-shard 2/5``: wherever tests are collected, those of the other shards go.

Workers and machines must all come to the same split. So the tests are cut in the order of collection, whatever order
another plugin has given them, and what the split depends on beside them, the shared file of durations, is read once by
the controller and sent to its workers. What is left runs in the order that all plugins together have given it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

import pytest

from pytest_sergas.core.durations import from_json
from pytest_sergas.core.plan import Collected, Rules, Unit, plan
from pytest_sergas.core.records import UNTYPED
from pytest_sergas.core.shards import Shard, SourceOrder, fingerprint, parse, split
from pytest_sergas.plugin.durations import to_history
from pytest_sergas.plugin.role import is_worker
from pytest_sergas.plugin.units import Ties
from pytest_sergas.plugin.worker import policies

_DURATIONS = "sergas_durations"
_OUTPUT = "sergas_shard"


class Findings(Protocol):
    """What collecting has found out: node id → type, and type → place of its gate."""

    types: dict[str, str]
    gates: dict[str, int]


def asked(config: pytest.Config) -> Shard:
    """Return the shard that the command line asks for; it was checked when it was read."""
    return parse(config.getoption("sergas_shard"))


def collected(
    items: list[pytest.Item], types: Mapping[str, str], gates: Mapping[str, int]
) -> tuple[list[Collected], Rules]:
    """Return ``items`` as the plan sees them, and what their types ask for.

    Args:
        types: node id → type.
        gates: type → place of its gate.
    """
    exclusive, caps = policies(items)
    ties = Ties()
    tests = [
        Collected(item.nodeid, types.get(item.nodeid, UNTYPED), ties.of(item), place in exclusive)
        for place, item in enumerate(items)
    ]
    return tests, Rules(gates, caps)


def cut(
    items: Sequence[pytest.Item], order: SourceOrder, found: Findings, durations: bytes, shards: int
) -> tuple[list[pytest.Item], list[list[Unit]]]:
    """Return ``items`` in the order in which they are cut, and the units of each shard.

    Args:
        durations: the shared file's contents, or empty.
    """
    ordered = sorted(items, key=lambda item: order.key(item.nodeid))
    tests, rules = collected(ordered, found.types, found.gates)
    history = to_history(from_json(durations) if durations else {})
    return ordered, split(plan(tests, rules, history, workers=shards).units, shards)


class Sharding:
    """Deselects the tests of other shards, in the only process or on a worker.

    Args:
        found: read when everything is collected.
        durations: the shared file's contents in the only process; workers are sent them.

    Attributes:
        of_tests: how many tests the whole suite has.
        split: the fingerprint of the split.
    """

    def __init__(self, shard: Shard, found: Findings, durations: bytes) -> None:
        self._shard = shard
        self._found = found
        self._durations = durations
        self.of_tests = 0
        self.split = ""

    # Registered after what finds the types, and so called round it.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        order = SourceOrder([item.nodeid for item in items])
        result = yield
        workerinput: dict[str, Any] = getattr(config, "workerinput", {})
        own = self._own(items, order, workerinput.get(_DURATIONS, self._durations))
        dropped = [item for item in items if id(item) not in own]
        items[:] = [item for item in items if id(item) in own]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        if is_worker(config):
            config.workeroutput[_OUTPUT] = (self.of_tests, self.split)  # type: ignore[attr-defined]  # pytest-xdist's
        return result

    def _own(self, items: list[pytest.Item], order: SourceOrder, durations: bytes) -> set[int]:
        ordered, parts = cut(items, order, self._found, durations, self._shard.of)
        self.of_tests, self.split = len(items), fingerprint([item.nodeid for item in ordered], parts)
        return {id(ordered[place]) for unit in parts[self._shard.number - 1] for place in unit.tests}


class ShardOfRun:
    """What the record says about the shard, and the exit status of an empty one; on the controller, or alone.

    Args:
        sharding: of the only process; None on the controller.
        durations: what workers are sent.
    """

    def __init__(self, shard: Shard, sharding: Sharding | None, durations: bytes) -> None:
        self._shard = shard
        self._sharding = sharding
        self._durations = durations
        self._told: tuple[int, str] = (0, "")

    def __str__(self) -> str:
        return str(self._shard)

    @property
    def split(self) -> str:
        """The fingerprint of the split that this shard is a part of."""
        return self._found[1]

    @property
    def _found(self) -> tuple[int, str]:
        return self._told if self._sharding is None else (self._sharding.of_tests, self._sharding.split)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_DURATIONS] = self._durations

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        told = getattr(node, "workeroutput", {}).get(_OUTPUT)  # missing where the worker died
        if told is not None:
            self._told = tuple(told)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        # Only where other shards have tests: a selection that fits nothing at all is a mistake.
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._found[0]:
            session.exitstatus = pytest.ExitCode.OK
