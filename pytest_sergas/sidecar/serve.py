"""The process: the socket, uvicorn, and what signals do.

SIGTERM, SIGINT   take no new connection, finish the requests in progress, close the store, end with 0
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from pytest_sergas.config.serve import Address, ServeSettings, address
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.errors import SergasError
from pytest_sergas.sidecar.app import create_app

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def bind(listen: Address) -> socket.socket:
    """Return a socket that is bound to ``listen``.

    Raises:
        SergasError: somebody else listens there, or this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        # Never SO_REUSEPORT: that would share the port with whoever has it.
        return socket.create_server((listen.host, listen.port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SergasError(
            f"sergas: cannot listen on {listen}: {reason}; choose another with --listen ADDRESS:PORT"
        ) from error


def serve(settings: EngineSettings) -> None:
    """Run the sidecar until a signal ends it.

    Raises:
        SergasError: it cannot listen, or a part cannot start.
    """
    with bind(address(settings.serve.listen)) as listening:
        asyncio.run(_serve(settings, listening))


async def _serve(settings: EngineSettings, listening: socket.socket) -> None:
    engine = Engine(settings)
    await engine.start()
    try:
        host, port = listening.getsockname()[:2]
        server = _Server(engine, settings.serve, lambda: _say(Address(host, port)))
        await server.serve([listening])
    finally:
        await engine.stop()


def _say(listen: Address) -> None:
    print(f"listening on http://{listen}", flush=True)  # noqa: T201  who starts it with port 0 reads it here


class _Server(uvicorn.Server):
    """uvicorn with signals that end it well, and a word when it is ready."""

    def __init__(self, engine: Engine, settings: ServeSettings, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(engine),
                http="httptools",
                loop="asyncio",  # uvloop was measured and does not help
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=int(settings.drain_timeout),
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End well: uvicorn's own raises the signal again when it is done, and the process would die of it."""
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in _STOPPING:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.should_exit = True
