"""What one push may cost the sidecar in memory, whatever stands in it: each on a sidecar of its own, at its defaults.

A body of 16 MiB, which is allowed, can have a million series, a label of 16 MiB, or millions of labels.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.http import Request, get, push, send

pytestmark = pytest.mark.integration

JOB = "/metrics/job/j"
FULL = 16 * 1024 * 1024 - 64 * 1024  # bytes of a body, a little below what max_push_mib allows
SERIES = "the push has more than 100000 series, which max_push_series allows; push less at once\n"
LABELS = (
    "the series of the push have more than 1000000 labels together, 10 for each series that max_push_series allows; "
    "push less at once\n"
)
LINE = "a line of the push has more than 65536 characters; shorten its labels, or its help text\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sidecar]:
    with sidecar(tmp_path, "--store", ":memory:") as running:
        yield running


def lines(line: Callable[[int], str]) -> bytes:
    """Return as many lines as fit."""
    made, size, index = [], 0, 0
    while size < FULL:
        made.append(line(index))
        size += len(made[-1])
        index += 1
    return "".join(made[:-1]).encode()


def labels(index: int) -> str:
    return "m{" + ",".join([f'a{index:x}_{number:x}=""' for number in range(2_000)]) + "} 1\n"


@pytest.mark.parametrize(
    ("body", "text", "most_mib"),
    [
        pytest.param(lambda: lines(lambda index: f'm{{a="{index}"}} 1\n'), SERIES, 100, id="series"),
        pytest.param(lambda: lines(lambda index: f"# TYPE m{index} gauge\n"), SERIES, 100, id="names"),
        pytest.param(lambda: lines(labels), LABELS, 250, id="labels"),
        pytest.param(lambda: b'm{a="' + b"\\n" * (FULL // 2) + b'"} 1\n', LINE, 100, id="a label"),
        pytest.param(lambda: b"# HELP m " + b"\\n" * (FULL // 2) + b"\n", LINE, 100, id="a help text"),
    ],
)
def test_push_beyond_a_bound_is_413_and_takes_no_memory(
    body: Callable[[], bytes], text: str, most_mib: int, server: Sidecar
) -> None:
    before_kib = server.peak_kib

    answer = push(server.url, JOB, body())

    assert (answer.status, answer.text) == (413, text)
    assert server.peak_kib - before_kib < most_mib * 1024
    assert get(server.url, "/api/v1/metrics").text == '{"status":"success","data":[]}'


def test_key_that_makes_too_much_of_many_series_is_413_and_takes_no_memory(server: Sidecar) -> None:
    key = f"{JOB}/a/{'x' * 30_000}"
    before_kib = server.peak_kib

    answer = push(server.url, key, b"".join(b'm{a="%d"} 1\n' % index for index in range(90_000)))

    assert answer.status == 413
    assert answer.text == (
        "the grouping key of 30017 bytes stands in each of 90000 series, which makes more than the 16 MiB that "
        "max_push_mib allows; push less at once, or shorten the key\n"
    )
    assert server.peak_kib - before_kib < 100 * 1024


def test_gzip_bomb_is_413_and_takes_no_memory(server: Sidecar) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\n" * 1024 * 1024) for _ in range(200)) + packer.flush()
    before_kib = server.peak_kib

    answer = send(server.url, Request("PUT", JOB, bomb, {"Content-Encoding": "gzip"}))

    assert answer.status == 413
    assert server.peak_kib - before_kib < 50 * 1024


def test_as_many_series_as_are_allowed_are_taken(server: Sidecar) -> None:
    body = b"".join(b'm{a="%d"} 1\n' % index for index in range(100_000))

    assert push(server.url, JOB, body).status == 200
