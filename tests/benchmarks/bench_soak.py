"""What `sergas serve` holds at the end of a day: a day's pushes, alerts and reloads, with its clocks 144 times as fast.

Everything is as its users have it, with HTTP, SIGHUP and a store on the disk; only its clocks, and what waits on them,
are those of libfaketime. Ten minutes are a day for it: what grows by the hour grows here by 25 seconds.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from heapq import merge
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.benchmarks.pushers import body
from tests.benchmarks.runs import show
from tests.servers.gateways import Answer, Received, answering
from tests.servers.sidecar import Sidecar, sidecar

pytestmark = pytest.mark.performance(timeout=1800)

FOLD = 144
DAY_S = 86_400 / FOLD
PUSHES = 100_000
GROUPS = 500
ALERTS = 2_000
RELOADS = 1_000
GROWTH_MIB = 2.0

CONFIG = """\
max_alerts_per_minute = 10000

[rules]
files = ["rules.yml"]

[[channels]]
type = "webhook"
name = "team"
url = "URL"

[[routes]]
channels = ["team"]
group_by = ["instance"]
group_wait = 0
"""
RULES = """\
groups:
  - name: shops
    rules:
      - alert: ShopClosed
        expr: shop_open == 0 * VERSION
        annotations:
          summary: "{{ $labels.instance }} is closed"
"""


def library() -> Path:
    """Return libfaketime; without it there is nothing to measure."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if found is None:
        pytest.fail("libfaketime is missing: apt-get install libfaketime")
    return found


def private_mib(pid: int) -> float:
    """Return what a process holds for itself alone."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return sum(int(kib) for kib in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE)) / 1024


class Client:
    """Pushes, on a connection that stays open; the server's idle time of a minute is less than half a second here."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def push(self, group: int, text: bytes) -> None:
        path = f"/metrics/job/shop/instance/host-{group}"
        for last in (False, True):
            try:
                self._connection.request("PUT", path, text)
                with self._connection.getresponse() as answer:
                    answer.read()
                assert answer.status == 200, (path, answer.status)
            except (http.client.RemoteDisconnected, ConnectionError):
                self._connection.close()
                assert not last, "the sidecar ended a new connection"
            else:
                return


def schedule() -> Iterator[tuple[float, str, int]]:
    """Yield what is to be done: when, as a share of the day, what, and with which number; in order."""
    return merge(
        ((number / PUSHES, "push", number) for number in range(PUSHES)),
        ((number / (2 * ALERTS), "toggle", number) for number in range(2 * ALERTS)),
        ((number / RELOADS, "reload", number) for number in range(RELOADS)),
    )


def test_memory_does_not_grow_by_more_than_2_mib_in_the_second_half_of_a_day(tmp_path: Path) -> None:
    heard: Counter[str] = Counter()

    def answer(request: Received) -> Answer:
        try:
            alerts = json.loads(request.body)["alerts"]
        except ValueError:  # the sidecar gave up in the middle: its ten seconds are 70 ms here
            return Answer(400)
        heard.update(alert["status"] for alert in alerts)
        return Answer()

    environ = {"LD_PRELOAD": str(library()), "FAKETIME": f"+0 x{FOLD}"}
    (tmp_path / "rules.yml").write_text(RULES.replace("VERSION", "1"), "utf-8")
    with (
        answering(answer) as receiver,
        sidecar(
            tmp_path, "--store", "sergas.db", config=CONFIG.replace("URL", f"{receiver.url}/"), environ=environ
        ) as running,
    ):
        held = [private_mib(running.process.pid), *live_a_day(running, tmp_path / "rules.yml")]
        with urlopen(f"{running.url}/api/rules") as listed:
            version = re.findall(r"0 \* (\d+)", listed.read().decode())

    show(
        f"a day of {PUSHES} pushes, {ALERTS} alerts, {RELOADS} reloads in {DAY_S:.0f} s",
        ("", "MiB", "bound"),
        *((when, f"{mib:.1f}", "") for when, mib in zip(("at the start", "at noon", "at the end"), held, strict=True)),
        ("growth in the second half", f"{held[2] - held[1]:.1f}", f"{GROWTH_MIB:g}"),
        ("alerts that the receiver heard of", f"{heard['firing']} + {heard['resolved']}", f"{ALERTS}"),
    )
    assert held[2] - held[1] <= GROWTH_MIB
    assert heard["firing"] >= 0.9 * ALERTS
    assert heard["resolved"] >= 0.9 * ALERTS
    assert version == [str(RELOADS - 1)]


def live_a_day(running: Sidecar, rules: Path) -> Iterator[float]:
    """Do what the schedule says; yield the memory at half of it and at its end."""
    with closing(Client(running.url)) as client:
        yield from _halves(client, running.process.pid, rules)


def _halves(client: Client, pid: int, rules: Path) -> Iterator[float]:
    begun_s = time.perf_counter()
    halves = itertools.groupby(schedule(), key=lambda entry: entry[0] >= 0.5)
    for _, half in halves:
        for share, what, number in half:
            time.sleep(max(0.0, begun_s + share * DAY_S - time.perf_counter()))  # a load has its time
            if what == "push":
                client.push(number % GROUPS, body(float(number)))
            elif what == "toggle":
                client.push(GROUPS + number // 2 % 100, b"shop_open %d\n" % (number % 2))
            else:
                rules.write_text(RULES.replace("VERSION", str(number)), "utf-8")
                os.kill(pid, signal.SIGHUP)
        yield private_mib(pid)
