"""Pages of targets are read as a real Prometheus reads them: refused alike, and with the same series."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import prometheus_client
import pytest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from pytest_sergas.core.exposition import ExpositionError
from pytest_sergas.core.exposition.scraped import parse_scraped
from pytest_sergas.core.series import NAME, seen
from pytest_sergas.engine import clock
from pytest_sergas.engine.collection import timely
from tests.servers.alertmanager import alertmanager
from tests.servers.gateways import Answer, Received, answering
from tests.servers.process import get, until
from tests.servers.prometheus import Prometheus, prometheus_scraping
from tests.servers.pushgateway import pushgateway

pytestmark = pytest.mark.integration

Read = Mapping[frozenset[tuple[str, str]], float] | None  # None for a page that is refused
PLAIN = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

HISTOGRAM = b'# TYPE h histogram\nh_bucket{le="%s"} 1\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 2\n'
PAGES: dict[str, bytes] = {
    "plain": b"m 1\n",
    "no final newline": b"m 1",
    "nothing": b"",
    "comments alone": b"# a comment\n#\n#HELP m\n# HELPLESS m\n",
    "type twice": b'# TYPE m gauge\nm{a="1"} 1\n# TYPE m counter\nm{a="2"} 2\n',
    "help twice": b'# HELP m x\nm{a="1"} 1\n# HELP m y\nm{a="2"} 2\n',
    "type late": b"m 1\n# TYPE m gauge\n",
    "type in capitals": b"# TYPE m GAUGE\nm 1\n",
    "type with more words": b"# TYPE m gauge extra\nm 1\n",
    "type with two blanks": b"# TYPE m  gauge\nm 1\n",
    "type that nobody knows": b"# TYPE m magic\nm 1\n",
    "type of OpenMetrics": b"# TYPE m unknown\nm 1\n",
    "help without text": b"# HELP m\nm 1\n",
    "help without a name": b"# HELP\nm 1\n",
    "help of nobody": b"# HELP 1m text\nm 1\n",
    "help with a backslash": b"# HELP m C:\\temp\\dir\nm 1\n",
    "label with a backslash": b'm{dir="C:\\dir\\new\\\\x\\"y"} 1\n',
    "label with a line break": b'm{a="x\ny"} 1\n',
    "bound with a fraction": HISTOGRAM % b"1.0",
    "bound with an exponent": HISTOGRAM % b"1e+06",
    "bound that is no number": HISTOGRAM % b"many",
    "bounds that are equal": HISTOGRAM % b"1" + b'h_bucket{le="1.00"} 1\n',
    "counts with fractions": b'# TYPE h histogram\nh_bucket{le="+Inf"} 1.5\nh_sum 1\nh_count 1.5\n',
    "counts below zero": b'# TYPE h histogram\nh_bucket{le="+Inf"} -1\nh_sum 1\nh_count -1\n',
    "counts that are no numbers": b"# TYPE s summary\ns_sum NaN\ns_count NaN\n",
    "histogram without bounds": b"# TYPE h histogram\nh_bucket 1\nh_count 1\nh_sum 1\nh 3\n",
    "histogram without a sum": b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_count 1\n',
    "quantile as it is written": b'# TYPE s summary\ns{quantile="0.50"} 1\ns{quantile=".5"} 2\n',
    "summary without quantiles": b"# TYPE s summary\ns 3\n",
    "the same series twice": b'm{a="1"} 1\nm{a="1"} 2\n',
    "the same label twice": b'm{a="1",a="2"} 1\n',
    "the name as a label": b'm{__name__="x"} 1\n',
    "carriage return": b"m 1\r\nn 1\r\n",
    "one bad line": b"good 1\nbad x\nm 2\n",
    "a page for people": b"<html>m</html>\n",
    "old timestamp": b"m 1 1700000000000\nn 1\n",
    "negative timestamp": b"m 1 -5\n",
    "timestamp with a fraction": b"m 1 1.5\n",
    "exemplar": b'm_total 1 # {trace="x"} 1\n',
    "too large": b"m 1e400\n",
    "too small": b"m 1e-400\n",
    "no number": b"m nan\nn +Inf\no -inf\np Infinity\nq -Infinity\n",
    "no number with a sign": b"m -nan\n",
    "underscores": b"m 1_000\n",
    "hexadecimal": b"m 0x10\n",
    "power of two": b"m 0x1p4\n",
    "blanks": b'm  { a = "1" , b="2" , }   1  \nm\t2\n',
    "blanks before a name": b"m 1\n n 2\n",
    "blanks before a comment": b"m 1\n  # TYPE n gauge\nn 2\n",
    "blanks before a wrong comment": b"m 1\n  # TYPE n magic\nn 2\n",
    "blanks alone": b"m 1\n \t \nn 2\n  ",
    "labels without commas": b'm{a="1" b="2"} 1\n',
    "only a comma": b"m{,} 1\n",
    "two commas": b'm{a="1",,b="2"} 1\n',
    "empty label": b'm{a=""} 1\n',
    "empty braces": b"m{} 1\n",
    "no blank before the value": b'm{a="1"}1\n',
    "brace without an end": b'm{a="1" 1\n',
    "text without an end": b'm{a="1} 1\n',
    "quoted name": b'{"m",a="1"} 1\n',
    "name with a colon": b"a:b:c 1\n",
    "name that begins with a digit": b"1m 1\n",
    "name with a dash": b"my-metric 1\n",
    "label with a colon": b'm{a:b="1"} 1\n',
    "no UTF-8 in a label": b'm{a="\xff"} 1\n',
    "no UTF-8 in a help": b"# HELP m \xff\nm 1\n",
    "labels of a target": b'm{job="own",instance="i"} 1\n',
    "empty instance": b'm{instance=""} 1\n',
    "name without a value": b"m\n",
    "two values": b"m 1 2 3\n",
    "families between each other": b'# TYPE m gauge\nm 1\n# TYPE n gauge\nn 1\nm{a="1"} 2\n',
}
_TOKENS = (
    *("m", "n_total", "h_bucket", "1", "0.5", "-3", "NaN", "+Inf", "1e3", "x"),
    *(" ", " ", " ", "\n", "\n", "{", "}", ",", "=", '"', '"v"', "a", "le", "#", "# TYPE m gauge\n", "# HELP m h\n"),
    *('{a="1"}', '{le="1.0",b="\\n"}', '{a="1",}', "1700000000000", "\t", "\\"),
)


def generated(count: int) -> dict[str, bytes]:
    """Return pages of some lines each, most of them with one fault or none."""
    chance = random.Random(1)  # noqa: S311  the same pages at every run
    lines = [b"m 1\n", b'n{a="1"} 2\n', b"# TYPE m gauge\n", b'h_bucket{le="1.0"} 3\n', b"h_sum 1.5\n"]
    pages = {}
    for number in range(count):
        own = "".join(chance.choice(_TOKENS) for _ in range(chance.randint(1, 7))).encode()
        pages[f"generated {number}"] = b"".join([*chance.sample(lines, 2), own, chance.choice(lines)])
    return pages


def ours(body: bytes, content_type: str, target: Mapping[str, str]) -> Read:
    try:
        families = parse_scraped(body, content_type)
    except ExpositionError:
        return None
    found: dict[frozenset[tuple[str, str]], float] = {}
    now = clock.read()
    for name, samples in seen((timely(family, now) for family in families), tuple(target.items())).items():
        for labels, value in samples:
            found.setdefault(frozenset((*labels, (NAME, name))), value)
    return found


@contextmanager
def both(directory: Path, pages: Mapping[str, tuple[bytes, str]]) -> Iterator[Mapping[str, tuple[Read, Read]]]:
    """Yield what we and a Prometheus read of each page, by its name."""
    by_path = {f"/{index}": page for index, page in enumerate(pages.values())}

    def answer(received: Received) -> Answer:
        body, content_type = by_path[received.path]
        return Answer(body=body, headers={"Content-Type": content_type})

    with answering(answer) as target, prometheus_scraping(directory, target.url, list(by_path)) as running:
        until(lambda: len(running.query("scrape_duration_seconds")) == len(pages), "every page was scraped")
        theirs = read_by(running, list(by_path))
        instance = urlsplit(target.url).netloc
        yield {
            name: (ours(body, kind, {"instance": instance, "job": path, "path": path}), theirs[path])
            for (path, (body, kind)), name in zip(by_path.items(), pages, strict=True)
        }


def read_by(running: Prometheus, paths: list[str]) -> dict[str, Read]:
    up = {labels["path"]: value for labels, value in vector(running, "up")}
    read: dict[str, dict[frozenset[tuple[str, str]], float]] = {path: {} for path in paths}
    for labels, value in vector(running, '{path=~".+",__name__!~"up|scrape_.*"}'):
        read[labels["path"]][frozenset(labels.items())] = value
    return {path: read[path] if up[path] else None for path in paths}


def vector(running: Prometheus, expression: str) -> list[tuple[dict[str, str], float]]:
    return [(dict(each["metric"]), float(each["value"][1])) for each in running.query(expression)]


def differences(directory: Path, pages: Mapping[str, tuple[bytes, str]]) -> dict[str, tuple[Read, Read]]:
    with both(directory, pages) as read:
        return {name: pair for name, pair in read.items() if comparable(pair[0]) != comparable(pair[1])}


def comparable(read: Read) -> object:
    return None if read is None else {labels: str(value) for labels, value in read.items()}


def test_odd_pages_are_read_as_prometheus_reads_them(tmp_path: Path) -> None:
    assert differences(tmp_path, {name: (body, PLAIN) for name, body in PAGES.items()}) == {}


def test_generated_pages_are_read_as_prometheus_reads_them(tmp_path: Path) -> None:
    assert differences(tmp_path, {name: (body, PLAIN) for name, body in generated(400).items()}) == {}


def test_pages_of_openmetrics_are_read_as_prometheus_reads_them(tmp_path: Path) -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("jobs", "Jobs.", ["a"], registry=registry).labels('x"\n').inc(3, {"trace": "1"})
    prometheus_client.Histogram("took", "Seconds.", registry=registry).observe(0.3, {"trace": "2"})
    prometheus_client.Info("build", "The build.", registry=registry).info({"version": "1"})
    prometheus_client.Enum("state", "A state.", states=["on", "off"], registry=registry).state("on")
    pages = {
        "of prometheus_client": openmetrics(registry),  # type: ignore[no-untyped-call]  # it has no types
        "without its end": b"# TYPE m gauge\nm 1\n",
        "with a unit": b"# TYPE m_seconds gauge\n# UNIT m_seconds seconds\nm_seconds 1.5\n# EOF\n",
        "with an old timestamp": b"# TYPE m gauge\nm 1 1700000000.123\n# EOF\n",
    }

    assert differences(tmp_path, {name: (body, OPENMETRICS) for name, body in pages.items()}) == {}


def test_pages_of_programs_are_read_as_prometheus_reads_them(tmp_path: Path) -> None:
    with pushgateway(tmp_path) as gateway, alertmanager(tmp_path, "http://127.0.0.1:1") as alerting:
        pages = {
            "of a Pushgateway": gateway.metrics.encode(),
            "of an Alertmanager": get(f"{alerting.url}/metrics").encode(),
            "of a program in Python": prometheus_client.generate_latest(),
        }

    assert all(body.count(b"\n") > 20 for body in pages.values())
    assert differences(tmp_path, {name: (body, PLAIN) for name, body in pages.items()}) == {}
