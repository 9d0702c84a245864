"""The options of each built-in type of check, beside the keys of every check."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_sergas.config.options import url_of
from pytest_sergas.config.section import Key
from pytest_sergas.core import kinds

_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")
_PERCENT = kinds.number(0, 100, "percent", open_below=True)
_CALL = kinds.pattern(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", "module:function, such as shop.health:stock")


def _status(value: object) -> tuple[int, ...]:
    statuses = value if isinstance(value, list) else [value]
    one = kinds.whole(100, 599, "a status, or a list of them")
    if not statuses:
        raise kinds.NotAllowed("allowed: a status, or a list of them")
    return tuple(one(status) for status in statuses)


def _headers(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise kinds.NotAllowed('allowed: a table, such as {Accept = "application/json"}')
    for name, text in value.items():
        if name.lower() in _CREDENTIALS:
            raise kinds.NotAllowed(f"{name} is a secret; use token_file, or username and password_file")
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or not kinds.text(text).isascii():
            raise kinds.NotAllowed("allowed: names of letters, digits and -, with values in ASCII")
    return dict(value)


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float | bool):
        raise kinds.NotAllowed("allowed: text, a number, true or false")
    return value


def _limit(name: str, example: str) -> Key:
    return Key(_PERCENT, f"{' use from which on the state is '.join(name.split('_'))}, in percent", example)


CHECK_OPTIONS: Mapping[str, Mapping[str, Key]] = MappingProxyType(
    {
        "postgresql": {
            "url": Key(
                url_of("postgresql", "postgres", many_hosts=True),
                "postgresql://USER@HOST:PORT/DATABASE",
                '"postgresql://shop@127.0.0.1:5432/shop"',
            ),
            "password_file": Key(
                kinds.text, "file that holds the password; none by default", '"/run/secrets/postgresql"'
            ),
            "connections_degraded": Key(
                kinds.share, "share of the allowed connections from which on the state is degraded", '"90%"'
            ),
        },
        "sqlite": {
            "path": Key(kinds.text, "the database file", '"shop.db"'),
            "integrity": Key(kinds.boolean, "look for damage too; this reads the whole file each time", "false"),
        },
        "redis": {
            "url": Key(
                url_of("redis", "rediss", "unix"),
                "redis://HOST:PORT/DATABASE, rediss:// for TLS, or unix:///PATH",
                '"redis://127.0.0.1:6379/0"',
            ),
            "password_file": Key(kinds.text, "file that holds the password; none by default", '"/run/secrets/redis"'),
        },
        "http": {
            "url": Key(url_of("http", "https"), "the address", '"https://shop.example/health"'),
            "method": Key(kinds.one_of("GET", "HEAD", "POST", "OPTIONS"), "the method", '"GET"'),
            "status": Key(_status, "status, or a list of them, that is healthy; default: 200 to 299", "200"),
            "body": Key(kinds.text, "text that has to stand in the body; none by default", '"ready"'),
            "json_path": Key(
                kinds.text, "keys and indexes to a value in the JSON body; none by default", '"db.0.state"'
            ),
            "json_value": Key(_scalar, "the value that has to be there; default: any but null and false", '"up"'),
            "certificate_days": Key(
                kinds.duration(0, 3650, "days", unit_s=86_400),
                "days that the certificate has left below which the state is degraded",
                "14",
            ),
            "ca_file": Key(kinds.text, "certificates to trust; default: the system's", '"/etc/ssl/own-ca.pem"'),
            "headers": Key(_headers, "headers to send; none by default", '{Accept = "application/json"}'),
            "username": Key(kinds.text, "user name; none by default", '"monitor"'),
            "password_file": Key(kinds.text, "file that holds the password; none by default", '"/run/secrets/shop"'),
            "token_file": Key(kinds.text, "file that holds a bearer token; none by default", '"/run/secrets/token"'),
            "follow_redirects": Key(kinds.boolean, "follow redirects, at most five", "false"),
        },
        "tcp": {
            "host": Key(kinds.text, "name or address", '"127.0.0.1"'),
            "port": Key(kinds.whole(1, 65_535, "a port"), "the port", "5672"),
        },
        "system": {
            "cpu_degraded": _limit("cpu_degraded", "90"),
            "cpu_unhealthy": _limit("cpu_unhealthy", "99"),
            "memory_degraded": _limit("memory_degraded", "85"),
            "memory_unhealthy": _limit("memory_unhealthy", "95"),
            "disk_degraded": _limit("disk_degraded", "85"),
            "disk_unhealthy": _limit("disk_unhealthy", "95"),
            "disks": Key(kinds.texts, "paths on the disks to look at; the fullest counts", '["/"]'),
        },
        "python": {
            "call": Key(
                _CALL, "the function, as module:function; it is called without arguments", '"shop.health:stock"'
            )
        },
    }
)
