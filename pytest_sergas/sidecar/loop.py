"""The event loop of the process, which looks names up on threads of their own, and waits for no handshake for long.

asyncio does it on the one pool that everything shares: a few lookups that a name server leaves without an answer, for
channels that try again and again, would keep a push from being unpacked, and the process from ending.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Future
from threading import Thread
from typing import Any


class Loop(asyncio.SelectorEventLoop):
    """An event loop; a name that is being looked up is not looked up a second time.

    Args:
        handshake_s: seconds after which a client that has not finished its TLS handshake is cut off. asyncio gives it a
            minute, in which it is a connection that nobody counts.
    """

    def __init__(self, *, handshake_s: float) -> None:
        super().__init__()
        self._handshake_s = handshake_s
        self._lookups: dict[tuple[Any, ...], Future[Any]] = {}

    async def create_server(self, *args: Any, ssl: Any = None, **options: Any) -> Any:
        """Listen, as asyncio's own loop does."""
        if ssl is not None:
            options.setdefault("ssl_handshake_timeout", self._handshake_s)
        return await super().create_server(*args, ssl=ssl, **options)

    async def getaddrinfo(self, host: Any, port: Any, **wanted: int) -> Any:
        """Look ``host`` up, as `socket.getaddrinfo` does."""
        asked = (host, port, *(wanted.get(name, 0) for name in ("family", "type", "proto", "flags")))
        lookup = self._lookups.get(asked)
        if lookup is None:
            lookup = Future()
            lookup.set_running_or_notify_cancel()  # from here on nobody's cancel() reaches it
            self._lookups[asked] = lookup
            Thread(target=self._look_up, args=(asked, lookup), name=f"lookup {host!r}", daemon=True).start()
        return await asyncio.wrap_future(lookup)

    def _look_up(self, asked: tuple[Any, ...], lookup: Future[Any]) -> None:
        try:
            found = socket.getaddrinfo(*asked)
        except Exception as error:  # noqa: BLE001  whoever waits gets it, whatever it is
            del self._lookups[asked]
            lookup.set_exception(error)
        else:
            del self._lookups[asked]  # first, so that who hears of this one can ask anew
            lookup.set_result(found)
