"""How the tests stand, known without anybody waiting for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.standing import Seen, Standing
from pytest_sergas.engine.runs import Retention, Runs, TestHistory
from pytest_sergas.engine.standings import NAMED, Standings, Summary, find, summarise
from pytest_sergas.engine.store import Store
from tests.engine.test_past import report, reported

pytestmark = pytest.mark.unit


def history(name: str, *outcomes: str) -> TestHistory:
    """Return a test with these outcomes, the newest first."""
    return TestHistory(name, "unit", len(outcomes), {}, outcomes[0], 0.1, 0.1, tuple(Seen(o, 0.1) for o in outcomes))


BROKEN = history("a.py::broken", "failed", "passed")
FLAKY = history("a.py::flaky", "flaky", "flaky")
SHAKY = history("b.py::shaky", "flaky", "passed")
STABLE = history("b.py::stable", *["passed"] * 5)


@pytest.fixture
async def runs() -> AsyncIterator[Runs]:
    store = await Store.open(None, GroupSettings())
    yield await Runs.load(store, Retention(100, 90))
    await store.close()


async def settled(standings: Standings) -> Summary:
    """Return what is known when the look that is under way has ended."""
    standings.summary()
    if standings._working is not None:  # noqa: SLF001  nothing else says so
        await standings._working  # noqa: SLF001
    return standings.summary()


def test_tests_are_found_those_to_look_at_first() -> None:
    found = find([STABLE, SHAKY, FLAKY, BROKEN])

    assert [one.history.id for one in found] == ["a.py::broken", "a.py::flaky", "b.py::shaky", "b.py::stable"]


def test_tests_are_found_by_all_words_of_what_is_asked() -> None:
    assert [one.history.id for one in find([STABLE, SHAKY], "B.PY sha")] == ["b.py::shaky"]


def test_summary_counts_all_and_names_those_to_look_at() -> None:
    found = summarise([STABLE, FLAKY, BROKEN])

    assert found.counts == {"broken": 1, "flaky": 1, "slower": 0, "new": 0, "stable": 1}
    assert [one.history.id for one in found.troubled] == ["a.py::broken", "a.py::flaky"]
    assert len(summarise([history(f"t{n}", "failed") for n in range(50)]).troubled) == NAMED


async def test_what_a_new_run_says_is_known_soon_and_nobody_waits(runs: Runs) -> None:
    standings = Standings(runs)
    assert standings.summary() == Summary()
    await runs.add(report("r1", reported("a", "failed")), b"{}", Now(1, 1))

    assert standings.summary() == Summary()  # it is being looked at
    assert (await settled(standings)).counts[Standing.BROKEN] == 1
    await runs.add(report("r2", reported("a"), reported("b", "failed")), b"{}", Now(2, 2))
    assert [one.history.id for one in standings.summary().troubled] == ["a"]
    assert [one.history.id for one in (await settled(standings)).troubled] == ["b"]
    await standings.stop()


async def test_store_that_cannot_be_read_leaves_what_was_known(runs: Runs) -> None:
    standings = Standings(runs)
    await runs.add(report("r1", reported("a", "failed")), b"{}", Now(1, 1))
    known = await settled(standings)
    await runs.add(report("r2", reported("a")), b"{}", Now(2, 2))
    await runs._store.write(lambda connection: connection.execute("ALTER TABLE runs RENAME TO others"))  # noqa: SLF001  a fault

    assert await settled(standings) == known
    await standings.stop()
