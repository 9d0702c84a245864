"""The same requests to Debian's Pushgateway and to the sidecar: the same statuses, and the same page afterwards.

Each case is what the Pushgateway was observed to do; both servers are asked, so that neither the observation nor the
sidecar can drift. Where the sidecar differs on purpose, the difference stands in a test of its own at the end.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_sergas.core.exposition import parse
from pytest_sergas.core.grouping import to_path
from tests.servers.pushgateway import pushgateway
from tests.servers.sidecar import sidecar
from tests.sidecar.http import Request, get, push, send, send_all

pytestmark = pytest.mark.integration

JOB = "/metrics/job/j"
# What each server says of itself; pushed to both under the name of their own.
OWN = ("container_", "go_", "process_", "promhttp_", "pushgateway_", "sergas_", "system_")
TIMES = {"push_time_seconds", "push_failure_time_seconds"}

PUT, POST, DELETE = "PUT", "POST", "DELETE"


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers, with no groups."""

    real: str
    ours: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    directory = tmp_path_factory.mktemp("servers")
    with pushgateway(directory) as real, sidecar(directory, "--store", ":memory:") as ours:
        yield Servers(real.url, ours.url)


@pytest.fixture
def servers(running: Servers) -> Iterator[Servers]:
    yield running
    for url in (running.real, running.ours):
        for group in groups(url):
            labels = group["labels"]
            assert send(url, Request(DELETE, to_path(labels))).status == 202


def groups(url: str) -> list[dict[str, Any]]:
    document = json.loads(get(url, "/api/v1/metrics").body)
    assert document["status"] == "success"
    return sorted(document["data"], key=lambda group: sorted(group["labels"].items()))


def page(url: str) -> dict[str, Any]:
    """Return what was pushed: name → type and samples; of the push times only whether there is one."""
    answer = get(url, "/metrics")
    assert answer.status == 200, answer.text
    families: dict[str, Any] = {}
    for family in parse(answer.body):
        if not family.name.startswith(OWN):
            samples = [
                (sample.suffix, sorted(sample.labels), _value(family.name, sample.value)) for sample in family.samples
            ]
            families[family.name] = (family.type, sorted(samples))
    return families


def _value(name: str, value: float) -> object:
    if name in TIMES:
        return value > 0
    return "NaN" if math.isnan(value) else value


def comparable(group: dict[str, Any]) -> dict[str, Any]:
    """Return a group of the JSON without what depends on the moment or on the writing of numbers."""
    others = {"labels", "last_push_successful"}
    return {name: value if name in others else _plain(name, value) for name, value in group.items()}


def _plain(name: str, family: dict[str, Any]) -> dict[str, Any]:
    metrics = [
        {key: _number(name, value) if isinstance(value, str) else value for key, value in metric.items()}
        for metric in family.get("metrics", ())
    ]
    for metric in metrics:
        for bounds in metric.keys() & {"buckets", "quantiles"}:
            # The page of both adds +Inf where it was not pushed; the real JSON does not.
            metric[bounds] = {float(bound): float(value) for bound, value in metric[bounds].items() if bound != "+Inf"}
    ordered = sorted(metrics, key=lambda metric: sorted(metric["labels"].items()))
    help_text = "" if name in TIMES else family.get("help", "")
    return {
        "type": family.get("type"),
        "metrics": ordered,
        "help": help_text,
        "pushed just now": _is_now(family["time_stamp"]),
    }


def _is_now(time_stamp: str) -> bool:
    """Whether a time as both write it, in UTC, is that of this test."""
    assert time_stamp.endswith("Z")
    return abs(datetime.now(UTC) - datetime.fromisoformat(time_stamp)) < timedelta(minutes=5)


def _number(name: str, text: str) -> Any:
    return _value(name, float(text))


GAUGE = b"# HELP m Some help.\n# TYPE m gauge\n"
HISTOGRAM = b'# TYPE h histogram\nh_bucket{le="1"} 2\nh_sum 4\nh_count 3\n'
SUMMARY = b'# TYPE s summary\ns{quantile="0.5"} 2\ns_sum 4\ns_count 3\n'
CODED = {"Content_Encoding": "gzip"}
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

QUOTED_PROTOBUF = 'Application/vnd.google.protobuf;Encoding="delimited";proto="io.prometheus.client.MetricFamily"'


def case(name: str, *steps: tuple[Request, int]) -> Any:
    return pytest.param(steps, id=name)


def put(path: str, body: bytes | tuple[bytes, ...] = b"", **headers: str) -> Request:
    return Request(PUT, path, body, {name.replace("_", "-"): value for name, value in headers.items()})


def post(path: str, body: bytes | tuple[bytes, ...] = b"", **headers: str) -> Request:
    return Request(POST, path, body, {name.replace("_", "-"): value for name, value in headers.items()})


def delete(path: str, body: bytes = b"") -> Request:
    return Request(DELETE, path, body)


CASES = [
    # Basics
    case("one value", (post(JOB, b"m 3.14\n"), 200)),
    case("another name is added", (post(JOB, b"m 1\n"), 200), (post(JOB, b"n 2\n"), 200)),
    case("the same name is replaced", (post(JOB, b'm{a="1"} 1\nm{a="2"} 2\n'), 200), (post(JOB, b'm{a="3"} 3\n'), 200)),
    case("PUT replaces the group", (post(JOB, b"m 1\n"), 200), (put(JOB, b"n 2\n"), 200)),
    case("empty POST changes the time alone", (post(JOB, b"m 1\n"), 200), (post(JOB), 200)),
    case("empty PUT leaves the times alone", (post(JOB, b"m 1\n"), 200), (put(JOB), 200)),
    case("DELETE removes all", (post(JOB, b"m 1\n"), 200), (delete(JOB), 202)),
    case("DELETE of nothing", (delete(JOB), 202)),
    case("DELETE with a body", (post(JOB, b"m 1\n"), 200), (delete(JOB, b"x"), 202)),
    case(
        "DELETE of one group leaves another",
        (post(JOB, b"m 1\n"), 200),
        (post(f"{JOB}/instance/i", b"m 2\n"), 200),
        (delete(JOB), 202),
    ),
    case("labels of the key win", (post(f"{JOB}/a/key", b'm{a="body",b="body",job="body"} 1\n'), 200)),
    case("instance of the body stays", (post(JOB, b'm{instance="body"} 1\n'), 200)),
    case("instance of the key wins", (post(f"{JOB}/instance/key", b'm{instance="body"} 1\n'), 200)),
    case(
        "order of the labels does not matter",
        (put(f"{JOB}/a/1/b/2", b"m 1\n"), 200),
        (put(f"{JOB}/b/2/a/1", b"n 1\n"), 200),
    ),
    case("a label twice: the last wins", (put(f"{JOB}/a/1/a/2", b"m 1\n"), 200)),
    case("the job twice: the first wins", (put(f"{JOB}/job/x", b"m 1\n"), 200)),
    # URL
    case("no job", (post("/metrics/job", b"m 1\n"), 404)),
    case("empty job", (post("/metrics/job/", b"m 1\n"), 307)),
    case("job is not first", (post("/metrics/instance/x", b"m 1\n"), 404)),
    case("no writing to the page", (post("/metrics", b"m 1\n"), 405), (delete("/metrics"), 405)),
    case("no reading of a group", (Request("GET", JOB), 405), (Request("PATCH", JOB, b"m 1\n"), 405)),
    case("no HEAD", (Request("HEAD", "/metrics"), 405)),
    case("OPTIONS", (Request("OPTIONS", JOB), 200), (Request("OPTIONS", "/metrics"), 200)),
    case("odd number of components", (post(f"{JOB}/a", b"m 1\n"), 400)),
    case("a slash at the end", (post(f"{JOB}/", b"m 1\n"), 200)),
    case("a slash at the end of an odd number", (post(f"{JOB}/a/b/", b"m 1\n"), 400)),
    *(
        case(f"unclean path {path}", (post(path, b"m 1\n"), 301))
        for path in (
            "/metrics//job/j",
            "//metrics/job/j",
            f"{JOB}//",
            f"{JOB}/a//b",
            f"{JOB}/a%2F%2Fb/c",
            f"{JOB}/../k",
            f"{JOB}/a/.",
            f"{JOB}/a/./",
            "/metrics/job/%2e%2e",
        )
    ),
    case("empty job in base64 without a value", (post("/metrics/job@base64/", b"m 1\n"), 404)),
    *(case(f"improper name {name}", (post(f"{JOB}/{name}/v", b"m 1\n"), 400)) for name in ("a-b", "1a", "__x")),
    case("base64", (post("/metrics/job@base64/dGVzdC9qb2I=", b"m 1\n"), 200)),
    case("base64 without padding", (post("/metrics/job@base64/dGVzdC9qb2I", b"m 1\n"), 200)),
    case("base64 with too much padding", (post("/metrics/job@base64/dGVzdC9qb2I===", b"m 1\n"), 200)),
    case("base64 of a label", (post(f"{JOB}/a@base64/YS9i", b"m 1\n"), 200)),
    case("bad base64 of a label", (post(f"{JOB}/a@base64/!", b"m 1\n"), 400)),
    case("empty job in base64", (post("/metrics/job@base64/=", b"m 1\n"), 400)),
    case("empty value", (post(f"{JOB}/first@base64/=", b"m 1\n"), 200)),
    case("percent is decoded", (post("/metrics/job/%CE%A0", b"m 1\n"), 200)),
    case("an encoded slash separates", (post("/metrics/job/a%2Fb", b"m 1\n"), 400)),
    case("plus stays", (post("/metrics/job/a+b", b"m 1\n"), 200)),
    # Without a body: the Pushgateway closes before it reads one, and its answer may be lost on the way.
    case("bad percent", (post("/metrics/job/%zz", b""), 400)),
    case("the query is ignored", (post(f"{JOB}?a=b", b"m 1\n"), 200)),
    # Body
    case("no newline at the end", (post(JOB, b"m 1"), 400)),
    case("CRLF", (post(JOB, b"m 1\r\n"), 400)),
    case("garbage", (post(JOB, b"\x00garbage\n"), 400)),
    case("timestamps", (post(JOB, b"m 1 1600000000000\n"), 400)),
    case("timestamps in a group that is there", (post(JOB, b"m 1\n"), 200), (post(JOB, b"m 2 1600000000000\n"), 400)),
    case(
        "type of another group",
        (post(JOB, GAUGE + b"m 1\n"), 200),
        (post("/metrics/job/k", b"# TYPE m counter\nm 1\n"), 400),
    ),
    case(
        "another type for one's own", (post(JOB, GAUGE + b"m 1\n"), 200), (post(JOB, b"# TYPE m counter\nm 2\n"), 200)
    ),
    case("a series twice", (post(JOB, b'm{a="1"} 1\nm{a="1"} 2\n'), 400)),
    case("a series twice because of the key", (post(f"{JOB}/a/key", b'm{a="1"} 1\nm{a="2"} 2\n'), 400)),
    case("a series of another group", (post(JOB, b'm{a="1"} 1\n'), 200), (post(f"{JOB}/a/1", b"m 1\n"), 400)),
    case("a pushed time is overridden", (post(JOB, b"push_time_seconds 1\nm 1\n"), 200)),
    case("different help", (post(JOB, b"# HELP m A\nm 1\n"), 200), (post("/metrics/job/k", b"# HELP m B\nm 1\n"), 200)),
    *(
        case(f"not the format: {body!r}", (post(JOB, body), 400))
        for body in (
            b"m 1\n# TYPE m gauge\n",
            b"# TYPE m gauge\n# TYPE m gauge\nm 1\n",
            b"# TYPE m nonsense\nm 1\n",
            b'm{a="1",a="2"} 1\n',
            b"a.b 1\n",
            b'{"a.b"} 1\n',
            b"m 0x10\n",
            b"m 1_000\n",
            b"m 1e999\n",
            b"m 1 1.5\n",
            b'm 1 # {trace_id="a"} 1\n',
            b"m 1 \n",
            b"m\n",
            b'm{a="1" 1\n',
            b"m{a=1} 1\n",
            b'm{a="\\x"} 1\n',
            b'm{__name__="x"} 1\n',
            b"# HELP m a\n# HELP m b\nm 1\n",
            b"# HELP m \\x\nm 1\n",
            b"# TYPE a.b gauge\n",
            b'm{a="\xff"} 1\n',
        )
    ),
    *(
        case(f"the format: {body!r}", (post(JOB, body), 200))
        for body in (
            b"m{} 1\n",
            b'm{a="1",} 1\n',
            b"m Infinity\nn -inf\no NaN\np +Inf\n",
            b'm{a="1"} 1\nn 2\nm{a="2"} 3\n',
            b"\n\n  # a comment\n#\nm\t 1\n  ",
            b'm{a="\\\\ \\" \\n"} 1\n',
            b'm { a = "1" , b = "2" } 1\n',
            b'm{a="1"}1\n',
            b"# TYPE m GAUGE\nm .5\nn 5.\no +1e3\n",
            b"# HELP m\n# TYPE m\nm 1\n",
            b"# HELP  m\n# TYPE \t m\nm 1\n",
            b"# HELP  m \n# TYPE  \nm 1\n",
            b"# TYPE m gauge\n",
            b"m 1\n# EOF\n",
            b"# TYPE om counter\nom_total 1\n",
            HISTOGRAM,
            b'# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4\nh_count 3\n',
            SUMMARY,
            b"# TYPE s summary\ns_count 3\n",
            b'# TYPE h histogram\nh_bucket{a="1",le="1"} 2\nh_bucket{a="2",le="1"} 1\nh_count{a="1"} 2\n',
        )
    ),
    case(
        "a counter beside a histogram's own", (post(JOB, HISTOGRAM), 200), (post("/metrics/job/k", b"h_count 1\n"), 400)
    ),
    case(
        "a histogram beside a counter of its own",
        (post(JOB, b"h_count 1\n"), 200),
        (post("/metrics/job/k", HISTOGRAM), 400),
    ),
    case(
        "a histogram of another group",
        (
            post(
                JOB,
                HISTOGRAM.replace(b"{le", b'{a="1",le')
                .replace(b"h_sum", b'h_sum{a="1"}')
                .replace(b"h_count", b'h_count{a="1"}'),
            ),
            200,
        ),
        (post(f"{JOB}/a/1", HISTOGRAM), 400),
    ),
    *(
        case(f"Content-Type is ignored: {kind}", (post(JOB, b"m 1\n", Content_Type=kind), 200))
        for kind in (
            "application/json",
            "application/vnd.google.protobuf",
            "application/vnd.google.protobuf; encoding=delimited",
            PROTOBUF.replace("delimited", "text"),
            PROTOBUF.replace("MetricFamily", "Other"),
        )
    ),
    # The key in any spelling
    *(
        case(
            f"key: {path}",
            (put(f"/metrics/{path}", b"m 1\n"), status),
            (delete(f"/metrics/{path}"), 202),
            (put(f"/metrics/{path}", b"m 1\n"), status),
        )
        for path, status in (
            ("%6Aob/j/%61/1", 200),
            ("job%40base64/YS9i/a%40base64/eA%3D%3D", 200),
            ("job@bas%6564/YS9i/a@base64/%65%41", 200),
            ("job/a%0Ab/a/%0A", 200),
            ("job/a%22%5C%09%7F/a/%E2%80%AE%F0%9F%98%80", 200),
            ("%6Aob/..%2e/a/...", 200),
        )
    ),
    case("gzip", (post(JOB, gzip.compress(b"m 1\n"), **CODED), 200)),
    case(
        "gzip in two members",
        (post(JOB, gzip.compress(b"m 1\n") + gzip.compress(b"n 1\n"), **CODED), 200),
    ),
    case("bad gzip", (post(JOB, b"m 1\n", **CODED), 400)),
    case("empty gzip", (post(JOB, b"", **CODED), 400)),
    case("deflate is ignored", (post(JOB, b"m 1\n", Content_Encoding="deflate"), 200)),
    case("chunked", (post(JOB, (b"m ", b"1\n", b"n 2\n")), 200)),
    case("the time of a failure survives", (post(JOB, b"m 1 1\n"), 400), (put(JOB, b"m 1\n"), 200)),
    case(
        "DELETE clears the time of a failure",
        (post(JOB, b"m 1 1\n"), 400),
        (delete(JOB), 202),
        (put(JOB, b"m 1\n"), 200),
    ),
    # The rest
    case("alive and ready", (Request("GET", "/-/healthy"), 200), (Request("GET", "/-/ready"), 200)),
    case("no quitting unless it is enabled", (put("/-/quit"), 403), (post("/-/quit"), 403)),
    case("no other method of quitting", (Request("GET", "/-/quit"), 405), (delete("/-/quit"), 405)),
    case("no wiping unless it is enabled", (put("/api/v1/admin/wipe"), 404)),
]


@pytest.mark.parametrize("steps", CASES)
def test_both_answer_alike_and_show_the_same(steps: tuple[tuple[Request, int], ...], servers: Servers) -> None:
    requests = [request for request, _ in steps]

    real, ours = send_all(servers.real, requests), send_all(servers.ours, requests)

    expected = [status for _, status in steps]
    assert [answer.status for answer in real] == expected
    assert [answer.status for answer in ours] == expected, [answer.text for answer in ours]
    assert page(servers.ours) == page(servers.real)
    assert [comparable(group) for group in groups(servers.ours)] == [
        comparable(group) for group in groups(servers.real)
    ]


OWN_GAUGE = {"real": "go_goroutines", "ours": "sergas_groups"}


@pytest.mark.parametrize(
    ("kind", "status"), [pytest.param("counter", 400, id="wrong type"), pytest.param("gauge", 200, id="right type")]
)
def test_own_metrics_of_the_server_can_be_pushed_with_their_type_alone(
    kind: str, status: int, servers: Servers
) -> None:
    for which, name in OWN_GAUGE.items():
        body = f"# TYPE {name} {kind}\n{name} 1\n".encode()

        assert push(getattr(servers, which), JOB, body).status == status
        assert get(getattr(servers, which), "/metrics").status == 200


# Where the sidecar differs on purpose


def difference(name: str, real: int, ours: int, request: Request) -> Any:
    return pytest.param(real, ours, request, id=name)


@pytest.mark.parametrize(
    ("real", "ours", "request_"),
    [
        difference("gzip without its checksum", 200, 400, post(JOB, gzip.compress(b"m 1\n")[:-4], **CODED)),
        difference("a histogram's name alone", 200, 400, post(JOB, b"# TYPE h histogram\nh 1\n")),
        difference("a bucket twice", 200, 400, post(JOB, HISTOGRAM + b'h_bucket{le="1"} 2\n')),
        difference("a count below zero", 200, 400, post(JOB, b"# TYPE s summary\ns_count -1\n")),
        difference("a value glued to its name", 200, 400, post(JOB, b"m+1\n")),
        difference("protobuf", 200, 415, post(JOB, Content_Type=PROTOBUF)),
        difference("protobuf in quotes", 200, 415, post(JOB, Content_Type=QUOTED_PROTOBUF)),
        difference("a histogram grouped by its bound", 200, 400, post(f"{JOB}/le/1", HISTOGRAM)),
    ],
)
def test_what_only_we_refuse(real: int, ours: int, request_: Request, servers: Servers) -> None:
    assert send(servers.real, request_).status == real
    assert send(servers.ours, request_).status == ours
    assert get(servers.ours, "/metrics").status == 200


def test_keys_that_mean_the_same_series_spoil_only_the_real_page(servers: Servers) -> None:
    requests = [post(JOB, b"m 1\n"), post(f"{JOB}/instance@base64/=", b"n 1\n")]

    assert [answer.status for answer in send_all(servers.real, requests)] == [200, 400]
    assert get(servers.real, "/metrics").status == 500
    assert [answer.status for answer in send_all(servers.ours, requests)] == [200, 400]
    assert set(page(servers.ours)) == {"m", *TIMES}
