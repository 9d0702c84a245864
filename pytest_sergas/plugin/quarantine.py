"""Quarantine: a failure is masked when it is final, wherever its report is first seen.

That is behind pytest-rerunfailures, which has to see failures in order to repeat them, and before everybody who counts
them: pytest itself for ``-x`` and the exit status, pytest-xdist, gates. To all of them it looks like an expected
failure; what it was goes with the report to the recorder.

The controller reads the file, and sends it to its workers with the day: all of them go by the same.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest

from pytest_sergas.config.quarantine import read
from pytest_sergas.core.quarantine import FILE, Mode, Quarantine
from pytest_sergas.core.records import MASKED
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.plugin.durations import selects
from pytest_sergas.plugin.foreign import failed_subtests

_INPUT = "sergas_quarantine"


class Quarantining:
    """Masks failures, and skips what is not to run.

    Attributes:
        unmatched: what the entries name that was not collected here; empty on a controller.

    Raises:
        pytest.UsageError: the file cannot be used.
    """

    def __init__(self, config: pytest.Config) -> None:
        workerinput: dict[str, Any] = getattr(config, "workerinput", {})
        self._source = workerinput.get(_INPUT) or _read(config)
        text, today = self._source
        try:
            self.quarantine = Quarantine(read(text), today)
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error
        self.unmatched: tuple[str, ...] = ()
        self._config = config
        self._failed_subtests: dict[str, int] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_INPUT] = self._source

    # Before anything is deselected.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        self.unmatched = self.quarantine.unmatched(item.nodeid for item in items)
        for item in items:
            entry = self.quarantine.of(item.nodeid)
            if entry is not None and entry.mode is Mode.SKIP:
                reason = f"in quarantine until {entry.until}, for {entry.owner} to fix: {entry.reason}"
                item.add_marker(pytest.mark.skip(reason=reason), append=False)
        return (yield)

    # A wrapper, because pytest's own is called first among the others where it was registered later.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        if report.outcome == "failed" or self._fails_for_subtests(report):
            entry = self.quarantine.of(report.nodeid)
            if entry is not None:
                report.sergas_masked = "failed"  # type: ignore[attr-defined]  # what pytest-xdist carries, too
                report.outcome = "skipped"
                report.wasxfail = f"{MASKED} {entry.until}: {entry.reason}"
                if hasattr(report, "context"):
                    self._count_subtest(report)
        return (yield)

    def _fails_for_subtests(self, report: pytest.TestReport) -> bool:
        """Whether a call passed of which a subtest did not: pytest calls it failed after everybody has seen it."""
        if not self._failed_subtests or report.when != "call" or hasattr(report, "context"):
            return False
        return self._failed_subtests.pop(report.nodeid, 0) > 0 and report.outcome == "passed"

    def _count_subtest(self, report: pytest.TestReport) -> None:
        # Nobody else will know that one of unittest's failed, for which the test may have to be repeated.
        number = self._failed_subtests[report.nodeid] = self._failed_subtests.get(report.nodeid, 0) + 1
        if (found := failed_subtests(self._config, report)) is not None:
            counts, name = found
            counts[name] = max(counts[name], number)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        if hasattr(report, "sergas_masked"):
            return "quarantined", "q", ("QUARANTINED", {"yellow": True})
        return None


def is_whole(config: pytest.Config) -> bool:
    """Whether a run has all tests, as far as its arguments tell."""
    sources = {pytest.Config.ArgsSource.TESTPATHS, pytest.Config.ArgsSource.INVOCATION_DIR}
    return config.args_source in sources and not selects(config)


def _read(config: pytest.Config) -> tuple[str, str]:
    """Return what stands in the file, and the day.

    Raises:
        pytest.UsageError: it cannot be read.
    """
    today = time.strftime("%Y-%m-%d", time.gmtime())
    try:
        return (config.rootpath / FILE).read_text(encoding="utf-8"), today
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise pytest.UsageError(str(ConfigurationError((f"{FILE}: cannot be read: {reason}",)))) from error
