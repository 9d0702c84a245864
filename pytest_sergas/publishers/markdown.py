"""A run as Markdown for people: on a pull request, in GitHub's step summary, in the artefacts of any other CI.

Everything that tests can put into it (names, messages, reasons) stands in code, in a span or a fence that
is longer than any run of backticks inside it: nothing in there is Markdown or HTML for a reader of
CommonMark (https://spec.commonmark.org, 4.5 and 6.1) or GitHub's dialect.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sergas.core.acceptance import covered
from pytest_sergas.core.causes import Group
from pytest_sergas.core.records import MESSAGE_LIMIT, Outcome, RunRecord, TestRecord
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
from pytest_sergas.core.text import clean, one_line, printable
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.publishers import Context, Publication
from pytest_sergas.publishers.files import unwritable, write_atomically

# As large as GitHub's limit for a step summary, which is also far more than anybody reads.
LIMIT_BYTES = 1024 * 1024
_FAILURES_SHOWN = 50
_FLAKY_SHOWN = 50
_TESTS_SHOWN = 10
_NAME_LIMIT = 300
_REASON_LIMIT = 200
_HEADS = ("type", "tests", "passed", "failed", "flaky", "skipped", "retries", "success", "slowest", "wall")


def create(context: Context) -> Markdown | None:
    """Return the publisher when a file is named.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if not context.settings.markdown:
        return None
    path = Path(context.root, context.settings.markdown)
    if reason := unwritable(path):
        raise ConfigurationError((f"{context.named('markdown')} = {str(path)!r}: {reason}",))
    return Markdown(path, context.settings.slowest)


@dataclass(frozen=True, slots=True)
class Markdown:
    """Writes the summary to a file of its own."""

    path: Path
    slowest: int
    name: str = "markdown"

    @property
    def writes(self) -> tuple[Path, ...]:
        return (self.path,)

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del remaining_s  # nothing here can wait, but for a disk that nothing can interrupt
        write_atomically(self.path, render(run, slowest=self.slowest).encode("utf-8"))
        return Publication(place=str(self.path))


def render(run: RunRecord, *, slowest: int, limit_bytes: int = LIMIT_BYTES) -> str:
    """Return ``run`` as a Markdown document.

    Args:
        slowest: how many of the slowest tests are named for each type.
        limit_bytes: as UTF-8 the document is no longer; first the messages of the last failures go. Less
            than 4,000 is not enough for the table.
    """
    summaries = summarise(run, slowest=slowest)
    total = summaries[0] if len(summaries) == 1 else overall(run)
    before = [_heading(run, total), _about(run), _table(summaries, total), *_trouble(run, total)]
    after = [*_flaky(run), *_slowest(summaries)]
    room = limit_bytes - _size(before) - _size(after)
    if room < 0:  # names of 300 characters of four bytes each: the lists go
        after, room = [], limit_bytes - _size(before)
    return "\n".join((*before, *_failures(run, room), *after))


def _heading(run: RunRecord, total: TypeSummary) -> str:
    if total.failed:
        text = f"{total.failed} of {_tests(total.total)} failed"
    elif not total.total:
        text = "no tests were run"
    elif run.stopped:
        text = f"stopped after {_tests(total.total)}"
    elif run.refused:
        text = f"{_tests(total.total)}, and the run fails"
    else:
        text = f"{_tests(total.total)}, none failed"
    suffix = f", {total.counts[Outcome.FLAKY]} flaky" if total.counts[Outcome.FLAKY] else ""
    return f"## {text}{suffix}\n"


def _tests(count: int) -> str:
    return f"{count} test" if count == 1 else f"{count} tests"


def _about(run: RunRecord) -> str:
    where = run.environment
    parts = [code(run.project), f"{seconds(run.finished_s - run.started_s)}"]
    if run.workers:
        parts.append(f"{run.workers} workers" if run.workers > 1 else "1 worker")
    parts += [
        f"{name} {code(value)}" for name, value in (("branch", where.branch), ("commit", where.commit[:12])) if value
    ]
    parts += [f"coverage {text}"] if (text := covered(run.coverage)) else []
    parts += [f"pull request {code(where.pull_request)}"] if where.pull_request else []
    if where.build_url.startswith(("https://", "http://")):
        # In angle brackets an address may hold anything but these and line ends.
        address = where.build_url.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20").replace("\\", "%5C")
        parts.append(f"[build](<{address}>)")
    return " · ".join(parts) + "\n"


def _table(summaries: Sequence[TypeSummary], total: TypeSummary) -> str:
    rows = [*summaries, total] if len(summaries) > 1 else summaries
    lines = [_HEADS, (":--", *["--:"] * (len(_HEADS) - 1)), *map(_row, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(summary: TypeSummary) -> tuple[str, ...]:
    counts = summary.counts
    return (
        summary.type,
        str(summary.total),
        str(succeeded_at_once(summary)),
        str(summary.failed),
        str(counts[Outcome.FLAKY]),
        str(counts[Outcome.SKIPPED] + counts[Outcome.QUARANTINED]),
        str(summary.retries),
        percent(summary),
        seconds(summary.slowest[0].duration_s) if summary.slowest else "-",
        seconds(summary.wall_s),
    )


def _trouble(run: RunRecord, total: TypeSummary) -> list[str]:
    """What somebody has to know before believing the table."""
    lines = [f"- the run fails: {code(refusal.text, MESSAGE_LIMIT)}" for refusal in run.refused]
    lines += [f"- failed: {finer}" for finer in [finer_failures(total)] if finer]
    lines += [f"- dependency: {code(one.text)}" for one in run.dependencies if not one.is_there]
    if run.stopped:
        lines.append(f"- stopped: {code(run.stopped)}")
    shown, more = run.unfinished[:_FLAKY_SHOWN], len(run.unfinished) - _FLAKY_SHOWN
    lines += [f"- not finished: {code(node_id)}" for node_id in shown]
    lines += [f"- and {more} more that did not finish"] if more > 0 else []
    lines += [f"- {code(note)}" for note in run.notes[:_FLAKY_SHOWN]]
    return [*lines, ""] if lines else []


def _failures(run: RunRecord, room_bytes: int) -> list[str]:
    """Return the causes of failures with their tests and a message, as many as there is room for."""
    groups = causes(run)
    if not groups:
        return []
    blocks = ["### Failed\n"]
    # Room for the heading and the sentence about the rest.
    room = room_bytes - 200
    for group in groups[:_FAILURES_SHOWN]:
        block = _failure(group.tests[0]) if len(group.tests) == 1 else _cause(group)
        room -= _size([block])
        if room < 0:
            break
        blocks.append(block)
    left = sum(len(group.tests) for group in groups[len(blocks) - 1 :])
    return [*blocks, f"and {left} more failed; the log has them all\n"] if left else blocks


def _cause(group: Group) -> str:
    """Return a cause of several tests: where it arose, the message of the first, and their names."""
    first = group.tests[0]
    message = fence(first.last.message) if first.last.message else ""
    names = [f"- {code(test.node_id)} {test.type} {test.outcome.value}\n" for test in group.tests[:_TESTS_SHOWN]]
    more = len(group.tests) - _TESTS_SHOWN
    names += [f"- and {more} more\n"] if more > 0 else []
    head = html.escape(one_line(cause_title(group), _NAME_LIMIT))
    return f"<details><summary>{head}</summary>\n\n{message}\n{''.join(names)}\n</details>\n"


def _failure(test: TestRecord) -> str:
    attempts = f", {len(test.attempts)} attempts" if test.repeated else ""
    place = f"{test.file}:{test.line}" if test.line else test.file
    head = f"<code>{html.escape(one_line(test.node_id, _NAME_LIMIT))}</code> {test.type} {test.outcome.value}{attempts}"
    where = f"{code(place)}\n\n" if place else ""
    message = fence(test.last.message) if test.last.message else ""
    # The blank lines end the HTML, so that what is between is Markdown again.
    return f"<details><summary>{head}</summary>\n\n{where}{message}\n</details>\n"


def _flaky(run: RunRecord) -> list[str]:
    tests = flaky(run)
    lines = [f"- {code(test.node_id)} passed at attempt {len(test.attempts)}{_first(test)}" for test in tests]
    return _section("Flaky", lines, _FLAKY_SHOWN)


def _first(test: TestRecord) -> str:
    message = one_line(test.attempts[0].message, _REASON_LIMIT)
    return f", after {code(message)}" if message else ""


def _slowest(summaries: Sequence[TypeSummary]) -> list[str]:
    tests = slowest_of(summaries, least_s=0.1)
    return _section("Slowest", [f"- {seconds(test.duration_s)} {code(test.node_id)}" for test in tests], 100)


def _section(title: str, lines: Sequence[str], limit: int) -> list[str]:
    if not lines:
        return []
    more = len(lines) - limit
    return [f"### {title}\n", *lines[:limit], *([f"- and {more} more"] if more > 0 else []), ""]


def code(text: str, limit: int = _NAME_LIMIT) -> str:
    """Return ``text`` as a code span on one line, of at most ``limit`` characters."""
    flat = one_line(text, limit)
    if not flat:
        return ""
    mark = "`" * (_longest_run(flat) + 1)
    # Next to its marks a backtick would be one of them; a space on both sides is not part of the content.
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{mark}{pad}{flat}{pad}{mark}"


def fence(text: str) -> str:
    """Return ``text`` as a fenced block of code."""
    shown = printable(clean(text, MESSAGE_LIMIT))
    mark = "`" * max(3, _longest_run(shown) + 1)
    return f"{mark}text\n{shown}\n{mark}\n"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode("utf-8")) + 1 for line in lines)
