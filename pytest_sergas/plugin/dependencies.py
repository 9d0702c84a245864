"""Gates of dependencies: the checks that tests need are run once, before the first of these tests begins.

    who                                        what
    ----------------------------------------------------------------------------------------------------
    the only process, or the controller        runs the checks (`Dependencies`)
    whoever runs tests                         refuses those whose dependency is not there (`Guard`)
    a worker on another machine                does both for itself: what counts is what it can reach

A service may die halfway. So a test that fails makes the checks run again that it needs, and a service that is not
there any more is refused to the tests that come later. That costs a failing run at most a tenth of its time.

What the controller has found stands in a file in the directory that it shares with its workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_sergas.checks.once import Once
from pytest_sergas.config.checks import CheckSettings, ChecksSettings
from pytest_sergas.core.ci import is_ci
from pytest_sergas.core.dependencies import Availability, Dependency, Need, lines_to_add, needs, reason, unknown
from pytest_sergas.core.health import UP, HealthStatus
from pytest_sergas.core.policy import Policy
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.own import Own, unpatched
from pytest_sergas.plugin.foreign import skipped_at_item
from pytest_sergas.plugin.types import TYPED

if TYPE_CHECKING:
    from pytest_sergas.config.file import ConfigFile
    from pytest_sergas.config.program import Program

NAME = "sergas-dependencies"
_FILE = "dependencies.json"
# A service that is starting tells nobody when it is ready.
_PAUSE_S = 0.25
# So many times what the checks took last passes before they run again.
_REST = 10

Known = Mapping[str, Dependency]


def configured(config: pytest.Config) -> tuple[ConfigFile, Program]:
    """Return the configuration file of the run, and what the program says that started it."""
    from pytest_sergas.config.file import find_file
    from pytest_sergas.config.program import Program

    program = Program.read(config.getoption("sergas_program", None))
    return program.over(find_file(config.rootpath)), program


def settings(file: ConfigFile) -> tuple[CheckSettings, ...]:
    """Return the checks of the configuration in ``file``.

    Raises:
        ConfigurationError: they cannot be used.
    """
    from pytest_sergas.config import load_sections

    found: ChecksSettings = load_sections(file, ("checks",), environ=os.environ)["checks"].settings
    return found.checks


def faults(config: pytest.Config) -> list[str]:
    """Return why the checks of the configuration cannot be used; a test whose check is missing fails alone."""
    try:
        settings(configured(config)[0])
    except ConfigurationError as error:
        return list(error.faults)
    return []


def needed_by(items: Iterable[pytest.Item]) -> dict[str, tuple[str, ...]]:
    """Return node id → the checks that it needs, for the tests that need any."""
    return {item.nodeid: names for item in items if (names := _needed(item))}


def needs_of(items: Iterable[pytest.Item]) -> tuple[Need, ...]:
    """Return what ``items`` need."""
    typed = dict.fromkeys(item.stash[TYPED] for item in items if _needed(item))
    return needs(one.policy for one in typed)


def register_alone(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Register what the only process needs, or a worker that cannot ask the controller."""
    wanted = needs_of(items)
    if wanted and not _only_shows(config):
        dependencies = Dependencies(config, wanted, needed_by(items))
        config.pluginmanager.register(dependencies, NAME)
        config.pluginmanager.register(_First(dependencies), "sergas-dependencies-first")
        config.pluginmanager.register(Guard(config, lambda: dependencies.known), "sergas-dependencies-guard")


def register_on_worker(config: pytest.Config, shared: Path) -> None:
    """Register what a worker needs whose controller runs the checks."""
    if _only_shows(config):
        return
    config.pluginmanager.register(Guard(config, _Shared(shared / _FILE).known), "sergas-dependencies-guard")


def register_on_controller(
    config: pytest.Config, wanted: Sequence[Need], by_test: Mapping[str, Sequence[str]], shared: Path
) -> None:
    """Run the checks, and leave the workers what they found."""
    dependencies = Dependencies(config, wanted, by_test, shared / _FILE)
    config.pluginmanager.register(dependencies, NAME)
    if not _only_shows(config):
        dependencies.probe()


def _only_shows(config: pytest.Config) -> bool:
    """Whether neither tests nor their fixtures are going to run, so that they need nothing."""
    return bool(config.getoption("collectonly") or config.getoption("setupplan", default=False))


class Dependencies:
    """Runs the checks, and knows what they found.

    Args:
        wanted: what the tests need; at least one.
        by_test: node id → the checks that it needs.
        file: where it is left for workers.

    Attributes:
        known: name → what became of it.
    """

    def __init__(
        self,
        config: pytest.Config,
        wanted: Sequence[Need],
        by_test: Mapping[str, Sequence[str]],
        file: Path | None = None,
    ) -> None:
        self._config = config
        self._wanted = wanted
        self._by_test = by_test
        self._file = file
        self._checks: Once | None = None
        self._rests_until_s = 0.0
        self._said = False
        self._failed: dict[str, None] = {}
        self.known: dict[str, Dependency] = {}

    def probe(self) -> None:
        """Run the checks at the same time, again and again for those that are waited for.

        Raises:
            pytest.UsageError: a check cannot be used as it is configured.
        """
        file, program = configured(self._config)
        try:
            entries = settings(file)
            self._checks = Once(entries, file.root, [need.name for need in self._wanted])
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error
        names = [entry.name for entry in entries]
        waiting = [need for need in self._wanted if need.name in names]
        for need in self._wanted:
            if need.name not in names:
                self.known[need.name] = _unchecked(need, names, program, file)
        started_s = Own.monotonic()
        while waiting:
            waiting = self._look(self._checks, waiting, started_s)
            if waiting:
                self._say_that_it_waits(waiting)
                Own.sleep(_PAUSE_S)
        self._leave()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A failure that is about to be repeated has the outcome "rerun".
        if report.outcome not in {"passed", "skipped"} and report.nodeid in self._by_test:
            self._failed.update(dict.fromkeys(self._by_test[report.nodeid]))

    def pytest_runtest_logfinish(self) -> None:
        # Not with the report: then the test's own patches may stand, and the checks would meet them.
        if self._failed:
            names, self._failed = tuple(self._failed), {}
            with unpatched():
                self._look_again(names)

    def _look(self, checks: Once, waiting: Sequence[Need], started_s: float) -> list[Need]:
        """Run the checks of ``waiting`` once, and return those for which to wait any longer."""
        results = checks.run([need.name for need in waiting])
        waited_s = Own.monotonic() - started_s
        left = []
        for need in waiting:
            result = results[need.name]
            there = result.status in UP
            availability = Availability.AVAILABLE if there else Availability.UNAVAILABLE
            waited = waited_s if need.wait_s else 0.0
            self.known[need.name] = Dependency(need.name, availability, result.message, need.types, waited)
            if not there and waited_s < need.wait_s:
                left.append(need)
        return left

    def _look_again(self, names: Sequence[str]) -> None:
        """Find out whether what was there is still there: two results in a row say that it is not."""
        checked = self._checks.names if self._checks is not None else ()
        names = [name for name in names if name in checked and name in self.known and self.known[name].is_there]
        began_s = Own.monotonic()
        if self._checks is None or not names or began_s < self._rests_until_s:
            return
        lost = [name for name, result in self._checks.run(names).items() if name in names and result.status not in UP]
        if lost:
            Own.sleep(_PAUSE_S)
            results = self._checks.run(lost)
            for name in lost:
                if results[name].status not in UP:
                    message = results[name].message
                    self.known[name] = replace(self.known[name], availability=Availability.LOST, message=message)
            self._leave()
        ended_s = Own.monotonic()
        self._rests_until_s = ended_s + _REST * (ended_s - began_s)

    def _say_that_it_waits(self, waiting: Sequence[Need]) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and not self._said:
            self._said = True
            names = ", ".join(f"{need.name} (at most {need.wait_s:g} s)" for need in waiting)
            reporter.ensure_newline()
            reporter.write_line(f"sergas: waiting for {names}")

    def _leave(self) -> None:
        if self._file is not None:
            Own.write_at_once(self._file, Own.dumps([asdict(one) for one in self.known.values()]))


def _unchecked(need: Need, names: Sequence[str], program: Program, file: ConfigFile) -> Dependency:
    """Return what is known of a dependency that no check of the configuration has for a name."""
    if need.name in program.found:
        status, message = program.found[need.name]
        there = Availability.AVAILABLE if HealthStatus(status) in UP else Availability.UNAVAILABLE
        return Dependency(need.name, there, message, need.types)
    text = f"{unknown(need.name, [*names, *program.found])}\n{lines_to_add(need.name, file.name)}"
    return Dependency(need.name, Availability.MISSING, text, need.types)


class _First:
    """Runs the checks when all tests are collected."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        # pytest ends a run whose collection failed right after this.
        if not session.testsfailed or session.config.option.continue_on_collection_errors:
            self._dependencies.probe()


class Guard:
    """Keeps tests from running whose dependencies are not there: they fail in CI, and are skipped elsewhere.

    Args:
        known: name → what became of it; asked before every test that needs anything.
    """

    def __init__(self, config: pytest.Config, known: Callable[[], Known]) -> None:
        self._known = known
        self._skipped = skipped_at_item(config)
        self._otherwise = "fail" if is_ci(os.environ) else "skip"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        __tracebackhide__ = True
        names = _needed(item)
        if not names:
            return
        known = self._known()
        if why := reason(names, known):
            policy = item.stash[TYPED].policy
            missing = [known[name] for name in names if name in known]
            missing = [one for one in missing if one.availability is Availability.MISSING]
            if missing:  # a mistake in the tests or the configuration, wherever they run
                item.add_marker(pytest.mark.flaky(reruns=0, condition=False), append=False)
                pytest.fail("\n".join(one.message for one in missing), pytrace=False)
            if (policy.on_unavailable or self._otherwise) == "skip":
                raise self._skipped(why)
            # To repeat it would change nothing.
            item.add_marker(pytest.mark.flaky(reruns=0, condition=False), append=False)
            pytest.fail(f"{why}\n{_advice(policy)}", pytrace=False)


class _Shared:
    """What the controller has left; read again when it has changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: tuple[int, Known] = (0, {})

    def known(self) -> Known:
        changed_ns = Own.stat(self._file).st_mtime_ns
        if changed_ns != self._read[0]:
            entries = Own.loads(Own.read(self._file))
            known = {
                entry["name"]: Dependency(**{**entry, "availability": Availability(entry["availability"])})
                for entry in entries
            }
            self._read = (changed_ns, known)
        return self._read[1]


def _needed(item: pytest.Item) -> tuple[str, ...]:
    typed = item.stash.get(TYPED, None)
    return () if typed is None else typed.policy.dependencies


def _advice(policy: Policy) -> str:
    table = f'on_unavailable = "skip" in [tool.sergas.types.{policy.type}]'
    if policy.on_unavailable:
        return f"It fails because of on_unavailable; {table} would skip it."
    return f"It fails because this is a CI system; {table} would skip it here as well."
