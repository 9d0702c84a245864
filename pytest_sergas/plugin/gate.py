"""Gates: tests of a type with ``gate = true`` run first, and the rest does not start when one fails.

Without workers `Gate` decides between two tests. With workers the controller decides (`ControllerGate`), because
a gate's tests may be on several: it leaves the word in the directory that it shares with the workers, and each
of them refuses to start a test behind the gate (`WorkerGate`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import pytest

from pytest_sergas.core.records import UNTYPED
from pytest_sergas.own import Own
from pytest_sergas.plugin.exchange import Exchange

_FAILED = "gate-failed.json"


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

    def __init__(self, ranks: Mapping[str, int], types: Mapping[str, str]) -> None:
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
            item.session.shouldfail = reason(self._failed, self._types)
        return result


class ControllerGate:
    """Decides for all workers.

    Attributes:
        failed: the place of the gate that failed, or None.
        waits_for_controller: whether the scheduler lets no worker begin what is behind a gate before that is
            decided; then a worker that refuses a test ends as if it had no more.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._failed: list[str] = []
        self.failed: int | None = None
        self.waits_for_controller = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "failed":
            return
        left = self._exchange.left
        rank = left.rules.gates.get(left.types.get(report.nodeid, UNTYPED))
        if rank is None or report.nodeid in self._failed or (self.failed is not None and rank != self.failed):
            return
        self._failed.append(report.nodeid)
        self.failed = rank
        shared = self._exchange.directory
        if shared is not None:
            word = {"gate": rank, "reason": self._reason(), "quiet": self.waits_for_controller}
            Own.write_at_once(shared / _FAILED, Own.dumps(word))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.failed is not None and self._is_something_behind(self.failed) and not session.shouldfail:
            session.shouldfail = self._reason()

    def _is_something_behind(self, failed: int) -> bool:
        left = self._exchange.left
        ranks = (left.rules.gates.get(name) for name in left.types.values())
        return len(left.ties) > len(left.types) or any(rank is None or rank > failed for rank in ranks)

    def _reason(self) -> str:
        return reason(self._failed, self._exchange.left.types)


class WorkerGate:
    """Refuses the tests behind a gate that failed.

    Args:
        gated: node id → the place of its gate, for the tests of gated types.
        units: the same for every test of a unit with a gated one: it runs as one, gate or not.
        shared: the directory that this worker shares with the controller; None on another machine.
    """

    def __init__(
        self, gated: Mapping[str, int], units: Mapping[str, int], types: Mapping[str, str], shared: Path | None
    ) -> None:
        self._gated = gated
        self._units = units
        self._types = types
        self._word = None if shared is None else shared / _FAILED
        self._failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "failed" and report.nodeid in self._gated and report.nodeid not in self._failed:
            self._failed.append(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._refuse(item)
        return (yield)

    def _refuse(self, item: pytest.Item) -> None:
        gate = self._units.get(item.nodeid)
        if self._word is not None and Own.exists(self._word):
            word = Own.loads(Own.read(self._word))
            if gate is None or gate > word["gate"]:
                if not word["quiet"]:
                    item.session.shouldfail = word["reason"]
                raise item.session.Failed(word["reason"])
        elif self._failed and (gate is None or gate > self._gated[self._failed[0]]):
            # A scheduler that does not wait for the controller: what is known here must do.
            item.session.shouldfail = reason(self._failed, self._types)
            raise item.session.Failed(item.session.shouldfail)


def reason(failed: Sequence[str], types: Mapping[str, str]) -> str:
    """Return why the rest does not start."""
    first = failed[0]
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"gate {types.get(first, UNTYPED)!r} failed ({first}{more}); the rest was not started"
