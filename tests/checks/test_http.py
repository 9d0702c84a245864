"""The check of an HTTP address: against real servers, with TLS where it matters."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.checks.http import BODY_LIMIT_BYTES, Expected
from pytest_sergas.core.health import HealthStatus
from pytest_sergas.errors import ConfigurationError
from tests.checks.conftest import make, run
from tests.servers.gateways import Answer, Received, answering
from tests.servers.https import https

pytestmark = pytest.mark.integration

HEALTHY, DEGRADED, _, UNHEALTHY = HealthStatus


def always(status: int = 200, body: str = "", **headers: str) -> Callable[[Received], Answer]:
    return lambda _: Answer(status, body, headers)


# What is expected


def test_address_that_answers_is_healthy(tmp_path: Path) -> None:
    with answering() as server:
        result = run(make("http", tmp_path, url=f"{server.url}/health"))

    assert (result.status, result.message) == (HEALTHY, f"{server.url}/health: answered 200")
    assert result.details == {"status": 200}


@pytest.mark.parametrize(
    ("answered", "options", "fault"),
    [
        pytest.param(404, {}, "answered 404; expected 200 to 299", id="an error"),
        pytest.param(200, {"status": 204}, "answered 200; expected 204", id="another status"),
        pytest.param(201, {"status": [200, 204]}, "answered 201; expected 200, 204", id="none of several"),
        pytest.param(204, {"status": [200, 204]}, "", id="one of several"),
        pytest.param(503, {"status": 503}, "", id="an error that is expected"),
    ],
)
def test_status_decides(answered: int, options: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with answering(always(answered)) as server:
        result = run(make("http", tmp_path, url=server.url, **options))

    expected = (UNHEALTHY, f"{server.url}: {fault}") if fault else (HEALTHY, f"{server.url}: answered {answered}")
    assert (result.status, result.message) == expected


@pytest.mark.parametrize(
    ("body", "options", "fault"),
    [
        pytest.param("all is well", {"body": "well"}, "", id="text"),
        pytest.param("all is well", {"body": "ready"}, "'ready' does not stand in the body", id="other text"),
        pytest.param('{"db": "up"}', {"json_path": "db", "json_value": "up"}, "", id="value"),
        pytest.param(
            '{"db": "down"}', {"json_path": "db", "json_value": "up"}, 'db is "down"; expected "up"', id="other value"
        ),
        pytest.param('{"db": [{"up": 1}]}', {"json_path": "db.0.up", "json_value": 1}, "", id="nested"),
        pytest.param(
            '{"db": []}', {"json_path": "db.0"}, "the body has no db.0: nothing at '0'", id="list that is too short"
        ),
        pytest.param('{"db": 1}', {"json_path": "db.up"}, "the body has no db.up: nothing at 'up'", id="no object"),
        pytest.param("{}", {"json_path": "db"}, "the body has no db: nothing at 'db'", id="no key"),
        pytest.param(
            '{"db": 1}', {"json_path": "db", "json_value": True}, "db is 1; expected true", id="1 is not true"
        ),
        pytest.param('{"db": true}', {"json_path": "db"}, "", id="any value"),
        pytest.param('{"db": false}', {"json_path": "db"}, "db is false", id="false is no value"),
        pytest.param('{"db": null}', {"json_path": "db"}, "db is null", id="null is no value"),
        pytest.param("<html>", {"json_path": "db"}, "the body is not JSON", id="no JSON"),
        pytest.param("[" * 100_000, {"json_path": "db"}, "the body is not JSON", id="JSON that is too deep"),
    ],
)
def test_body_decides(body: str, options: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with answering(always(body=body)) as server:
        result = run(make("http", tmp_path, url=server.url, **options))

    expected = (UNHEALTHY, f"{server.url}: {fault}") if fault else (HEALTHY, f"{server.url}: answered 200")
    assert (result.status, result.message) == expected


@given(st.binary(max_size=200), st.text(min_size=1, max_size=20))
def test_no_body_breaks_the_judgement(body: bytes, path: str) -> None:
    assert isinstance(Expected(json_path=path, json_value="up").fault(200, body), str)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
    st.text(min_size=1, max_size=5),
)
def test_no_json_breaks_the_judgement(value: object, path: str) -> None:
    assert isinstance(Expected(json_path=path).fault(200, json.dumps(value).encode()), str)


def test_only_the_beginning_of_a_long_body_is_read_and_that_is_said(tmp_path: Path) -> None:
    padding = "x" * (BODY_LIMIT_BYTES - len('{"a":""}'))
    bodies = {"/text": f"{padding}        ready", "/longer": f'{{"a":"{padding}x"}}', "/just": f'{{"a":"{padding}"}}'}
    with answering(lambda asked: Answer(body=bodies[asked.path])) as server:
        text = run(make("http", tmp_path, url=f"{server.url}/text", body="ready"))
        longer, just = (
            run(make("http", tmp_path, url=server.url + path, json_path="a")) for path in ("/longer", "/just")
        )

    assert text.message == f"{server.url}/text: 'ready' does not stand in the first 1 MiB of the body"
    assert longer.message == f"{server.url}/longer: the body is longer than 1 MiB, the most that is read for a"
    assert just.message == f"{server.url}/just: answered 200"


def test_answer_in_gzip_is_read_and_what_is_not_gzip_is_said(tmp_path: Path) -> None:
    zipped = {"Content-Encoding": "gzip"}
    bodies = {"/good": gzip.compress(b'{"db": "up"}'), "/bad": b"up", "/cut": gzip.compress(b"up" * 5_000)[:20]}
    with answering(lambda asked: Answer(200, bodies[asked.path], zipped)) as server:
        good = run(make("http", tmp_path, url=f"{server.url}/good", json_path="db", json_value="up", body="up"))
        bad, cut = (run(make("http", tmp_path, url=server.url + path, body="up")) for path in ("/bad", "/cut"))

    assert (good.status, bad.status, cut.status) == (HEALTHY, UNHEALTHY, UNHEALTHY)
    assert bad.message == f"{server.url}/bad: Error -3 while decompressing data: incorrect header check"


# Redirects


def test_redirect_is_not_followed_unless_one_says_so(tmp_path: Path) -> None:
    with answering() as target, answering(always(302, Location=f"{target.url}/?token=1")) as server:
        result = run(make("http", tmp_path, url=server.url))

    assert result.status is UNHEALTHY
    assert result.message == (
        f"{server.url}: answered 302; expected 200 to 299; it names {target.url}/, which is not followed"
    )
    assert target.received == []


def test_redirect_is_followed_where_one_says_so(tmp_path: Path) -> None:
    with answering() as target, answering(always(302, Location=target.url)) as server:
        result = run(make("http", tmp_path, url=server.url, follow_redirects=True))

    assert result.status is HEALTHY
    assert len(target.received) == 1


def test_endless_redirects_are_unhealthy(tmp_path: Path) -> None:
    with answering(always(302, Location="/")) as server:
        result = run(make("http", tmp_path, url=server.url, follow_redirects=True))

    assert (result.status, result.message) == (UNHEALTHY, f"{server.url}: Exceeded maximum allowed redirects.")


# What is sent


def test_request_says_who_asks_and_what_the_options_say(tmp_path: Path) -> None:
    with answering() as server:
        run(make("http", tmp_path, url=server.url, method="POST", headers={"Accept": "text/plain"}))

    (received,) = server.received
    assert received.method == "POST"
    assert received.headers["User-Agent"] == "pytest-sergas"
    assert received.headers["Accept"] == "text/plain"


def test_password_is_sent_and_stays_secret(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n", encoding="utf-8")
    with answering(always(401, "no entry for hunter2")) as server:
        result = run(make("http", tmp_path, url=server.url, username="monitor", password_file="password"))  # noqa: S106  a file's name

    assert server.received[0].headers["Authorization"] == "Basic bW9uaXRvcjpodW50ZXIy"
    assert "hunter2" not in repr(result)


def test_token_is_sent(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc", encoding="utf-8")
    with answering() as server:
        run(make("http", tmp_path, url=server.url, token_file="token"))  # noqa: S106  a file's name

    assert server.received[0].headers["Authorization"] == "Bearer abc"


def test_proxy_of_the_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering() as proxy, answering() as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        run(make("http", tmp_path, url=server.url))

    assert (len(proxy.received), len(server.received)) == (0, 1)


# Certificates


def test_certificate_that_is_valid_long_enough_is_healthy(tmp_path: Path) -> None:
    with https(tmp_path, days_left=90) as server:
        result = run(make("http", tmp_path, url=server.url, ca_file="ca.pem"))

    assert result.status is HEALTHY
    assert 89.9 < result.details["certificate_days_left"] <= 90


def test_certificate_that_expires_soon_is_degraded(tmp_path: Path) -> None:
    with https(tmp_path, days_left=5) as server:
        result = run(make("http", tmp_path, url=server.url, ca_file="ca.pem"))

    assert (result.status, result.message) == (DEGRADED, f"{server.url}: the certificate expires in 5.0 days")


def test_days_of_warning_can_be_chosen(tmp_path: Path) -> None:
    with https(tmp_path, days_left=5) as server:
        result = run(make("http", tmp_path, url=server.url, ca_file="ca.pem", certificate_days=3))

    assert result.status is HEALTHY


def test_expired_certificate_is_unhealthy(tmp_path: Path) -> None:
    with https(tmp_path, days_left=-1) as server:
        result = run(make("http", tmp_path, url=server.url, ca_file="ca.pem"))

    assert result.status is UNHEALTHY
    assert "certificate has expired" in result.message


def test_certificate_of_an_unknown_authority_is_unhealthy(tmp_path: Path) -> None:
    with https(tmp_path, days_left=90) as server:
        result = run(make("http", tmp_path, url=server.url))

    assert result.status is UNHEALTHY
    assert "certificate verify failed" in result.message


# Faults of the options


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        pytest.param({}, 'url is missing; such as url = "https://shop.example/health"', id="no url"),
        pytest.param(
            {"url": "shop.example"},
            "url = 'shop.example': allowed: a URL that begins with http:// or https://",
            id="no scheme",
        ),
        pytest.param(
            {"url": "http://shop:99999"},
            "url = 'http://shop:99999': allowed: a URL that begins with http:// or https://",
            id="no port",
        ),
        pytest.param(
            {"url": "http://shop", "status": [200, 999]},
            "status = [200, 999]: allowed: a status, or a list of them, a whole number from 100 to 599",
            id="no status",
        ),
        pytest.param(
            {"url": "http://shop", "status": []}, "status = []: allowed: a status, or a list of them", id="no statuses"
        ),
        pytest.param(
            {"url": "http://shop", "json_value": "up"},
            "json_value = 'up': json_path is missing: where the value stands",
            id="a value without a path",
        ),
        *(
            pytest.param(
                {"url": "http://shop", "method": "HEAD", key: "up"},
                f"{key} = 'up': an answer to HEAD has no body; set method = \"GET\", or remove this",
                id=f"HEAD with {key}",
            )
            for key in ("body", "json_path")
        ),
        pytest.param(
            {"url": "http://shop", "json_path": "db", "json_value": ["up"]},
            "json_value = ['up']: allowed: text, a number, true or false",
            id="no single value",
        ),
        pytest.param(
            {"url": "http://shop", "headers": {"Authorization": "Bearer hunter2"}},
            "headers = {'Authorization': '***'}: "
            "Authorization is a secret; use token_file, or username and password_file",
            id="a secret header",
        ),
        pytest.param(
            {"url": "http://shop", "headers": {"X Y": "1"}},
            "headers = {'X Y': '1'}: allowed: names of letters, digits and -, with values in ASCII",
            id="no name of a header",
        ),
        pytest.param(
            {"url": "http://shop", "headers": "Accept"},
            "headers = 'Accept': allowed: a table, such as {Accept = \"application/json\"}",
            id="no headers",
        ),
        pytest.param(
            {"url": "http://shop", "username": "monitor"},
            "username = 'monitor': password_file is missing",
            id="no password",
        ),
        pytest.param(
            {"url": "http://shop", "password_file": "secret"},
            "password_file = 'secret': username is missing",
            id="no user",
        ),
        pytest.param(
            {"url": "http://shop", "username": "monitor", "password_file": "secret", "token_file": "secret"},
            "token_file = 'secret': there is a username as well; remove one of the two",
            id="two ways to log in",
        ),
        pytest.param(
            {"url": "https://shop", "ca_file": "secret"},
            "ca_file = 'secret': is no file with certificates in PEM form that can be read",
            id="no certificates",
        ),
        pytest.param(
            {"url": "https://shop", "ca_file": "nowhere"},
            "ca_file = 'nowhere': is no file with certificates in PEM form that can be read",
            id="no file",
        ),
    ],
)
def test_options_that_cannot_be_used_are_faults(options: dict[str, Any], fault: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2", encoding="utf-8")

    with pytest.raises(ConfigurationError) as raised:
        make("http", tmp_path, **options)

    assert raised.value.faults == (f"checks.shop: {fault}",)


def test_missing_extra_is_a_fault_that_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sergas.checks.http.find_spec", lambda _: None)

    with pytest.raises(ConfigurationError) as raised:
        make("http", tmp_path, url="http://shop")

    assert raised.value.faults == ("checks.shop: needs the package httpx2; pip install 'pytest-sergas[sidecar]'",)
