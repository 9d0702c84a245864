"""What stands before every route: hosts, origins, headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.sidecar.guard import SECURITY_HEADERS, host_name, is_own, origin_host
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration

ALIVE = "/-/healthy"
FOREIGN = "a page of another site must not change anything here: "


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3:9091", "[::1]:8000", "localhost:1", "LOCALHOST", "a.localhost", "ci.example.org."]
)
def test_own_host_is_served(host: str, running: Sidecar) -> None:
    assert ask(running.url, ALIVE, headers={"Host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "ci.example.org.evil.example", "localhost.evil", "127.0.0.1.evil"])
def test_foreign_host_is_refused_for_reading_too(host: str, running: Sidecar) -> None:
    reply = ask(running.url, ALIVE, headers={"Host": host})

    assert (reply.status, reply.text) == (
        421,
        "this host name is not served here; add it to allowed_hosts in [serve]\n",
    )


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("Host", "localhost"), ("Host", "evil.example")], id="two"),
        pytest.param([("Host", "localhost"), ("Host", "localhost")], id="the same twice"),
        pytest.param([("Host", "")], id="empty"),
        pytest.param([("Host", "user@localhost")], id="user"),
        pytest.param([("Host", "localhost/path")], id="path"),
        pytest.param([("Host", "localhost:port")], id="no port"),
        pytest.param([("Host", "[::1")], id="open bracket"),
    ],
)
def test_request_without_one_clear_host_is_refused(headers: list[tuple[str, str]], running: Sidecar) -> None:
    reply = ask(running.url, ALIVE, headers=headers)

    assert (reply.status, reply.text) == (400, "a request needs exactly one Host header\n")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        pytest.param({"Origin": "http://evil.example"}, "Origin is another host", id="foreign origin"),
        pytest.param({"Origin": "null"}, "Origin is another host", id="hidden origin"),
        pytest.param({"Origin": "http://127.0.0.1.evil.example"}, "Origin is another host", id="prefix"),
        pytest.param({"Origin": "file://"}, "Origin is another host", id="file"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, "Sec-Fetch-Site is cross-site", id="cross-site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, "Sec-Fetch-Site is same-site without an Origin", id="same-site"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_foreign_page_changes_nothing(method: str, headers: dict[str, str], reason: str, running: Sidecar) -> None:
    reply = ask(running.url, "/api/runs", method, headers={**headers, "Content-Type": "text/plain"})

    assert (reply.status, reply.text) == (403, f"{FOREIGN}{reason}\n")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="a program"),
        pytest.param({"Origin": "https://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, id="behind a proxy with TLS"),
        pytest.param({"Origin": "http://ci.example.org", "Sec-Fetch-Site": "same-site"}, id="an allowed host"),
        pytest.param({"Sec-Fetch-Site": "none"}, id="typed"),
    ],
)
def test_own_page_and_programs_get_as_far_as_the_routes(headers: dict[str, str], running: Sidecar) -> None:
    assert ask(running.url, ALIVE, "POST", headers=headers).status == 405


def test_foreign_page_may_read_only_what_cors_would_allow_which_is_nothing(running: Sidecar) -> None:
    reply = ask(running.url, ALIVE, headers={"Origin": "http://evil.example"})

    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(("path", "status"), [(ALIVE, 200), ("/nowhere", 404)], ids=["an answer", "what is not there"])
def test_every_answer_has_the_security_headers(path: str, status: int, running: Sidecar) -> None:
    reply = ask(running.url, path)

    assert reply.status == status
    assert {name: reply.headers[name.lower()] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_refusal_has_the_security_headers(running: Sidecar) -> None:
    reply = ask(running.url, ALIVE, headers={"Host": "evil.example"})

    assert reply.headers["x-content-type-options"] == "nosniff"


def test_policy_for_pages_allows_no_inline_script_and_no_frame() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]

    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_host_of_the_external_url_is_served_and_may_change(tmp_path: Path) -> None:
    with sidecar(tmp_path, config='[serve]\nexternal_url = "https://Sergas.Example.org/x"\n') as running:
        headers = {"Host": "sergas.example.org", "Origin": "https://sergas.example.org"}

        assert ask(running.url, ALIVE, "POST", headers=headers).status == 405


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"a.example:80", "a.example"),
        (b"A.EXAMPLE.", "a.example"),
        (b"[::1]:80", "::1"),
        (b"", ""),
        (b"a:b:c", ""),
        (b"a b/c", ""),
        (b"\xff", ""),
    ],
)
def test_name_in_a_host_header(host: bytes, name: str) -> None:
    assert host_name(host) == name


@given(st.binary(max_size=40))
def test_no_host_or_origin_breaks_the_guard(value: bytes) -> None:
    is_own(host_name(value), frozenset())
    origin_host(value)
