"""What a durable push costs, whatever is there already, beside Debian's Pushgateway in the same run.

All servers run at once and are asked in turns, so that a disturbance hits each of them. The Pushgateway is filled with
its consistency check off, which takes seconds instead of minutes, and then started with it, as it is by default.
What the disk costs is measured in between and named: a push cannot be faster than one fsync. The bounds are for a quiet
machine of two cores whose fsync takes 0.2 ms.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import pytest

from tests.benchmarks.pushers import GAUGES, Latencies, push_at_once, push_in_turn, scrape
from tests.benchmarks.runs import show
from tests.servers.process import server
from tests.servers.sidecar import Sidecar, sidecar
from tests.servers.tools import find

pytestmark = pytest.mark.performance(timeout=900)  # filling takes minutes on a machine that is busy

SIZES = (10, 1_000, 4_000, 5_000, 20_000)
REAL_SIZES = (10, 4_000)
ROUNDS = 60
BLOCK = 10  # pushes; short, so that a disturbance hits every server
SERIES = 5
CLIENTS = 32
# Every pushed series is read by a rule, and so is in the index of labels and in the history.
RULES = "groups:\n- name: shop\n  rules:\n" + "".join(
    f"  - alert: Shop_{name}\n    expr: shop_{name} > 1e9\n" for name in GAUGES
)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Sidecar]]:
    """Number of groups → a sidecar that has them."""
    with ExitStack() as stack:
        found = {}
        for size in SIZES:
            found[size] = stack.enter_context(sidecar(tmp_path_factory.mktemp(f"ours-{size}")))
            push_at_once(found[size].url, range(size), clients=CLIENTS, count=max(size, CLIENTS))
        yield found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, str]]:
    """Number of groups → a Pushgateway that has them."""
    with ExitStack() as stack:
        found = {}
        for size in REAL_SIZES:
            directory = tmp_path_factory.mktemp(f"real-{size}")
            with _pushgateway(directory, "--push.disable-consistency-check") as url:
                push_at_once(url, range(size), clients=CLIENTS, count=max(size, CLIENTS))
            found[size] = stack.enter_context(_pushgateway(directory))
        yield found


@contextmanager
def _pushgateway(directory: Path, *options: str) -> Iterator[str]:
    """Run a Pushgateway that keeps its groups in ``directory``."""
    program = find("prometheus-pushgateway", "apt-get install prometheus-pushgateway, or make test")
    kept = f"--persistence.file={directory / 'groups'}"
    with server([program, "--web.listen-address=127.0.0.1:0", kept, *options], directory / "log") as url:
        yield url


def fsync_ms(directory: Path, count: int = 20) -> float:
    """Return what it costs to make 8 KiB at the end of a file durable."""
    taken = []
    with (directory / "fsync").open("ab", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 8_192)
            started_s = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(1000 * (time.perf_counter() - started_s))
    return median(taken)


def test_push_costs_the_same_at_any_number_of_groups(
    ours: Mapping[int, Sidecar], real: Mapping[int, str], tmp_path: Path
) -> None:
    mine = {size: Latencies() for size in ours}
    theirs = {size: Latencies() for size in real}
    disk_ms = []
    for number in range(ROUNDS):
        disk_ms.append(fsync_ms(tmp_path, 3))
        for size, running in ours.items():
            groups = [(number * BLOCK + offset) % size for offset in range(BLOCK)]
            mine[size].seconds += push_in_turn(running.url, groups, BLOCK).seconds
        for size, url in real.items():
            theirs[size].seconds += push_in_turn(url, [number % size], 1).seconds

    rows = [(f"sidecar, {size} groups", found) for size, found in mine.items()]
    rows += [(f"Pushgateway, {size} groups", found) for size, found in theirs.items()]
    show(
        f"one durable push of {SERIES} gauges after the other; one fsync takes {median(disk_ms):.2f} ms",
        ("", "median ms", "p99 ms", "max ms"),
        *((name, f"{of.median_ms:.2f}", f"{of.percentile_ms(99):.2f}", f"{of.max_ms:.1f}") for name, of in rows),
    )
    assert all(found.median_ms <= 1.0 for found in mine.values())
    assert all(found.percentile_ms(99) <= 5.0 for found in mine.values())
    assert mine[5_000].median_ms <= 1.3 * mine[10].median_ms
    assert theirs[4_000].median_ms >= 50 * mine[4_000].median_ms
    assert mine[10].median_ms <= 1.5 * theirs[10].median_ms


def test_many_clients_share_the_cost_of_the_disk(ours: Mapping[int, Sidecar], real: Mapping[int, str]) -> None:
    mine = {size: push_at_once(of.url, range(size), clients=CLIENTS, count=4_000) for size, of in ours.items()}
    theirs = {size: push_at_once(url, range(size), clients=CLIENTS, count=200) for size, url in real.items()}

    rows = [(f"sidecar, {size} groups", *found) for size, found in mine.items()]
    rows += [(f"Pushgateway, {size} groups", *found) for size, found in theirs.items()]
    show(
        f"{CLIENTS} clients (bound 4000/s)",
        ("", "pushes/s", "median ms", "p99 ms"),
        *((name, f"{rate:.0f}", f"{of.median_ms:.1f}", f"{of.percentile_ms(99):.1f}") for name, of, rate in rows),
    )
    assert all(rate >= 4_000 for _, rate in mine.values())


def test_scrapes_hardly_delay_pushes(ours: Mapping[int, Sidecar]) -> None:
    url = ours[5_000].url
    taken: list[float] = []
    over = threading.Event()

    def scrape_every_second() -> None:
        while not over.wait(1.0):
            taken.append(1000 * scrape(url)[1])

    scraping = threading.Thread(target=scrape_every_second)
    scraping.start()
    found = Latencies()
    while len(taken) < 6:
        found.seconds += push_in_turn(url, range(5_000), 200).seconds
    over.set()
    scraping.join()

    show(
        "pushes while 5000 groups are scraped every second",
        ("", "median ms", "p99 ms (bound 10)", "max ms"),
        ("push", f"{found.median_ms:.2f}", f"{found.percentile_ms(99):.2f}", f"{found.max_ms:.1f}"),
        ("scrape (bound 25)", f"{median(taken):.1f}", "", f"{max(taken):.1f}"),
    )
    assert found.percentile_ms(99) <= 10
    assert median(taken) <= 25


def test_memory_for_a_series_and_time_to_start(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(RULES, encoding="utf-8")
    few, many = SIZES[0], SIZES[-1]
    used_mib, starts = {}, {}
    for size in (few, many):
        options = ("--store", f"{size}.db")
        with sidecar(tmp_path, *options, config='[rules]\nfiles = ["shop.yml"]\n') as running:
            push_at_once(running.url, range(size), clients=CLIENTS, count=max(size, CLIENTS))
            used_mib[size] = _memory_mib(running)
        started_s = time.perf_counter()
        with sidecar(tmp_path, *options, name="again"):
            starts[size] = time.perf_counter() - started_s
    series_kib = 1024 * (used_mib[many] - used_mib[few]) / (many * SERIES)

    show(
        "memory and start, with a rule for every series",
        ("", "MiB", "KiB a pushed series", "seconds until ready"),
        (f"{few} groups", f"{used_mib[few]:.1f} (bound 60)", "", f"{starts[few]:.2f} (bound 1)"),
        (f"{many} groups", f"{used_mib[many]:.1f}", f"{series_kib:.2f} (bound 1.25)", f"{starts[many]:.2f} (bound 2)"),
    )
    assert used_mib[few] <= 60
    assert series_kib <= 1.25
    assert starts[few] <= 1
    assert starts[many] <= 2


def _memory_mib(running: Sidecar) -> float:
    found = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text("ascii"))
    assert found is not None
    return int(found[1]) / 1024
