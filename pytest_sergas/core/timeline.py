"""Who ran what when: the attempts of a run as rows of a plot, a row for each worker.

While an exclusive test runs, no other of its run does: that time is marked over all rows. Of shards that are joined, it
is marked over the rows of the shard: the others ran elsewhere, and went on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from pytest_sergas.core.plots import Band, Bar, Lane, lanes
from pytest_sergas.core.records import FAILURES, AttemptRecord, Outcome, RunRecord, TestRecord
from pytest_sergas.core.summary import seconds
from pytest_sergas.core.text import one_line

_ONLY = "the only process"
_NAME_LIMIT = 160
_SPOKEN = 200  # failures that say their name when one points at them; further ones are drawn


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run over time.

    Attributes:
        svg: the plot.
        workers: the names of its rows, from top to bottom.
        took_s: how long it is.
        exclusive_s: how much of it belonged to exclusive tests; of shards, the sum.
    """

    svg: str
    workers: tuple[str, ...]
    took_s: float
    exclusive_s: float


def timeline(run: RunRecord) -> Timeline | None:
    """Return the timeline of ``run``; None when no attempt says when it was."""
    rows: dict[str, list[Bar]] = {}
    spoken = 0
    for test in run.tests:
        for attempt in test.attempts:
            if attempt.start_s > 0:
                kind = _kind(test, attempt)
                says = kind in {"failed", "flaky"} and spoken < _SPOKEN
                spoken += says
                rows.setdefault(attempt.worker or _ONLY, []).append(_bar(test, attempt, kind, says=says))
    if not rows:
        return None
    workers = tuple(sorted(rows, key=_order))
    bands = _bands(run, workers)
    bars = [bar for row in rows.values() for bar in row]
    took_s = max(bar.stop for bar in bars) - min(bar.start for bar in bars)
    title = (
        f"{len(workers)} workers over {seconds(took_s)}" if len(workers) > 1 else f"one process over {seconds(took_s)}"
    )
    shown = [Lane(worker, tuple(rows[worker])) for worker in workers]
    return Timeline(lanes(title, shown, bands), workers, took_s, sum(band.stop - band.start for band in bands))


def _bands(run: RunRecord, workers: Sequence[str]) -> list[Band]:
    """Return when exclusive tests ran: those that follow one another are one band, however many they are."""
    attempts: dict[str, list[tuple[float, float, bool]]] = {}
    for test in run.tests if any(test.exclusive for test in run.tests) else ():
        for attempt in test.attempts:
            if attempt.start_s > 0:
                ran = (attempt.start_s, attempt.start_s + attempt.duration_s, test.exclusive)
                attempts.setdefault(_shard(attempt.worker), []).append(ran)
    bands, first_row = [], 0
    for shard, rows in ((shard, len(list(found))) for shard, found in groupby(workers, _shard)):
        for exclusive, found in groupby(sorted(attempts.get(shard, ())), key=itemgetter(2)):
            if exclusive:
                starts, stops, _ = zip(*found, strict=True)
                bands.append(Band(starts[0], max(stops), first_row, rows))
        first_row += rows
    return bands


def _shard(worker: str) -> str:
    """Return of which shard a worker is: "1/3" of "1/3 gw0", "" in a run that has none."""
    return worker.rpartition(" ")[0]


def _bar(test: TestRecord, attempt: AttemptRecord, kind: str, *, says: bool) -> Bar:
    said = f"{test.node_id}: {attempt.outcome}, {seconds(attempt.duration_s)}" if says else ""
    return Bar(attempt.start_s, attempt.start_s + attempt.duration_s, kind, one_line(said, _NAME_LIMIT))


def _kind(test: TestRecord, attempt: AttemptRecord) -> str:
    if attempt.outcome in FAILURES:
        return "flaky" if test.outcome is Outcome.FLAKY else "failed"
    return "skipped" if attempt.outcome is Outcome.SKIPPED else "passed"


def _order(worker: str) -> list[tuple[int, str]]:
    """Sort gw10 behind gw9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]{1,9})", worker)]
