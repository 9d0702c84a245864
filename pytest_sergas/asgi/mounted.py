"""The sidecar as a part of another ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_sergas.asgi.protocol import App, Receive, Scope, Send

if TYPE_CHECKING:
    from pytest_sergas.engine.engine import Engine

T = TypeVar("T")


class System(Protocol):
    """A monitoring system, which may run."""

    @property
    def is_running(self) -> bool: ...

    async def within(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Await what ``work`` returns in the event loop of the engine."""
        ...


def sidecar_app(system: System, *, tokens: Sequence[str] = ()) -> App:
    """Return the sidecar's routes as an application to be mounted into another one.

    They answer while the system runs, and 503 otherwise: start it in the lifespan of the application. Pages of other
    sites change nothing here, as in a sidecar of its own; which ``Host`` is right is the surrounding application's to
    say.

    Args:
        system: whose engine is shown; it needs no port of its own.
        tokens: bearer tokens, one of which is needed; none lets in whom the surrounding application lets in.
    """
    from starlette.responses import PlainTextResponse

    from pytest_sergas.sidecar.app import create_app
    from pytest_sergas.sidecar.auth import Authentication
    from pytest_sergas.sidecar.guard import Access, Guard

    access = Access(Authentication({}, tuple(tokens)), checks_host=False)
    made: list[tuple[Engine, Guard]] = []  # of the engine that runs: each start has one of its own

    def guard(engine: Engine) -> Guard:
        if not made or made[0][0] is not engine:
            made[:] = [(engine, Guard(create_app(engine), access))]
        return made[0][1]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not system.is_running:
            await PlainTextResponse("the monitoring does not run\n", 503)(scope, receive, send)
            return
        loop = asyncio.get_running_loop()

        async def received() -> MutableMapping[str, Any]:
            return await _in_loop(receive(), loop)

        async def sent(message: MutableMapping[str, Any]) -> None:
            await _in_loop(send(message), loop)

        # A copy: which of our routes it was is nothing that the application's middleware should take for its own.
        copy = dict(scope)
        await system.within(lambda engine: guard(engine)(copy, received, sent))

    return app


async def _in_loop(work: Awaitable[T], loop: asyncio.AbstractEventLoop) -> T:
    """Await ``work`` in the ``loop`` of the server, which owns the connection."""

    async def awaited() -> T:
        return await work

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(awaited(), loop))
