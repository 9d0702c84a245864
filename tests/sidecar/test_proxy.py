"""What a proxy changes: the path below which the sidecar is reached, and who asks."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from pytest_sergas.sidecar.guard import host_name
from pytest_sergas.sidecar.proxy import below, forwarded
from tests.servers.reverse_proxy import reverse_proxy
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import Reply, ask
from tests.sidecar.pages import made

pytestmark = pytest.mark.integration

PREFIX = "/ci/sergas"
CONFIG = f'[serve]\nexternal_url = "https://ci.example.org{PREFIX}"\n[rules]\nready_made = []\n'
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://ci.example.org"}


def get(url: str, method: str = "GET", **more: Any) -> Reply:
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return ask(f"http://{parts.netloc}", path, method, **more)


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "kept"])
def test_every_link_form_and_redirect_stays_below_the_prefix(strips: bool, tmp_path: Path) -> None:  # noqa: FBT001
    with sidecar(tmp_path, config=CONFIG) as running, reverse_proxy(running.url, PREFIX, strips=strips) as url:
        made.send(running, made.shop_run(0, fails=True))
        assert get(f"{url}/metrics/job/etl", "POST", body=b"rows 3\n").status == 200
        waiting, seen = [url, f"{url}/"], set[str]()
        while waiting:
            page = waiting.pop()
            answer = get(page)
            assert answer.status == 200, page
            seen.add(page)
            if "text/html" in answer.headers["content-type"]:
                links = re.findall(r'(?:href|src)="([^"#]+)', answer.text)
                actions = re.findall(r'action="([^"]+)', answer.text)
                assert all(link.startswith((f"{PREFIX}/", "https://")) for link in (*links, *actions)), links
                absolute = {urljoin(url, link.replace("&amp;", "&")) for link in links if link.startswith("/")}
                waiting += absolute - seen - set(waiting)
        paths = {urlsplit(page).path.removeprefix(PREFIX) for page in seen}
        expected = {"/", "/runs", "/tests", "/components", "/alerts", "/pushes", "/metrics", "/api/openapi.json"}
        assert expected | {"/alerts/silence", "/pushes/group", "/pushes/delete", "/tests/one"} <= paths
        silence = {"matchers": 'a="b"', "hours": "1", "created_by": "me", "comment": "c"}
        made_ = get(f"{url}/alerts/silence", "POST", headers=FORM, body=urlencode(silence).encode())
        assert (made_.status, made_.headers.get("location")) == (303, f"{PREFIX}/alerts"), made_.text
        assert get(f"{url}/api/openapi.json").json["servers"] == [{"url": PREFIX}]
        assert ask(running.url, "/runs").status == ask(running.url, "/-/healthy").status == 200


def scope(path: str = "/", client: str = "127.0.0.1", *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    raw = path.encode()
    return {
        "type": "http",
        "path": path,
        "raw_path": raw,
        "client": (client, 5),
        "scheme": "http",
        "headers": list(headers),
    }


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("", "/runs", ("", "/runs", b"/runs")),
        ("/x", "/runs", ("/x", "/x/runs", b"/x/runs")),
        ("/x", "/x/runs", ("/x", "/x/runs", b"/x/runs")),
        ("/x", "/x", ("/x", "/x/", b"/x/")),
        ("/x", "/xy", ("/x", "/x/xy", b"/x/xy")),
        ("/x", "/", ("/x", "/x/", b"/x/")),
    ],
)
def test_path_is_put_below_the_prefix_once(prefix: str, path: str, expected: tuple[str, str, bytes]) -> None:
    found = below(scope(path), prefix)

    assert (found.get("root_path", ""), found["path"], found["raw_path"]) == expected


XFF, XFP, XFH = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        pytest.param("127.0.0.1", [(XFF, b"9.9.9.9")], ("9.9.9.9", "http", []), id="a trusted proxy"),
        pytest.param("8.8.8.8", [(XFF, b"9.9.9.9"), (XFP, b"https")], ("8.8.8.8", "http", []), id="anybody else"),
        pytest.param("127.0.0.1", [(XFF, b"1.1.1.1, 9.9.9.9")], ("9.9.9.9", "http", []), id="what a client invents"),
        pytest.param("127.0.0.1", [(XFF, b"9.9.9.9, fd00::7")], ("9.9.9.9", "http", []), id="two proxies"),
        pytest.param("127.0.0.1", [(XFF, b"1.1.1.1"), (XFF, b"9.9.9.9")], ("9.9.9.9", "http", []), id="two headers"),
        pytest.param("::ffff:127.0.0.1", [(XFF, b"2001:db8::1")], ("2001:db8::1", "http", []), id="IPv6"),
        pytest.param("127.0.0.1", [(XFP, b"https")], ("127.0.0.1", "https", []), id="scheme"),
        pytest.param("127.0.0.1", [(XFP, b"gopher")], ("127.0.0.1", "http", []), id="no scheme"),
        pytest.param("127.0.0.1", [(b"host", b"a"), (XFH, b"b:1")], ("127.0.0.1", "http", [b"b:1"]), id="host"),
        pytest.param("8.8.8.8", [(b"host", b"a"), (XFH, b"b")], ("8.8.8.8", "http", [b"a"]), id="another's host"),
    ],
)
def test_forwarded_headers_count_from_trusted_proxies_alone(
    peer: str, headers: list[tuple[bytes, bytes]], expected: tuple[str, str, list[bytes]]
) -> None:
    trusted = [ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("fd00::/8")]

    found = forwarded(scope("/", peer, *headers), trusted)

    hosts = [value for name, value in found["headers"] if name == b"host"]
    assert (found["client"][0], found["scheme"], hosts) == expected


def test_address_in_any_spelling_is_one_host() -> None:
    assert host_name(b"[2001:DB8:0:0::1]:8000") == host_name(b"[2001:db8::1]") == "2001:db8::1"


def test_forwarded_host_is_judged_only_from_a_trusted_proxy(tmp_path: Path) -> None:
    for proxies, status in (('["127.0.0.1", "::1"]', 421), ("[]", 200)):
        directory = tmp_path / str(status)
        directory.mkdir()
        with sidecar(directory, config=f"[serve]\ntrusted_proxies = {proxies}\n") as running:
            assert ask(running.url, "/-/healthy", headers={"X-Forwarded-Host": "evil.example"}).status == status
