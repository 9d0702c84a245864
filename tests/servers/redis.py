"""Debian's Redis, which keeps nothing on disk."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.controlled import Controlled, reserved_port
from tests.servers.tools import find

PASSWORD = "p@ss-w0rd"  # noqa: S105  the servers that tests start know it, and no other


@dataclass(frozen=True, slots=True)
class Redis:
    """A running server, which wants `PASSWORD`."""

    process: Controlled
    port: int

    @property
    def url(self) -> str:
        """Without the password."""
        return f"redis://127.0.0.1:{self.port}/0"


@contextmanager
def redis(directory: Path) -> Iterator[Redis]:
    """Run a Redis whose log is kept in ``directory``."""
    program = find("redis-server", "apt-get install redis-server, or make test")
    with reserved_port() as port:
        settings = {"bind": "127.0.0.1", "port": str(port), "save": "", "requirepass": PASSWORD, "dir": str(directory)}
        command: list[str | Path] = [program]
        for name, value in settings.items():
            command += [f"--{name}", value]
        process = Controlled(command, directory / "redis.log", lambda: _answers(port))
        try:
            process.start()
            yield Redis(process, port)
        finally:
            process.kill()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"-NOAUTH")
    except OSError:
        return False
