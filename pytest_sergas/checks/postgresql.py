"""Whether a PostgreSQL answers a query, and its figures; with psycopg 3, from the extra ``postgres``.

libpq's non-blocking calls are used, which leave the waiting to us: a server that was stopped in the middle
of anything then costs the timeout and not more. psycopg's own timeout counts whole seconds, begins at two,
and ends with the connection. The name is looked up before: libpq would wait for the name server.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pytest_sergas.checks import Context
from pytest_sergas.checks.options import Options
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.monitoring import MonitorType
from pytest_sergas.core.text import one_line
from pytest_sergas.lookups import look_up

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

KEYS = CHECK_OPTIONS["postgresql"]

_QUERY = """\
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_connections')::int,
       pg_database_size(current_database()),
       xact_commit, xact_rollback, deadlocks, pg_is_in_recovery()::int, current_setting('server_version')
FROM pg_stat_database WHERE datname = current_database()
"""

FIGURES: tuple[tuple[str, FamilyType, str], ...] = (  # in the order of the query's columns
    ("database_postgresql_connections", "gauge", "Connections of clients, this check's included."),
    ("database_postgresql_connections_max", "gauge", "Connections that the server allows."),
    ("database_postgresql_size_bytes", "gauge", "Size of the database."),
    ("database_postgresql_commits_total", "counter", "Transactions that were committed."),
    ("database_postgresql_rollbacks_total", "counter", "Transactions that were rolled back."),
    ("database_postgresql_deadlocks_total", "counter", "Deadlocks."),
    ("database_postgresql_in_recovery", "gauge", "1 where the server is a standby."),
)


class _Failed(Exception):
    """The server cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class PostgresqlCheck:
    """Connects, asks one query, and disconnects.

    Attributes:
        connections_degraded: the share of the allowed connections from which on the state is degraded.
    """

    about: ClassVar[MonitorType] = MonitorType.DATABASE
    name: str
    url: str = field(repr=False)
    password: str = field(default="", repr=False)
    connections_degraded: float = 0.9

    @property
    def secrets(self) -> tuple[str, ...]:
        written = urlsplit(self.url).password or ""
        return tuple({secret for secret in (self.password, written, unquote(written), quote(self.password)) if secret})

    def run(self, timeout_s: float) -> CheckResult:
        deadline_s = time.monotonic() + timeout_s
        place = _place(self.url)
        try:
            row = self._ask(deadline_s)
        except TimeoutError as error:
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: {error} within {timeout_s:g} s")
        except _Failed as error:
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: {error}")
        return self._judge(place, row)

    def _ask(self, deadline_s: float) -> list[str]:
        import psycopg
        from psycopg import pq
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        own = {"password": self.password} if self.password else {}
        try:
            given = conninfo_to_dict(self.url, application_name="sergas", **own)
            text = make_conninfo("", **{**given, **_addresses(given, deadline_s)})
            connection = pq.PGconn.connect_start(text.encode())
        except psycopg.Error as error:
            raise _Failed(str(error)) from None  # without the cause, whose traceback has the password
        try:
            _connect(connection, deadline_s)
            return _query(connection, _QUERY, deadline_s)
        except psycopg.Error as error:
            raise _Failed(str(error)) from None
        finally:
            connection.finish()

    def _judge(self, place: str, row: list[str]) -> CheckResult:
        *numbers, version = row
        figures = tuple(
            Family(name, kind, text, (Sample((), float(number)),))
            for (name, kind, text), number in zip(FIGURES, numbers, strict=True)
        )
        used, allowed = int(numbers[0]), int(numbers[1])
        text = f"{place}: PostgreSQL {version.split()[0]}, {used} of {allowed} connections"
        status = HealthStatus.DEGRADED if used >= allowed * self.connections_degraded else HealthStatus.HEALTHY
        details = {"version": version, "connections": used, "connections_max": allowed}
        return CheckResult(self.name, status, text, details, figures)


def _addresses(given: Mapping[str, Any], deadline_s: float) -> dict[str, str]:
    """Return the parameters ``host``, ``hostaddr`` and ``port`` with the addresses of all hosts, in their order.

    Raises:
        _Failed: a name has no address.
        TimeoutError: the name server did not say in time.
    """
    hosts = str(given.get("host") or "").split(",")
    ports = str(given.get("port") or "").split(",")
    if given.get("hostaddr") or any(not host or host.startswith(("/", "@")) for host in hosts):
        return {}  # nothing is looked up, or libpq's default, a socket in a directory, is among them
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if len(ports) != len(hosts):
        return {}  # libpq says so
    found: list[tuple[str, str, str]] = []
    for host, port in zip(hosts, ports, strict=True):
        lookup = look_up(host, None, 0, socket.SOCK_STREAM, 0, 0)
        try:
            addresses = lookup.result(max(0.0, deadline_s - time.monotonic()))
        except socket.gaierror as error:
            raise _Failed(f'could not translate host name "{host}" to address: {error.strerror}') from None
        except TimeoutError:
            raise TimeoutError(f"no address of {host}") from None
        except (OSError, UnicodeError) as error:
            raise _Failed(f'could not translate host name "{host}" to address: {error}') from None
        found += [(host, address[4][0], port) for address in addresses]
    return dict(zip(("host", "hostaddr", "port"), map(",".join, zip(*found, strict=True)), strict=True))


def _connect(connection: PGconn, deadline_s: float) -> None:
    from psycopg import pq

    while True:
        match connection.connect_poll():
            case pq.PollingStatus.OK:
                connection.nonblocking = 1
                return
            case pq.PollingStatus.READING:
                _wait(connection, selectors.EVENT_READ, deadline_s, "no connection")
            case pq.PollingStatus.WRITING:
                _wait(connection, selectors.EVENT_WRITE, deadline_s, "no connection")
            case _:
                raise _Failed(_text(connection.get_error_message()))


def _query(connection: PGconn, query: str, deadline_s: float) -> list[str]:
    """Return the first row of the answer."""
    from psycopg import pq

    connection.send_query(query.encode())
    while connection.flush():
        _wait(connection, selectors.EVENT_WRITE, deadline_s, "no answer")
    connection.consume_input()
    while connection.is_busy():
        _wait(connection, selectors.EVENT_READ, deadline_s, "no answer")
        connection.consume_input()
    result = connection.get_result()
    if result is None or result.status != pq.ExecStatus.TUPLES_OK:
        raise _Failed(_text(result.get_error_message()) if result else "no result")
    if not result.ntuples:
        raise _Failed("the server has no statistics about this database")
    return [(result.get_value(0, column) or b"").decode() for column in range(result.nfields)]


def _wait(connection: PGconn, event: int, deadline_s: float, what: str) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(connection.socket, event)
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0 or not selector.select(remaining_s):
            raise TimeoutError(what)


def _text(message: str) -> str:
    """Return what libpq says on one line; what it indents is advice (``Is the server running ...?``)."""
    return one_line("\n".join(line for line in message.splitlines() if not line.startswith("\t")), 200)


def _place(url: str) -> str:
    """Return what a text may show of the URL: server and database."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}" or "the default server"


def create(context: Context) -> PostgresqlCheck:
    options = Options(context, KEYS, required=("url",))
    if find_spec("psycopg") is None:
        options.missing_extra("postgres", "psycopg")
    url, password = options.get("url", ""), options.secret("password_file")
    parts = urlsplit(url)
    if "password" in parse_qs(parts.query):
        options.fault("url", "the password stands in the query; write it into a file and name it in password_file")
    if url and password and parts.password:
        options.fault("password_file", "the url has a password as well; remove one of the two")
    options.done()
    share = options.get("connections_degraded", 0.9)
    return PostgresqlCheck(context.settings.name, url, password, share)
