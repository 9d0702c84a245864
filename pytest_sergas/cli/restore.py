"""``sergas restore``: put a copy of the store in its place."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_sergas.cli._options import add_config
from pytest_sergas.cli.backup import store_file

HELP = "put a copy that `sergas backup` made in the place of the sidecar's store"
EXAMPLES = """\
The sidecar has to be ended first. The copy is looked at before anything
changes, and the store that was there is kept beside it.

examples:
  sergas restore /backup/sergas-monday.db
  sergas restore --store /var/lib/sergas.db /backup/sergas-monday.db
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("copy", metavar="FILE", help="the copy")
    parser.add_argument("--store", metavar="FILE", help="the store; default: the key `store` of [serve]")
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.engine.backups import restore

    store, copy = store_file(arguments), Path(arguments.copy)
    aside = restore(copy, store)
    print(f"restored {copy} to {store}" + (f"; the store that was there is {aside}" if aside else ""))
    return 0
