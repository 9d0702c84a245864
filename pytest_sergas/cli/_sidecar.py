"""A running sidecar, as the commands that talk to it find and ask it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_sergas.cli._options import config_file
from pytest_sergas.config import Judged, Settings, load_sections
from pytest_sergas.config.file import ConfigFile
from pytest_sergas.config.section import Reading
from pytest_sergas.config.serve import ServeSettings, address
from pytest_sergas.config.tokens import token_path
from pytest_sergas.errors import ConfigurationError, PublishError, SergasError
from pytest_sergas.publishers import Context
from pytest_sergas.publishers.endpoint import PASSWORD, TOKEN, USERNAME, AnsweredError, Endpoint, endpoint

WHERE = """\
The sidecar is the one at --url, else the key `sidecar` of the configuration,
else where [serve] listens: 127.0.0.1:8000 unless it says otherwise. Credentials
are --token-file, or --username and --password-file; else those with which runs
are sent (SERGAS_PUSH_TOKEN, SERGAS_PUSH_USERNAME and SERGAS_PUSH_PASSWORD,
push_token_file, push_password_file); else, for a sidecar of this configuration
or on this machine, the first token of [serve] token_file, or the one it made.
"""

_TIMEOUT_S = 10.0
_LIMIT_BYTES = 256 * 1024 * 1024
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where we ask for what listens there


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
        except AnsweredError as error:
            raise SergasError(f"sergas: {self.url}: {self._refusal(error, path)}") from error
        except PublishError as error:
            raise SergasError(f"sergas: {self.url}: {error}; sergas serve starts a sidecar") from error
        try:
            found = json.loads(answered)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not keys <= found.keys():
            raise SergasError(f"sergas: {self.url}: what it answers is not {what} of a sidecar; is it another server?")
        return found

    def _refusal(self, error: AnsweredError, path: str) -> str:
        """Return why it did not do what it was asked for, and what to do."""
        if error.status in {401, 403}:
            if self._where.authorization:
                return f"it does not accept these credentials ({error.status})"
            return f"it wants credentials ({error.status}): --token-file, or --username and --password-file"
        if said := _said(str(error)):
            return said
        if error.status == 404:
            return f"it has no {path.partition('?')[0]} (404); is it another server, or an older sidecar?"
        return str(error)


def find(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Sidecar:
    """Return the sidecar that the arguments or the configuration name, else the one on this machine.

    Raises:
        ConfigurationError: the configuration, or the credentials, cannot be used.
    """
    file = config_file(arguments)
    typed = _typed(arguments)
    readings = load_sections(file, ("", "serve"), environ=environ, options={"": typed}, judged=Judged(files=False))
    runs: Reading[Settings] = readings[""]
    own = _own_url(readings["serve"].settings, file)
    named = runs.settings.sidecar or own
    if typed.keys() - {"sidecar"} or "@" in (getattr(arguments, "url", None) or ""):
        # What is typed is meant, and nothing beside it.
        keys = ("push_username", "push_password_file", "push_token_file")
        others: dict[str, Any] = {key: "" for key in keys if key not in typed}
        runs = replace(runs, settings=replace(runs.settings, **others))
        environ = {name: value for name, value in environ.items() if name not in {USERNAME, PASSWORD, TOKEN}}
    context = Context(runs.settings, environ, file.root, Path.cwd(), sources=runs.sources)
    faults: list[str] = []
    where = endpoint("sidecar", named, context, faults)
    if faults:
        raise ConfigurationError(tuple(faults))
    serve: ServeSettings = readings["serve"].settings
    if not where.authorization and ("sidecar" not in typed or _is_ours(where.url, own, serve.external_url)):
        where = _with_own_token(where, serve, file.root)
    return Sidecar(where)


def _typed(arguments: argparse.Namespace) -> dict[str, tuple[str, Any]]:
    """Return key → (what was typed, value); files are relative to where the command was typed."""
    found: dict[str, tuple[str, Any]] = {}
    for key, name, option, is_file in (
        ("sidecar", "url", "--url", False),
        ("push_username", "username", "--username", False),
        ("push_password_file", "password_file", "--password-file", True),
        ("push_token_file", "token_file", "--token-file", True),
    ):
        if (value := getattr(arguments, name, None)) is not None:
            found[key] = (option, str(Path.cwd() / value) if is_file and value else value)
    return found


def _own_url(serve: ServeSettings, file: ConfigFile) -> str:
    """Return where the sidecar of this configuration is asked on this machine."""
    listen = address(serve.listen)
    host = _EVERYWHERE.get(listen.host, listen.host)
    port = listen.port or address(ServeSettings().listen).port  # which free one it took, nobody knows here
    scheme = "https" if serve.web_config and _has_tls(file.root / serve.web_config) else "http"
    return f"{scheme}://{replace(listen, host=host, port=port)}"


def _is_ours(url: str, own: str, external: str) -> bool:
    """Whether an address that was typed may be sent our token: it is our sidecar's, or on this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "127.0.0.1", "::1", urlsplit(own).hostname, urlsplit(external).hostname}


def _has_tls(web_config: Path) -> bool:
    try:
        from pytest_sergas.sidecar.web_config import read_web_config

        return read_web_config(web_config).tls is not None
    except (ModuleNotFoundError, ConfigurationError):
        return False  # it is the sidecar that has to read it


def _with_own_token(where: Endpoint, serve: ServeSettings, root: Path) -> Endpoint:
    """Return the endpoint with a token that the sidecar of this configuration accepts, where we may read it."""
    if (path := token_path(serve, root)) is None:
        return where
    try:
        tokens = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        return where  # it is the sidecar that has to read it; what it wants, it says itself
    return replace(where, authorization=f"Bearer {tokens[0]}", secrets=(tokens[0],)) if tokens else where


def _said(text: str) -> str:
    """Return the error, and its faults, that a sidecar has answered as JSON, or ""."""
    _, brace, rest = text.partition("{")
    try:
        found = json.loads(brace + rest)
    except ValueError:
        return ""
    if not isinstance(found, dict) or not isinstance(error := found.get("error"), str):
        return ""
    faults = found.get("faults", [])
    return "; ".join((error, *map(str, faults))) if isinstance(faults, list) else error
