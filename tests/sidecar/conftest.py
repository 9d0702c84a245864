"""A request to a running sidecar, with every header under the test's control."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers.sidecar import Sidecar, sidecar

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    path: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] | list[tuple[str, str]] = {},  # noqa: B006  never changed
    body: bytes = b"",
    context: ssl.SSLContext | None = None,
) -> Reply:
    """Send a request; the Host header is the right one unless ``headers`` has any."""
    parts = urlsplit(url)
    assert parts.hostname
    pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
    connection = (
        HTTPSConnection(parts.hostname, parts.port, timeout=PATIENCE_S, context=context)
        if parts.scheme == "https"
        else HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    )
    try:
        connection.putrequest(method, path, skip_host=any(name == "Host" for name, _ in pairs))
        for name, value in pairs:
            connection.putheader(name, value)
        if body or method not in {"GET", "HEAD"}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar with the defaults, shared by the tests of a module that change nothing in it."""
    directory: Path = tmp_path_factory.mktemp("sidecar")
    with sidecar(directory, config='[serve]\nallowed_hosts = ["ci.example.org"]\n') as started:
        yield started
