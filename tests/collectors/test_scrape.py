"""Pages of other programs: real servers that answer, answer wrong, answer too much, or do not answer."""

from __future__ import annotations

import base64
import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.collectors import Source
from pytest_sergas.collectors.scrape import Scrape, create
from pytest_sergas.config.collect import Target
from pytest_sergas.errors import CollectError, ConfigurationError
from tests.collectors.conftest import PATIENCE_S, context, plenty, values
from tests.servers import gateways
from tests.servers.gateways import Answer, answering, speaking

pytestmark = pytest.mark.integration

MB = 1_000_000
SECRET = "s3cr3t-t0ken"  # noqa: S105  the server of the test knows it, and no other


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


def scrape(url: str, *, limit_bytes: int = MB, remaining_s: Callable[[], float] = plenty) -> dict[str, float]:
    return values(Scrape(url, limit_bytes).collect(remaining_s))


def why_not(url: str, **how: Any) -> str:
    with pytest.raises(CollectError) as raised:
        scrape(url, **how)
    return str(raised.value)


def target(url: str, **settings: Any) -> Target:
    return Target(**{"url": url, "job": "node", "instance": "db:9100", "labels": {}, **settings})


def test_page_is_read() -> None:
    with speaking(response(b'# TYPE load gauge\nload{cpu="0"} 1.5\n')) as url:
        assert scrape(url) == {"load{cpu=0}": 1.5}


def test_page_in_gzip_is_read() -> None:
    with speaking(response(gzip.compress(b"load 1\n"), "Content-Encoding: gzip")) as url:
        assert scrape(url) == {"load{}": 1.0}


def test_page_in_pieces_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with speaking(head + b"3\r\nloa\r\n4\r\nd 1\n\r\n0\r\n\r\n") as url:
        assert scrape(url) == {"load{}": 1.0}


def test_empty_page_is_a_page() -> None:
    with speaking(response(b"")) as url:
        assert scrape(url) == {}


def test_target_is_asked_as_prometheus_asks() -> None:
    with answering(lambda _: Answer(body="load 1\n")) as server:
        scrape(f"{server.url}/metrics?module=db")

    [received] = server.received
    assert (received.method, received.path) == ("GET", "/metrics?module=db")
    assert received.headers["Accept"] == "text/plain;version=0.0.4;q=1,*/*;q=0.1"
    assert received.headers["Accept-Encoding"] == "gzip"
    assert received.headers["User-Agent"].startswith("pytest-sergas/")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(response(b"", status="500 Internal Server Error"), "it answered 500", id="500"),
        pytest.param(response(b"", status="204 No Content"), "it answered 204", id="204"),
        pytest.param(
            response(b"", "Location: http://127.0.0.1:1/secret", status="302 Found"),
            "it answered 302, a redirect, which is not followed; name the page itself",
            id="redirect",
        ),
        pytest.param(
            response(b"load 1\nload x\n"),
            "its page is no text format: line 2, column 6: expected a number as value, got 'x'",
            id="malformed",
        ),
        pytest.param(
            response(b"<html>\n"),
            "its page is no text format: line 1, column 1: no sample and no comment: '<html>'",
            id="a page for people",
        ),
        pytest.param(
            response(b"load 1", "Content-Encoding: gzip"),
            "its page is not gzip, which it says it is",
            id="not the gzip that it says it is",
        ),
        pytest.param(
            response(gzip.compress(b"load 1\n")[:-8], "Content-Encoding: gzip"),
            "its page ends in the middle of the gzip stream",
            id="cut off gzip",
        ),
        pytest.param(
            response(b"x", "Content-Encoding: br"),
            "it answered in the encoding 'br'; asked for: gzip",
            id="an encoding that nobody asked for",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nload", None, id="cut off"),
        pytest.param(b"no HTTP at all\r\n\r\n", None, id="no HTTP"),
    ],
)
def test_answer_that_cannot_be_used_says_why(answer: bytes, reason: str | None) -> None:
    with speaking(answer) as url:
        said = why_not(url)

    if reason is None:
        assert said.startswith("RemoteProtocolError: ")
    else:
        assert said == reason


def test_redirect_is_not_followed() -> None:
    with answering() as other:
        redirect = response(b"", f"Location: {other.url}", status="302 Found")
        with speaking(redirect) as url:
            why_not(url)

    assert other.received == []


@pytest.mark.parametrize("server", [gateways.resetting, gateways.refusing], ids=["resets", "refuses"])
def test_connection_that_fails_says_so(server: Callable[[], AbstractContextManager[str]]) -> None:
    with server() as url:
        said = why_not(url)

    assert said.startswith(("ReadError: ", "no connection: "))
    assert "\n" not in said


class Running:
    """Time that runs out after so many looks at it."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __call__(self) -> float:
        self.looks -= 1
        return PATIENCE_S if self.looks >= 0 else 0.0


def test_target_that_hangs_is_given_up_in_time() -> None:
    with gateways.hanging() as url:
        assert why_not(url, remaining_s=lambda: 0.1) == "no complete answer in time"


def test_head_that_trickles_is_given_up_in_time() -> None:
    with gateways.trickling() as url:
        assert why_not(url, remaining_s=Running(30)) == "no complete answer in time"


@pytest.fixture
def endless() -> Iterator[str]:
    """Answer with a page that never ends, a line at a time."""

    def page() -> Iterator[bytes]:
        while True:
            yield b"load 1\n"

    with gateways.streaming(page) as url:
        yield url


def test_page_that_does_not_end_is_given_up_in_time(endless: str) -> None:
    assert why_not(endless, limit_bytes=1_000_000_000, remaining_s=Running(30)) == "no complete answer in time"


def test_page_that_is_too_large_is_given_up_at_the_limit(endless: str) -> None:
    assert why_not(endless, limit_bytes=MB) == "its page is larger than 1 MB; max_mb allows more"


def test_page_at_the_limit_is_read() -> None:
    page = b"load 1\n" + b"#" * 92 + b"\n"
    with speaking(response(page)) as url:
        assert scrape(url, limit_bytes=100) == {"load{}": 1.0}
        assert why_not(url, limit_bytes=99) == "its page is larger than 9.9e-05 MB; max_mb allows more"


def test_gzip_bomb_is_given_up_at_the_limit_and_takes_little_memory() -> None:
    bomb = gzip.compress(b"\n" * (200 * MB), compresslevel=9)
    with speaking(response(bomb, "Content-Encoding: gzip")) as url:
        tracemalloc.start()
        try:
            said = why_not(url, limit_bytes=2 * MB)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert said == "its page is larger than 2 MB; max_mb allows more"
    assert peak_bytes < 20 * MB


def sources(root: Path, *targets: Target) -> list[Source]:
    return list(create(context(root, targets=targets, interval=60.0, timeout=10.0)))


def test_target_has_a_source_of_its_own_with_its_labels(tmp_path: Path) -> None:
    first = target("http://db/metrics", labels={"team": "shop"}, interval=5.0, timeout=2.0)
    one, two = sources(tmp_path, first, target("http://db/other", instance="other"))

    assert (one.name, one.interval_s, one.timeout_s) == ("scrape node db:9100 team=shop", 5.0, 2.0)
    assert one.target == (("instance", "db:9100"), ("job", "node"), ("team", "shop"))
    assert (two.name, two.interval_s, two.timeout_s) == ("scrape node other", 60.0, 10.0)


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        pytest.param({"token_file": "secret"}, f"Bearer {SECRET}", id="token"),
        pytest.param(
            {"username": "ci", "password_file": "secret"},
            f"Basic {base64.b64encode(f'ci:{SECRET}'.encode()).decode()}",
            id="password",
        ),
    ],
)
def test_credentials_come_from_a_file_and_are_shown_to_nobody(
    tmp_path: Path, settings: dict[str, str], header: str
) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    with answering(lambda _: Answer(status=401, body=f"who are you, {SECRET}?")) as server:
        [source] = sources(tmp_path, target(server.url, **settings))
        with pytest.raises(CollectError) as raised:
            source.collector.collect(plenty)

    assert server.received[0].headers["Authorization"] == header
    assert str(raised.value) == "it answered 401"
    assert SECRET not in repr(source)
    assert header not in repr(source)


def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateways.refusing() as proxy, speaking(response(b"load 1\n")) as url:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("http_proxy", proxy)

        assert scrape(url) == {"load{}": 1.0}


def test_all_files_that_cannot_be_used_are_said_together(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff")
    files = ("missing", "empty", "binary")
    targets = [target("http://db", token_file=file, instance=file) for file in files]

    with pytest.raises(ConfigurationError) as raised:
        sources(tmp_path, *targets, target("http://db", ca_file="missing"))

    assert raised.value.faults == (
        f"[collect.targets] token_file = 'missing': {tmp_path}/missing cannot be read: No such file or directory",
        f"[collect.targets] token_file = 'empty': {tmp_path}/empty has to hold the secret, on one line",
        f"[collect.targets] token_file = 'binary': {tmp_path}/binary is not ASCII text",
        f"[collect.targets] ca_file = 'missing': {tmp_path}/missing is no file",
    )
