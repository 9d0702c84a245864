"""The web configuration file: what is taken, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.errors import ConfigurationError
from pytest_sergas.sidecar.web_config import Tls, WebConfig, read_web_config

pytestmark = pytest.mark.unit

HASH = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
TLS = "tls_server_config: {cert_file: a.crt, key_file: a.key"


def read(directory: Path, text: str) -> WebConfig:
    file = directory / "web.yml"
    file.write_text(text, encoding="utf-8")
    return read_web_config(file)


def faults(directory: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(directory, text)
    return caught.value.faults


def test_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == WebConfig()


def test_file_of_the_toolkit_is_taken(tmp_path: Path) -> None:
    text = f"""
tls_server_config:
  cert_file: server.crt
  key_file: /keys/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: {HASH}
"""
    tls = Tls(
        str(tmp_path / "server.crt"),
        "/keys/server.key",
        str(tmp_path / "ca.crt"),
        "RequireAndVerifyClientCert",
        "TLS12",
        "TLS13",
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",),
    )

    assert read(tmp_path, text) == WebConfig(tls, {"Strict-Transport-Security": "max-age=31536000"}, {"alice": HASH})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("a: [", "not YAML at line 1, column 5", id="not YAML"),
        pytest.param("[]", "allowed: tls_server_config, http_server_config, basic_auth_users", id="a list"),
        pytest.param("basic_auth_user: {}", "basic_auth_user: unknown key; did you mean 'basic_auth_users'?", id="key"),
        pytest.param("basic_auth_users: x", "basic_auth_users: allowed: a table", id="no table"),
        pytest.param(
            "basic_auth_users: {alice: hunter2}",
            "basic_auth_users.alice: allowed: a bcrypt hash of the password, as `htpasswd -nB NAME` prints it",
            id="password in clear",
        ),
        pytest.param(
            f"basic_auth_users: {{'a:b': '{HASH}'}}", "basic_auth_users.'a:b': allowed: a name without ':'", id="name"
        ),
        pytest.param(
            "tls_server_config: {cert_file: a}", "tls_server_config.key_file: missing; name the file", id="key"
        ),
        pytest.param(
            f"{TLS}, curve_preferences: [X25519]}}",
            "tls_server_config.curve_preferences: unknown key; allowed: cert_file, key_file, client_ca_file, "
            "client_auth_type, min_version, max_version, cipher_suites, prefer_server_cipher_suites",
            id="what is not supported",
        ),
        pytest.param(
            f"{TLS}, min_version: SSL3}}",
            "tls_server_config.min_version = 'SSL3': allowed: TLS13, TLS12, TLS11, TLS10",
            id="version",
        ),
        pytest.param(
            f"{TLS}, client_auth_type: RequireAnyClientCert, client_ca_file: ca}}",
            "tls_server_config.client_auth_type = 'RequireAnyClientCert': allowed: NoClientCert, "
            "VerifyClientCertIfGiven, RequireAndVerifyClientCert",
            id="certificates that nobody verifies",
        ),
        pytest.param(
            f"{TLS}, client_ca_file: ca}}",
            "tls_server_config: client_ca_file and client_auth_type go together; set both or neither",
            id="half of client certificates",
        ),
        pytest.param(f"{TLS}, cert_file: 1}}", "tls_server_config.cert_file: allowed: text", id="number"),
        pytest.param(
            f"{TLS}, cipher_suites: 1}}", "tls_server_config.cipher_suites: allowed: a list of names", id="list"
        ),
        pytest.param(
            f"{TLS}, cipher_suites: [RC4]}}",
            "tls_server_config.cipher_suites = 'RC4': allowed: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305, "
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305, "
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            id="cipher",
        ),
        pytest.param(
            "http_server_config: {h: 1}",
            "http_server_config.h: allowed: headers, a table, and http2, true or false",
            id="http",
        ),
        pytest.param(
            "http_server_config: {headers: {Server: x}}",
            "http_server_config.headers.Server: allowed: Content-Security-Policy, Strict-Transport-Security, "
            "X-Content-Type-Options, X-Frame-Options, X-XSS-Protection",
            id="header",
        ),
        pytest.param(
            'http_server_config: {headers: {X-Frame-Options: "a\\nb: c"}}',
            "http_server_config.headers.X-Frame-Options: allowed: text of ASCII characters on one line",
            id="line end",
        ),
    ],
)
def test_fault(text: str, fault: str, tmp_path: Path) -> None:
    found = faults(tmp_path, text)

    assert found == (f"web.yml: {fault}",)
    assert "hunter2" not in str(found)


def test_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_web_config(tmp_path / "gone.yml")

    assert caught.value.faults == (f"{tmp_path / 'gone.yml'}: cannot be read: No such file or directory",)


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    assert len(faults(tmp_path, "basic_auth_users: {a: b, c: d}\nx: 1\ntls_server_config: {}")) == 5


def test_hashes_are_not_shown(tmp_path: Path) -> None:
    assert HASH not in repr(read(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}"))
