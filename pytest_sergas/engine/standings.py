"""How the tests stand over the newest runs: searched for, and known for the overview without anybody waiting for it.

Looking at all tests of 20 runs takes a moment; it is done beside the event loop, once for each run that comes. Until it
is done, what was known before is told.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_sergas.core.standing import Assessment, Standing, assess
from pytest_sergas.engine.runs import Runs, TestHistory
from pytest_sergas.errors import StoreError

RUNS = 20
NAMED = 8

_ORDER = {standing: place for place, standing in enumerate(Standing)}
_TROUBLE = frozenset({Standing.BROKEN, Standing.FLAKY, Standing.SLOWER})


@dataclass(frozen=True, slots=True)
class Found:
    """A test, and how it stands."""

    history: TestHistory
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Summary:
    """How all tests stand: how many in which way, and the first `NAMED` of those that somebody should look at."""

    counts: Mapping[Standing, int] = field(default_factory=dict)
    troubled: tuple[Found, ...] = ()


def find(histories: Sequence[TestHistory], asked: str = "") -> list[Found]:
    """Return the tests whose id has every word of ``asked``, those that somebody should look at first."""
    words = asked.lower().split()
    found = [
        Found(history, assess(history.seen))
        for history in histories
        if all(word in history.id.lower() for word in words)
    ]
    return sorted(found, key=lambda one: (_ORDER[one.assessment.standing], -one.assessment.troubled, one.history.id))


def summarise(histories: Sequence[TestHistory]) -> Summary:
    """Return how these tests stand."""
    found = find(histories)
    counts = Counter(one.assessment.standing for one in found)
    troubled = [one for one in found if one.assessment.standing in _TROUBLE]
    return Summary({standing: counts[standing] for standing in Standing}, tuple(troubled[:NAMED]))


class Standings:
    """Knows how the tests of ``runs`` stand. Everything is called on the event loop."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._summary = Summary()
        self._of = ""  # the newest run that is in it
        self._working: asyncio.Task[None] | None = None

    def summary(self) -> Summary:
        """Return what is known; where a run has come since, begin to look again."""
        latest = self._runs.latest
        if latest is not None and latest.run_id != self._of and (self._working is None or self._working.done()):
            self._working = asyncio.create_task(self._look(latest.run_id), name="how the tests stand")
        return self._summary

    async def stop(self) -> None:
        """Look no more."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def _look(self, run_id: str) -> None:
        try:
            histories = await self._runs.tests(RUNS)
        except StoreError:
            return  # which has said so in the log; the next question tries again
        self._summary = await asyncio.to_thread(summarise, histories)
        self._of = run_id
