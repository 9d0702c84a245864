"""What happens, told to the process that started pytest, while it happens: a line of JSON for each event.

    {"collected": 12}                                                 how many tests are to be run
    {"began": NODE_ID}
    {"ended": NODE_ID, "outcome": ..., "duration": S, "message": ...}  its last attempt

A plugin of its own (``-p pytest_sergas.plugin.progress``), which a run has only where `TestRunner` started it. The
lines go into the pipe whose descriptor `VARIABLE` names. So who started pytest knows what was over when pytest died.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import pytest

from pytest_sergas.core.records import MESSAGE_LIMIT, Outcome, Phase, phase_outcome, worse
from pytest_sergas.core.text import clean
from pytest_sergas.own import Own
from pytest_sergas.plugin.recorder import NOT_CALLED
from pytest_sergas.plugin.role import is_worker

VARIABLE = "SERGAS_PROGRESS"


def pytest_addoption(parser: pytest.Parser) -> None:
    # A directory of the program that started pytest: what it lays over the configuration, and where it reads the run.
    parser.addoption("--sergas-program", metavar="DIR", default=None, help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
    # Workers inherit the options and the variable, and tell the controller everything already.
    descriptor = os.environ.get(VARIABLE)
    if descriptor and not is_worker(config):
        config.pluginmanager.register(_Progress(int(descriptor)), "sergas-progress")


class _Progress:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._open: dict[str, tuple[Outcome, float, str]] = {}
        self._repeated: set[str] = set()
        self._called: set[str] = set()
        self._collected = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:  # a controller of workers has none
            self._tell(collected=len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        if not self._collected:  # every worker collects the same
            self._collected = True
            self._tell(collected=len(ids))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._tell(began=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        node_id, phase = report.nodeid, str(report.when)
        if str(report.outcome) == "rerun":
            self._repeated.add(node_id)
        found = phase_outcome(
            phase, report.outcome, expected_to_fail=hasattr(report, "wasxfail"), timed_out=False, over_budget=False
        )
        outcome, duration_s, message = self._open.get(node_id, (Outcome.PASSED, 0.0, ""))
        message = message or (clean(report.longreprtext, MESSAGE_LIMIT) if report.failed else "")
        self._open[node_id] = (worse(outcome, found), duration_s + report.duration, message)
        if phase == Phase.CALL:
            self._called.add(node_id)
        if phase in {Phase.TEARDOWN, Phase.CRASH}:
            outcome, duration_s, message = self._open.pop(node_id)
            if outcome is Outcome.PASSED and node_id not in self._called:
                outcome, message = Outcome.SKIPPED, NOT_CALLED
            self._called.discard(node_id)
            if node_id in self._repeated:
                self._repeated.discard(node_id)
            else:
                self._tell(ended=node_id, outcome=outcome.value, duration=duration_s, message=message)

    def _tell(self, **event: Any) -> None:
        line = Own.dumps(event).encode() + b"\n"
        while line:
            line = line[Own.os_write(self._descriptor, line) :]
