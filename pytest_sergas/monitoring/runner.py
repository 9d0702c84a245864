"""`TestRunner`: the tests of a type, run by pytest in a process of its own.

    suite → command line → process → events (progress) and a CTRF file → SuiteResults

The process has a session of its own; when the call is cancelled, or fails, it ends with everything that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import uuid
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pytest_sergas.config import load
from pytest_sergas.config.program import RECORD, Program
from pytest_sergas.core import kinds
from pytest_sergas.core.ctrf_reading import from_json
from pytest_sergas.core.records import AttemptRecord, Outcome, RunRecord, TestRecord, TestType, final_outcome
from pytest_sergas.core.text import keep_end, printable
from pytest_sergas.errors import ConfigurationError, SergasError
from pytest_sergas.monitoring import covered
from pytest_sergas.monitoring.arguments import RETRIES, TIMEOUT, WORKERS, checked
from pytest_sergas.monitoring.suites import Progress, SuiteResults, TestSuite, summary
from pytest_sergas.version import VERSION

STOP_S = 5.0
_OUTPUT_LIMIT_BYTES = 64 * 1024
_VARIABLE = "SERGAS_PROGRESS"  # of plugin/progress.py
_LINE_LIMIT_BYTES = 1024 * 1024
# What the surrounding run, if there is one, says to its own processes.
_NOT_INHERITED = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")
_USAGE_ERROR, _NO_TESTS = 4, 5

Callback = Callable[[Progress], None]
Report = Callable[[tuple[SuiteResults, ...]], Awaitable[None]]


class Checks(Protocol):
    """Whose checks count for the ``dependencies`` of tests."""

    async def for_tests(self) -> tuple[list[dict[str, object]], dict[str, tuple[str, str]]]:
        """Return entries of ``[[checks]]``; and name → status and message of checks that are no such entries."""


async def _nobody(results: tuple[SuiteResults, ...]) -> None:
    del results


class RunError(SergasError):
    """pytest could not begin; the text has the end of what it printed."""


class TestRunner:
    """Runs suites of tests, one after the other, each by as many workers as it may have.

    Args:
        max_workers: the most that a suite has.
        root: the directory in which pytest is started; default: the current one.
        timeout: seconds for each attempt at a test, for suites that say nothing; 0 for none.
        retries: how often a failed test is repeated, for suites that say nothing.
        arguments: more of them for pytest.
    """

    __test__ = False

    def __init__(
        self,
        max_workers: int = 4,
        *,
        root: Path | str | None = None,
        timeout: float | str | None = None,
        retries: int | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        given = {"max_workers": (WORKERS, max_workers), "timeout": (TIMEOUT, timeout), "retries": (RETRIES, retries)}
        found = checked("TestRunner", given)
        self.max_workers: int = found["max_workers"]
        self.root = Path(root or Path.cwd()).absolute()
        self.timeout: float | None = found["timeout"]
        self.retries: int | None = found["retries"]
        self.arguments = tuple(arguments)
        self._suites: dict[TestType, TestSuite] = {}
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()
        self._says: Mapping[str, Any] | None = None
        self._checker: Checks | None = None
        self._report: Report = _nobody
        self.latest: tuple[SuiteResults, ...] = ()

    def of_system(self, says: Mapping[str, Any], checker: Checks, report: Report) -> None:
        """Become the runner of a system.

        Args:
            says: its settings of runs, which count like those of ``sergas.toml``.
            checker: its checks, which count for ``dependencies`` of tests.
            report: takes every run.
        """
        self._says, self._checker, self._report = says, checker, report

    def __init_subclass__(cls) -> None:
        cls.__test__ = True

    @property
    def suites(self) -> Sequence[TestSuite]:
        """The suites, in the order in which they were registered."""
        return tuple(self._suites.values())

    def register_suite(self, suite: TestSuite) -> None:
        """Add a suite.

        Raises:
            ConfigurationError: there is one of its type or its name, or its paths do not exist.
        """
        if (other := self._suites.get(suite.test_type)) is not None:
            kind = suite.test_type.value
            fault = f"there is a suite of the type {kind!r} already, {other.name!r}; give that one more paths"
            raise ConfigurationError((f"TestSuite({suite.name!r}): {fault}",))
        if (other := next((one for one in self.suites if one.name == suite.name), None)) is not None:
            # The results of both would have one name.
            fault = f"there is a suite of this name already, of the type {other.test_type.value!r}; name one otherwise"
            raise ConfigurationError((f"TestSuite({suite.name!r}): {fault}",))
        if faults := self._path_faults(suite):
            raise ConfigurationError(faults)
        self._suites[suite.test_type] = suite

    async def run_suite(self, test_type: TestType | str, progress: Callback | None = None) -> SuiteResults:
        """Run the tests of one type and return what came of them, also when pytest died halfway.

        Args:
            test_type: whose suite; one that was not registered has the defaults.
            progress: called on the event loop for every test that has ended.

        Raises:
            ConfigurationError: the suite or the configuration cannot be used.
            RunError: pytest could not begin.
        """
        known = TestType(test_type)
        suite = self._suites.get(known) or TestSuite(known.value, known)
        results = await self._run(suite, progress)
        await self._finish((results,))
        return results

    async def run_comprehensive_tests(self, progress: Callback | None = None) -> dict[str, Any]:
        """Run all suites, or every test where none is registered, and return the documented summary.

        Returns:
            ``summary`` (``total``, ``passed``, ``failed``, ``skipped``, ``flaky``, ``success_rate`` in percent,
            ``by_status``, ``duration`` in seconds, ``coverage`` in percent or None), ``by_type`` with the same figures
            for each type, and ``results``: name of the suite → its tests as in CTRF. All of it is plain data for JSON;
            `latest` has the records.

        Raises:
            ConfigurationError, RunError: as `run_suite`.
        """
        suites: Sequence[TestSuite | None] = self.suites or (None,)
        await self._finish(tuple([await self._run(suite, progress) for suite in suites]))
        return summary(self.latest)

    async def _finish(self, results: tuple[SuiteResults, ...]) -> None:
        self.latest = results
        await self._report(results)

    def _path_faults(self, suite: TestSuite) -> tuple[str, ...]:
        faults = []
        for path in suite.paths:
            if not Path(self.root, path).exists():
                siblings = [entry.name for entry in Path(self.root, path).parent.glob("*")]
                near = kinds.nearest(Path(path).name, siblings)
                hint = f"; did you mean {Path(path).with_name(near).as_posix()!r}?" if near else ""
                faults.append(
                    f"TestSuite({suite.name!r}): paths = {str(path)!r}: does not exist below {self.root.name}{hint}"
                )
        return tuple(faults)

    async def _run(self, suite: TestSuite | None, progress: Callback | None) -> SuiteResults:
        # One after the other in an event loop; a program may run several loops, one after the other.
        async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if suite is not None and (faults := self._path_faults(suite)):
                raise ConfigurationError(faults)
            with tempfile.TemporaryDirectory(prefix="sergas-run-") as directory:
                program = await self._program()
                program.write(Path(directory))
                command = self._command(suite, Path(directory), program)
                return await _Run(suite, command, Path(directory), self.root).run(progress)

    async def _program(self) -> Program:
        """Return what pytest is to lay over the configuration that it finds."""
        if self._says is None or self._checker is None:
            return Program()
        # As general settings, which those of a type come before, and not as options, which come before these.
        general = {"timeout": self.timeout, "retries": self.retries}
        says = {**self._says, **{key: value for key, value in general.items() if value is not None}}
        entries, found = await self._checker.for_tests()
        configured = self._says.get("checks", ())
        names = {entry["name"] for entry in entries}
        checks = [entry for entry in configured if entry.get("name", entry.get("type")) not in names]
        runs = {key: value for key, value in says.items() if key != "checks"}
        return Program(runs, (*checks, *entries), found)

    def _command(self, suite: TestSuite | None, directory: Path, program: Program) -> list[str]:
        command = [sys.executable, "-m", "pytest", "-p", "pytest_sergas.plugin.progress"]
        command.append(f"--sergas-program={directory}")
        of_all = (None, None) if self._says is not None else (self.timeout, self.retries)
        timeout = suite.timeout if suite is not None and suite.timeout is not None else of_all[0]
        retries = suite.retries if suite is not None and suite.retries is not None else of_all[1]
        command += [] if timeout is None else [f"--timeout={float(timeout):g}"]
        command += [] if retries is None else [f"--reruns={retries}"]
        workers = self.max_workers if suite is None else min(suite.max_workers or self.max_workers, self.max_workers)
        command += ["-n", str(workers)] if workers > 1 and (suite is None or suite.parallel) else ["-n", "0"]
        if suite is not None:
            command += ["-m", self._marker(suite.test_type, program)]
            command += [word for source in suite.coverage for word in (f"--cov={source}",)]
            command += [f"--cov-report=json:{directory / 'coverage.json'}"] if suite.coverage else []
        return [*command, *self.arguments, *(str(path) for path in (suite.paths if suite is not None else ()))]

    def _marker(self, test_type: TestType, program: Program) -> str:
        table = load(self.root, environ=os.environ, program=program).settings.types[test_type]
        if not table.enabled:
            fault = f"types.{test_type.value} = false: the type is disabled here, so that it has no tests to run"
            raise ConfigurationError((fault,))
        return table.marker


@dataclass(slots=True)
class _Told:
    """What a run has told so far."""

    total: int = 0
    running: dict[str, float] = field(default_factory=dict)
    ended: dict[str, TestRecord] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any], test_type: str) -> Progress | None:
        """Take one event; return what is to be said about it."""
        if "collected" in event:
            self.total = event["collected"]
            return Progress("", None, len(self.ended), self.total)
        if "began" in event:
            self.running[event["began"]] = time.time()
            return None
        node_id, outcome = event["ended"], Outcome(event["outcome"])
        started_s = self.running.pop(node_id, time.time())
        attempt = AttemptRecord(outcome, started_s, call_s=event["duration"], message=event["message"])
        self.ended[node_id] = TestRecord(
            node_id, test_type, final_outcome([outcome]), (attempt,), node_id.partition("::")[0]
        )
        return Progress(node_id, outcome, len(self.ended), self.total)

    def lost(self, test_type: str, why: str) -> tuple[TestRecord, ...]:
        """Return the tests that ended, and those that the end of the process interrupted, as crashed."""
        crashed = (
            TestRecord(
                node_id,
                test_type,
                Outcome.CRASHED,
                (AttemptRecord(Outcome.CRASHED, started_s, message=why),),
                node_id.partition("::")[0],
            )
            for node_id, started_s in self.running.items()
        )
        return (*self.ended.values(), *crashed)


class _Run:
    """One process."""

    def __init__(self, suite: TestSuite | None, command: Sequence[str], directory: Path, root: Path) -> None:
        self._suite = suite
        self._command = command
        self._directory = directory
        self._root = root
        self._told = _Told()
        self._started_s = time.time()

    async def run(self, progress: Callback | None) -> SuiteResults:
        receiving, sending = os.pipe()
        environ = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        environ |= {_VARIABLE: str(sending), "COVERAGE_FILE": str(self._directory / "coverage")}
        with (self._directory / "output").open("wb") as output, os.fdopen(receiving, "rb", buffering=0) as pipe:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    cwd=self._root,
                    env=environ,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=(sending,),
                    start_new_session=True,
                )
            finally:
                os.close(sending)
            try:
                await self._follow(pipe, process, progress)
            finally:
                await _end(process)
        return self._results(process.returncode or 0)

    async def _follow(self, pipe: Any, process: asyncio.subprocess.Process, progress: Callback | None) -> None:
        """Take the events until the process ends."""
        reader = asyncio.StreamReader(limit=_LINE_LIMIT_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        reading = asyncio.create_task(self._read(reader, progress))
        waiting = asyncio.create_task(process.wait())
        try:
            # What a test has left behind may hold the pipe open for ever: the end of the process is what counts.
            await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()  # who is told of the progress may have raised
            await waiting
            if not reading.done():
                await asyncio.wait({reading}, timeout=STOP_S)
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
            waiting.cancel()
            await asyncio.gather(reading, waiting, return_exceptions=True)
            transport.close()

    async def _read(self, reader: asyncio.StreamReader, progress: Callback | None) -> None:
        while line := await reader.readline():
            said = self._told.take(json.loads(line), self._type)
            if said is not None and progress is not None:
                progress(said)

    @property
    def _type(self) -> str:
        return self._suite.test_type.value if self._suite is not None else "untyped"

    def _results(self, status: int) -> SuiteResults:
        output = _tail(self._directory / "output")
        if status == _USAGE_ERROR:
            raise RunError(f"pytest could not begin (exit status {status}):\n{keep_last_lines(output, 20)}")
        file = self._directory / RECORD
        run = from_json(file.read_bytes()) if file.exists() else self._unwritten(status)
        return SuiteResults(self._suite, run, covered.read(self._directory / "coverage.json"), output)

    def _unwritten(self, status: int) -> RunRecord:
        """Return what is known of a run whose process did not live to write it."""
        stopped = "" if status in {0, _NO_TESTS} else f"pytest died: {_cause(status)}"
        return RunRecord(
            uuid.uuid4().hex,
            self._root.name,
            self._started_s,
            time.time(),
            tests=self._told.lost(self._type, stopped),
            exit_status=status,
            stopped=stopped,
            collected=self._told.total,
            version=VERSION,
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process with everything that it started: asked first, killed when it does not listen."""
    import psutil

    started: set[psutil.Process] = set()

    def look() -> None:
        with contextlib.suppress(psutil.Error):
            started.update(psutil.Process(process.pid).children(recursive=True))

    if process.returncode is None:
        look()
        _signal(process.pid, "SIGINT")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), STOP_S)
    if process.returncode is None:
        _signal(process.pid, "SIGSTOP")  # so that nothing is started after the second look
        look()
    # Also after a good end: a worker, or what a test forgot, may live on in the group.
    _signal(process.pid, "SIGKILL")
    for child in started:
        with contextlib.suppress(psutil.Error):
            child.kill()
    if sys.platform == "win32":  # which has no groups
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


def _signal(group: int, name: str) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.Signals[name])


def _cause(status: int) -> str:
    if status < 0:
        return f"signal {-status} ({signal.Signals(-status).name})"
    return f"exit status {status}"


def _tail(file: Path) -> str:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _OUTPUT_LIMIT_BYTES))
        return printable(opened.read().decode("utf-8", "replace"))


def keep_last_lines(text: str, number: int) -> str:
    """Return the last lines of ``text``, each of at most 200 columns."""
    return "\n".join(keep_end(line, 200) for line in text.strip().splitlines()[-number:])
