"""The run as a CTRF file (https://ctrf.io), for whatever reads test results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_sergas.core.records import RunRecord
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.publishers import Context, Publication
from pytest_sergas.publishers.files import unwritable, write_atomically


def create(context: Context) -> Ctrf | None:
    """Return the publisher, or None when no file is named.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    written = context.settings.ctrf
    paths = [] if context.record is None else [context.record]
    if written:
        paths.insert(0, context.root / written)
        if reason := unwritable(paths[0]):
            raise ConfigurationError((f"{context.named('ctrf')} = {written!r}: {reason}",))
    return Ctrf(tuple(paths)) if paths else None


@dataclass(frozen=True, slots=True)
class Ctrf:
    """Writes the run to the files ``writes``, the first of which is named."""

    writes: tuple[Path, ...]
    name: str = "ctrf"

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del remaining_s  # a file system that hangs cannot be interrupted
        from pytest_sergas.core.ctrf import to_json

        document = to_json(run)
        for path in self.writes:
            write_atomically(path, document)
        return Publication(place=str(self.writes[0]))
