"""``sergas backup``: a copy of the store, also while the sidecar runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pytest_sergas.cli._options import add_config, config_file
from pytest_sergas.config import Judged, load_sections
from pytest_sergas.config.serve import MEMORY
from pytest_sergas.errors import SergasError

HELP = "copy the sidecar's store into a file, also while the sidecar runs"
EXAMPLES = """\
The copy is the store as it was at one moment, and can be read by its owner
alone. To go back to it, end the sidecar, run `sergas restore`, and start again.

examples:
  sergas backup /backup/sergas-monday.db
  sergas backup --store /var/lib/sergas.db /backup/sergas-monday.db
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("copy", metavar="FILE", help="the copy, a file that does not exist yet")
    parser.add_argument("--store", metavar="FILE", help="the store; default: the key `store` of [serve]")
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.engine.backups import back_up

    store, copy = store_file(arguments), Path(arguments.copy)
    size_bytes = back_up(store, copy)
    print(f"copied {store} to {copy} ({size_bytes} bytes)")
    return 0


def store_file(arguments: argparse.Namespace) -> Path:
    """Return the file of the store that the arguments or the configuration name.

    Raises:
        SergasError: the configuration keeps it in memory.
    """
    if arguments.store:
        return Path(arguments.store)
    file = config_file(arguments)
    store: str = load_sections(file, ("serve",), environ=os.environ, judged=Judged(files=False))["serve"].settings.store
    if store == MEMORY:
        raise SergasError(
            "sergas: the configuration keeps the store in memory, which has no file; name one with --store"
        )
    return file.root / store
