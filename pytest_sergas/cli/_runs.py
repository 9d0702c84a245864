"""Runs that commands read from CTRF files."""

from __future__ import annotations

from pathlib import Path

from pytest_sergas.core.ctrf_reading import CtrfError, from_json
from pytest_sergas.core.records import RunRecord
from pytest_sergas.errors import SergasError


def read_run(name: str) -> RunRecord:
    """Return the run in the CTRF file ``name``.

    Raises:
        SergasError: it cannot be read, or is no CTRF file.
    """
    try:
        return from_json(Path(name).read_bytes())
    except OSError as error:
        raise SergasError(f"sergas: {name} cannot be read: {error.strerror or error}") from error
    except CtrfError as error:
        raise SergasError(f"sergas: {name} {error}; name files that --sergas-ctrf has written") from error
