"""``--sergas-detect-flaky``: new tests are tried again when the run is over, each trial in a process of its own.

A trial is a run of pytest with the options of this one, but without workers and coverage, of the tests that the plugin
`trial` is told. Whether this process collects or only controls workers makes no difference.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pytest_sergas.core.detection import Nature, Tried, alone_needed, chosen, trials
from pytest_sergas.core.records import FAILURES, SUCCESSES, Outcome, TestRecord
from pytest_sergas.plugin import trial

MOST = 100
# For a trial that hangs: start-up, and each test many times as long as it took.
_SPARE_S = 120.0
_TIMES = 20.0


@dataclass(frozen=True, slots=True)
class Found:
    """What the trials have shown.

    Attributes:
        unsteady: the tests that are flaky or depend on the order.
        notes: what the summary says.
    """

    unsteady: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def detect(config: pytest.Config, tests: Sequence[TestRecord], known: Collection[str]) -> Found:
    """Try tests that are new, or that the command line names.

    Args:
        tests: of the run that is over.
        known: the node ids of earlier runs.
    """
    judged = (SUCCESSES | FAILURES) - {Outcome.CRASHED, Outcome.XFAILED, Outcome.XPASSED}
    ran = {test.node_id: test.duration_s for test in tests if test.outcome in judged and "::" in test.node_id}
    selects = bool(config.getoption("keyword", "")) or any("::" in argument for argument in config.args)
    names, note = chosen(ran, known, selects=selects, most=MOST)
    notes = [note] if note else []
    tried: dict[str, Tried] = {}
    if names:
        with tempfile.TemporaryDirectory(prefix="sergas-") as directory:
            tester = _Tester(config, Path(directory), {name: ran[name] for name in names})
            tried = tester.try_all()
            notes += tester.faults
    notes += [f"detect-flaky: {name}: {one}" for name, one in tried.items() if one.nature is not Nature.STEADY]
    if tried and all(one.nature is Nature.STEADY for one in tried.values()):
        notes.append(f"detect-flaky: {len(tried)} {'test was' if len(tried) == 1 else 'tests were'} tried, and steady")
    unsteady = {name for name, one in tried.items() if one.nature not in {Nature.STEADY, Nature.BROKEN}}
    return Found(frozenset(unsteady), tuple(notes))


@dataclass(slots=True)
class _Tester:
    config: pytest.Config
    directory: Path
    seconds: Mapping[str, float]
    faults: list[str] = field(default_factory=list)

    def try_all(self) -> dict[str, Tried]:
        """Return node id → its trials, of the tests that could be tried."""
        tried = dict.fromkeys(self.seconds, Tried())
        wanted = {name: trials(seconds) for name, seconds in self.seconds.items()}
        for number in range(max(wanted.values())):
            order = [name for name in wanted if wanted[name] > number]
            random.shuffle(order)
            for name, passed in self._run(order).items():
                tried[name] = replace(tried[name], together=tried[name].together.and_one(passed=passed))
        for name, number in wanted.items():
            while alone_needed(tried[name], number):
                found = self._run([name])
                if name not in found:  # skipped, for once
                    break
                tried[name] = replace(tried[name], alone=tried[name].alone.and_one(passed=found[name]))
        return {name: one for name, one in tried.items() if one != Tried()}

    def _run(self, order: Sequence[str]) -> dict[str, bool]:
        """Run tests in this order; return node id → whether it passed."""
        results = self.directory / trial.RESULTS
        results.unlink(missing_ok=True)
        (self.directory / trial.ORDER).write_text(json.dumps(order), encoding="ascii")
        limit_s = _SPARE_S + _TIMES * sum(self.seconds[name] for name in order)
        try:
            done = subprocess.run(  # noqa: S603  pytest itself, with the arguments that it was given
                [*self._command(), *dict.fromkeys(self._file(name) for name in order)],
                cwd=self.config.invocation_params.dir,
                env={**os.environ, trial.VARIABLE: str(self.directory)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._fault(f"a trial did not end within {limit_s:.0f} s")
            return {}
        if not results.exists() or done.returncode not in {0, 1}:
            last = done.stdout.decode(errors="replace").strip().splitlines()[-1:]
            self._fault(f"a trial ended with status {done.returncode}: {''.join(last)}")
            return {}
        found: dict[str, bool] = json.loads(results.read_text(encoding="ascii"))
        return {name: passed for name, passed in found.items() if name in self.seconds}

    def _fault(self, text: str) -> None:
        if not self.faults:  # the first says it
            self.faults.append(f"detect-flaky: {text}")

    def _file(self, name: str) -> str:
        return str(self.config.rootpath / name.partition("::")[0])

    def _command(self) -> list[str]:
        """Return this run's command without its tests, and with what a trial does differently; later options win."""
        config, own = self.config, {"--sergas-detect-flaky"}
        if config.args_source is pytest.Config.ArgsSource.ARGS:
            own |= set(config.args)
        kept = [argument for argument in config.invocation_params.args if str(argument) not in own]
        changed = ["-p", trial.NAME, "-o", f"cache_dir={self.directory / 'cache'}", "--maxfail=0", "-k", "", "-m", ""]
        has = config.pluginmanager.hasplugin
        changed += ["-n0", "--dist=no"] if has("xdist") else []
        changed += ["--no-cov"] if has("pytest_cov") else []
        changed += ["--sergas-shard=1/1"] if config.getoption("sergas_shard") else []
        changed += [f"--junitxml={self.directory / 'junit.xml'}"] if config.getoption("xmlpath", None) else []
        return [sys.executable, "-m", "pytest", *map(str, kept), *changed]
