"""One run: what is collected gets its policy, what is reported is recorded, and the record is published.

Three places run this code: the only process of a plain run does everything; with pytest-xdist the workers
collect and apply policies, and the controller records and publishes.
"""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_sergas.config import Loaded
from pytest_sergas.core.policy import Policy
from pytest_sergas.core.records import Outcome, Refusal, RunRecord, TestRecord
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.own import Own, note_modules, unpatched
from pytest_sergas.plugin import foreign, markers
from pytest_sergas.plugin.cancelling import CANCELLING, Cancelling
from pytest_sergas.plugin.coroutines import Coroutines, may_not_run
from pytest_sergas.plugin.durations import KeptDurations, cache_directory
from pytest_sergas.plugin.engines import Engines
from pytest_sergas.plugin.publishing import Sent, create_all, publish_all
from pytest_sergas.plugin.recorder import NOT_CALLED, Recorder
from pytest_sergas.plugin.role import is_controller, is_worker
from pytest_sergas.plugin.starts import Starts
from pytest_sergas.plugin.types import TYPED, Typed, Types, untyped_fault
from pytest_sergas.publishers import Context, Publisher
from pytest_sergas.version import VERSION

if TYPE_CHECKING:
    from pytest_sergas.plugin.budgets import Judging
    from pytest_sergas.plugin.coverage import Coverage
    from pytest_sergas.plugin.measuring import Measuring
    from pytest_sergas.plugin.parallel import Parallel
    from pytest_sergas.plugin.quarantine import Quarantining
    from pytest_sergas.plugin.sharding import ShardOfRun
    from pytest_sergas.plugin.status import Status

_SHARD: pytest.StashKey[ShardOfRun] = pytest.StashKey()


def register(config: pytest.Config, loaded: Loaded, started_s: float) -> None:
    """Register the parts that this process needs: collecting, recording, or both."""
    from pytest_sergas.plugin.folding import Folding, Unfolding
    from pytest_sergas.plugin.relabelling import Relabelling
    from pytest_sergas.plugin.report import Report

    foreign.keep_time(config)
    register = config.pluginmanager.register
    cancelling = config.stash[CANCELLING] = Cancelling(config)
    register(cancelling, "sergas-cancelling")
    cancelling.install()
    cap = loaded.settings.max_retries
    if cap is not None and config.getoption("max_suite_reruns", 0) is None:
        config.option.max_suite_reruns = cap
    if _has_quarantine(config):
        from pytest_sergas.plugin.quarantine import Quarantining

        register(Quarantining(config), "sergas-quarantine")
    kept = None if is_worker(config) else KeptDurations(config, loaded)
    collection = None
    if not is_controller(config):
        collection = Collection(config, loaded)
        register(collection, "sergas-collection")
    if is_worker(config) and collection is not None and config.pluginmanager.hasplugin("_cov"):
        from pytest_sergas.plugin.coverage import Coverage

        register(Coverage(config, collection.types), "sergas-coverage")
    if config.getoption("sergas_shard"):
        _register_shard(config, collection, kept)
    if kept is not None:
        run = Run(config, loaded, collection, kept, started_s)
        register(run, "sergas-run")
        register(Report(run), "sergas-report")
        folding = Folding()
        register(folding, "sergas-folding")
        register(Unfolding(folding), "sergas-unfolding")
        if loaded.settings.measure and is_controller(config):  # elsewhere it comes with the first budget
            register(Relabelling(), "sergas-relabelling")


def _has_quarantine(config: pytest.Config) -> bool:
    sent = "sergas_quarantine" in getattr(config, "workerinput", {})
    return sent or (config.rootpath / "sergas-quarantine.toml").exists()


def _register_shard(config: pytest.Config, collection: Collection | None, kept: KeptDurations | None) -> None:
    from pytest_sergas.plugin.sharding import Sharding, ShardOfRun, asked

    shard = asked(config)
    durations = kept.shared() if kept is not None else b""
    sharding = None
    if collection is not None:
        sharding = Sharding(shard, collection, durations)
        config.pluginmanager.register(sharding, "sergas-sharding")
    if kept is not None:
        config.stash[_SHARD] = ShardOfRun(shard, sharding, durations)
        config.pluginmanager.register(config.stash[_SHARD], "sergas-shard")


def _is_on_terminal(config: pytest.Config) -> bool:
    reporter = config.pluginmanager.getplugin("terminalreporter")
    # While files are collected, the standard output is captured; before that, there is no reporter.
    return bool(sys.stdout.isatty() if reporter is None else reporter.isatty())


class Applier(Protocol):
    """What puts a part of a policy onto an item, once, before anything runs."""

    def assign(self, item: pytest.Item, typed: Typed) -> None: ...


class Collection:
    """Types and policies, wherever tests are collected: in the only process or on a worker."""

    def __init__(self, config: pytest.Config, loaded: Loaded) -> None:
        self._config = config
        self._settings = loaded.settings
        self._engines = Engines(config)
        self._types = Types(loaded, self._engines)
        self._appliers: list[Applier] = []
        if self._engines.timeouts:
            self._guard_with_timeouts(config, loaded)
        if self._engines.retries and (count := foreign.reruns_count(config)) is not None:
            from pytest_sergas.plugin.retries import Retries

            retries = Retries(config, count)
            config.pluginmanager.register(retries, "sergas-retries")
            self._appliers.append(retries)
        self._measuring: Measuring | None = None
        self._judging: Judging | None = None
        if loaded.settings.measure:
            self._measuring = self._measure(config, loaded)
        gated = [kind.value for kind, table in loaded.settings.types.items() if table.enabled and table.gate]
        self.gates = {name: rank for rank, name in enumerate(gated)}
        self.types: dict[str, str] = {}
        self.notes: dict[str, None] = {}
        self.faults: list[str] = []
        self.needs_checks = False
        self._coroutines: set[str] = set()
        self._untyped: list[pytest.Item] = []

    def _guard_with_timeouts(self, config: pytest.Config, loaded: Loaded) -> None:
        from pytest_sergas.plugin.timeouts import CallGuard, Timeouts

        settings = foreign.timeout_settings(config)
        if settings is not None:
            timeouts = Timeouts(config, settings)
            config.pluginmanager.register(timeouts, "sergas-timeouts")
            self._appliers.append(timeouts)
            if not loaded.settings.measure:
                config.pluginmanager.register(CallGuard(), "sergas-call-guard")

    def _measure(self, config: pytest.Config, loaded: Loaded) -> Measuring:
        from pytest_sergas.plugin.budgets import Judging
        from pytest_sergas.plugin.fixture import BenchmarkFixture, is_free
        from pytest_sergas.plugin.measuring import Measuring

        if is_free(config):
            config.pluginmanager.register(BenchmarkFixture(), "sergas-benchmark")
        judging = self._judging = Judging(repeats=self._engines.retries, history=loaded.place(loaded.settings.history))
        measuring = Measuring(judging, children=loaded.settings.measure_children)
        config.pluginmanager.register(measuring, "sergas-measuring")
        self._appliers.append(measuring)  # after the retries, which it adds to
        return measuring

    # Where the parts are there before the tests; where the tests bring them, `start` does the same in two steps.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        self.find(items)
        result = yield
        self.apply(config, items)
        return result

    def find(self, items: Sequence[pytest.Item]) -> None:
        """Find the types, before other plugins have seen ``items``: -m is to see the markers that paths give."""
        self._types.keep(markers.own(self._config))
        for item in items:
            typed = self._types.of(item)
            if typed is None:
                self._untyped.append(item)
            else:
                item.stash[TYPED] = typed

    def apply(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Apply the policies, when it is known which of the ``items`` run.

        Raises:
            pytest.UsageError: something cannot be done as it is asked for.
        """
        self._find_again(items)
        self.faults = self._find_faults(config, items)
        if self.faults:
            if not is_worker(config):
                raise pytest.UsageError(str(ConfigurationError(tuple(self.faults))))
            items.clear()  # the controller ends the run when it reads the plan
        policies: dict[Typed, None] = {}
        for item in items:
            typed = item.stash.get(TYPED, None)
            if typed is not None:
                policies[typed] = None
                self._apply(item, typed)
        self._note_all(policies)
        if self._coroutines:
            config.pluginmanager.register(Coroutines(self._coroutines), "sergas-coroutines")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # Not before: --ff and --nf put their tests first when all others have had the items.
        if self.gates:
            self._set_gates(session.config, session.items)
        if is_worker(session.config):
            from pytest_sergas.plugin.worker import finish_collection

            finish_collection(session, self, self.gates, self._settings.exclusive_wait)
        elif self.needs_checks:
            from pytest_sergas.plugin.dependencies import register_alone

            register_alone(session.config, session.items)

    def _find_again(self, items: Sequence[pytest.Item]) -> None:
        """Find the types of tests that other plugins have marked meanwhile."""
        for item in items:
            if item.own_markers and (typed := self._types.of(item)) is not None:
                item.stash[TYPED] = typed

    def _find_faults(self, config: pytest.Config, items: list[pytest.Item]) -> list[str]:
        faults = list(self._types.faults)
        self.needs_checks = self._types.need_checks
        if self.needs_checks:
            from pytest_sergas.plugin import dependencies

            faults += dependencies.faults(config)
        if self._settings.strict:
            untyped = [item.nodeid for item in self._untyped if TYPED not in item.stash]
            faults += [untyped_fault(untyped)] if untyped else []
        if self._measuring is not None:
            faults += self._measuring.faults(items)
        return faults

    def _apply(self, item: pytest.Item, typed: Typed) -> None:
        node_id = item.nodeid
        self.types[node_id] = typed.policy.type
        if may_not_run(item):
            self._coroutines.add(node_id)
        for applier in self._appliers:
            applier.assign(item, typed)

    def _note_all(self, policies: Iterable[Typed]) -> None:
        for typed in policies:
            self._note(typed.policy)
        if self._types.kept:
            self.notes[markers.kept_note(self._types.kept)] = None
        if self._judging is not None and self._judging.without_history:
            self.notes[_without_history(self._judging.without_history)] = None

    def _note(self, policy: Policy) -> None:
        if self._measuring is None and policy.budgets.any:
            self.notes["budgets are not judged, because measure = false"] = None
        if self._engines.rival and policy.retries:
            self.notes[f"retries are left to the plugin {self._engines.rival!r}, which has its own flaky marker"] = None

    def _set_gates(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        from pytest_sergas.plugin.gate import Gate, put_first

        behind = len(self.gates)
        ranks = [self.gates.get(self.types.get(item.nodeid, ""), behind) for item in items]
        gated = {item.nodeid: rank for item, rank in zip(items, ranks, strict=True) if rank < behind}
        if gated:
            put_first(items, ranks)
        if gated and not is_worker(config):
            config.pluginmanager.register(Gate(gated, self.types), "sergas-gate")


def calls_nothing(config: pytest.Config) -> bool:
    """Whether the session is one that never calls a test, as far as its options tell."""
    return bool(config.getoption("collectonly") or config.getoption("setuponly", default=False))


def is_run(tests: Sequence[TestRecord], exit_status: int, *, collected: int) -> bool:
    """Whether a session that went through its tests has run them.

    A plugin may have other things in mind than to call tests: then all that were set up were not called, or nothing
    at all is known of what was collected, and that is no failure.

    Args:
        collected: how many tests there were.
    """
    if not tests:
        return not collected or exit_status != pytest.ExitCode.OK
    if any(attempt.call_s is not None for test in tests for attempt in test.attempts):
        return True
    return not any(test.last.message == NOT_CALLED and test.outcome is Outcome.SKIPPED for test in tests)


def _without_history(tests: int) -> str:
    noun = "test has" if tests == 1 else "tests have"
    return (
        f"max_regression: {tests} {noun} too little history on this kind of machine, or too few attempts to compare; "
        "measured, not judged"
    )


class Run:
    """The record and its publishers, wherever results arrive: in the only process or on the controller."""

    def __init__(
        self,
        config: pytest.Config,
        loaded: Loaded,
        collection: Collection | None,
        durations: KeptDurations,
        started_s: float,
    ) -> None:
        self._config = config
        self._environ = dict(os.environ)  # as the user gave it, whatever tests make of it
        self._loaded = loaded
        self._durations = durations
        self._types = collection.types if collection is not None else {}
        self._notes = collection.notes if collection is not None else {}
        self._parallel = self._create_parallel() if is_controller(config) else None
        starts = Starts()
        places = str(config.rootpath), str(config.invocation_params.dir)
        self._recorder = Recorder(self._types, starts, *places, each=config.getoption("dist", "no") == "each")
        config.pluginmanager.register(starts, "sergas-starts")
        config.pluginmanager.register(self._recorder, "sergas-recorder")
        status = self._create_status() if _is_on_terminal(config) else None
        if loaded.settings.watchdog and not config.getoption("usepdb", default=False):
            from pytest_sergas.plugin.watchdog import Watchdog

            workers = dict if self._parallel is None else self._parallel.running
            spoken = status.forget if status is not None else lambda: None
            watchdog = Watchdog(loaded.settings.watchdog, self._recorder.running, workers, spoken)
            config.pluginmanager.register(watchdog, "sergas-watchdog")
        self._coverage = self._create_coverage()
        self._quarantining: Quarantining | None = config.pluginmanager.getplugin("sergas-quarantine")
        self._publishers: tuple[Publisher, ...] | None = None
        self._started_s = started_s
        self._stopped = ""
        self._looped = False
        self._turn, self._published = threading.Lock(), False
        self.sent: tuple[Sent, ...] = ()
        self.refused: tuple[Refusal, ...] = ()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        self._create_publishers()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        # Where nobody configured us, we were not there yet when the session started.
        self._create_publishers()
        note_modules()
        self._looped = True

    def _create_coverage(self) -> Coverage | None:
        if not self._config.pluginmanager.hasplugin("_cov"):
            return None
        from pytest_sergas.plugin.coverage import Coverage

        types = self._loaded.settings.types
        least = [kind.value for kind, table in types.items() if table.enabled and table.least_coverage]
        coverage = Coverage(self._config, self._types, least)
        self._config.pluginmanager.register(coverage, "sergas-coverage")
        return coverage

    def _create_parallel(self) -> Parallel:
        from pytest_sergas.plugin.parallel import Parallel

        parallel = Parallel(self._config, self._types, self._notes, self._durations.history)
        self._config.pluginmanager.register(parallel, "sergas-parallel")
        return parallel

    def _create_status(self) -> Status | None:
        from pytest_sergas.plugin.status import Status, wanted

        if not wanted(self._config, self._environ):
            return None
        alone = self._parallel.exclusive if self._parallel is not None else lambda _: frozenset()
        status = Status(self._types, self._durations.history, alone)
        self._config.pluginmanager.register(status, "sergas-status")
        return status

    def _create_publishers(self) -> None:
        if self._config.pluginmanager.hasplugin("pytest_sergas.plugin.trial"):
            return  # part of a run that publishes
        if self._publishers is None and not calls_nothing(self._config):
            try:
                self._publishers = create_all(self._context())
            except ConfigurationError as error:
                raise pytest.UsageError(str(error)) from error

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._stopped = str(excinfo.value) or excinfo.typename

    @property
    def is_publishing(self) -> bool:
        """Whether the run is published, or about to be."""
        return self._published or self._turn.locked()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.publish(session, exitstatus)

    def publish(self, session: pytest.Session, exitstatus: int) -> None:
        """Publish the run, once: a second call waits for the first one, which may be on another thread."""
        with self._turn:
            if not self._published:
                self._published = True
                self._publish(session, exitstatus)

    def _publish(self, session: pytest.Session, exitstatus: int) -> None:
        # One that is interrupted while it collects would have been a run.
        begun = self._looped or bool(self._stopped)
        if self._publishers is None or not begun or exitstatus == pytest.ExitCode.USAGE_ERROR:
            return
        tests, unfinished = self._recorder.finish()
        if not is_run(tests, exitstatus, collected=session.testscollected):
            return
        with unpatched():
            run = self._record(session, tests, unfinished)
            deadline_s = self._loaded.settings.publish_deadline
            cancelling = self._config.stash[CANCELLING]
            if cancelling.name:
                deadline_s = min(deadline_s, cancelling.publish_s)
            self.sent = publish_all(self._publishers, run, deadline_s)

    def _context(self) -> Context:
        junit = self._config.getoption("xmlpath", None)
        program = self._config.getoption("sergas_program", None)
        return Context(
            settings=self._loaded.settings,
            environ=self._environ,
            root=self._loaded.root,
            rootdir=self._config.rootpath,
            invocation=self._config.invocation_params.dir,
            # As pytest itself reads it: relative to where the command was typed, ~ and variables filled in.
            junit_path=Path(os.path.expandvars(junit)).expanduser().absolute() if junit else None,
            junit_prefix=self._config.getoption("junitprefix", None) or "",
            sources=self._loaded.sources,
            cache=cache_directory(self._config),
            record=Path(program, "run.ctrf.json") if program else None,
        )

    def _detect(self, session: pytest.Session, tests: Sequence[TestRecord]) -> frozenset[str]:
        """Try new tests again, if that is asked for; return the node ids of those that are not steady."""
        if not self._config.getoption("sergas_detect_flaky"):
            return frozenset()
        from pytest_sergas.plugin.detection import detect

        known = self._durations.history().durations.keys()
        try:
            found = detect(self._config, tests, known, self._environ, self._started_s)
        except KeyboardInterrupt:
            # The tests have run: their record and their failures are there, as after any interruption.
            self._config.hook.pytest_keyboard_interrupt(excinfo=pytest.ExceptionInfo.from_current())
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            self._notes["detect-flaky: interrupted; what was tried until then is not judged"] = None
            return frozenset()
        self._notes.update(dict.fromkeys(found.notes))
        return found.unsteady

    def _refuse(self, tests: Sequence[TestRecord], unsteady: frozenset[str]) -> tuple[Refusal, ...]:
        """Return why the run fails, whatever its tests say."""
        types = self._loaded.settings.types
        allowed = {kind.value: limit for kind, table in types.items() if (limit := table.flaky_allowed) is not None}
        refused: list[Refusal] = []
        if self._quarantining is not None:
            from pytest_sergas.core.quarantine import surely_gone
            from pytest_sergas.plugin.quarantine import is_whole

            unmatched = self._quarantining.unmatched if self._parallel is None else self._parallel.unmatched
            found = surely_gone(unmatched, (test.node_id for test in tests if "::" not in test.node_id))
            refused += self._quarantining.quarantine.refused(found if is_whole(self._config) else ())
        if allowed:
            from pytest_sergas.core.acceptance import too_flaky

            refused += too_flaky(tests, allowed, unsteady)
        return tuple(refused)

    def _least_coverage(self, tests: Sequence[TestRecord]) -> dict[str, float]:
        types = self._loaded.settings.types
        least = {kind.value: limit for kind, table in types.items() if (limit := table.least_coverage)}
        return {name: limit for name, limit in least.items() if any(test.type == name for test in tests)}

    def _refuse_coverage(self, tests: Sequence[TestRecord], coverage: Mapping[str, float]) -> tuple[Refusal, ...]:
        if self._coverage is None or not self._coverage.is_whole or not (least := self._least_coverage(tests)):
            return ()
        from pytest_sergas.core.acceptance import too_little_covered

        return too_little_covered(coverage, least, self._coverage.unknown)

    def _notes_on_coverage(self, tests: Sequence[TestRecord]) -> list[str]:
        if self._coverage is not None and not self._coverage.is_off:
            return self._coverage.notes
        least = self._least_coverage(tests)
        return [f"min_coverage of {', '.join(least)} is not judged: nobody measures; add --cov"] if least else []

    def _keep_history(self, tests: Sequence[TestRecord], branch: str) -> tuple[str, list[str]]:
        """Keep what the tests with relative budgets took.

        Returns:
            the kind of this machine, "" where there is no such test; and what there is to say about the history.
        """
        if not any(test.last.measured is not None and test.last.measured.uses for test in tests):
            return "", []
        from pytest_sergas.core.baselines import has_budget

        if not any(map(has_budget, tests)):
            return "", []
        from pytest_sergas.plugin import baselines

        path = baselines.place(self._config, self._loaded.place(self._loaded.settings.history), make=True)
        return baselines.machine(), baselines.record(path, tests, branch) if path is not None else []

    def _record(self, session: pytest.Session, tests: tuple[TestRecord, ...], unfinished: tuple[str, ...]) -> RunRecord:
        from pytest_sergas.plugin.environment import describe

        if self._parallel is not None:
            tests = self._parallel.marked(tests)
        if self._quarantining is not None:
            tests = self._quarantining.quarantine.applied(tests)
        finished_s = Own.wall_s()
        gave_up = foreign.given_up(self._config) if self._parallel is not None else ""
        stopped = str(session.shouldfail or session.shouldstop or self._stopped or gave_up)
        complete = not stopped and not unfinished
        # Who has stopped a run does not wait for more of it.
        unsteady = frozenset() if stopped else self._detect(session, tests)
        stopped = stopped or self._stopped
        notes = [*self._notes]
        if self._parallel is not None:
            notes.extend(self._parallel.notes(tests, finished_s - self._started_s, complete=complete))
        shard = self._config.stash.get(_SHARD, None)
        coverage = self._coverage.percentages(tests) if self._coverage is not None else {}
        self.refused = (*self._refuse(tests, unsteady), *self._refuse_coverage(tests, coverage))
        notes.extend(self._notes_on_coverage(tests))
        if self.refused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._durations.record(tests, complete=complete)
        notes.extend(self._durations.notes)
        dependencies = self._config.pluginmanager.get_plugin("sergas-dependencies")
        environment = describe(self._config.rootpath, self._environ)
        machine, said = self._keep_history(tests, environment.branch)
        notes.extend(said)
        return RunRecord(
            run_id=uuid.uuid4().hex,
            project=self._loaded.settings.project,
            started_s=self._started_s,
            finished_s=finished_s,
            tests=tests,
            exit_status=int(session.exitstatus),
            stopped=stopped,
            unfinished=unfinished,
            collected=session.testscollected,
            workers=len(self._recorder.workers),
            environment=replace(environment, machine=machine) if machine else environment,
            notes=tuple(dict.fromkeys([*notes, *foreign.lost(self._config)])),
            refused=self.refused,
            coverage=coverage,
            version=VERSION,
            shard=str(shard or ""),
            split=shard.split if shard is not None else "",
            dependencies=tuple(dependencies.known.values()) if dependencies is not None else (),
        )
