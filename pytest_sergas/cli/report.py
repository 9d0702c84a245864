"""``sergas report``: the summary of a run that is over, from its CTRF file."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_sergas.errors import PublishError, SergasError
from pytest_sergas.publishers.files import write_atomically
from pytest_sergas.publishers.markdown import render
from pytest_sergas.publishers.terminal import show

HELP = "show the summary of a run from its CTRF file"
EXAMPLES = """\
examples:
  sergas report run.ctrf.json
  sergas report run.ctrf.json --markdown summary.md
"""

_SLOWEST = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a CTRF file")
    parser.add_argument("--markdown", metavar="FILE", help="write a summary for people to this file too")


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.cli._runs import read_run

    found = read_run(arguments.file)
    for line in show(found, slowest=_SLOWEST)[0]:
        print("".join(segment.text for segment in line))
    if arguments.markdown:
        try:
            write_atomically(Path(arguments.markdown), render(found, slowest=_SLOWEST).encode("utf-8"))
        except PublishError as error:
            raise SergasError(f"sergas: {error}") from error
    return 0
