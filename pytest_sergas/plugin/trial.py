"""A trial of ``--sergas-detect-flaky``: a run of its own with the tests that it is given, in their order.

Loaded with ``-p`` in that process only. The environment names a directory with the plan; what became of each test is
added to a file beside it, test by test. Nothing is published or kept: the process leaves as soon as its last fixture
is torn down, so that no plugin, conftest.py or exit handler writes what it writes at the end of a run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from pytest_sergas.own import Own

VARIABLE = "SERGAS_TRIAL"
NAME = __name__
RESULTS = "results.jsonl"
_PLAN = "plan.json"
_LEAVING = "sergas-leaving"
# Options by which another run would be remembered, or that wait for a person.
_OFF = ("lf", "failedfirst", "newfirst", "stepwise", "stepwise_skip", "usepdb", "trace", "pyargs")


class Plan(NamedTuple):
    """What a trial is given.

    Attributes:
        order: node ids.
        files: to collect; the arguments of the run stand in the command line only for what else they decide.
        addopts: PYTEST_ADDOPTS as the tests are to see it, though the command line has it already.
    """

    order: Sequence[str]
    files: Sequence[str]
    addopts: str | None

    def write(self, directory: Path) -> None:
        (directory / _PLAN).write_text(json.dumps(self), encoding="ascii")

    @classmethod
    def read(cls, directory: Path) -> Plan:
        return cls(*json.loads((directory / _PLAN).read_text(encoding="ascii")))


class Told(NamedTuple):
    """What a trial has said until now.

    Attributes:
        passed: node id → whether it passed, of the tests that are over.
        fault: why it did not go through all tests; "" where it did; None where it has not said.
    """

    passed: dict[str, bool]
    fault: str | None

    @classmethod
    def read(cls, directory: Path) -> Told:
        passed: dict[str, bool] = {}
        fault = None
        path = directory / RESULTS
        text = path.read_text(encoding="ascii") if path.exists() else ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):  # the last may be half written
                name, value = json.loads(line)
                if name is None:
                    fault = value
                else:
                    passed[name] = value
        return cls(passed, fault)


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    # Pytests that the tests start are no trials.
    directory = Path(os.environ.pop(VARIABLE))
    plan = Plan.read(directory)
    if plan.addopts is not None:
        os.environ["PYTEST_ADDOPTS"] = plan.addopts
    pluginmanager.register(_Trial(directory / RESULTS, plan), "sergas-trial")


class _Trial:
    def __init__(self, results: Path, plan: Plan) -> None:
        self._results = results
        self._plan = plan
        self._passed: dict[str, bool] = {}
        self._process_id = Own.getpid()

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        for name in _OFF:
            if getattr(config.option, name, False):
                setattr(config.option, name, False)
        config.args = list(self._plan.files)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._register(session.config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        result = yield
        order = {name: place for place, name in enumerate(self._plan.order)}
        others = [item for item in items if item.nodeid not in order]
        items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])
        config.hook.pytest_deselected(items=others)
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # Behind every conftest.py that has come with the collection.
        session.config.pluginmanager.unregister(name=_LEAVING)
        self._register(session.config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A failure that was repeated is one: how the test does at its first attempt is what counts.
        if report.outcome in {"failed", "rerun"}:
            self._passed[report.nodeid] = False
        elif report.outcome == "passed" and report.when == "call":
            self._passed.setdefault(report.nodeid, True)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if nodeid in self._passed:
            self._say(nodeid, self._passed[nodeid])

    def leave(self, session: pytest.Session, fault: str) -> NoReturn:
        """Tear down what still stands, and end this process."""
        manager = session.config.pluginmanager
        others = [plugin for name, plugin in manager.list_name_plugin() if plugin is not None and name != "runner"]
        try:
            manager.subset_hook_caller("pytest_sessionfinish", others)(session=session, exitstatus=session.exitstatus)
        finally:
            self._say(None, fault)
            Own.os_exit(0)

    def _register(self, config: pytest.Config) -> None:
        config.pluginmanager.register(_Leaving(self), _LEAVING)

    def _say(self, name: str | None, value: object) -> None:
        # Opened each time: a test may close what it did not open.
        if Own.getpid() == self._process_id:
            descriptor = Own.os_open(self._results, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            Own.os_write(descriptor, f"{Own.dumps((name, value))}\n".encode("ascii"))
            Own.os_close(descriptor)


class _Leaving:
    """Leaves before anybody else finishes a session."""

    def __init__(self, trial: _Trial) -> None:
        self._trial = trial

    @pytest.hookimpl(wrapper=True, trylast=True)  # the innermost
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        try:
            yield
        except BaseException as error:  # noqa: BLE001  the end of this process, whatever it is
            self._trial.leave(session, str(error) or type(error).__name__)
        self._trial.leave(session, "")

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # the outermost
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        self._trial.leave(session, f"the session ended with status {int(exitstatus)}")
        yield
