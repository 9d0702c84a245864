"""The process: the socket, uvicorn, and what signals do.

SIGTERM, SIGINT   take no new connection, finish the requests in progress, close the store, end with 0
SIGHUP            read the configuration again; when it is wrong, say so and keep the one in force
"""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pytest_sergas.config.serve import MEMORY, Address, ServeSettings, address
from pytest_sergas.config.tokens import make_token, token_path
from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.errors import ConfigurationError, SergasError
from pytest_sergas.sidecar import logs
from pytest_sergas.sidecar.app import create_app
from pytest_sergas.sidecar.auth import Authentication
from pytest_sergas.sidecar.connection import KEEP_ALIVE_S, Connections, Limits
from pytest_sergas.sidecar.foreign import connection_fault
from pytest_sergas.sidecar.guard import Access, Guard
from pytest_sergas.sidecar.loop import Loop
from pytest_sergas.sidecar.web_config import WebConfig, read_web_config

Load = Callable[[], EngineSettings]

# What a process needs besides its connections: the store, logs, checks and scrapes.
_OTHER_FILES = 512
_BACKLOG = 128
_STOPPING = (signal.SIGTERM, signal.SIGINT)
# Keys whose change a running process cannot follow.
_FIXED = ("listen", "store")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration with the files that it names.

    Attributes:
        own_token: the file whose token is accepted because nothing else says who may ask; None otherwise.
    """

    settings: EngineSettings
    web: WebConfig
    tokens: tuple[str, ...] = field(repr=False)
    own_token: Path | None = None

    @property
    def is_authenticated(self) -> bool:
        return bool(self.web.is_authenticated or self.tokens)

    def access(self, before: Authentication | None = None) -> Access:
        """Return who may ask; users whom ``before`` knows stay known."""
        serve = self.settings.serve
        external, prefix = urlsplit(serve.external_url).hostname, unquote(urlsplit(serve.external_url).path)
        return Access(
            Authentication(self.web.users, self.tokens, before),
            frozenset({*serve.allowed_hosts, *([external] if external else [])}),
            checks_host=not self.is_authenticated,
            headers=self.web.headers,
            prefix=prefix,
            proxies=tuple(map(ipaddress.ip_network, serve.trusted_proxies)),
        )


def read(load: Load, *, allow_unauthenticated: bool) -> Loaded:
    """Read the configuration and the files that it names; make a token where it says so.

    Raises:
        ConfigurationError: it cannot be used, or it would let everybody in.
    """
    settings = load()
    serve = settings.serve
    web = read_web_config(settings.root / serve.web_config) if serve.web_config else WebConfig()
    own_token = None if web.is_authenticated else _made_token(serve, settings.root)
    if own_token is not None:
        serve = replace(serve, token_file=str(own_token))
    loaded = Loaded(settings, web, _tokens(settings.root, serve.token_file), own_token)
    if not (address(serve.listen).is_loopback or loaded.is_authenticated or allow_unauthenticated):
        fault = (
            f"listen = {serve.listen!r}: others than this machine could reach it, and nobody has to log in; "
            "set web_config or token_file, or start it with --allow-unauthenticated"
        )
        raise ConfigurationError((fault,))
    return loaded


def _made_token(serve: ServeSettings, root: Path) -> Path | None:
    """Return the file of the token that is made where the configuration asks for one and names no other."""
    named = root / serve.token_file if serve.token_file else None
    path = token_path(serve, root)
    if not serve.make_token or (path is not None and path == named):
        return None
    if path is None:
        fault = f"make_token = true: a store in {MEMORY!r} keeps no token; name a file as store, or set token_file"
        raise ConfigurationError((fault,))
    try:
        make_token(path)
    except OSError as error:
        raise ConfigurationError((f"make_token = true: {str(path)!r} cannot be written: {error.strerror}",)) from error
    return path


def _tokens(root: Path, file: str) -> tuple[str, ...]:
    if not file:
        return ()
    where = f"token_file = {file!r}"
    try:
        tokens = tuple((root / file).read_text("utf-8").split())
    except OSError as error:
        raise ConfigurationError((f"{where}: cannot be read: {error.strerror}",)) from error
    except UnicodeDecodeError:
        raise ConfigurationError((f"{where}: is not UTF-8 text",)) from None
    if not tokens:
        raise ConfigurationError((f"{where}: is empty; it has to hold one token a line",))
    return tokens


def bind(listen: Address) -> socket.socket:
    """Return a socket that listens on ``listen``.

    Raises:
        SergasError: somebody else listens there, or this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        # Never SO_REUSEPORT: that would share the port with whoever has it.
        listening = socket.create_server((listen.host, listen.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EINVAL)
        raise SergasError(
            f"sergas: cannot listen on {listen}: {reason}; choose another with --listen ADDRESS:PORT"
        ) from error
    # Connections inherit it. asyncio sets it for those alone whose socket names its protocol, which this one does not.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def tls_context(web: WebConfig) -> ssl.SSLContext | None:
    """Return what ``web`` says about TLS, or None for plain HTTP.

    Raises:
        ConfigurationError: the certificate or a key cannot be used.
    """
    if web.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        web.tls.apply(context)
    except OSError as error:  # ssl.SSLError, for what is no certificate, is one
        raise ConfigurationError((f"tls_server_config: {error.strerror or error}",)) from error
    return context


def serve(load: Load, *, allow_unauthenticated: bool) -> None:
    """Run the sidecar until a signal ends it.

    Args:
        load: reads the configuration; called again for SIGHUP.
        allow_unauthenticated: whether it may listen beyond this machine although nobody has to log in.

    Raises:
        SergasError: it cannot listen, the configuration cannot be used, or a part cannot start.
    """
    if sys.platform == "win32":
        raise SergasError("sergas: serve needs POSIX: it is ended and reloaded by signals; run it on Linux or macOS")
    loaded = read(load, allow_unauthenticated=allow_unauthenticated)
    logs.configure(loaded.settings.serve.log_level, loaded.settings.serve.log_format)
    _say_token(loaded)
    _raise_file_limit(loaded.settings.serve.max_connections)
    context = tls_context(loaded.web)
    with bind(address(loaded.settings.serve.listen)) as listening:
        process = Process(load, loaded, context, allow_unauthenticated=allow_unauthenticated)
        handshake_s = loaded.settings.serve.header_timeout
        with asyncio.Runner(loop_factory=lambda: Loop(handshake_s=handshake_s)) as runner:
            runner.run(process.run(listening))


class Process:
    """A sidecar that runs: what is in force, and how it is replaced."""

    def __init__(
        self, load: Load, loaded: Loaded, context: ssl.SSLContext | None, *, allow_unauthenticated: bool
    ) -> None:
        self._load = load
        self._loaded = loaded
        self._context = context
        self._allow_unauthenticated = allow_unauthenticated
        self._reload_succeeded = True
        self._connections = Connections(_limits(loaded.settings.serve))
        self._engine = Engine(loaded.settings, (self._connections, self))
        self._guard = Guard(create_app(self._engine), loaded.access())

    async def run(self, listening: socket.socket) -> None:
        """Serve on ``listening`` until a signal ends it."""
        await self._engine.start()
        _spare_the_collector()
        try:
            server = _Server(self._config(), on_ready=lambda: self._say(listening), on_reload=self.reload)
            await server.serve([listening])
        finally:
            await self._engine.stop()

    def reload(self) -> None:
        """Read the configuration again and follow it; keep the one in force when it cannot be used."""
        try:
            loaded = self._read_again()
            self._engine.follow(loaded.settings)
        except ConfigurationError as error:
            self._reload_succeeded = False
            self._engine.not_followed = error.faults
            _LOG.error("the configuration in force stays, because the new one cannot be used: %s", error)
            return
        self._follow(loaded)
        self._reload_succeeded = True
        self._engine.not_followed = ()
        _LOG.info("the configuration was read again")

    def _read_again(self) -> Loaded:
        loaded = read(self._load, allow_unauthenticated=self._allow_unauthenticated)
        tls_context(loaded.web)  # a certificate that cannot be used is found before anything changes
        if (loaded.web.tls is None) != (self._context is None):
            raise ConfigurationError(("tls_server_config: TLS cannot be switched on or off; start it again",))
        return loaded

    def _follow(self, loaded: Loaded) -> None:
        before, after = self._loaded.settings.serve, loaded.settings.serve
        for key in _FIXED:
            if getattr(before, key) != getattr(after, key):
                _LOG.warning("%s has changed; start it again for that", key)
        logs.configure(after.log_level, after.log_format)
        _say_token(loaded)
        if self._context is not None and loaded.web.tls is not None:
            loaded.web.tls.apply(self._context)
        self._connections.limits = _limits(after)
        self._guard.access = loaded.access(self._guard.access.authentication)
        self._loaded = loaded

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return whether what the configuration says is in force, as metrics."""
        del now
        succeeded = (Sample((), float(self._reload_succeeded and not self._engine.faults)),)
        text = "Whether the configuration, with its rule files, could be used when it was last read."
        return (Family("sergas_config_last_reload_successful", "gauge", text, succeeded),)

    def _say(self, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        scheme = "http" if self._context is None else "https"
        print(f"listening on {scheme}://{Address(host, port)}", flush=True)  # noqa: T201  who chose port 0 reads it here

    def _protocol(self) -> type[asyncio.Protocol] | str:
        """Return the class of connections; uvicorn's own where ours cannot derive from it."""
        fault = connection_fault()
        if not fault:
            return self._connections.protocol()
        _LOG.warning(
            "uvicorn %s is not as expected: %s; slow clients have no deadlines, and neither connections nor heads "
            "of requests are limited",
            uvicorn.__version__,
            fault,
        )
        return "auto"

    def _config(self) -> uvicorn.Config:
        context = self._context
        return uvicorn.Config(
            _Ending(self._guard),
            http=self._protocol(),
            loop="asyncio",  # uvloop was measured and does not help
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,  # asyncio takes that many in one go: no more can be open beyond the cap
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(self._loaded.settings.serve.drain_timeout)),
            ssl_context_factory=(lambda _config, _default: context) if context is not None else None,
        )


class _Ending:
    """An application round another one, which answers what is still going on when the process may wait no longer.

    uvicorn cancels it then. A client that sends a body slowly is the usual case, and no fault of the application's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if not has_begun:
                text = "the server stops, and could wait no longer for this request; send it again\n"
                await PlainTextResponse(text, 503, {"Retry-After": "1"})(scope, receive, send)


class _Server(uvicorn.Server):
    """uvicorn with signals that end it well, and a word when it is ready."""

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[], None], on_reload: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_reload = on_reload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # In the place of uvicorn's own handlers, which it has set by now: they raise the signal again when all is done,
        # and the process would die of it.
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self._stop)
        if sys.platform != "win32":
            loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        await super().startup(sockets)
        self._on_ready()

    def _stop(self) -> None:
        self.should_exit = True


def _say_token(loaded: Loaded) -> None:
    """Log which file holds the token that was made; never the token."""
    if loaded.own_token is None:
        return
    named = loaded.settings.serve.token_file
    why = f"token_file = {named!r} does not exist" if named else "no token_file is set"
    _LOG.warning("%s; the token in %s is accepted", why, loaded.own_token)


def _limits(settings: ServeSettings) -> Limits:
    return Limits(settings.max_connections, settings.header_timeout, settings.body_timeout)


def _spare_the_collector() -> None:
    """Keep Python's garbage collector from going through all groups again and again, which delays pushes by 20 ms.

    What has been loaded stays, and what a push leaves behind is freed at once: it has no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)


def _raise_file_limit(connections: int) -> None:
    """Allow as many open files as the connections need, where the system lets us."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _BACKLOG + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
