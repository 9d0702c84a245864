"""The event loop of the process, which looks names up on threads of their own, and waits for no handshake for long."""

from __future__ import annotations

from typing import Any

from pytest_sergas.lookups import LookupLoop


class Loop(LookupLoop):
    """An event loop.

    Args:
        handshake_s: seconds after which a client that has not finished its TLS handshake is cut off. asyncio gives it a
            minute, in which it is a connection that nobody counts.
    """

    def __init__(self, *, handshake_s: float) -> None:
        super().__init__()
        self._handshake_s = handshake_s

    async def create_server(self, *args: Any, ssl: Any = None, **options: Any) -> Any:
        """Listen, as asyncio's own loop does."""
        if ssl is not None:
            options.setdefault("ssl_handshake_timeout", self._handshake_s)
        return await super().create_server(*args, ssl=ssl, **options)
