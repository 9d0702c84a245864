"""The web configuration file of Prometheus' exporter toolkit: TLS, headers, users.

    https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md

A file that Prometheus, the Pushgateway or Alertmanager takes is taken here, but for what Python's TLS cannot do; that
is a fault and not ignored, because it is a file about security. As there, an unknown key is a fault as well.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_sergas.core import kinds
from pytest_sergas.errors import ConfigurationError

# The headers that the toolkit allows to be set.
HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
_VERSIONS = {
    "TLS13": ssl.TLSVersion.TLSv1_3,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS10": ssl.TLSVersion.TLSv1,
}
_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# Go's name of a cipher suite of TLS 1.2 → OpenSSL's.
_SUITES = {
    f"TLS_ECDHE_{key}_WITH_{go}": f"ECDHE-{key}-{openssl}"
    for key in ("RSA", "ECDSA")
    for go, openssl in {
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
        "CHACHA20_POLY1305": "CHACHA20-POLY1305",
    }.items()
}
_BCRYPT = re.compile(r"\$2[abxy]?\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Tls:
    """``tls_server_config``; paths are absolute."""

    cert_file: str
    key_file: str
    client_ca_file: str = ""
    client_auth_type: str = "NoClientCert"
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()

    def apply(self, context: ssl.SSLContext) -> None:
        """Make ``context`` what this says, for the connections that come from now on.

        Raises:
            OSError: a file cannot be read or holds something else (ssl.SSLError is one).
        """
        context.minimum_version = _VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version]
        if self.cipher_suites:
            context.set_ciphers(":".join(_SUITES[name] for name in self.cipher_suites))
        context.load_cert_chain(self.cert_file, self.key_file)
        if self.client_ca_file:
            context.load_verify_locations(self.client_ca_file)
        context.verify_mode = _CLIENTS[self.client_auth_type]


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A web configuration file.

    Attributes:
        tls: None for plain HTTP.
        headers: name → value, sent with every response.
        users: name → bcrypt hash of the password.
    """

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_authenticated(self) -> bool:
        """Whether nobody gets in without showing who they are."""
        needs_certificate = self.tls is not None and self.tls.client_auth_type == "RequireAndVerifyClientCert"
        return bool(self.users) or needs_certificate


def read_web_config(path: Path) -> WebConfig:
    """Read the file at ``path``; paths in it are relative to it.

    Raises:
        ConfigurationError: with every fault. Hashes are not shown.
    """
    faults: list[str] = []
    document = _load(path, faults)
    sections: Mapping[str, Callable[[Mapping[str, Any]], None]]
    found: dict[str, Any] = {}

    def fault(key: str, text: str) -> None:
        faults.append(f"{path.name}: {key}: {text}")

    sections = {
        "tls_server_config": lambda table: found.update(tls=_tls(table, path.parent, fault)),
        "http_server_config": lambda table: found.update(headers=_http(table, fault)),
        "basic_auth_users": lambda table: found.update(users=_users(table, fault)),
    }
    for name, table in document.items():
        if name not in sections:
            fault(str(name), _unknown(str(name), sections))
        elif isinstance(table, dict):
            sections[name](table)
        elif table is not None:
            fault(name, "allowed: a table")
    if faults:
        raise ConfigurationError(tuple(faults))
    return WebConfig(**found)


Fault = Callable[[str, str], None]


def _load(path: Path, faults: list[str]) -> Mapping[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror}")
        return {}
    except yaml.YAMLError as error:
        # Only the place: the text round it may be a hash.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        faults.append(f"{path.name}: not YAML{where}")
        return {}
    if document is None or isinstance(document, dict):
        return document or {}
    faults.append(f"{path.name}: allowed: tls_server_config, http_server_config, basic_auth_users")
    return {}


def _tls(table: Mapping[str, Any], root: Path, fault: Fault) -> Tls | None:
    texts = ("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "max_version")
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"tls_server_config.{key}"
        if key in texts and isinstance(value, str) and value:
            values[key] = str(root / value) if key.endswith("_file") else value
        elif key == "cipher_suites" and isinstance(value, list):
            values[key] = tuple(map(str, value))
        elif key == "prefer_server_cipher_suites" and isinstance(value, bool):
            continue  # OpenSSL's default is the server's order, and Go ignores this one, too
        elif key in {*texts, "cipher_suites"}:
            fault(where, "allowed: a list of names" if key == "cipher_suites" else "allowed: text")
        else:
            fault(where, _unknown(str(key), (*texts, "cipher_suites", "prefer_server_cipher_suites")))
    for key in ("cert_file", "key_file"):
        if key not in table:
            fault(f"tls_server_config.{key}", "missing; name the file")
    _check_tls(values, fault)
    return Tls(**values) if {"cert_file", "key_file"} <= values.keys() else None


def _check_tls(values: Mapping[str, Any], fault: Fault) -> None:
    choices: dict[str, Iterable[str]] = {
        "min_version": _VERSIONS,
        "max_version": _VERSIONS,
        "client_auth_type": _CLIENTS,
    }
    for key, allowed in choices.items():
        if key in values and values[key] not in allowed:
            fault(f"tls_server_config.{key} = {values[key]!r}", f"allowed: {', '.join(allowed)}")
    for suite in values.get("cipher_suites", ()):
        if suite not in _SUITES:
            fault(f"tls_server_config.cipher_suites = {suite!r}", f"allowed: {', '.join(sorted(_SUITES))}")
    verifies = values.get("client_auth_type", "NoClientCert") != "NoClientCert"
    if verifies != ("client_ca_file" in values):
        fault("tls_server_config", "client_ca_file and client_auth_type go together; set both or neither")


def _http(table: Mapping[str, Any], fault: Fault) -> dict[str, str]:
    headers: dict[str, str] = {}
    for key, value in table.items():
        if key == "http2" and isinstance(value, bool):
            continue  # HTTP/1.1 is what is spoken here; every client that knows HTTP/2 speaks it as well
        if key != "headers" or not isinstance(value, dict):
            fault(f"http_server_config.{key}", "allowed: headers, a table, and http2, true or false")
            continue
        for name, text in value.items():
            where = f"http_server_config.headers.{name}"
            if name not in HEADERS:
                fault(where, f"allowed: {', '.join(HEADERS)}")
            elif not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
                fault(where, "allowed: text of ASCII characters on one line")
            else:
                headers[name] = text
    return headers


def _users(table: Mapping[str, Any], fault: Fault) -> dict[str, str]:
    users: dict[str, str] = {}
    for name, value in table.items():
        if not isinstance(name, str) or not name or ":" in name:
            fault(f"basic_auth_users.{name!r}", "allowed: a name without ':'")
        elif not isinstance(value, str) or not _BCRYPT.fullmatch(value):
            fault(
                f"basic_auth_users.{name}", "allowed: a bcrypt hash of the password, as `htpasswd -nB NAME` prints it"
            )
        else:
            users[name] = value
    return users


def _unknown(name: str, known: Iterable[str]) -> str:
    near = kinds.nearest(name, known)
    return f"unknown key; did you mean {near!r}?" if near else f"unknown key; allowed: {', '.join(known)}"
