"""Pushes to the sidecar: what it says when it refuses, what it does beyond the Pushgateway, and that it stays well."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import pytest

from pytest_sergas.core.exposition import OPENMETRICS, parse
from pytest_sergas.core.grouping import to_path
from pytest_sergas.core.metrics import Sample
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.http import Answer, Request, get, push, send

pytestmark = pytest.mark.integration

JOB = "/metrics/job/j"
CONFIG = """\
[groups]
max_groups = 8
max_series = 100
max_push_mib = 1
ttl_rules = [{match = {kind = "brief"}, ttl = 0.2}, {match = {kind = "long"}, ttl = 3600}]
"""
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
TTL = "allowed: seconds (0 for ever), at least 0 and at most 31622400, such as 90 or '1h30m'"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with sidecar(tmp_path_factory.mktemp("sidecar"), "--store", ":memory:", config=CONFIG) as server:
        yield server


@pytest.fixture
def server(running: Sidecar) -> Iterator[Sidecar]:
    yield running
    for labels in groups(running.url):
        assert send(running.url, Request("DELETE", to_path(labels))).status == 202


def groups(url: str) -> list[dict[str, str]]:
    return [group["labels"] for group in json.loads(get(url, "/api/v1/metrics").body)["data"]]


def samples(url: str, name: str) -> list[Sample]:
    found = {family.name: family.samples for family in parse(get(url, "/metrics").body)}
    return list(found.get(name, ()))


def put(server: Sidecar, path: str, body: bytes = b"m 1\n", **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return push(server.url, path, body, method="PUT", headers=names)


# What it says


def test_success_is_an_empty_answer_without_a_type(server: Sidecar) -> None:
    answer = put(server, JOB)

    assert (answer.status, answer.body) == (200, b"")
    assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        pytest.param(f"{JOB}/a", b"m 1\n", "odd number of components in label string '/a'", id="odd"),
        pytest.param(f"{JOB}/a-b/c", b"m 1\n", "improper label name 'a-b'", id="name"),
        pytest.param(f"{JOB}/%FF/c", b"m 1\n", f"path '{JOB}/%FF/c' is not UTF-8", id="invalid UTF-8"),
        pytest.param(f"{JOB}/a@base64/_w", b"m 1\n", "value of label 'a' is not UTF-8", id="invalid UTF-8 in base64"),
        pytest.param(JOB, b"m 1", "line 1, column 4: unexpected end: the last line must end with a newline", id="end"),
        pytest.param(JOB, b"m 1 1\n", "pushed metrics must not have timestamps, and 'm' has", id="timestamp"),
        pytest.param(JOB, b"m 1\nm 2\n", """the series m{instance="",job="j"} is there twice""", id="twice"),
        pytest.param(
            JOB,
            b"# TYPE other counter\nother 1\n",
            "metric 'other' has the type untyped already, and counter in this push",
            id="type",
        ),
        pytest.param(
            f"{JOB}/a/1",
            b"taken 1\n",
            """the series taken{a="1",instance="",job="j"} is there already, pushed to /metrics/job/j""",
            id="series",
        ),
        pytest.param(
            JOB,
            b"# TYPE other_h histogram\nother_h_count 1\n",
            "the histogram 'other_h' collides with the untyped 'other_h_sum' that is there",
            id="histogram",
        ),
        pytest.param(
            JOB,
            b"other_s_count 1\n",
            "metric 'other_s_count' collides with the summary 'other_s' that is there",
            id="beside a summary",
        ),
        pytest.param(
            f"{JOB}/le/1",
            b"# TYPE h histogram\nh_count 1\n",
            "the histogram 'h' has a label 'le' of its own; it cannot be grouped by",
            id="bound",
        ),
    ],
)
def test_what_cannot_be_taken_is_400_with_the_reason(path: str, body: bytes, text: str, server: Sidecar) -> None:
    there = b"other 1\nother_h_sum 1\n# TYPE other_s summary\nother_s_count 1\n"
    assert put(server, "/metrics/job/k", there).status == 200
    assert put(server, JOB, b'taken{a="1"} 1\n').status == 200

    answer = put(server, path, body)

    assert answer.status == 400
    assert answer.text == f"{text}\n"
    assert get(server.url, "/metrics").status == 200


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        pytest.param(
            {"Content_Type": PROTOBUF},
            "protobuf is not supported; send the text format, with Content-Type: text/plain; version=0.0.4",
            id="protobuf",
        ),
        pytest.param(
            {"Content_Encoding": "x-snappy-framed"},
            "snappy is not supported; send the body as it is, or with Content-Encoding: gzip",
            id="snappy",
        ),
    ],
)
def test_other_formats_are_415_with_what_to_send(headers: dict[str, str], text: str, server: Sidecar) -> None:
    answer = put(server, JOB, b"m 1\n", **headers)

    assert (answer.status, answer.text) == (415, f"{text}\n")
    assert groups(server.url) == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(gzip.compress(b"m 1\n")[:-1], "it is cut off", id="cut off"),
        pytest.param(b"m 1\n", "Error -3 while decompressing data: incorrect header check", id="another format"),
    ],
)
def test_bad_gzip_is_400(body: bytes, text: str, server: Sidecar) -> None:
    answer = put(server, JOB, body, Content_Encoding="gzip")

    assert answer.status == 400
    assert answer.text == f"the body is not the gzip that Content-Encoding says: {text}\n"


def test_push_of_nothing_changes_the_time_of_the_push(server: Sidecar) -> None:
    put(server, JOB)
    [first] = samples(server.url, "push_time_seconds")

    assert push(server.url, JOB, b"").status == 200

    [second] = samples(server.url, "push_time_seconds")
    assert second.value > first.value


# A refusal is shown, and spoils nothing else


def test_refused_push_shows_in_its_group_and_leaves_the_metrics(server: Sidecar) -> None:
    put(server, JOB, b"m 1\n")

    assert put(server, JOB, b"m 2 1600000000000\n").status == 400

    (group,) = json.loads(get(server.url, "/api/v1/metrics").body)["data"]
    assert group["last_push_successful"] is False
    assert [sample.value for sample in samples(server.url, "m")] == [1]
    (failed,) = samples(server.url, "push_failure_time_seconds")
    assert failed.value > 0


def test_invalid_utf8_in_a_key_stores_nothing(server: Sidecar) -> None:
    assert [put(server, f"{JOB}/{pair}").status for pair in ("a@base64/_w", "a/%FF", "%FF/a")] == [400] * 3

    assert groups(server.url) == []
    assert get(server.url, "/metrics").status == 200
    assert put(server, JOB).status == 200


def test_bad_base64_a_hundred_times_blocks_nobody(server: Sidecar) -> None:
    bad = Request("POST", "/metrics/job@base64/!!!", b"m 1\n")

    assert {send(server.url, bad).status for _ in range(100)} == {400}
    assert push(server.url, "/metrics/job@base64/YQ", b"m 1\n").status == 200


# Beyond the protocol: a time to live


def test_group_with_a_ttl_goes_by_itself(server: Sidecar) -> None:
    assert put(server, f"{JOB}/a/1", Sergas_TTL="200ms").status == 200
    assert put(server, f"{JOB}/a/2").status == 200

    until(lambda: {"job": "j", "a": "1"} not in groups(server.url), "the group is gone")

    assert groups(server.url) == [{"job": "j", "a": "2"}]
    assert [dict(sample.labels)["a"] for sample in samples(server.url, "m")] == ["2"]


def test_configured_ttl_applies_by_label(server: Sidecar) -> None:
    assert put(server, f"{JOB}/kind/brief").status == 200
    assert put(server, f"{JOB}/kind/long").status == 200

    until(lambda: len(groups(server.url)) == 1, "one group is gone")

    assert groups(server.url) == [{"job": "j", "kind": "long"}]


def test_ttl_of_0_overrides_the_configuration(server: Sidecar) -> None:
    assert put(server, f"{JOB}/kind/brief", Sergas_TTL="0").status == 200
    assert put(server, f"{JOB}/a/1", Sergas_TTL="0.2").status == 200

    until(lambda: {"job": "j", "a": "1"} not in groups(server.url), "the other group is gone")

    assert groups(server.url) == [{"job": "j", "kind": "brief"}]


@pytest.mark.parametrize("value", ["", "-1", "1e3", "soon", "inf", "nan", "31622401", "1 2"])
def test_ttl_that_is_none_is_400(value: str, server: Sidecar) -> None:
    answer = put(server, JOB, Sergas_TTL=value)

    assert (answer.status, answer.text) == (400, f"Sergas-TTL: {value!r}: {TTL}\n")
    assert groups(server.url) == []


# Bounds


def test_one_group_too_many_is_503_and_the_others_go_on(server: Sidecar) -> None:
    assert {put(server, f"{JOB}/a/{number}").status for number in range(8)} == {200}

    answer = put(server, f"{JOB}/a/8")

    assert answer.status == 503
    assert answer.text == (
        "there are 8 groups, the most that max_groups allows; delete some, give them a time to live, or raise it\n"
    )
    assert put(server, f"{JOB}/a/7", b"m 2\n").status == 200
    assert len(groups(server.url)) == 8


def test_one_series_too_many_is_503_and_stores_nothing(server: Sidecar) -> None:
    many = b"".join(b"m%d 1\n" % number for number in range(98))
    assert put(server, JOB, many).status == 200  # with its two times that is all

    answer = push(server.url, JOB, b"n 1\n")

    assert answer.status == 503
    assert answer.text == (
        "with 1 series more there are 101, and max_series allows 100; delete groups, give them a time to live, or "
        "raise it\n"
    )
    assert samples(server.url, "n") == []
    assert put(server, JOB, many).status == 200


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzip"])
def test_body_that_is_too_large_is_413(gzipped: bool, server: Sidecar) -> None:  # noqa: FBT001
    body = b"# " + b"x" * (1024 * 1024) + b"\n"
    headers = {"Content_Encoding": "gzip"} if gzipped else {}

    answer = put(server, JOB, gzip.compress(body) if gzipped else body, **headers)

    assert answer.status == 413
    assert answer.text == "the body is larger than 1 MiB, which max_push_mib allows; push less at once\n"
    assert groups(server.url) == []


def test_gzip_bomb_is_413_and_takes_no_memory(server: Sidecar) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\n" * 1024 * 1024) for _ in range(200)) + packer.flush()
    before_kib = server.peak_kib

    answer = put(server, JOB, bomb, Content_Encoding="gzip")

    assert answer.status == 413
    assert server.peak_kib - before_kib < 50 * 1024


# The page


def test_page_is_text_unless_openmetrics_is_wanted_more(server: Sidecar) -> None:
    put(server, JOB, b"# TYPE c_total counter\nc_total 1\n# TYPE d counter\nd 1\n")

    text = get(server.url, "/metrics", {"Accept": "application/openmetrics-text;q=0.3,text/plain;q=0.5,*/*;q=0.1"})
    openmetrics = get(server.url, "/metrics", {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})

    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert openmetrics.headers["content-type"] == OPENMETRICS
    assert "# TYPE c_total counter\n" in text.text
    assert "# TYPE c counter\nc_total{" in openmetrics.text
    assert "# TYPE d unknown\n" in openmetrics.text
    assert openmetrics.text.endswith("\n# EOF\n")


@pytest.mark.parametrize("accept", ["text/plain;q=1.2.3", "application/openmetrics-text;q=.", ";;q=", ",,"])
def test_page_is_there_whatever_accept_says(accept: str, server: Sidecar) -> None:
    assert get(server.url, "/metrics", {"Accept": accept, "Accept-Encoding": accept}).status == 200


def test_groups_are_compressed_where_that_is_accepted(server: Sidecar) -> None:
    put(server, JOB, b"".join(b"m%d 1\n" % number for number in range(20)))

    plain = get(server.url, "/api/v1/metrics")
    packed = get(server.url, "/api/v1/metrics", {"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body


def test_page_is_compressed_where_that_is_accepted(server: Sidecar) -> None:
    plain = get(server.url, "/metrics")
    packed = get(server.url, "/metrics", {"Accept-Encoding": "gzip"})
    refused = get(server.url, "/metrics", {"Accept-Encoding": "gzip;q=0"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert set(names(gzip.decompress(packed.body))) == set(names(plain.body))
    assert "content-encoding" not in refused.headers


def names(page: bytes) -> list[str]:
    return [family.name for family in parse(page)]


def test_no_family_is_there_twice(server: Sidecar) -> None:
    put(server, JOB, b"# TYPE sergas_groups gauge\nsergas_groups 7\n")
    put(server, "/metrics/job/k", b"# TYPE sergas_groups gauge\nsergas_groups 8\n")

    page = get(server.url, "/metrics").text

    assert page.count("# TYPE sergas_groups gauge\n") == 1
    assert {sample.value for sample in samples(server.url, "sergas_groups")} == {2, 7, 8}


def test_status_says_what_this_is(server: Sidecar) -> None:
    document = json.loads(get(server.url, "/api/v1/status").body)

    assert document["status"] == "success"
    assert set(document["data"]) == {"build_information", "flags", "start_time"}
    assert document["data"]["flags"]["groups.max_groups"] == "8"
