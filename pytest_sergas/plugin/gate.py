"""Gates: tests of a type with ``gate = true`` run first, and the rest does not start when one fails."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import pytest

from pytest_sergas.core.records import UNTYPED


def put_first(items: list[pytest.Item], ranks: Sequence[int]) -> None:
    """Sort ``items`` by their ranks; tests of equal rank keep their order."""
    order = sorted(range(len(items)), key=lambda index: ranks[index])
    items[:] = [items[index] for index in order]


class Gate:
    """Ends the session between the last test of a gated type and the first one after it.

    Args:
        ranks: node id → the place of its gate, in the order of the configuration; tests behind all gates
            are missing.
        types: node id → type.
    """

    def __init__(self, ranks: dict[str, int], types: dict[str, str]) -> None:
        self._ranks = ranks
        self._types = types
        self._failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "failed" and report.nodeid in self._ranks and report.nodeid not in self._failed:
            self._failed.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        result = yield
        here = self._ranks.get(item.nodeid)
        behind = nextitem is not None and self._ranks.get(nextitem.nodeid) != here
        if here is not None and behind and self._failed and not item.session.shouldfail:
            item.session.shouldfail = self.reason()
        return result

    def reason(self) -> str:
        """Return why the rest does not start."""
        first = self._failed[0]
        more = f" and {len(self._failed) - 1} more" if len(self._failed) > 1 else ""
        return f"gate {self._types.get(first, UNTYPED)!r} failed ({first}{more}); the rest was not started"
