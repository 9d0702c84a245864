"""Coverage by type, through pytest-cov: each line is also counted for the type whose test ran it.

While a test runs, coverage's dynamic context is its type; with ``--cov-context=test`` it is pytest-cov's, which names
the test. What runs while modules are imported belongs to no test and counts for every type. Workers save contexts with
their data, and pytest-cov joins them.

A worker that dies takes its data with it. What is then missing is nobody's fault, so neither ``min_coverage`` nor
pytest-cov's own ``--cov-fail-under`` is judged in such a run.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_sergas.core.acceptance import ALL
from pytest_sergas.core.records import UNTYPED, TestRecord
from pytest_sergas.core.summary import TYPE_ORDER
from pytest_sergas.plugin.foreign import Measured

_PREFIX = "sergas:"
_IMPORTING = "^$"


class Coverage:
    """Switches contexts where tests run, and tells the percentages where pytest-cov has joined them.

    Args:
        types: node id → type; filled by whoever collects.

    Attributes:
        notes: what the summary should say about coverage.
    """

    def __init__(self, config: pytest.Config, types: Mapping[str, str]) -> None:
        self._measured = Measured(config)
        self._types = types
        self._now = ""
        self.notes: list[str] = []
        self.is_whole = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        context = f"{_PREFIX}{self._types.get(item.nodeid, UNTYPED)}"
        if context != self._now:
            cov = self._measured.cov
            if self._is_ours(cov):
                cov.switch_context(context)
                self._now = context
        return (yield)

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if self._measured.has_failed(node) and self.is_whole:
            self.is_whole = False
            self._measured.expect_nothing()
            self.notes.append(
                f"coverage: the data of worker {node.gateway.id}, which died, is missing; no minimum of it is judged"
            )

    def _is_ours(self, cov: Any) -> bool:
        """Whether nobody else says what coverage's contexts are."""
        return cov is not None and not self._measured.is_by_test and not cov.get_option("run:dynamic_context")

    def percentages(self, tests: Sequence[TestRecord]) -> dict[str, float]:
        """Return the percentage of the whole run, under `ALL`, and of each type; empty where nothing was measured."""
        from coverage.exceptions import CoverageException

        cov = self._measured.cov
        if cov is None:
            return {}
        try:
            found = {ALL: _percent(cov)}
            if cov.get_option("run:dynamic_context"):
                self.notes.append("coverage: with dynamic_context in its configuration it is not known by type")
                return found
            for name, contexts in self._contexts(tests):
                found[name] = _percent(cov, (contexts, _IMPORTING))
        except CoverageException as error:
            self.notes.append(f"coverage is not known: {error}")
            return {}
        return found

    def _contexts(self, tests: Iterable[TestRecord]) -> Iterator[tuple[str, str]]:
        """Return for each type that ran, in their order, a pattern of its contexts."""
        by_type: dict[str, list[str]] = {}
        for test in tests:
            by_type.setdefault(test.type, []).append(test.node_id)
        for name, node_ids in sorted(by_type.items(), key=lambda entry: TYPE_ORDER.index(entry[0])):
            if self._measured.is_by_test:
                yield name, rf"^(?:{'|'.join(map(re.escape, node_ids))})\|"
            else:
                yield name, f"^{_PREFIX}{name}$"


def _percent(cov: Any, contexts: Sequence[str] | None = None) -> float:
    try:
        return float(cov.report(file=io.StringIO(), contexts=contexts))
    finally:
        cov.get_data().set_query_contexts(None)
