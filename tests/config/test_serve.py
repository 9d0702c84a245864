"""The section of serving: what its keys take, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.config import load_sections
from pytest_sergas.config.file import read_file, read_named
from pytest_sergas.config.serve import KEYS, Address, ServeSettings, address
from pytest_sergas.errors import ConfigurationError

PREFIX = (
    "allowed: a path that does not begin as those of the sidecar: -, alerts, api, components, health, login, metrics, "
    "pushes, runs, static, tests"
)
NETWORKS = 'allowed: a list of addresses or networks, such as ["127.0.0.1", "fd00::/8"]'
pytestmark = pytest.mark.unit

ADDRESS = "allowed: ADDRESS:PORT, such as 127.0.0.1:8000, [::1]:8000 or 0.0.0.0:8000"
URL = "allowed: the URL under which people reach it, such as https://ci.example.org/sergas"
HOSTS = 'allowed: a list of host names without scheme and port, such as ["ci.example.org"]'


def read(root: Path, text: str) -> ServeSettings:
    (root / "sergas.toml").write_text(f"[serve]\n{text}\n", encoding="utf-8")
    settings: ServeSettings = load_sections(read_file(root), ("serve",), environ={})["serve"].settings
    return settings


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000, True),
        ("localhost:0", "127.0.0.1", 0, True),
        ("127.1.2.3:65535", "127.1.2.3", 65535, True),
        ("[::1]:80", "::1", 80, True),
        ("[0:0:0:0:0:0:0:1]:80", "::1", 80, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),  # noqa: S104  nobody listens here
        ("[::]:80", "::", 80, False),
        ("10.0.0.1:80", "10.0.0.1", 80, False),
    ],
)
def test_address(text: str, host: str, port: int, loopback: bool) -> None:  # noqa: FBT001
    found = address(text)

    assert (found, found.is_loopback) == (Address(host, port), loopback)
    assert address(str(found)) == found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        *(
            (f"listen = {value}", f"listen = {shown}: {ADDRESS}")
            for value, shown in [
                ("8000", "8000"),
                ('"8000"', "'8000'"),
                ('":8000"', "':8000'"),
                ('"127.0.0.1:65536"', "'127.0.0.1:65536'"),
                ('"::1:8000"', "'::1:8000'"),
                ('"[127.0.0.1]:1"', "'[127.0.0.1]:1'"),
                ('"256.0.0.1:1"', "'256.0.0.1:1'"),
                ('"ci.example.org:8000"', "'ci.example.org:8000'"),
            ]
        ),
        ('allowed_hosts = ["http://a"]', f"allowed_hosts = ['http://a']: {HOSTS}"),
        ('allowed_hosts = ["*"]', f"allowed_hosts = ['*']: {HOSTS}"),
        ('external_url = "ci.example.org"', f"external_url = 'ci.example.org': {URL}"),
        ('external_url = "https://u:hunter2@a"', f"external_url = 'https://***@a': {URL}"),
        ('external_url = "https://a:x"', f"external_url = 'https://a:x': {URL}"),
        *(
            (f'external_url = "https://a/{path}"', f"external_url = 'https://a/{path}': {PREFIX}")
            for path in ("metrics", "runs/x", "a//b", "a/../b")
        ),
        ('trusted_proxies = ["ci"]', f"trusted_proxies = ['ci']: {NETWORKS}"),
        ('trusted_proxies = ["10.0.0.1/8"]', f"trusted_proxies = ['10.0.0.1/8']: {NETWORKS}"),
        ('log_level = "loud"', "log_level = 'loud': allowed: 'debug', 'info', 'warning', 'error'"),
        ('log_format = "xml"', "log_format = 'xml': allowed: 'plain', 'json'"),
        ("max_connections = 1", "max_connections = 1: allowed: connections, a whole number from 8 to 100000"),
        (
            "header_timeout = 0",
            "header_timeout = 0: allowed: seconds, more than 0 and at most 3600, such as 90 or '1h30m'",
        ),
        ("runs_kept = 0", "runs_kept = 0: allowed: runs, a whole number from 1 to 1000000"),
    ],
)
def test_fault(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)

    assert caught.value.faults == (f"sergas.toml: [serve] {fault}",)


@pytest.mark.parametrize("key", KEYS)
def test_example_of_each_key_is_allowed(key: str, tmp_path: Path) -> None:
    read(tmp_path, f"{key} = {KEYS[key].example}")


def test_hosts_are_compared_in_lower_case(tmp_path: Path) -> None:
    assert read(tmp_path, 'allowed_hosts = ["CI.Example.org"]').allowed_hosts == ("ci.example.org",)


def test_external_url_may_be_an_address_of_ipv6_and_have_any_other_path(tmp_path: Path) -> None:
    for url in ("https://[2001:db8::1]:8443/sergas", "https://a/ci/metrics", "https://a/metrics-of-ci"):
        assert read(tmp_path, f'external_url = "{url}"').external_url == url


def test_external_url_has_no_slash_at_its_end(tmp_path: Path) -> None:
    assert read(tmp_path, 'external_url = "https://a/b/"').external_url == "https://a/b"


def test_named_pyproject_is_read_below_its_table(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.sergas.serve]\nruns_kept = 7\n", encoding="utf-8")

    found = load_sections(read_named(file), ("serve",), environ={})["serve"]

    assert (found.settings.runs_kept, found.sources["runs_kept"]) == (7, "pyproject.toml")


def test_named_pyproject_with_something_else_for_our_table_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool]\nsergas = 1\n", encoding="utf-8")

    assert read_named(file).faults == ("pyproject.toml: [tool] sergas = 1: allowed: a table, [tool.sergas]",)


def test_named_file_may_have_any_name_and_no_neighbour_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.sergas.serve]\nruns_kept = 7\n", encoding="utf-8")
    file = tmp_path / "sidecar.conf"
    file.write_text("[serve]\nruns_kept = 9\n", encoding="utf-8")

    assert load_sections(read_named(file), ("serve",), environ={})["serve"].settings.runs_kept == 9
