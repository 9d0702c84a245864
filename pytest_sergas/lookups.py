"""Names that are looked up on threads of their own: who asks can stop waiting, which `socket.getaddrinfo` cannot.

asyncio does it on the one pool that everything shares, and waits for that pool in the end: a few lookups that a name
server leaves without an answer would keep a push from being unpacked, and the process from ending. A name that is
being looked up is not looked up a second time, so that a name server that is silent for good costs one thread a name.
"""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any


class _UnderWay:
    """What is being looked up, by what was asked."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = Lock()
        self.lookups: dict[tuple[Any, ...], Future[Any]] = {}


_UNDER_WAY = _UnderWay()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_UNDER_WAY.reset)  # its threads are not there


def look_up(*asked: Any) -> Future[Any]:
    """Begin to look a name up; return what will have the result of `socket.getaddrinfo`, or its error.

    Args:
        asked: the arguments of `socket.getaddrinfo`, by position.
    """
    with _UNDER_WAY.lock:
        lookup = _UNDER_WAY.lookups.get(asked)
        if lookup is not None:
            return lookup
        lookup = Future()
        lookup.set_running_or_notify_cancel()  # from here on nobody's cancel() reaches it
        _UNDER_WAY.lookups[asked] = lookup
    Thread(target=_work, args=(asked, lookup), name=f"lookup {asked[0]!r}", daemon=True).start()
    return lookup


def _work(asked: tuple[Any, ...], lookup: Future[Any]) -> None:
    try:
        found = socket.getaddrinfo(*asked)
    except Exception as error:  # noqa: BLE001  raised where the answer is awaited
        _forget(asked)
        lookup.set_exception(error)
    else:
        _forget(asked)  # first, so that who hears of this one can ask anew
        lookup.set_result(found)


def _forget(asked: tuple[Any, ...]) -> None:
    with _UNDER_WAY.lock:
        _UNDER_WAY.lookups.pop(asked, None)


class LookupLoop(asyncio.SelectorEventLoop):
    """An event loop whose lookups are these."""

    async def getaddrinfo(self, host: Any, port: Any, **wanted: int) -> Any:
        """Look ``host`` up, as `socket.getaddrinfo` does."""
        options = (wanted.get(name, 0) for name in ("family", "type", "proto", "flags"))
        return await asyncio.wrap_future(look_up(host, port, *options))
