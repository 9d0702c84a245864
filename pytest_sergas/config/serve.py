"""The section ``[serve]``: how the sidecar is reached, where it keeps things, and how long."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from pytest_sergas.config.section import Key, Section
from pytest_sergas.core import kinds

MEMORY = ":memory:"
# A prefix that begins so could not be told from a path of our own.
_OWN_PATHS = (*("-", "alerts", "api", "components", "health", "login", "metrics", "pushes", "runs", "static", "tests"),)
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("plain", "json")

_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<v4>[0-9.]+)|(?P<name>localhost)):(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*")


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a port; port 0 is any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def url_host(self) -> str:
        """The address as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.url_host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """``[serve]`` in force; "" stands for "not set"."""

    listen: str = "127.0.0.1:8000"
    store: str = "sergas.db"
    web_config: str = ""
    token_file: str = ""
    make_token: bool = False
    allowed_hosts: tuple[str, ...] = ()
    external_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    log_level: str = "info"
    log_format: str = "plain"
    max_connections: int = 512
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    drain_timeout: float = 20.0
    runs_kept: int = 1_000
    runs_age_days: float = 90.0
    max_run_mib: int = 16


def address(text: str) -> Address:
    """Read ``ADDRESS:PORT``: an IPv4 address, an IPv6 address in brackets, or localhost.

    Raises:
        NotAllowed: it is none of them.
    """
    found = _LISTEN.fullmatch(text)
    if found is not None and int(found["port"]) < 2**16:
        try:
            host = (
                ipaddress.IPv6Address(v6) if (v6 := found["v6"]) else ipaddress.IPv4Address(found["v4"] or "127.0.0.1")
            )
            return Address(str(host), int(found["port"]))
        except ValueError:
            pass  # not an address: what is allowed is said below
    raise kinds.NotAllowed("allowed: ADDRESS:PORT, such as 127.0.0.1:8000, [::1]:8000 or 0.0.0.0:8000")


def _listen(value: object) -> str:
    return str(address(value if isinstance(value, str) else ""))


def _hosts(value: object) -> tuple[str, ...]:
    names = tuple(name.lower() for name in kinds.texts(value))
    if not all(_HOST.fullmatch(name) for name in names):
        raise kinds.NotAllowed('allowed: a list of host names without scheme and port, such as ["ci.example.org"]')
    return names


def _networks(value: object) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(text)) for text in kinds.texts(value))
    except ValueError:
        raise kinds.NotAllowed('allowed: a list of addresses or networks, such as ["127.0.0.1", "fd00::/8"]') from None


def _url(value: object) -> str:
    text = kinds.text(value)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in text or "?" in text or "#" in text:
        raise kinds.NotAllowed("allowed: the URL under which people reach it, such as https://ci.example.org/sergas")
    prefix = parts.path.strip("/")
    if prefix.partition("/")[0] in _OWN_PATHS or "//" in prefix or {".", ".."} & set(prefix.split("/")):
        raise kinds.NotAllowed(f"allowed: a path that does not begin as those of the sidecar: {', '.join(_OWN_PATHS)}")
    return text.rstrip("/")


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "listen": Key(_listen, "address and port; beyond this machine only with authentication", '"127.0.0.1:8000"'),
        "store": Key(kinds.text, 'the file that holds everything; ":memory:" keeps nothing', '"sergas.db"'),
        "web_config": Key(
            kinds.text, "web configuration file of the exporter toolkit: TLS, users; none by default", '"web.yml"'
        ),
        "token_file": Key(
            kinds.text, "file with bearer tokens, one a line, that are let in; none by default", '"/run/secrets/tokens"'
        ),
        "make_token": Key(
            kinds.boolean,
            "make a token beside the store where token_file does not exist and nobody has to log in",
            "false",
        ),
        "allowed_hosts": Key(_hosts, "host names under which it may be asked, beside addresses and localhost", "[]"),
        "external_url": Key(
            _url, "the URL under which people reach it; none by default", '"https://ci.example.org/sergas"'
        ),
        "trusted_proxies": Key(_networks, "addresses or networks of proxies whose X-Forwarded headers count", "[]"),
        "log_level": Key(kinds.one_of(*LOG_LEVELS), "debug, info, warning or error", '"info"'),
        "log_format": Key(kinds.one_of(*LOG_FORMATS), "plain or json", '"plain"'),
        "max_connections": Key(
            kinds.whole(8, 100_000, "connections"), "at the cap, the one that has waited longest is closed", "512"
        ),
        "header_timeout": Key(
            kinds.duration(0, 3600, "seconds", open_below=True), "seconds for the head of a request", "10"
        ),
        "body_timeout": Key(
            kinds.duration(0, 3600, "seconds", open_below=True),
            "seconds for the body of a request, and for a client that does not read its answer",
            "60",
        ),
        "drain_timeout": Key(
            kinds.duration(0, 3600, "seconds"), "seconds that requests in progress have after SIGTERM", "20"
        ),
        "runs_kept": Key(kinds.whole(1, 1_000_000, "runs"), "how many test runs are kept", "1000"),
        "runs_age_days": Key(
            kinds.duration(0, 36_500, "days", open_below=True, unit_s=86_400),
            "days after which a run is forgotten",
            "90",
        ),
        "max_run_mib": Key(kinds.whole(1, 1_024, "MiB"), "the largest run that is taken, in MiB of JSON", "16"),
    }
)

SERVE: Section[ServeSettings] = Section(name="serve", keys=KEYS, settings=ServeSettings)
