"""The summary on the terminal: a table with a row for each type, and what somebody should look at.

Failed tests are named by pytest's own summary, once for each cause, and here where a cause has several; flaky ones by
nobody else, although they are what a green run hides.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import get_terminal_size

from pytest_sergas.core.acceptance import covered
from pytest_sergas.core.causes import Group
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.measurement import Use
from pytest_sergas.core.records import MESSAGE_LIMIT, UNTYPED, Outcome, RunRecord, TestRecord
from pytest_sergas.core.summary import (
    TypeSummary,
    cause_title,
    causes,
    finer_failures,
    flaky,
    overall,
    percent,
    seconds,
    slowest_of,
    succeeded_at_once,
    summarise,
)
from pytest_sergas.core.text import keep_end, keep_start, one_line
from pytest_sergas.publishers import Context, Line, Publication, Segment, Style

WIDTH = 80
_SHOWN = 10
_TESTS_SHOWN = 3
# Where nothing else names failed tests.
_CAUSES_NAMED = 50
_TESTS_NAMED = 20
_HEADS = ("type", "tests", "passed", "failed", "flaky", "skip", "retries", "success", "slowest", "wall")
# What a wide terminal has left beside the table names the slowest test, where that is worth it.
_LEAST_NAME = 30
# One column of space before each but the first: 80 together. Six digits fit everywhere, then `count` shortens.
_WIDTHS = (13, 7, 7, 7, 7, 7, 8, 8, 8, 8)


def create(context: Context) -> Terminal:
    """Return the publisher; it is always there."""
    return Terminal(context.settings.slowest, terminal_width())


@dataclass(frozen=True, slots=True)
class Terminal:
    """Shows a run on the terminal; where none of its tests has a type, only what there is to note."""

    slowest: int
    width: int = WIDTH
    name: str = "terminal"
    writes: tuple[Path, ...] = ()

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del remaining_s  # nothing here can wait
        if all(test.type == UNTYPED for test in run.tests) and not run.refused:
            notes = (*_causes(run, self.width), *_notes(run, self.width))
            return Publication(title="sergas", lines=notes, brief=notes) if notes else Publication()
        lines, trouble = show(run, slowest=self.slowest, width=self.width)
        return Publication(title="tests by type", lines=lines, brief=trouble)


def terminal_width() -> int:
    """Return the columns of the terminal, or what COLUMNS says; at least those of the table."""
    return max(WIDTH, get_terminal_size((WIDTH, 24)).columns)


def show(
    run: RunRecord, *, slowest: int, width: int = WIDTH, name_failed: bool = False
) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """Return the lines for ``run``, and those of them that somebody should look at.

    Args:
        slowest: how many of the slowest tests are named.
        width: columns that a line may take.
        name_failed: name every failed test, because pytest's own summary is not above.
    """
    summaries = summarise(run, slowest=slowest)
    total = overall(run) if len(summaries) != 1 else summaries[0]
    trouble = (
        *_refused(run, width),
        *_failed(total),
        *(show_failed(run, width=width) if name_failed else _causes(run, width)),
        *_missing(run, width),
        *_over_budget(run, width),
        *_quarantined(run, width),
        *_flaky(run, width),
        *_ended_early(run, width),
        *_notes(run, width),
    )
    return (
        *_table(summaries, total, width),
        *_coverage(run, width),
        *_needed(run, width),
        *trouble,
        *_slowest(summaries, width),
    ), trouble


def _table(summaries: Sequence[TypeSummary], total: TypeSummary, width: int) -> list[Line]:
    room = width - sum(_WIDTHS) - 2
    named = room >= _LEAST_NAME
    heads = "".join(map(_pad, range(len(_HEADS)), _HEADS))
    head: Line = (Segment(f"{heads}  slowest test" if named else heads, "bold"),)
    rows = [*summaries, total] if len(summaries) > 1 else summaries
    return [head, *[(*_row(row), *(_slowest_name(row, room) if named else ())) for row in rows]]


def _slowest_name(summary: TypeSummary, room: int) -> Line:
    return (Segment(f"  {keep_end(summary.slowest[0].node_id, room)}"),) if summary.slowest else ()


def _row(summary: TypeSummary) -> Line:
    counts = summary.counts
    passed, retries = succeeded_at_once(summary), summary.retries
    slow = seconds(summary.slowest[0].duration_s) if summary.slowest else "-"
    cells: tuple[tuple[str, Style], ...] = (
        (summary.type, ""),
        (count(summary.total), ""),
        (count(passed), "green" if passed else ""),
        (count(summary.failed), "red" if summary.failed else ""),
        (count(counts[Outcome.FLAKY]), "yellow" if counts[Outcome.FLAKY] else ""),
        (count(counts[Outcome.SKIPPED] + counts[Outcome.QUARANTINED]), ""),
        (count(retries), "yellow" if retries else ""),
        (percent(summary), ""),
        (slow, ""),
        (seconds(summary.wall_s), ""),
    )
    return tuple(Segment(_pad(index, text), style) for index, (text, style) in enumerate(cells))


def count(number: int) -> str:
    """Return a count in at most 6 characters; "-" for none, so that what is there stands out."""
    if number == 0:
        return "-"
    if number < 1_000_000:
        return str(number)
    return f"{number / 1_000_000:.{3 - min(3, len(str(number // 1_000_000)))}f}M"


def _pad(index: int, text: str) -> str:
    return text.rjust(_WIDTHS[index]) if index else text.ljust(_WIDTHS[index])


def _coverage(run: RunRecord, width: int) -> list[Line]:
    return (
        [(Segment(line),) for line in _wrapped(f"coverage: {text}", width)] if (text := covered(run.coverage)) else []
    )


def _refused(run: RunRecord, width: int) -> list[Line]:
    # Never cut: what the run failed for is all that its reader has.
    texts = (f"the run fails: {one_line(refusal.text, MESSAGE_LIMIT)}" for refusal in run.refused)
    return [(Segment(line, "red"),) for text in texts for line in textwrap.wrap(text, width, subsequent_indent="  ")]


def _failed(total: TypeSummary) -> list[Line]:
    finer = finer_failures(total)
    return [(Segment("failed: "), Segment(finer, "red"))] if finer else []


def _causes(run: RunRecord, width: int) -> list[Line]:
    """Return the causes that several tests share; those of one test stand above, with their traceback."""
    shared = [group for group in causes(run) if len(group.tests) > 1]
    lines = [line for group in shared[:_SHOWN] for line in _cause(group, width, _TESTS_SHOWN)]
    more = len(shared) - _SHOWN
    return [*lines, (Segment(f"cause: and {more} more", "red"),)] if more > 0 else lines


def show_failed(run: RunRecord, *, width: int) -> list[Line]:
    """Return every cause with the names of its tests, as many as somebody reads."""
    groups = causes(run)
    lines = [line for group in groups[:_CAUSES_NAMED] for line in _cause(group, width, _TESTS_NAMED)]
    more = sum(len(group.tests) for group in groups[_CAUSES_NAMED:])
    return [*lines, (Segment(f"cause: and {more} more tests with other causes", "red"),)] if more else lines


def _cause(group: Group, width: int, tests_shown: int) -> list[Line]:
    label, indent = "cause: ", " " * 7
    room = width - len(label)
    message = next((line for line in group.tests[0].last.message.splitlines() if line.strip()), "")
    more = len(group.tests) - tests_shown
    texts = [keep_start(message, room)] if message else []
    texts += [keep_end(test.node_id, room) for test in group.tests[:tests_shown]]
    texts += [f"and {more} more"] if more > 0 else []
    head: Line = (Segment(label, "red"), Segment(keep_start(cause_title(group), room)))
    return [head, *[(Segment(indent + text),) for text in texts]]


def _needed(run: RunRecord, width: int) -> list[Line]:
    there = ", ".join(one.text for one in run.dependencies if one.is_there)
    return [(Segment(line),) for line in _wrapped(f"dependencies: {there}", width)] if there else []


def _missing(run: RunRecord, width: int) -> list[Line]:
    missing = [one.text for one in run.dependencies if not one.is_there]
    return [(Segment(line, "red"),) for text in missing for line in _wrapped(f"dependency: {text}", width)]


def _over_budget(run: RunRecord, width: int) -> list[Line]:
    tests = [test for test in run.tests if test.outcome is Outcome.OVER_BUDGET]
    lines = [line for test in tests[:_SHOWN] for line in _over_budget_test(test, width)]
    more = len(tests) - _SHOWN
    return [*lines, (Segment(f"over budget: and {more} more", "red"),)] if more > 0 else lines


def _over_budget_test(test: TestRecord, width: int) -> list[Line]:
    label = "over budget: "
    line: Line = (Segment(label, "red"), Segment(keep_end(test.node_id, width - len(label))))
    uses = test.last.measured.uses if test.last.measured is not None else ()
    return [line, *[(Segment(f"       {_use(use)}"),) for use in uses if use.used > use.allowed]]


def _use(use: Use) -> str:
    if use.budget == "max_regression":
        return f"max_regression = {use.allowed:.0%}, took {use.used:.0%} more than in earlier runs"
    unit = "MiB" if use.budget == "max_memory_mb" else "s"
    return f"{use.budget} = {use.allowed:g}, used {use.used:.4g} {unit} ({use.ratio:.0%})"


def _quarantined(run: RunRecord, width: int) -> list[Line]:
    tests = [test for test in run.tests if test.outcome is Outcome.QUARANTINED]
    lines: list[Line] = []
    for test in tests[:_SHOWN]:
        result = f" {test.last.outcome.value}"
        name = keep_end(test.node_id, width - len("quarantined: ") - len(result))
        lines.append((Segment("quarantined: ", "yellow"), Segment(name), Segment(result)))
    more = len(tests) - _SHOWN
    return [*lines, (Segment(f"quarantined: and {more} more", "yellow"),)] if more > 0 else lines


def _flaky(run: RunRecord, width: int) -> list[Line]:
    tests = flaky(run)
    lines = [line for test in tests[:_SHOWN] for line in _flaky_test(test, width)]
    more = len(tests) - _SHOWN
    return [*lines, (Segment(f"flaky: and {more} more", "yellow"),)] if more > 0 else lines


def _flaky_test(test: TestRecord, width: int) -> list[Line]:
    attempts = f" passed at attempt {len(test.attempts)}"
    name = keep_end(test.node_id, width - len("flaky: ") - len(attempts))
    line: Line = (Segment("flaky: ", "yellow"), Segment(name), Segment(attempts))
    first = test.attempts[0]
    why = keep_start(f"{first.outcome.value} at first: {first.message}", width - 7)
    return [line, (Segment(f"       {why}"),)]


def _ended_early(run: RunRecord, width: int) -> list[Line]:
    lines = _wrapped(f"stopped: {run.stopped}", width) if run.stopped else []
    lines += [f"not finished: {keep_end(node_id, width - 14)}" for node_id in run.unfinished[:_SHOWN]]
    more = len(run.unfinished) - _SHOWN
    lines += [f"not finished: and {more} more"] if more > 0 else []
    return [(Segment(line, "yellow"),) for line in lines]


def _notes(run: RunRecord, width: int) -> list[Line]:
    return [(Segment(line, "yellow"),) for note in run.notes for line in _wrapped(f"note: {note}", width)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(one_line(text, 400), width, subsequent_indent="  ")


def _slowest(summaries: Sequence[TypeSummary], width: int) -> list[Line]:
    tests = slowest_of(summaries, least_s=0.1)
    return [
        (Segment(f"slowest: {seconds(test.duration_s):>7} {keep_end(test.node_id, width - 17)}"),) for test in tests
    ]
