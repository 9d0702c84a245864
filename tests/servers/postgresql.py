"""Debian's PostgreSQL: a cluster of its own for each test that asks for one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.servers.controlled import Controlled, give_away, reserved_port, unprivileged
from tests.servers.tools import find

_HINT = "apt-get install postgresql, or make test"
USER = "shop"
PASSWORD = "p@ss w0rd/%41"  # noqa: S105  the clusters that tests make know it, and no other


@dataclass(frozen=True, slots=True)
class Postgresql:
    """A running server with the database ``postgres``, which wants `USER` and `PASSWORD`."""

    process: Controlled
    port: int

    @property
    def url(self) -> str:
        """Without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    @property
    def url_with_password(self) -> str:
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"


@contextmanager
def postgresql(directory: Path) -> Iterator[Postgresql]:
    """Run a PostgreSQL whose cluster is made in ``directory``."""
    initdb, server = find("initdb", _HINT), find("postgres", _HINT)
    home = directory / "postgresql"
    home.mkdir()
    give_away(home)
    secret = home / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    data = home / "data"
    made = subprocess.run(
        [*unprivileged(), initdb, "-D", data, "-U", USER, f"--pwfile={secret}", "-A", "scram-sha-256", "--no-sync"],
        capture_output=True,
        check=False,
        cwd="/",
        timeout=300,
    )
    assert made.returncode == 0, made.stderr.decode()
    with reserved_port() as port:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "10",
            "superuser_reserved_connections": "0",
        }
        command: list[str | Path] = [
            *unprivileged(),
            server,
            "-D",
            data,
            *(f"--{name}={value}" for name, value in settings.items()),
        ]
        process = Controlled(command, directory / "postgresql.log", lambda: _answers(port))
        try:
            process.start()
            yield Postgresql(process, port)
        finally:
            process.kill()


def _answers(port: int) -> bool:
    import psycopg

    address = f"host=127.0.0.1 port={port} dbname=postgres connect_timeout=60"
    try:
        psycopg.connect(address, user=USER, password=PASSWORD).close()
    except psycopg.OperationalError:
        return False
    return True
