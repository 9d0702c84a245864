"""Coverage by type, through pytest-cov: each line is also counted for the type whose test ran it.

While a test runs, coverage's dynamic context is its type; with ``--cov-context=test`` it is pytest-cov's, which names
the test. What runs while modules are imported belongs to no test and counts for every type. Workers save contexts with
their data, and pytest-cov joins them.

Coverage's core that uses `sys.monitoring`, the default from Python 3.14 on, hears of each line once, whatever the
context. So with each context all lines are made to report again.

Where other contexts than these are in the data, or data of earlier runs, whose imports and types cannot be told from
those of this one, the coverage of a type is unknown. ``min_coverage`` is then a usage error; where the data shows it
only in the end, the run fails.

A worker that dies takes its data with it. What is then missing is nobody's fault, so neither ``min_coverage`` nor
pytest-cov's own ``--cov-fail-under`` is judged in such a run.
"""

from __future__ import annotations

import contextlib
import glob
import io
import re
import sys
import time
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.core.acceptance import ALL
from pytest_sergas.core.records import UNTYPED, TestRecord
from pytest_sergas.core.summary import TYPE_ORDER
from pytest_sergas.plugin.foreign import Measured

_PREFIX = "sergas:"
_TOOLS = range(6)  # of sys.monitoring


class Coverage:
    """Switches contexts where tests run, and tells the percentages where pytest-cov has joined them.

    Args:
        types: node id → type; filled by whoever collects.
        least: the types with ``min_coverage``.

    Attributes:
        notes: what the summary should say about coverage.
        unknown: why the coverage of a type is not known, or "".
        is_off: whether nothing is measured, as with ``--no-cov``.
    """

    def __init__(self, config: pytest.Config, types: Mapping[str, str], least: Iterable[str] = ()) -> None:
        self._measured = Measured(config)
        self._types = types
        self._least = tuple(least)
        self._now = ""
        self._begun_s = time.time()
        self._earlier = ""  # a file with data of earlier runs
        self.notes: list[str] = []
        self.unknown = ""
        self.is_whole = True

    @property
    def is_off(self) -> bool:
        return self._measured.is_off

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        if (cov := self._measured.cov) is None:
            return
        self._earlier = _older(str(cov.get_option("run:data_file")), self._begun_s)
        if not self._least:
            return
        if chosen := _dynamic_context(cov):
            reason = f"the configuration of coverage has dynamic_context = {chosen!r}; remove one of the two"
        elif self._earlier:
            reason = (
                f"--cov-append adds the data of an earlier run in {self._earlier!r}; "
                "run without it, or remove min_coverage"
            )
        else:
            return
        raise pytest.UsageError(f"sergas: min_coverage of {', '.join(self._least)} cannot be judged, because {reason}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        context = f"{_PREFIX}{self._types.get(item.nodeid, UNTYPED)}"
        if context != self._now:
            self._switch(context)
        return (yield)

    def _switch(self, context: str) -> None:
        cov = self._measured.cov
        if cov is None or _dynamic_context(cov):
            return
        if not self._measured.is_by_test:
            self._now = context
            # That contexts may be incomplete with sys.monitoring, which the next lines see to, and that a plugin of
            # coverage switches them as well, which is found out from the data.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cov.switch_context(context)
        monitoring: Any = getattr(sys, "monitoring", None)
        if monitoring is not None and any(monitoring.get_tool(number) == "coverage.py" for number in _TOOLS):
            monitoring.restart_events()

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if self._measured.has_failed(node) and self.is_whole:
            self.is_whole = False
            self._measured.expect_nothing()
            self.notes.append(
                f"coverage: the data of worker {node.gateway.id}, which died, is missing; no minimum of it is judged"
            )

    def percentages(self, tests: Sequence[TestRecord]) -> dict[str, float]:
        """Return the percentage of the whole run, under `ALL`, and of each type; empty where nothing was measured."""
        from coverage.exceptions import CoverageException

        cov = self._measured.cov
        if cov is None:
            return {}
        try:
            found = {ALL: _percent(cov)}
            static = str(cov.get_option("run:context") or "")
            if reason := self._unknown(cov, static):
                self.unknown = reason
                self.notes.append(f"coverage: {reason}, it is not known by type")
                return found
            # As coverage joins them.
            before = re.escape(f"{static}|") if static else ""
            for name, contexts in self._contexts(tests):
                found[name] = _percent(cov, (f"^{before}{contexts}", f"^{re.escape(static)}$"))
        except CoverageException as error:
            self.unknown = str(error).rstrip(".")
            self.notes.append(f"coverage is not known: {error}")
            return {}
        return found

    def _unknown(self, cov: Any, static: str) -> str:
        """Return why coverage is not known by type, or ""."""
        if _dynamic_context(cov):
            return "with dynamic_context in its configuration"
        if self._earlier:
            return f"with the data of an earlier run in {self._earlier!r}"
        if self._measured.is_by_test:
            return ""
        ours = (static, f"{static}|{_PREFIX}" if static else _PREFIX)
        others = [one for one in cov.get_data().measured_contexts() if one != ours[0] and not one.startswith(ours[1])]
        return f"with contexts such as {min(others)!r}, which are not of this run" if others else ""

    def _contexts(self, tests: Iterable[TestRecord]) -> Iterator[tuple[str, str]]:
        """Return for each type that ran, in their order, a pattern of its contexts."""
        by_type: dict[str, list[str]] = {}
        for test in tests:
            by_type.setdefault(test.type, []).append(test.node_id)
        for name, node_ids in sorted(by_type.items(), key=lambda entry: TYPE_ORDER.index(entry[0])):
            if self._measured.is_by_test:
                yield name, rf"(?:{'|'.join(map(re.escape, node_ids))})\|"
            else:
                yield name, f"{_PREFIX}{name}$"


def _dynamic_context(cov: Any) -> str:
    """Return what the configuration of coverage says about contexts, or ""."""
    chosen = cov.get_option("run:dynamic_context")
    return "" if chosen in {None, "none"} else str(chosen)


def _older(data_file: str, begun_s: float) -> str:
    """Return the name of a file that coverage will join to the data, and that was there before this run, or ""."""
    path = Path(data_file).absolute()
    names = []
    # As coverage finds them: that of an earlier run in whole, and those that its processes have left.
    for found in (path, *path.parent.glob(f"{glob.escape(path.name)}.*")):
        with contextlib.suppress(FileNotFoundError):
            if found.stat().st_mtime < begun_s:
                names.append(found.name)
    return min(names, default="")


def _percent(cov: Any, contexts: Sequence[str] | None = None) -> float:
    try:
        return float(cov.report(file=io.StringIO(), contexts=contexts))
    finally:
        cov.get_data().set_query_contexts(None)
