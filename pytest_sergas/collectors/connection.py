"""HTTP connections whose every step has only the time that is left.

The timeouts of HTTP clients begin anew with every byte, so that a head that trickles would take for ever.
No proxy, no redirect, nothing from the environment.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpcore2
import httpx2


def parsed(url: str) -> httpcore2.URL:
    """Return ``url`` with its host and its path as they are sent, whatever script they are written in."""
    parts = httpx2.URL(url)
    return httpcore2.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)


def connections(ca_file: Path | None, remaining_s: Callable[[], float]) -> httpcore2.ConnectionPool:
    """Return what makes connections; where no time is left, they raise `httpcore2.TimeoutException`.

    Args:
        ca_file: certificate authorities to trust instead of the usual ones.
        remaining_s: how many seconds are left, 0 when there are none.
    """
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    return httpcore2.ConnectionPool(ssl_context=context, network_backend=_Network(remaining_s))


def _left(remaining_s: Callable[[], float]) -> float:
    if (seconds := remaining_s()) > 0:
        return seconds
    raise httpcore2.ReadTimeout


class _Network(httpcore2.SyncBackend):
    def __init__(self, remaining_s: Callable[[], float]) -> None:
        self._remaining_s = remaining_s

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *rest: Any, **more: Any) -> _Stream:
        del timeout
        stream = super().connect_tcp(host, port, _left(self._remaining_s), *rest, **more)
        return _Stream(stream, self._remaining_s)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream, remaining_s: Callable[[], float]) -> None:
        self._inner = inner
        self._remaining_s = remaining_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._inner.read(max_bytes, _left(self._remaining_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._inner.write(buffer, _left(self._remaining_s))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        del timeout
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(self._remaining_s)), self._remaining_s)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
