"""The summary on the terminal: a table with a row for each type, and the slowest tests; 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sergas.core.records import FAILURES, UNTYPED, Outcome, RunRecord
from pytest_sergas.core.summary import TypeSummary, overall, summarise
from pytest_sergas.core.text import one_line
from pytest_sergas.publishers import Context, Line, Publication, Segment, Style

_WIDTH = 80
_COLUMNS = ("type", "tests", "passed", "failed", "flaky", "skipped", "retries", "success", "slowest", "wall")
_WIDTHS = (13, 6, 7, 7, 6, 8, 8, 8, 8, 9)


def create(context: Context) -> Terminal | None:
    """Return the publisher; it is always there."""
    return Terminal(context.settings.slowest)


@dataclass(frozen=True, slots=True)
class Terminal:
    """Shows a run on the terminal, unless none of its tests has a type."""

    slowest: int
    name: str = "terminal"
    writes: tuple[Path, ...] = ()

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del remaining_s  # nothing here can wait
        summaries = summarise(run, slowest=self.slowest)
        if all(summary.type == UNTYPED for summary in summaries):
            return Publication()
        rows = [_row(summary) for summary in summaries]
        if len(summaries) > 1:
            rows.append(_row(overall(run)))
        head: Line = (Segment(_cells(_COLUMNS), "bold"),)
        lines = [head, *rows, *_kinds_of_failure(summaries), *_slowest(summaries), *_about(run)]
        return Publication(title="tests by type", lines=tuple(lines))


def _row(summary: TypeSummary) -> Line:
    counts = summary.counts
    percent = summary.success_percent
    # Expected failures went as expected: they succeed.
    passed = summary.succeeded - counts[Outcome.FLAKY]
    cells: tuple[tuple[str, Style], ...] = (
        (summary.type, ""),
        (str(summary.total), ""),
        (str(passed), "green" if passed else ""),
        (str(summary.failed), "red" if summary.failed else ""),
        (str(counts[Outcome.FLAKY]), "yellow" if counts[Outcome.FLAKY] else ""),
        (str(counts[Outcome.SKIPPED] + counts[Outcome.QUARANTINED]), ""),
        (str(summary.retries), "yellow" if summary.retries else ""),
        ("-" if percent is None else _percent(percent), ""),
        (seconds(summary.slowest[0].duration_s) if summary.slowest else "-", ""),
        (seconds(summary.wall_s), ""),
    )
    return tuple(
        Segment(_pad(text, index), style) for index, (text, style) in enumerate(cells)
    )


def _percent(percent: float) -> str:
    # Rounding must not turn 1 failure in 10,000 tests into 100 %.
    return "100%" if percent == 100 else f"{min(percent, 99.9):.1f}%"


def _pad(text: str, index: int) -> str:
    width = _WIDTHS[index]
    return text.ljust(width) if index == 0 else text.rjust(width)


def _cells(texts: Sequence[str]) -> str:
    return "".join(_pad(text, index) for index, text in enumerate(texts))


def _kinds_of_failure(summaries: Sequence[TypeSummary]) -> list[Line]:
    counts = {outcome: sum(summary.counts[outcome] for summary in summaries) for outcome in FAILURES}
    finer = [f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts.get(outcome)]
    plain = not finer or (len(finer) == 1 and finer[0].endswith(Outcome.FAILED.value))
    return [] if plain else [(Segment(f"failed: {', '.join(finer)}"),)]


def _slowest(summaries: Sequence[TypeSummary]) -> list[Line]:
    """Name the slowest tests of all types; those that took less than a tenth of a second interest nobody."""
    limit = max((len(summary.slowest) for summary in summaries), default=0)
    tests = {test.node_id: test for summary in summaries for test in summary.slowest if test.duration_s >= 0.1}
    ranked = sorted(tests.values(), key=lambda test: test.duration_s, reverse=True)[:limit]
    return [
        (Segment(f"slowest {seconds(test.duration_s):>9} {_left(test.node_id, _WIDTH - 18)}"),) for test in ranked
    ]


def _left(node_id: str, width: int) -> str:
    """Shorten at the front: a test's own name stands at the end."""
    flat = one_line(node_id, 1000)
    return flat if len(flat) <= width else f"...{flat[-(width - 3) :]}"


def _about(run: RunRecord) -> list[Line]:
    unfinished = [f"not finished: {_left(node_id, _WIDTH - 14)}" for node_id in run.unfinished]
    return [(Segment(text, "yellow"),) for text in (*unfinished, *run.notes)]


def seconds(duration_s: float) -> str:
    """Return a duration in at most 7 characters, in the unit in which people think of it."""
    if duration_s < 0.0005:
        return "<1 ms"
    if duration_s < 0.9995:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 99.95:
        return f"{duration_s:.1f} s"
    minutes, rest = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"
