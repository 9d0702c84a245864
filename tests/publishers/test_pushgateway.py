"""What is pushed arrives in a real Pushgateway, and what cannot arrive is said in one line."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.core.grouping import from_path, to_path
from pytest_sergas.core.metrics import LAST_SUCCESS, TEST_LABEL_LIMIT
from pytest_sergas.core.records import Environment, Outcome, RunRecord
from pytest_sergas.errors import ConfigurationError, PublishError
from pytest_sergas.publishers import Publication
from pytest_sergas.publishers.pushgateway import Pushgateway as Publisher
from pytest_sergas.publishers.pushgateway import create
from tests.core.test_grouping import ACCEPTED, REFUSED
from tests.publishers.conftest import context_for, forever_s, record, run_of
from tests.servers.gateways import (
    Answer,
    Received,
    answering,
    hanging,
    refusing,
    resetting,
    speaking,
    trickling,
)
from tests.servers.prometheus import lint
from tests.servers.pushgateway import PASSWORD, USERNAME, Pushgateway, pushgateway

pytestmark = pytest.mark.integration

RUN = run_of(record(), record("tests/test_a.py::test_a", Outcome.FAILED, type="smoke"), exit_status=1)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def publisher(address: str, tmp_path: Path, environ: dict[str, str] | None = None, **settings: Any) -> Publisher:
    made = create(context_for(tmp_path, environ, push=address, **settings))
    assert made is not None
    return made


def push(address: str, run: RunRecord, tmp_path: Path, **settings: Any) -> Publication:
    return publisher(address, tmp_path, **settings).publish(run, forever_s)


def reason(address: str, tmp_path: Path, *, seconds: float = 60.0, run: RunRecord = RUN) -> str:
    """Return why a push failed; ``seconds`` are left for it."""
    with pytest.raises(PublishError) as raised:
        publisher(address, tmp_path).publish(run, lambda: seconds)
    return str(raised.value)


# The real one


def test_nothing_to_do_without_an_address(tmp_path: Path) -> None:
    assert create(context_for(tmp_path)) is None


def test_each_type_is_a_group_of_the_project(gateway: Pushgateway, tmp_path: Path) -> None:
    publication = push(gateway.url, RUN, tmp_path)

    assert publication == Publication(place=gateway.url)
    assert [group["labels"] for group in gateway.groups] == [
        {"job": "shop", "type": "smoke"},
        {"job": "shop", "type": "unit"},
    ]
    assert all(group["last_push_successful"] for group in gateway.groups)


def test_values_are_read_back(gateway: Pushgateway, tmp_path: Path) -> None:
    push(gateway.url, RUN, tmp_path)

    samples = gateway.samples
    assert samples['sergas_tests{instance="",job="shop",outcome="passed",type="unit"}'] == 1
    assert samples['sergas_tests{instance="",job="shop",outcome="failed",type="unit"}'] == 0
    assert samples['sergas_tests{instance="",job="shop",outcome="failed",type="smoke"}'] == 1
    assert samples['sergas_test_duration_seconds_bucket{instance="",job="shop",type="unit",le="0.5"}'] == 1
    assert samples['sergas_test_duration_seconds_bucket{instance="",job="shop",type="unit",le="0.25"}'] == 0
    assert samples['sergas_last_run_timestamp_seconds{instance="",job="shop",type="unit"}'] == 1060


def test_failure_keeps_the_time_of_the_last_success(gateway: Pushgateway, tmp_path: Path) -> None:
    push(gateway.url, run_of(record(), finished_s=100.0), tmp_path)

    push(gateway.url, run_of(record("a.py::a", Outcome.FAILED), finished_s=200.0, exit_status=1), tmp_path)

    assert gateway.samples[f'{LAST_SUCCESS}{{instance="",job="shop",type="unit"}}'] == 100
    assert gateway.samples['sergas_last_run_timestamp_seconds{instance="",job="shop",type="unit"}'] == 200


def test_tests_that_are_no_longer_the_slowest_are_gone(gateway: Pushgateway, tmp_path: Path) -> None:
    push(gateway.url, run_of(record("a.py::test_old")), tmp_path)

    push(gateway.url, run_of(record("a.py::test_new")), tmp_path)

    assert [series for series in gateway.samples if "slowest" in series] == [
        'sergas_slowest_test_seconds{instance="",job="shop",test="a.py::test_new",type="unit"}'
    ]


def test_promtool_has_no_complaint_about_a_run_of_all_outcomes(gateway: Pushgateway, tmp_path: Path) -> None:
    tests = [record(f"a.py::test_{outcome}", outcome) for outcome in Outcome if outcome is not Outcome.FLAKY]
    push(gateway.url, run_of(*tests, record("a.py::test_flaky", Outcome.FAILED, Outcome.PASSED)), tmp_path)

    # The Pushgateway's own families are its own business.
    ours = [line for line in gateway.metrics.splitlines(keepends=True) if "sergas_" in line]
    assert lint("".join(ours)) == ""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param('test["quoted"]', id="quotes"),
        pytest.param("test[a\nb\r\x00c\x1b[31m]", id="control characters"),
        pytest.param("test[C:\\new\\table]", id="backslashes"),
        pytest.param("test[🎉é\u2028]", id="beyond ASCII"),
        pytest.param("test[\udcff\ud800]", id="not UTF-8"),
        pytest.param(f"test[{'x' * 100_000}]", id="100 KB"),
        pytest.param('test[{job="x"} 1\n# TYPE sergas_tests counter]', id="exposition format"),
    ],
)
def test_awkward_name_arrives_bounded(gateway: Pushgateway, tmp_path: Path, name: str) -> None:
    push(gateway.url, run_of(record(f"a.py::{name}")), tmp_path)

    [group] = gateway.groups
    [metric] = group["sergas_slowest_test_seconds"]["metrics"]
    assert metric["labels"]["test"].startswith("a.py::test[")
    assert len(metric["labels"]["test"]) <= TEST_LABEL_LIMIT
    assert lint("".join(line for line in gateway.metrics.splitlines(keepends=True) if "sergas_" in line)) == ""


def test_labels_are_filled_in_also_where_they_are_empty(gateway: Pushgateway, tmp_path: Path) -> None:
    labels = {"branch": "{branch}", "ci": "{provider}/{job}", "team": "checkout ü", "step": ".."}
    environment = Environment(branch="", provider="gitlab", job="test: [1/3]")

    push(gateway.url, run_of(record(), project="my shop/é", environment=environment), tmp_path, push_labels=labels)

    assert [group["labels"] for group in gateway.groups] == [
        {
            "job": "my shop/é",
            "type": "unit",
            "branch": "",
            "ci": "gitlab/test: [1/3]",
            "team": "checkout ü",
            "step": "..",
        }
    ]


def test_address_without_a_scheme_is_taken_as_http(gateway: Pushgateway, tmp_path: Path) -> None:
    publication = push(gateway.url.removeprefix("http://"), RUN, tmp_path)

    assert publication.place == gateway.url
    assert len(gateway.groups) == 2


def test_run_without_tests_pushes_nothing(gateway: Pushgateway, tmp_path: Path) -> None:
    assert push(gateway.url, run_of(), tmp_path) == Publication()
    assert gateway.groups == []


@pytest.mark.parametrize("key", [{"job": "a b+c/é"}, {"job": "j", "a": "", "b": "x/y", "c": "%2F"}])
def test_group_is_the_one_that_prometheus_client_pushes_to(gateway: Pushgateway, key: dict[str, str]) -> None:
    from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

    registry = CollectorRegistry()
    Gauge("theirs", "Pushed by prometheus_client.", registry=registry).set(1)
    pushadd_to_gateway(gateway.url, key["job"], registry, {name: key[name] for name in key if name != "job"})
    send_raw(gateway, to_path(key).removeprefix("/metrics"), "ours 1\n")

    [group] = gateway.groups
    assert group["labels"] == key
    assert {"ours", "theirs"} <= group.keys()


@pytest.mark.parametrize(("path", "labels"), ACCEPTED)
def test_pushgateway_reads_a_path_as_we_do(gateway: Pushgateway, path: str, labels: dict[str, str]) -> None:
    assert send_raw(gateway, path, "m 1\n") == (200, "")

    [group] = gateway.groups
    assert group["labels"] == labels == from_path(f"/metrics{path}")


@pytest.mark.parametrize(("path", "text"), REFUSED)
def test_pushgateway_refuses_a_path_that_we_refuse(gateway: Pushgateway, path: str, text: str) -> None:
    status, answer = send_raw(gateway, path, "m 1\n")

    assert status == 400
    # In the same words; what it quotes it does not always quote right.
    assert answer.startswith(text.partition("'")[0])
    assert gateway.groups == []


def send_raw(gateway: Pushgateway, path: str, body: str) -> tuple[int, str]:
    request = urllib.request.Request(f"{gateway.url}/metrics{path}", data=body.encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode().strip()


# Credentials


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Pushgateway]:
    with pushgateway(tmp_path, authenticated=True) as running:
        yield running


@pytest.mark.parametrize("way", ["url", "files", "environment"])
def test_basic_authentication_is_accepted_by_a_real_gateway(guarded: Pushgateway, tmp_path: Path, way: str) -> None:
    address = guarded.url.removeprefix("http://")
    (tmp_path / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    made = {
        "url": lambda: publisher(f"http://{USERNAME}:{PASSWORD.replace(' ', '%20')}@{address}", tmp_path),
        "files": lambda: publisher(address, tmp_path, push_username=USERNAME, push_password_file="password"),  # noqa: S106
        "environment": lambda: publisher(
            address, tmp_path, {"SERGAS_PUSH_USERNAME": USERNAME, "SERGAS_PUSH_PASSWORD": PASSWORD}
        ),
    }[way]()

    assert made.publish(RUN, forever_s) == Publication(place=guarded.url)


def test_wrong_password_is_said_without_showing_it(guarded: Pushgateway, tmp_path: Path) -> None:
    text = reason(f"http://{USERNAME}:hunter2@{guarded.url.removeprefix('http://')}", tmp_path)

    assert text == f"{guarded.url}: unit, smoke: it answered 401 Unauthorized: Unauthorized"


@pytest.mark.parametrize("way", ["file", "environment"])
def test_bearer_token_is_sent(tmp_path: Path, way: str) -> None:
    (tmp_path / "token").write_bytes(b"abc.def\r\n")
    with answering() as server:
        made = {
            "file": lambda: publisher(server.url, tmp_path, push_token_file="token"),  # noqa: S106
            "environment": lambda: publisher(server.url, tmp_path, {"SERGAS_PUSH_TOKEN": "abc.def"}),
        }[way]()
        made.publish(run_of(record()), forever_s)

        assert [request.headers["Authorization"] for request in server.received] == ["Bearer abc.def"]


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-the-file", encoding="utf-8")
    with answering() as server:
        made = publisher(server.url, tmp_path, {"SERGAS_PUSH_TOKEN": "of-the-job"}, push_token_file="token")  # noqa: S106
        made.publish(run_of(record()), forever_s)

        assert [request.headers["Authorization"] for request in server.received] == ["Bearer of-the-job"]


def test_no_credentials_send_no_header(tmp_path: Path) -> None:
    with answering() as server:
        push(server.url, run_of(record()), tmp_path)

        assert [request.headers.get("Authorization") for request in server.received] == [None]


def test_secret_that_the_gateway_repeats_is_not_shown(tmp_path: Path) -> None:
    def echo(request: Received) -> Answer:
        return Answer(
            400, f"bad header {request.headers['Authorization']}, password hunter2", {"Content-Type": "text/plain"}
        )

    with answering(echo) as server:
        text = reason(server.url.replace("://", "://ci:hunter2@"), tmp_path, run=run_of(record()))

        assert text == f"{server.url}: unit: it answered 400 Bad Request: bad header Basic ***, password ***"


def test_secrets_are_not_in_the_representation_of_the_publisher(tmp_path: Path) -> None:
    assert "hunter2" not in repr(publisher("http://ci:hunter2@gateway", tmp_path))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed_and_named(status: int, tmp_path: Path) -> None:
    with answering() as other, answering(lambda _: Answer(status, "", {"Location": f"{other.url}/metrics"})) as server:
        text = reason(server.url.replace("://", "://ci:hunter2@"), tmp_path, run=run_of(record()))

        assert other.received == []
        assert text == (
            f"{server.url}: unit: it answered {status} {HTTPStatus(status).phrase} and names {other.url}/metrics, "
            "which is not followed; put that address into push"
        )


# What fails


def test_inconsistent_metrics_are_said_in_the_words_of_the_gateway(gateway: Pushgateway, tmp_path: Path) -> None:
    send_raw(gateway, "/job/other", "# TYPE sergas_tests counter\nsergas_tests 1\n")

    text = reason(gateway.url, tmp_path, run=run_of(record()))

    words = "pushed metrics are invalid or inconsistent with existing metrics: "
    assert text.startswith(f"{gateway.url}: unit: it answered 400 Bad Request: {words}")
    assert "sergas_tests" in text
    assert len(text) < 300


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        pytest.param(refusing, "connection refused", id="refuses"),
        pytest.param(resetting, "Connection reset by peer", id="resets"),
        pytest.param(lambda: speaking(b""), "connection closed without an answer", id="says nothing"),
        pytest.param(
            lambda: speaking(b"220 mail ESMTP\r\n"),
            "what it answered is not HTTP: BadStatusLine 220 mail ESMTP",
            id="no HTTP",
        ),
    ],
)
def test_connection_that_fails(
    server: Callable[[], AbstractContextManager[str]], expected: str, tmp_path: Path
) -> None:
    with server() as url:
        assert reason(url, tmp_path) == f"{url}: unit, smoke: {expected}"


@pytest.mark.parametrize("server", [pytest.param(hanging, id="hangs"), pytest.param(trickling, id="trickles")])
def test_gateway_that_never_finishes_is_given_up_when_no_time_is_left(
    server: Callable[[], AbstractContextManager[str]], tmp_path: Path
) -> None:
    with server() as url:
        assert reason(url, tmp_path, seconds=0.2) == f"{url}: unit, smoke: no answer within 5 s"


def test_name_that_cannot_be_resolved(tmp_path: Path) -> None:
    text = reason("http://gateway.invalid:9091", tmp_path)

    assert text.startswith("http://gateway.invalid:9091: unit, smoke: its name cannot be resolved: ")


def test_step_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with hanging() as url, pytest.raises(PublishError) as raised:
        publisher(url, tmp_path).endpoint.send("POST", "/metrics/job/j", [], b"", 0.05)

    assert str(raised.value) == "connection timed out"


def test_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    with answering() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        push("http://gateway.invalid", run_of(record()), tmp_path)

        assert [request.path for request in proxy.received] == ["http://gateway.invalid/metrics/job/shop/type/unit"]


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        pytest.param("socks5://127.0.0.1:1", "unknown url type: socks5", id="kind"),
        pytest.param("http:/x", "ValueError: proxy URL with no authority: 'http:/x'", id="malformed"),
    ],
)
def test_proxy_that_cannot_be_used_is_said(
    proxy: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", proxy)

    assert reason("http://gateway.invalid", tmp_path) == f"http://gateway.invalid: unit, smoke: {expected}"


def test_certificate_is_checked(tmp_path: Path) -> None:
    with answering() as server:
        text = reason(server.url.replace("http:", "https:"), tmp_path, run=run_of(record()))

        assert "SSL" in text
        assert server.received == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(500), "it answered 500 Internal Server Error", id="500 without a text"),
        pytest.param(
            Answer(503, "over\nloaded\x1b[31m\n", {"Content-Type": "text/plain"}),
            "it answered 503 Service Unavailable: over loaded",
            id="text with control characters",
        ),
        pytest.param(
            Answer(502, "<html><h1>Bad</h1></html>", {"Content-Type": "text/html; charset=utf-8"}),
            "it answered 502 Bad Gateway",
            id="page for people",
        ),
        pytest.param(
            Answer(400, "x" * 1_000_000),
            f"it answered 400 Bad Request: {'x' * (200 - 29 - 3)}...",
            id="text without an end",
        ),
    ],
)
def test_answer_that_is_no_success(answer: Answer, expected: str, tmp_path: Path) -> None:
    with answering(lambda _: answer) as server:
        assert reason(server.url, tmp_path) == f"{server.url}: unit, smoke: {expected}"


def test_types_that_failed_are_named_and_the_others_arrive(tmp_path: Path) -> None:
    run = run_of(*(record(f"a.py::test_{kind}", type=kind) for kind in ("unit", "load", "smoke", "e2e")))

    def answer(request: Received) -> Answer:
        kind = from_path(request.path)["type"]
        return Answer({"load": 400, "e2e": 500}.get(kind, 200), kind)

    with answering(answer) as server:
        text = reason(server.url, tmp_path, run=run)

        assert text == (
            f"{server.url}: load: it answered 400 Bad Request: load; e2e: it answered 500 Internal Server Error: e2e"
        )
        assert sorted(from_path(request.path)["type"] for request in server.received) == [
            "e2e",
            "load",
            "smoke",
            "unit",
        ]


def test_one_type_that_hangs_does_not_keep_the_others(tmp_path: Path) -> None:
    run = run_of(record(), record("a.py::test_a", type="smoke"))
    smoke_arrived, over = threading.Event(), threading.Event()

    def answer(request: Received) -> Answer:
        if from_path(request.path)["type"] == "unit":
            over.wait()
        else:
            smoke_arrived.set()
        return Answer()

    with answering(answer) as server:
        text = reason(server.url, tmp_path, run=run, seconds=0.3)
        over.set()

        assert smoke_arrived.is_set()
        assert text == f"{server.url}: unit: no answer within 5 s"


def test_all_types_are_under_way_at_once(tmp_path: Path) -> None:
    kinds = [
        "unit",
        "integration",
        "performance",
        "security",
        "load",
        "regression",
        "smoke",
        "e2e",
        "compatibility",
        "stress",
    ]
    together = threading.Barrier(len(kinds), timeout=30)

    def answer(_: Received) -> Answer:
        together.wait()  # breaks when they come one after the other
        return Answer()

    with answering(answer) as server:
        push(server.url, run_of(*(record(f"a.py::test_{kind}", type=kind) for kind in kinds)), tmp_path)

        assert len(server.received) == len(kinds)


def test_project_that_is_no_label_value_is_said(tmp_path: Path) -> None:
    assert reason("http://gateway", tmp_path, run=run_of(record(), project="\x01")) == (
        "http://gateway: unit: job name is required"
    )


# What is refused before the run


def faults(
    tmp_path: Path, address: str = "http://gateway", environ: dict[str, str] | None = None, **settings: Any
) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        publisher(address, tmp_path, environ, **settings)
    return list(raised.value.faults)


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff")

    assert faults(
        tmp_path,
        push_username="a:b",
        push_password_file="binary",  # noqa: S106
        push_token_file="empty",  # noqa: S106
        push_labels={"outcome": "x", "team": "y"},
    ) == [
        f"push_password_file = 'binary': {tmp_path / 'binary'} is not UTF-8 text",
        f"push_token_file = 'empty': {tmp_path / 'empty'} is empty; it has to hold the secret",
        "push: a user name and a bearer token (push_username, push_password_file, push_token_file); remove one of them",
        "push: the user name contains ':', which basic authentication cannot carry",
        "push_labels: 'outcome' is a label of the metrics themselves; choose another name",
    ]


def test_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, push_token_file="gone") == [  # noqa: S106
        f"push_token_file = 'gone': {tmp_path / 'gone'} cannot be read: No such file or directory"
    ]


def test_file_that_is_too_large_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 70_000)

    assert faults(tmp_path, push_token_file="large") == [  # noqa: S106
        f"push_token_file = 'large': {tmp_path / 'large'} is larger than 64 KiB; it has to hold the secret"
    ]


@pytest.mark.parametrize(
    ("environ", "settings", "fault"),
    [
        pytest.param(
            {"SERGAS_PUSH_USERNAME": "ci"},
            {},
            "push: a user name (SERGAS_PUSH_USERNAME) without a password; set push_username and push_password_file, "
            "or SERGAS_PUSH_USERNAME and SERGAS_PUSH_PASSWORD",
            id="no password",
        ),
        pytest.param(
            {"SERGAS_PUSH_PASSWORD": "hunter2"},
            {},
            "push: a password (SERGAS_PUSH_PASSWORD) without a user name; set push_username and push_password_file, "
            "or SERGAS_PUSH_USERNAME and SERGAS_PUSH_PASSWORD",
            id="no user name",
        ),
        pytest.param(
            {"SERGAS_PUSH_TOKEN": "hunter2\nX-Evil: 1"},
            {},
            "push: the bearer token (SERGAS_PUSH_TOKEN) contains a blank or what is not ASCII",
            id="newline in a token",
        ),
    ],
)
def test_credentials_that_cannot_be_used_are_a_fault(
    environ: dict[str, str], settings: dict[str, str], fault: str, tmp_path: Path
) -> None:
    assert faults(tmp_path, environ=environ, **settings) == [fault]


def test_credentials_in_the_url_and_elsewhere_are_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, "http://ci:hunter2@gateway", {"SERGAS_PUSH_TOKEN": "hunter2"}) == [
        "push: the URL has a user name, and SERGAS_PUSH_TOKEN is set as well; keep one"
    ]


def test_user_name_alone_in_the_url_is_a_fault(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, "http://ci@gateway")

    assert fault.startswith("push: a user name (the URL) without a password; ")
