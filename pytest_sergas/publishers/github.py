"""What GitHub Actions shows of a run: the step summary, and annotations at the tests in a pull request.

Only where GITHUB_ACTIONS says so. The formats are those of GitHub's documentation of workflow commands
(https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands): a command is one line,
in whose message ``%`` and line ends are escaped, and in whose properties ``:`` and ``,`` as well. Text of
a test therefore never begins a line, which is where a command would have to stand.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pytest_sergas.core.causes import Group
from pytest_sergas.core.records import MESSAGE_LIMIT, RunRecord
from pytest_sergas.core.summary import causes, flaky
from pytest_sergas.core.text import clean, one_line, printable
from pytest_sergas.errors import PublishError
from pytest_sergas.publishers import Context, Publication, Segment
from pytest_sergas.publishers.markdown import LIMIT_BYTES, render

# GitHub shows this many annotations of one kind for a step and drops the others without a word.
SHOWN = 10
_LEAST_BYTES = 4_000
_OTHER_ANNOTATOR = "pytest_github_actions_annotate_failures"
_GAP = b"\n\n"
_TITLE_LIMIT = 200


def create(context: Context) -> GitHub | None:
    """Return the publisher inside GitHub Actions."""
    environ = context.environ
    if environ.get("GITHUB_ACTIONS") != "true":
        return None
    summary = environ.get("GITHUB_STEP_SUMMARY")
    return GitHub(
        root=context.rootdir or context.root,
        workspace=Path(environ.get("GITHUB_WORKSPACE") or context.rootdir or context.root),
        summary=Path(summary) if summary else None,
        slowest=context.settings.slowest,
        others_annotate=find_spec(_OTHER_ANNOTATOR) is not None,
    )


@dataclass(frozen=True, slots=True)
class GitHub:
    """Appends to the step summary, and says where the failed and flaky tests are.

    Attributes:
        root: what the files of the records are relative to.
        workspace: the checkout, which the files of annotations are relative to.
        summary: the file of the step summary; the step's other commands write to it too. None where GitHub
            gives none.
        slowest: how many of the slowest tests the summary names for each type.
        others_annotate: another plugin annotates the failed tests; each is to be there once.
    """

    root: Path
    workspace: Path
    summary: Path | None
    slowest: int
    others_annotate: bool = False
    name: str = "github"
    writes: tuple[Path, ...] = ()  # the summary is appended to, which others may do as well

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del remaining_s  # nothing here can wait
        failed = () if self.others_annotate else causes(run)
        shaky = [Group(None, (test,)) for test in flaky(run)]
        lines = (
            *(_command("error", {"title": "the run fails"}, refusal.text) for refusal in run.refused),
            *annotate("error", "failed", failed, self.root, self.workspace),
            *annotate("warning", "were flaky", shaky, self.root, self.workspace),
        )
        try:
            self._append(run)
        except PublishError as error:
            # Said the way that everything else is said here; the annotations are worth having without it.
            lines = (*lines, _command("warning", {"title": "pytest-sergas"}, str(error)))
        return Publication(lines=tuple((Segment(line),) for line in lines))

    def _append(self, run: RunRecord) -> None:
        if self.summary is None:
            return
        try:
            with self.summary.open("ab") as file:
                room = LIMIT_BYTES - file.tell() - len(_GAP)
                if room < _LEAST_BYTES:
                    raise PublishError(f"the step summary has no room: {room} of {LIMIT_BYTES} bytes are left")
                # In one piece, and after an empty line: what stands there may be the middle of a table.
                file.write(_GAP + render(run, slowest=self.slowest, limit_bytes=room).encode("utf-8"))
        except OSError as error:
            raise PublishError(f"the step summary was not written: {error.strerror}") from error


def annotate(kind: str, noun: str, groups: Sequence[Group], root: Path, workspace: Path) -> tuple[str, ...]:
    """Return a command for each cause, as many as GitHub shows; the last one says how many more tests there are.

    Args:
        kind: ``error`` or ``warning``.
        noun: what the tests did, for the last one.
        groups: the tests by cause.
        root: what the files of the records are relative to.
        workspace: what the files of the commands are relative to.
    """
    shown = groups if len(groups) <= SHOWN else groups[: SHOWN - 1]
    lines = [_annotation(kind, group, root, workspace) for group in shown]
    if more := sum(len(group.tests) for group in groups[len(shown) :]):
        title = f"{more} more tests {noun}"
        lines.append(_command(kind, {"title": title}, f"{title}; the step summary and the log have them"))
    return tuple(lines)


def _annotation(kind: str, group: Group, root: Path, workspace: Path) -> str:
    test, others = group.tests[0], len(group.tests) - 1
    properties = {}
    if file := _relative(test.file, root, workspace):
        properties["file"] = file
        if test.line:
            properties["line"] = str(test.line)
    told = next((attempt.message for attempt in reversed(test.attempts) if attempt.message), "")
    attempts = f" after {len(test.attempts)} attempts" if test.repeated else ""
    properties["title"] = f"{one_line(test.name, _TITLE_LIMIT)} ({test.type}): {test.outcome.value}{attempts}"
    if others:
        more = "1 more test fails" if others == 1 else f"{others} more tests fail"
        told = f"{told or 'no message'}\n\n{more} with this cause"
    return _command(kind, properties, told or "no message")


def _relative(file: str, root: Path, workspace: Path) -> str:
    """Return ``file`` relative to the checkout; "" for one that is not in it."""
    if not file:
        return ""
    for base, top in ((root, workspace), (root.resolve(), workspace.resolve())):
        try:
            found = os.path.relpath(base / file, top)
        except ValueError:  # another drive
            continue
        if found != ".." and not found.startswith(f"..{os.sep}"):
            return found.replace(os.sep, "/")
    return ""


def _command(kind: str, properties: Mapping[str, str], message: str) -> str:
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {given}::{_data(printable(clean(message, MESSAGE_LIMIT)))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
