"""For applications that speak ASGI: a middleware that records requests, and the sidecar as a part of the application.

    app.add_middleware(RequestsMiddleware, requests=system.metrics_collector.http_requests)
    app.mount("/sergas", sidecar_app(system))

An endpoint is the route's template (``/users/{id}``), because paths grow without bound. What no route matches is
`UNMATCHED`; where no router says anything, in an application without one, it is the path. In any case only the first
`max_endpoints` of them have series of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_sergas.collectors.http_requests import HttpRequests

if TYPE_CHECKING:
    from pytest_sergas.engine.engine import Engine

T = TypeVar("T")

UNMATCHED = "unmatched"
FAILED = 500  # what a server answers to a request whose application has raised

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestsMiddleware:
    """Records every HTTP request: method, endpoint, status, duration; how many are in flight; what was raised.

    Written for ASGI itself, so that bodies are streamed as ever. Add it last, to have it outermost. What the
    application raises goes on as it came.

    Args:
        requests: where they are recorded.
    """

    def __init__(self, app: App, *, requests: HttpRequests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0  # nothing was answered, and nothing raised: the client has gone
        raised = ""
        proxy_path = scope.get("root_path", "")

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._requests.begins()
        started_s = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            raised = type(error).__name__
            status = status or FAILED
            raise
        finally:
            duration_s = time.perf_counter() - started_s
            self._requests.ends(scope["method"], endpoint(scope, proxy_path), status, duration_s, raised)


def endpoint(scope: Scope, proxy_path: str = "") -> str:
    """Return what served a request: the template of its route, `UNMATCHED`, or the path where there is no router.

    Args:
        scope: as the application has left it.
        proxy_path: the ``root_path`` that it came with, which is the server's and no part of a route.
    """
    route = scope.get("route")
    mounted = str(scope.get("root_path", "")).removeprefix(proxy_path)
    if route is None and not mounted:
        if (function := scope.get("endpoint")) is not None:  # a framework that does not name the route
            return str(getattr(function, "__qualname__", type(function).__name__))
        return UNMATCHED if "router" in scope else str(scope["path"])
    values = {str(value): name for name, value in scope.get("path_params", {}).items()}
    prefix = "/".join(f"{{{values[part]}}}" if part in values else part for part in mounted.split("/"))
    # A mount has its own path in the prefix already; what it serves beneath it has no route.
    return f"{prefix}/*" if route is None or hasattr(route, "routes") else f"{prefix}{getattr(route, 'path', '')}"


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
