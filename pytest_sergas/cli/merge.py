"""``sergas merge``: the CTRF files of shards, or of a pipeline's parts, joined into one run."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.merging import MergeError, merge
from pytest_sergas.errors import PublishError, SergasError
from pytest_sergas.publishers.files import write_atomically
from pytest_sergas.publishers.terminal import show_failed, terminal_width

HELP = "join the CTRF files of shards into one run"
EXAMPLES = """\
Only what belongs together is joined: the same project, commit and build, shards
of the same split, and no test twice. A missing shard is an error, because
its failures would be missing too.

examples:
  sergas merge shards/*.ctrf.json -o run.ctrf.json
  sergas merge shards/*.ctrf.json -o run.ctrf.json --durations durations.json
  sergas report run.ctrf.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a CTRF file that a run has written")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the CTRF file of the whole run")
    parser.add_argument("--incomplete", action="store_true", help="join although shards are missing; the run says so")
    parser.add_argument("--durations", metavar="FILE", help="update the durations in this file, for the next split")


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.cli._runs import read_run

    # A file that is named twice is one file.
    runs = {name: read_run(name) for name in arguments.files}
    try:
        joined = merge(runs, incomplete=arguments.incomplete)
    except MergeError as error:
        raise SergasError("\n  ".join(("sergas: the runs cannot be joined", *error.faults))) from error
    try:
        write_atomically(Path(arguments.output), to_json(joined))
        if arguments.durations:
            from pytest_sergas.plugin.durations import update

            for note in update(Path(arguments.durations), joined.tests):
                print(note)
    except PublishError as error:
        raise SergasError(f"sergas: {error}") from error
    print(f"{arguments.output}: {len(joined.tests)} tests of {len(runs)} runs")
    for line in show_failed(joined, width=terminal_width()):
        print("".join(segment.text for segment in line))
    return 0
