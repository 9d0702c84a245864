"""Who ran what when: the attempts of a run as rows of a plot, a row for each worker.

Exclusive tests run last, on one worker, when all others have stopped. A record does not say which tests those were,
but the plot shows it: from some moment on one worker is busy alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_sergas.core.plots import Bar, Lane, lanes
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
        alone_s: for how long one worker was busy alone at the end; 0 for a single worker.
    """

    svg: str
    workers: tuple[str, ...]
    took_s: float
    alone_s: float


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
    first = min(bar.start for bars in rows.values() for bar in bars)
    ends = sorted(max(bar.stop for bar in bars) for bars in rows.values())
    alone_from = ends[-2] if len(ends) > 1 else None
    workers = tuple(sorted(rows, key=_order))
    took_s, alone_s = ends[-1] - first, 0.0 if alone_from is None else ends[-1] - alone_from
    title = (
        f"{len(workers)} workers over {seconds(took_s)}" if len(workers) > 1 else f"one process over {seconds(took_s)}"
    )
    shown = [Lane(worker, tuple(rows[worker])) for worker in workers]
    return Timeline(lanes(title, shown, alone_from=alone_from), workers, took_s, alone_s)


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
