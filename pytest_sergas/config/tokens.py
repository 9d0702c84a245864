"""The bearer tokens that a sidecar accepts: in which file they are, and how one is made where there is none."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pytest_sergas.config.serve import MEMORY, ServeSettings

_MODE = 0o600
_BYTES = 32


def token_path(serve: ServeSettings, root: Path) -> Path | None:
    """Return the file of the accepted tokens, one a line; None where there is none.

    With ``make_token`` a ``token_file`` that does not exist is replaced by a file beside the store. One that exists and
    cannot be read is still the one that is meant.

    Args:
        root: the directory that paths of the configuration are relative to.
    """
    named = root / serve.token_file if serve.token_file else None
    if not serve.make_token or serve.store == MEMORY or (named is not None and _exists(named)):
        return named
    return root / f"{serve.store}.token"


def make_token(path: Path) -> None:
    """Write a new token into ``path``, for this user alone; a file that holds something stays as it is.

    Raises:
        OSError: the file cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _MODE)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        if not file.read().strip():  # new, or its writer was interrupted
            path.chmod(_MODE)
            file.write(f"{secrets.token_urlsafe(_BYTES)}\n")


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        pass  # what is wrong with it is reported when it is read
    return True
