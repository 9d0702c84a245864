"""One deadline for all that a check waits for: name, connection, handshake, redirects, head and body.

The timeouts of client libraries begin anew with every step, and often with every byte: an answer that trickles takes
for ever. So checks that ask somebody else do it in coroutines, which can be ended wherever they are.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pytest_sergas.lookups import LookupLoop

T = TypeVar("T")

_CLEAN_UP_S = 0.2  # what an ended coroutine has to close its connection; half of what the runner grants
_ERRNO = re.compile(r"\[Errno (\d+)\]")


class OverdueError(TimeoutError):
    """The deadline has passed."""


class _Loop(LookupLoop):
    """Knows its connections: libraries do not close them all when they are ended in the middle of a handshake."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: list[asyncio.BaseTransport] = []

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        made = await super().create_connection(*args, **options)
        self._connections.append(made[0])
        return made

    def abort_connections(self) -> None:
        """Close all connections without another word to the other side."""
        for connection in self._connections:
            if isinstance(connection, asyncio.Transport):
                connection.abort()


def ended_within(
    timeout_s: float,
    work: Callable[[], Coroutine[Any, Any, T]],
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = _Loop,
) -> T:
    """Run a coroutine on an event loop of its own and return its result; what it raises is raised.

    Args:
        new_loop: makes the event loop; None for asyncio's usual one.

    Raises:
        OverdueError: it was not done within ``timeout_s`` seconds, and was ended.
    """

    async def bounded() -> T:
        task = asyncio.ensure_future(work())
        await asyncio.wait([task], timeout=timeout_s)
        if not task.done():
            task.cancel()
            loop = asyncio.get_running_loop()
            if isinstance(loop, _Loop):
                loop.abort_connections()
            await asyncio.wait([task], timeout=_CLEAN_UP_S)  # and is cancelled again when the loop ends
            raise OverdueError
        return task.result()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(bounded())


def reason(error: BaseException) -> str:
    """Return why no connection was made, in the system's words: libraries wrap its error in several of their own."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(map(reason, error.exceptions)))
    if isinstance(error, OSError) and not isinstance(error, (ssl.SSLError, socket.gaierror)):
        numbers = [error.errno] if error.errno else list(map(int, _ERRNO.findall(str(error))))  # of several addresses
        if numbers:
            return "; ".join(dict.fromkeys(map(os.strerror, numbers)))
    return str(error) or type(error).__name__
