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
    if not written:
        return None
    path = context.root / written
    if reason := unwritable(path):
        raise ConfigurationError((f"{context.named('ctrf')} = {written!r}: {reason}",))
    return Ctrf(path)


@dataclass(frozen=True, slots=True)
class Ctrf:
    """Writes the run to ``path``."""

    path: Path
    name: str = "ctrf"

    @property
    def writes(self) -> tuple[Path, ...]:
        return (self.path,)

    def publish(self, run: RunRecord, remaining_s: Callable[[], float]) -> Publication:
        del remaining_s  # a file system that hangs cannot be interrupted
        from pytest_sergas.core.ctrf import to_json

        write_atomically(self.path, to_json(run))
        return Publication(place=str(self.path))
