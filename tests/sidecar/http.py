"""Requests as they are, down to the path, and what comes back."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request; a body that is iterable is sent in chunks."""

    method: str
    path: str
    body: bytes | tuple[bytes, ...] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of the headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def send(url: str, request: Request) -> Answer:
    """Send ``request`` to the server at ``url``; a redirect is not followed."""
    (answer,) = send_all(url, [request])
    return answer


def send_all(url: str, requests: Iterable[Request]) -> list[Answer]:
    """Send ``requests`` one after the other."""
    answers = []
    for request in requests:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_S)
        try:
            chunked = isinstance(request.body, tuple)
            connection.request(
                request.method,
                request.path,
                body=iter(request.body) if isinstance(request.body, tuple) else request.body or None,
                headers=dict(request.headers),
                encode_chunked=chunked,
            )
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            answers.append(Answer(answer.status, headers, answer.read()))
        finally:
            connection.close()
    return answers


def get(url: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    return send(url, Request("GET", path, headers=headers or {}))


def push(url: str, path: str, body: bytes, *, method: str = "POST", headers: Mapping[str, str] | None = None) -> Answer:
    return send(url, Request(method, path, body, headers or {}))
