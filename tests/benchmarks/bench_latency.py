"""How soon an alert arrives: from the push that breaks a rule to the request at the webhook, with ``group_wait = 0``.

Everything is as its users have it: ``sergas serve`` as a process of its own with a store on the disk, a rule file, and
a webhook at a server here. What the push itself takes, until it is durable and answered, stands beside it: an alert is
durable twice before it is sent, as a transition and as a notification.
"""

from __future__ import annotations

import json
import queue
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import pytest

from tests.benchmarks.runs import show
from tests.servers.gateways import Answer, Received, answering
from tests.servers.sidecar import Sidecar, sidecar

pytestmark = pytest.mark.performance(timeout=300)

ALERTS = 60
MOST_MS = 100.0
# More rules and series than the one that breaks, as there are in a real sidecar.
OTHERS = 200
# What a name causes is evaluated at most once in 50 ms: no push is to wait for what the one before has caused.
PACE_S = 0.06

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
group_by = ["shop"]
group_wait = 0
group_interval = 0
"""


def rules() -> str:
    others = "".join(
        f'      - alert: Other{number}\n        expr: other{{n="{number}"}} > 1e9\n' for number in range(OTHERS)
    )
    return f"groups:\n  - name: shops\n    rules:\n      - alert: ShopClosed\n        expr: shop_open == 0\n{others}"


@contextmanager
def watched(directory: Path) -> Iterator[tuple[Sidecar, queue.Queue[tuple[str, float]]]]:
    """Yield a sidecar, and a queue of what its webhook receives: the shop, and when."""
    arrived: queue.Queue[tuple[str, float]] = queue.Queue()

    def answer(request: Received) -> Answer:
        now_s = time.perf_counter()
        for alert in json.loads(request.body)["alerts"]:
            arrived.put((alert["labels"]["shop"], now_s))
        return Answer()

    (directory / "rules.yml").write_text(rules(), encoding="utf-8")
    with answering(answer) as receiver, sidecar(directory, config=CONFIG.replace("URL", receiver.url)) as running:
        yield running, arrived


def push(url: str, shop: str, text: str) -> float:
    """Push to the group of one shop; return the milliseconds until it was durable and answered."""
    request = urllib.request.Request(f"{url}/metrics/job/shops/shop/{shop}", data=text.encode(), method="POST")
    begin_s = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as response:
        response.read()
    return (time.perf_counter() - begin_s) * 1e3


def test_alert_arrives_within_100_ms_of_the_push(tmp_path: Path) -> None:
    pushes_ms, alerts_ms = [], []
    with watched(tmp_path) as (running, arrived):
        push(running.url, "others", "".join(f'other{{n="{number}"}} 1\n' for number in range(OTHERS)))
        for number in range(ALERTS):
            shop = f"shop-{number}"
            pushes_ms.append(push(running.url, shop, "shop_open 1\n"))
            time.sleep(PACE_S)
            begin_s = time.perf_counter()
            push(running.url, shop, "shop_open 0\n")
            told, at_s = arrived.get(timeout=60)
            assert told == shop
            alerts_ms.append((at_s - begin_s) * 1e3)
            time.sleep(PACE_S)

    show(
        f"From a push to the webhook, {OTHERS} other rules and series",
        ("", "median", "p90", "times a push"),
        ("push, answered", f"{median(pushes_ms):.1f} ms", f"{quantiles(pushes_ms, n=10)[-1]:.1f} ms", ""),
        (
            "alert, arrived",
            f"{median(alerts_ms):.1f} ms",
            f"{quantiles(alerts_ms, n=10)[-1]:.1f} ms",
            f"{median(alerts_ms) / median(pushes_ms):.1f}",
        ),
    )
    assert median(alerts_ms) <= MOST_MS
