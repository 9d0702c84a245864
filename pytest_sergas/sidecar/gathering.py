"""A transport that sends an answer's head and body together.

uvicorn writes the head, and then the body. As two packets they cost a client that keeps its connection 40 ms: its
system acknowledges the first only after a while, and until then ours keeps the second back (Nagle's algorithm, which
`TCP_NODELAY` switches off). As one write they are one packet, and one call to the system.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

GATHERED_BYTES = 64 * 1024  # more than that is many packets anyhow, and joining it would copy it
# macOS and others have no such option; there the client decides alone how soon its own packets go.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class GatheringTransport(asyncio.Transport):
    """Gathers what is written until `flush`, or until the event loop has called what is ready.

    Args:
        transport: sends; what pauses writing is its own buffer, as before.
        loop: calls `flush` in case nobody does.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes | bytearray | memoryview] = []
        self._flush_is_due = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._pieces.append(data)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush_late)

    def flush(self) -> None:
        """Send what has been gathered."""
        if not self._pieces:
            return
        pieces, self._pieces = self._pieces, []
        if sum(map(len, pieces)) <= GATHERED_BYTES:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self._transport.write(piece)

    def acknowledge(self) -> None:
        """Acknowledge what has arrived at once: a client that sends a body after its head may wait for that."""
        connection = self._transport.get_extra_info("socket")
        if _QUICKACK is not None and connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._pieces.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def _flush_late(self) -> None:
        self._flush_is_due = False
        self.flush()
