"""The controller of a run with workers: what it tells them, what they tell it, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pytest_sergas.core.plan import History
from pytest_sergas.core.records import NAME_LIMIT, TestRecord
from pytest_sergas.core.text import clean
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.plugin.crashes import Crashes
from pytest_sergas.plugin.exchange import INVITED, Exchange
from pytest_sergas.plugin.gain import Gain
from pytest_sergas.plugin.gate import ControllerGate
from pytest_sergas.plugin.scheduling import Scheduling
from pytest_sergas.plugin.waits import Waits


class Parallel:
    """Registers the parts, passes on what workers know, and joins what there is to say about the run.

    Args:
        types: node id → type; filled when the first worker has collected.
        notes: filled with the workers' notes.
        history: asked for once, when the plan is made.
    """

    def __init__(
        self, config: pytest.Config, types: dict[str, str], notes: dict[str, None], history: Callable[[], History]
    ) -> None:
        self._config = config
        self._types = types
        self._worker_notes = notes
        self._exchange = config.stash.get(INVITED, None) or Exchange()
        self._exclusive: frozenset[str] = frozenset()
        gate = ControllerGate(self._exchange)
        self._scheduling = Scheduling(config, self._exchange, gate, history)
        self._crashes = Crashes(config, self._exchange)
        self._waits = Waits()
        self._gain = Gain(each=config.getoption("dist", "no") == "each")
        register = config.pluginmanager.register
        register(gate, "sergas-gate")
        register(self._scheduling, "sergas-scheduling")
        register(self._crashes, "sergas-crashes")
        register(self._waits, "sergas-waits")
        register(self._gain, "sergas-gain")

    def running(self) -> dict[str, str]:
        """Return node id → worker of the tests that have begun, as far as that is known."""
        return self._scheduling.running()

    def exclusive(self, node_ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``node_ids``, which are all that a worker has collected, that run alone."""
        left = self._exchange.left
        if len(left.ties) != len(node_ids):
            return frozenset()  # no worker has left anything
        return frozenset(node_ids[place] for place in left.exclusive)

    def marked(self, tests: tuple[TestRecord, ...]) -> tuple[TestRecord, ...]:
        """Return ``tests``, of which the exclusive ones say that they are."""
        if not self._exclusive:
            return tests
        return tuple([test._replace(exclusive=True) if test.node_id in self._exclusive else test for test in tests])

    @property
    def unmatched(self) -> Sequence[str]:
        """What is in quarantine and was not collected."""
        return self._exchange.left.unmatched

    def notes(self, tests: Sequence[TestRecord], wall_s: float, *, complete: bool) -> list[str]:
        """Return what the summary says about this run's workers.

        Args:
            wall_s: seconds that the run took.
            complete: whether everything that was asked for has run.
        """
        notes = [*self._scheduling.notes, *self._crashes.notes, *self._waits.notes]
        if self._exchange.remote_workers:
            notes.append("workers on other machines do not say which type their tests have, nor what these need")
        return [*notes, *(self._gain.notes(tests, wall_s) if complete else ())]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        self._exchange.invite(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        left = self._exchange.read()
        if left is None:
            return
        self._exclusive = frozenset(clean(node_id, NAME_LIMIT) for node_id in self.exclusive(ids))
        if left.faults:
            raise pytest.UsageError(str(ConfigurationError(tuple(left.faults))))
        self._types.update(left.types)
        self._worker_notes.update(dict.fromkeys(left.notes))
        shared = self._exchange.directory
        if left.needs and shared is not None:
            from pytest_sergas.core.dependencies import Need
            from pytest_sergas.plugin.dependencies import register_on_controller

            wanted = [Need(name, wait_s, tuple(types)) for name, wait_s, types in left.needs]
            register_on_controller(self._config, wanted, left.needed_by, shared)

    def pytest_unconfigure(self) -> None:
        self._exchange.close()
