"""The hooks through which pytest-xdist is given our scheduler, and the scheduler its plan.

It is used unless the user gives ``--dist``, another plugin brings a scheduler, or a worker runs on another
machine, where the plan does not get to us.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest

from pytest_sergas.core.plan import History, Plan, plan
from pytest_sergas.plugin import foreign
from pytest_sergas.plugin.crashes import is_crash
from pytest_sergas.plugin.exchange import Exchange
from pytest_sergas.plugin.gate import ControllerGate
from pytest_sergas.plugin.scheduler import Assignment, PlannedScheduling


class Scheduling:
    """The controller's hooks.

    Args:
        history: asked for once, when the plan is made.
    """

    def __init__(
        self, config: pytest.Config, exchange: Exchange, gate: ControllerGate, history: Callable[[], History]
    ) -> None:
        self._config = config
        self._exchange = exchange
        self._gate = gate
        self._history = history
        self._scheduler: PlannedScheduling | None = None
        self._notes: list[str] = []
        self._workers = 0

    @property
    def notes(self) -> list[str]:
        """What the summary says about how the tests were scheduled."""
        repeated = list(dict.fromkeys(self._scheduler.repeated)) if self._scheduler is not None else []
        if not repeated:
            return self._notes
        node_id, worker = repeated[0]
        more = f", and {len(repeated) - 1} more after it" if len(repeated) > 1 else ""
        stray = f"completed more than once: {node_id}{more}; a process that it forked went on as {worker}"
        return [*self._notes, stray]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: Sequence[object]) -> None:
        self._workers = len(specs)

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_xdist_make_scheduler(self) -> Generator[None, Any, Any]:
        return self._make((yield))

    def take_over(self) -> None:
        """Schedule in the place of the scheduler that pytest-xdist has made already, and that knows workers only."""
        session = foreign.distributing(self._config)
        if session is None:
            return
        theirs = session.sched
        session.sched = self._make(theirs)
        if session.sched is not theirs:
            for node in theirs.nodes:
                session.sched.add_node(node)

    def _make(self, theirs: Any) -> Any:
        """Return our scheduler, or ``theirs`` where the tests are left to it."""
        config = self._config
        # What -n alone stands for; another plugin's scheduler is its user's choice, as --dist is.
        if type(theirs) is not foreign.load_scheduling(config) or _given(config):
            return theirs
        if self._exchange.remote_workers:
            self._notes.append("workers on other machines: the tests are scheduled by pytest-xdist (load)")
            return theirs
        self._gate.waits_for_controller = True
        self._scheduler = PlannedScheduling(
            config,
            workers=self._workers,
            assign=self._assign,
            failed_gate=lambda: self._gate.failed,
            differs=foreign.collection_difference(config),
        )
        return self._scheduler

    def running(self) -> dict[str, str]:
        """Return node id → worker of the tests that have begun, as far as we schedule them."""
        return self._scheduler.running() if self._scheduler is not None else {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._scheduler is not None:
            self._scheduler.begun(nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # After a crash: now it is known whether the test is repeated, and whether a gate failed.
        if is_crash(report) and self._scheduler is not None:
            self._scheduler.resume()

    def _assign(self, node_ids: Sequence[str]) -> Assignment:
        left, history = self._exchange.left, self._history()
        # What --stepwise goes on with next time is the first failure, and what stands before it is taken as passed.
        in_order = bool(foreign.option(self._config, "stepwise"))
        made = plan(left.collected(node_ids), left.rules, history, workers=self._workers, in_order=in_order)
        self._tell(made, left.rules.caps)
        return Assignment(made, [history.durations.get(node_id) for node_id in node_ids])

    def _tell(self, made: Plan, caps: Any) -> None:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if terminal is None or self._config.option.verbose < 1:
            return
        terminal.write_line(f"sergas: {made.reason}")
        used = {name for unit in made.units for name in unit.capped}
        limits = [f"{name} on at most {caps[name]}" for name in caps if name in used]
        if limits:
            terminal.write_line(f"sergas: {', '.join(limits)} of the workers")


def take_over(config: pytest.Config) -> None:
    """Let our scheduler take over, where the parts came when pytest-xdist had made one already."""
    scheduling: Scheduling | None = config.pluginmanager.get_plugin("sergas-scheduling")
    if scheduling is not None:
        scheduling.take_over()


def _given(config: pytest.Config) -> bool:
    """Whether the user chose a distribution: ``-n`` sets the option too, but not what was parsed."""
    parsed = foreign.command_line(config, "the tests are scheduled by pytest-xdist")
    if parsed is None:
        return True
    return getattr(parsed, "dist", "no") != "no" or bool(getattr(parsed, "distload", False))
