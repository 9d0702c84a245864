"""``--sergas-detect-flaky``: new tests are tried again when the run is over, each trial in a process of its own.

A trial is a run of pytest with the options of this one, but without workers and coverage, of the tests that the plugin
`trial` is given; `trial_command` leads it past the files of this run. Whether this process collects or only controls
workers makes no difference.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pytest_sergas.core.detection import Nature, Tried, alone_needed, chosen, expected_trials, trials
from pytest_sergas.core.records import FAILURES, SUCCESSES, Outcome, TestRecord
from pytest_sergas.own import IMPORTED_S, Own
from pytest_sergas.plugin import trial, trial_command
from pytest_sergas.plugin.trial_progress import TrialProgress

MOST = 100
# For a trial that hangs: start-up; the whole run once more, which collected and had all fixtures; and each test many
# times as long as it took.
_SPARE_S = 120.0
_RUNS = 2.0
_TIMES = 20.0
# For a trial that is interrupted, to tear down its fixtures.
_END_S = 1.0
_LOOK_S = 0.2
# A file system may keep times that lag a little behind the clock.
_LAG_S = 0.02


@dataclass(frozen=True, slots=True)
class Found:
    """What the trials have shown.

    Attributes:
        unsteady: the tests that are flaky or depend on the order.
        notes: what the summary says.
    """

    unsteady: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def detect(
    config: pytest.Config,
    tests: Sequence[TestRecord],
    known: Collection[str],
    environ: Mapping[str, str],
    started_s: float,
) -> Found:
    """Try tests that are new, or that the command line names.

    Args:
        tests: of the run that is over.
        known: the node ids of earlier runs.
        environ: of the run, as the user gave it.
        started_s: when the run began, in seconds since the Unix epoch.

    Raises:
        KeyboardInterrupt: the user or a signal has stopped the trials; none of their processes is left.
    """
    judged = (SUCCESSES | FAILURES) - {Outcome.CRASHED, Outcome.XFAILED, Outcome.XPASSED}
    ran = {test.node_id: test.duration_s for test in tests if test.outcome in judged and "::" in test.node_id}
    selects = bool(config.getoption("keyword", "")) or any("::" in argument for argument in config.args)
    names, note = chosen(ran, known, selects=selects, most=MOST)
    notes = [note] if note else []
    tried: dict[str, Tried] = {}
    if names:
        try:
            tried, faults = _try(config, {name: ran[name] for name in names}, environ, started_s)
        except OSError as error:
            faults = [f"detect-flaky: trials cannot be run: {error}"]
        notes += faults
    notes += [f"detect-flaky: {name}: {one}" for name, one in tried.items() if one.nature is not Nature.STEADY]
    if tried and all(one.nature is Nature.STEADY for one in tried.values()):
        notes.append(f"detect-flaky: {len(tried)} {'test was' if len(tried) == 1 else 'tests were'} tried, and steady")
    unsteady = {name for name, one in tried.items() if one.nature not in {Nature.STEADY, Nature.BROKEN}}
    return Found(frozenset(unsteady), tuple(notes))


def _try(
    config: pytest.Config, seconds: Mapping[str, float], environ: Mapping[str, str], started_s: float
) -> tuple[dict[str, Tried], list[str]]:
    """Return node id → its trials, and the first fault that there was."""
    progress = TrialProgress(config, environ)
    try:
        with tempfile.TemporaryDirectory(prefix="sergas-", ignore_cleanup_errors=True) as name:
            directory = Path(name)
            tester = _Tester(
                directory,
                seconds,
                trial_command.command(config, environ, directory, IMPORTED_S - _LAG_S),
                trial_command.environment(environ, directory),
                config.invocation_params.dir,
                {name: str(config.rootpath / name.partition("::")[0]) for name in seconds},
                environ.get("PYTEST_ADDOPTS"),
                _SPARE_S + _RUNS * (Own.wall_s() - started_s),
                progress,
            )
            return tester.try_all(), tester.faults
    finally:
        progress.close()


@dataclass(slots=True)
class _Tester:
    directory: Path
    seconds: Mapping[str, float]
    command: Sequence[str]
    environ: Mapping[str, str]
    folder: Path
    files: Mapping[str, str]
    addopts: str | None
    spare_s: float
    progress: TrialProgress
    faults: list[str] = field(default_factory=list)
    number: int = 0

    def try_all(self) -> dict[str, Tried]:
        """Return node id → its trials, of the tests that could be tried."""
        tried = dict.fromkeys(self.seconds, Tried())
        wanted = {name: trials(seconds) for name, seconds in self.seconds.items()}
        for number in range(max(wanted.values())):
            order = [name for name in wanted if wanted[name] > number]
            random.shuffle(order)
            for name, passed in self._run(order, expected_trials(tried, wanted)).items():
                tried[name] = replace(tried[name], together=tried[name].together.and_one(passed=passed))
        for name, number in wanted.items():
            while alone_needed(tried[name], number):
                found = self._run([name], expected_trials(tried, wanted))
                if name not in found:  # skipped, for once
                    break
                tried[name] = replace(tried[name], alone=tried[name].alone.and_one(passed=found[name]))
        return {name: one for name, one in tried.items() if one != Tried()}

    def _run(self, order: Sequence[str], expected: int) -> dict[str, bool]:
        """Run tests in this order; return node id → whether it passed."""
        (self.directory / trial.RESULTS).unlink(missing_ok=True)
        files = tuple(dict.fromkeys(self.files[name] for name in order))
        trial.Plan(order, files, self.addopts).write(self.directory)
        limit_s = self.spare_s + _TIMES * sum(self.seconds[name] for name in order)
        self.number += 1
        text = f"trial {self.number} of {expected}"
        output = self.directory / "output.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603  pytest itself, with the arguments that it was given
                self.command,
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # neither the terminal's Ctrl-C nor its input is the trial's
            )
        try:
            is_over = self._wait(process, limit_s, f"{text}: ", len(order))
        finally:
            _end(process)
        if not is_over:
            self._fault(f"a trial did not end within {limit_s:.0f} s")
            return {}
        told = trial.Told.read(self.directory)
        if told.fault is None:
            last = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            self._fault(f"a trial ended with status {process.returncode}: {''.join(last)}")
        elif told.fault:
            self._fault(f"a trial was broken off: {told.fault}")
        return {} if told.fault != "" else {name: told.passed[name] for name in order if name in told.passed}

    def _wait(self, process: subprocess.Popen[bytes], limit_s: float, text: str, tests: int) -> bool:
        """Wait for the end and show what is done meanwhile; return whether it came in time."""
        end_s = Own.monotonic() + limit_s
        while (left_s := end_s - Own.monotonic()) > 0:
            done = len(trial.Told.read(self.directory).passed)
            self.progress.show(f"{text}{done} of {tests} {'test' if tests == 1 else 'tests'}")
            try:
                process.wait(min(_LOOK_S, left_s))
            except subprocess.TimeoutExpired:
                continue
            return True
        return False

    def _fault(self, text: str) -> None:
        if not self.faults:  # the first says it
            self.faults.append(f"detect-flaky: {text}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a trial that has not ended, and everything that it has started."""
    try:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
    finally:
        if sys.platform == "win32":
            process.kill()
        else:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
