"""A running sidecar, as the commands that talk to it find and ask it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sergas.config import load
from pytest_sergas.errors import ConfigurationError, PublishError, SergasError
from pytest_sergas.publishers import Context
from pytest_sergas.publishers.endpoint import Endpoint, endpoint

DEFAULT_URL = "http://127.0.0.1:8000"
WHERE = """\
The sidecar is the one at --url, else the key `sidecar` of the configuration,
else http://127.0.0.1:8000. Credentials are those with which runs are sent:
SERGAS_PUSH_TOKEN, or SERGAS_PUSH_USERNAME and SERGAS_PUSH_PASSWORD, or the
files that push_token_file and push_password_file name.
"""

_TIMEOUT_S = 10.0
_LIMIT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar that can be asked; `find` makes one."""

    _where: Endpoint

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return self._where.url

    def ask(self, path: str, what: str, keys: frozenset[str], *, method: str = "GET", document: Any = None) -> Any:
        """Return what is answered, an object with ``keys``.

        Args:
            what: what that is, for the case that it is something else: ``"the status"``.
            document: what is sent.

        Raises:
            SergasError: it cannot be asked, refuses, or answers something else.
        """
        body = json.dumps(document).encode() if document is not None else None
        try:
            answered = self._where.exchange(method, path, body, timeout_s=_TIMEOUT_S, limit_bytes=_LIMIT_BYTES)
        except PublishError as error:
            raise SergasError(f"sergas: {self.url}: {error}; sergas serve starts a sidecar") from error
        try:
            found = json.loads(answered)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not keys <= found.keys():
            raise SergasError(f"sergas: {self.url}: what it answers is not {what} of a sidecar; is it another server?")
        return found


def find(url: str | None, environ: Mapping[str, str] = os.environ) -> Sidecar:
    """Return the sidecar at ``url``, else the one of the configuration, else the one on this machine.

    Raises:
        ConfigurationError: the configuration, or the credentials, cannot be used.
    """
    here = Path.cwd()
    given = {"sidecar": ("--url", url)} if url is not None else {}
    loaded = load(here, environ=environ, options=given)
    context = Context(loaded.settings, environ, here, here, sources=loaded.sources)
    faults: list[str] = []
    where = endpoint("sidecar", loaded.settings.sidecar or DEFAULT_URL, context, faults)
    if faults:
        raise ConfigurationError(tuple(faults))
    return Sidecar(where)
