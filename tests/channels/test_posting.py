"""What HTTP answers mean, and servers that answer in every wrong way; the webhook stands for all that post."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.channels import posting
from pytest_sergas.errors import DeliveryError, FinalError, TemporaryError
from tests.channels.conftest import IMPATIENT_S, PATIENT_S, make, notification, send
from tests.servers import gateways
from tests.servers.gateways import Answer
from tests.servers.https import https

pytestmark = pytest.mark.integration

NOW_S = 1_780_000_000.0


def meaning(status: int, headers: dict[str, str] | None = None) -> type[DeliveryError] | None:
    try:
        posting.judge("http://shop", status, headers or {}, "", wall_s=NOW_S)
    except DeliveryError as error:
        return type(error)
    return None


async def outcome(root: Path, url: str, timeout_s: float = PATIENT_S, **options: str) -> str | DeliveryError:
    try:
        return await send(make("webhook", root, url=url, **options), notification(), timeout_s)
    except DeliveryError as error:
        return error


# What an answer means


def test_every_status_means_one_of_three_things() -> None:
    meanings = {status: meaning(status) for status in range(100, 600)}

    assert {status for status, kind in meanings.items() if kind is None} == set(range(200, 300))
    assert {status for status, kind in meanings.items() if kind is TemporaryError} == {408, 425, 429, *range(500, 600)}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        pytest.param("30", 30.0, id="seconds"),
        pytest.param("0", 0.0, id="at once"),
        pytest.param("Thu, 28 May 2026 20:27:10 GMT", 30.0, id="date"),
        pytest.param("Thu, 28 May 2026 20:00:00 GMT", 0.0, id="date that is over"),
        pytest.param("Thu, 28 May 2099 20:00:00 GMT", 3_600.0, id="far too late"),
        pytest.param("9" * 400, 3_600.0, id="far too long"),
        pytest.param("", None, id="nothing"),
        pytest.param("soon", None, id="a word"),
        pytest.param("-1", None, id="less than nothing"),
        pytest.param("١٢", None, id="digits of another script"),
        pytest.param("Thu, 99 May 2026 99:00:00 GMT", None, id="no date"),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_for_long(written: str, seconds: float | None) -> None:
    assert posting.retry_after_s(written, wall_s=NOW_S) == seconds


@given(st.text())
def test_any_retry_after_is_read(written: str) -> None:
    seconds = posting.retry_after_s(written, wall_s=NOW_S)

    assert seconds is None or 0 <= seconds <= posting.RETRY_AFTER_LIMIT_S


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://u:hunter2@hooks.example/services/hunter2?x=hunter2", "https://hooks.example"),
        ("http://[::1]:9093/a", "http://[::1]:9093"),
        ("/login", "another path"),
        ("http://[", "another address"),
        ("//other.example/a", "http://other.example"),
    ],
)
def test_address_is_shown_without_what_may_be_secret(url: str, place: str) -> None:
    assert posting.place(url) == place


# Servers


async def test_refusal_says_why_and_is_final(tmp_path: Path) -> None:
    with gateways.answering(lambda _: Answer(400, "invalid\r\npayload " + "x" * 5_000)) as server:
        error = await outcome(tmp_path, f"{server.url}/hooks/hunter2")

    assert isinstance(error, FinalError)
    assert str(error).startswith(f"{server.url}: answered 400: invalid payload xxx")
    assert len(str(error)) < 300
    assert len(server.received) == 1


async def test_too_many_requests_are_temporary_and_the_wait_is_known(tmp_path: Path) -> None:
    with gateways.answering(lambda _: Answer(429, "", {"Retry-After": "17"})) as server:
        error = await outcome(tmp_path, server.url)

    assert isinstance(error, TemporaryError)
    assert str(error) == f"{server.url}: answered 429"
    assert error.retry_after_s == 17.0


async def test_redirect_is_not_followed(tmp_path: Path) -> None:
    with gateways.answering() as other:
        answer = Answer(307, "", {"Location": f"{other.url}/hunter2"})
        with gateways.answering(lambda _: answer) as server:
            error = await outcome(tmp_path, server.url)

    assert isinstance(error, FinalError)
    assert str(error) == f"{server.url}: answered 307 and names {other.url}, which is not followed"
    assert other.received == []


@pytest.mark.parametrize(
    ("server", "text"),
    [
        pytest.param(gateways.refusing(), "All connection attempts failed", id="refuses"),
        pytest.param(gateways.resetting(), "the connection broke", id="resets"),
        pytest.param(gateways.speaking(b"220 mail ESMTP\r\n\r\n"), "illegal status line", id="is no web server"),
        pytest.param(gateways.speaking(b""), "Server disconnected without sending a response.", id="hangs up"),
    ],
)
async def test_server_that_fails_is_temporary(server: AbstractContextManager[str], text: str, tmp_path: Path) -> None:
    with server as url:
        error = await outcome(tmp_path, url)

    assert isinstance(error, TemporaryError)
    assert str(error).startswith(f"{url}: {text}")


@pytest.mark.parametrize("server", [gateways.hanging(), gateways.trickling()], ids=["never answers", "trickles"])
async def test_server_that_takes_too_long_costs_the_time_and_no_more(
    server: AbstractContextManager[str], tmp_path: Path
) -> None:
    with server as url:
        error = await outcome(tmp_path, url, IMPATIENT_S)

    assert isinstance(error, TemporaryError)
    assert "no answer within 0." in str(error)


@pytest.mark.parametrize(("status", "kind"), [(200, str), (400, FinalError), (503, TemporaryError)])
async def test_status_counts_although_the_rest_of_the_answer_never_comes(
    status: int, kind: type[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if status == 200:
        monkeypatch.setattr(posting, "_ANSWER_S", 2 * PATIENT_S)  # of what was taken, nobody waits for the rest
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 1000\r\n\r\nbegun".encode()

    with gateways.silent_after(head) as url:
        assert isinstance(await outcome(tmp_path, url), kind)


async def test_certificate_that_nobody_vouches_for_is_temporary_and_nothing_is_sent(tmp_path: Path) -> None:
    asked: list[gateways.Received] = []

    def answer(request: gateways.Received) -> Answer:
        asked.append(request)
        return Answer()

    with https(tmp_path, days_left=30, answer=answer) as server:
        error = await outcome(tmp_path, server.url)

    assert isinstance(error, TemporaryError)
    assert "certificate verify failed" in str(error)
    assert asked == []


async def test_own_authority_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    with https(tmp_path, days_left=30) as server:
        assert await outcome(tmp_path, server.url, ca_file=str(server.ca_file)) == "answered 200"


async def test_credentials_are_sent(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n", encoding="utf-8")
    with gateways.answering() as server:
        await outcome(tmp_path, server.url, username="sergas", password_file="secret")  # noqa: S106  a file's name
        await outcome(tmp_path, server.url, token_file="secret")  # noqa: S106
        await outcome(tmp_path, server.url.replace("://", "://serg%61s:hunter%32@"))

    assert [request.headers["Authorization"] for request in server.received] == [
        "Basic c2VyZ2FzOmh1bnRlcjI=",
        "Bearer hunter2",
        "Basic c2VyZ2FzOmh1bnRlcjI=",
    ]


async def test_secret_that_the_receiver_repeats_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2", encoding="utf-8")
    with gateways.answering(lambda request: Answer(403, request.headers["Authorization"])) as server:
        error = await outcome(tmp_path, server.url, token_file="secret")  # noqa: S106  a file's name

    assert str(error) == f"{server.url}: answered 403: Bearer ***"


async def test_request_goes_through_the_proxy_that_is_named(tmp_path: Path) -> None:
    with gateways.answering() as proxy:
        await outcome(tmp_path, "http://hooks.example/alerts", proxy=proxy.url)

    assert [request.path for request in proxy.received] == ["http://hooks.example/alerts"]


async def test_proxy_of_the_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateways.answering() as proxy, gateways.answering() as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await outcome(tmp_path, server.url)

    assert (len(proxy.received), len(server.received)) == (0, 1)
