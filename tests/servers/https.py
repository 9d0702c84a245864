"""An HTTPS server with a certificate that is made for the moment."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.servers.gateways import Answer, Received, answering


@dataclass(frozen=True, slots=True)
class Https:
    """A running server; ``ca_file`` has the certificate of who signed its own."""

    url: str
    ca_file: Path


@contextmanager
def https(
    directory: Path, *, days_left: float, answer: Callable[[Received], Answer] = lambda _: Answer()
) -> Iterator[Https]:
    """Run a server whose certificate is valid for ``days_left`` more days; less than 0 is expired."""
    authority = trustme.CA()
    now = datetime.now(tz=UTC)
    certificate = authority.issue_cert(
        "127.0.0.1", not_before=now - timedelta(days=30), not_after=now + timedelta(days=days_left)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with answering(answer, tls=context) as server:
        yield Https(server.url.replace("http://", "https://"), ca_file)
