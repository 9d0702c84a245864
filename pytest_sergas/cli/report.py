"""``sergas report``: a run that is over, from its CTRF file: its summary, and for a browser as one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_sergas.core.records import RunRecord
from pytest_sergas.errors import PublishError, SergasError
from pytest_sergas.publishers.files import write_atomically
from pytest_sergas.publishers.markdown import render
from pytest_sergas.publishers.terminal import show, terminal_width

HELP = "show the summary of a run from its CTRF file"
EXAMPLES = """\
examples:
  sergas report run.ctrf.json
  sergas report run.ctrf.json --markdown summary.md
  sergas report run.ctrf.json -o report.html
"""

EXTRA = "sergas: the page needs more packages: pip install 'pytest-sergas[sidecar]'"

_SLOWEST = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a CTRF file")
    parser.add_argument("--markdown", metavar="FILE", help="write a summary for people to this file too")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the page of the run to this file too; needs the extra sidecar"
    )


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.cli._runs import read_run

    found = read_run(arguments.file)
    for line in show(found, slowest=_SLOWEST, width=terminal_width(), name_failed=True)[0]:
        print("".join(segment.text for segment in line))
    if arguments.markdown:
        _write(arguments.markdown, render(found, slowest=_SLOWEST))
    if arguments.output:
        _write(arguments.output, _page(found))
    return 0


def _page(found: RunRecord) -> str:
    try:
        from pytest_sergas.sidecar.pages.report import report
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pytest_sergas"):
            raise
        raise SergasError(EXTRA) from error
    return report(found)


def _write(file: str, text: str) -> None:
    try:
        write_atomically(Path(file), text.encode("utf-8", "backslashreplace"))
    except PublishError as error:
        raise SergasError(f"sergas: {error}") from error
