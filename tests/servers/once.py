"""What is installed once into ``.tools`` of the repository, by whichever test or command needs it first."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.tools import TOOLS


@contextmanager
def new(directory: Path) -> Iterator[Path]:
    """Yield a place to fill, which then becomes ``directory``: two that install at once do not meet."""
    TOOLS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS) as temporary:
        place = Path(temporary, "new")
        place.mkdir()
        yield place
        try:
            place.rename(directory)
        except OSError:
            if not directory.exists():  # another process was no faster
                raise


def install_all(names: Iterable[str], install: Callable[[str], object]) -> None:
    """Install everything before the tests, so that a slow download takes none of their time."""
    for name in names:
        try:
            install(name)
        except (pytest.skip.Exception, pytest.fail.Exception) as reason:
            sys.stderr.write(f"{reason}\n")  # the tests that need it skip or fail
