"""What rules see is what a real Prometheus sees that scrapes the same page with ``honor_labels: true``."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pytest_sergas.collectors import Context
from pytest_sergas.collectors.scrape import create
from pytest_sergas.config.collect import CollectSettings, Target
from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import parse
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.series import NAME, Matcher
from pytest_sergas.engine import clock
from pytest_sergas.engine.collection import Collection
from pytest_sergas.engine.groups import Groups, Push
from pytest_sergas.engine.history import History
from pytest_sergas.engine.index import Piece
from pytest_sergas.engine.page import Page
from pytest_sergas.engine.sampling import Sampling
from pytest_sergas.engine.store import Store
from tests.servers.gateways import Answer, answering
from tests.servers.process import until
from tests.servers.prometheus import Prometheus, prometheus

pytestmark = pytest.mark.integration

EVERYTHING = (Matcher(NAME, "!=", ""),)

# Labels that are empty, the target's own, and others; every type; values that are no everyday numbers.
PAGE = """\
# TYPE load gauge
load 1.5
load{cpu="0",zone=""} -0.25
load{job="own"} 1
load{job=""} 2
load{instance="",job="x"} 3
load{instance="elsewhere"} 4
odd{kind="nan"} NaN
odd{kind="inf"} +Inf
odd{kind="tiny"} 5e-324
text{quoted="a\\"b\\\\c\\nd",wide="\U0001f389"} 1
# TYPE took histogram
took_bucket{le="0.5"} 1
took_bucket{le="+Inf"} 2
took_sum 3.5
took_count 2
# TYPE size summary
size{quantile="0.5"} 7
size_sum 9
size_count 3
# TYPE done_total counter
done_total 5
"""
# The same without what the grouping key would make the same.
PUSHED = "".join(line for line in PAGE.splitlines(keepends=True) if "job=" not in line)


class Own:
    """Some metrics of the sidecar's own."""

    def families(self, now: Now) -> Sequence[Family]:
        del now
        samples = (Sample((("collector", "a"), ("empty", "")), 1), Sample((("instance", "other"),), 2))
        return (Family("sergas_own", "gauge", "", samples),)


def history() -> History:
    kept = History(limit=100, max_age_s=3_600)
    kept.select(EVERYTHING)
    return kept


def shown(kept: History, now: Now) -> dict[str, float]:
    """What has a value: series as `Prometheus.everything` writes them → value."""
    found = {}
    for series in kept.find(kept.select(EVERYTHING)):
        if (value := series.at(now.monotonic_s)) is not None:
            labels = sorted(((NAME, series.name), *series.labels))
            found[" ".join(f"{name}={text}" for name, text in labels)] = value
    return found


def agree(ours: dict[str, float], theirs: dict[str, str]) -> bool:
    def same(a: float, b: float) -> bool:
        return a == b or (math.isnan(a) and math.isnan(b))

    return ours.keys() == theirs.keys() and all(same(value, float(theirs[name])) for name, value in ours.items())


def wait_until_same(running: Prometheus, ours: dict[str, float]) -> None:
    """Wait until Prometheus sees what we see; when it never does, both are in the failure."""
    try:
        until(lambda: agree(ours, running.everything()), "Prometheus sees the same", deadline_s=60)
    except AssertionError:
        theirs = {name: float(value) for name, value in running.everything().items()}
        assert ours == theirs
        raise


@pytest.fixture
async def groups() -> AsyncIterator[Groups]:
    store = await Store.open(None, GroupSettings())
    yield await Groups.load(store, GroupSettings(), clock.read())
    await store.close()


async def push(groups: Groups, text: str, *, ttl_s: float | None = None, **labels: str) -> None:
    await groups.push(Push.of(labels, parse(text.encode()), replace=False, ttl_s=ttl_s, now=clock.read()))


async def test_scraped_target_is_seen_as_prometheus_sees_it(tmp_path: Path) -> None:
    with answering(lambda _: Answer(body=PAGE)) as server:
        target = Target(f"{server.url}/metrics", "node", urlsplit(server.url).netloc, {})
        sources = create(Context(CollectSettings(targets=(target,)), tmp_path, {}))
        kept = history()
        await Collection(sources, clock=clock.read, history=kept).collect()
        ours = shown(kept, clock.read())

        assert len(ours) == len([line for line in PAGE.splitlines() if not line.startswith("#")]) + 1
        with prometheus(tmp_path, server.url, job="node") as running:
            wait_until_same(running, ours)


async def test_target_that_is_down_is_seen_as_prometheus_sees_it(tmp_path: Path) -> None:
    with answering(lambda _: Answer(status=500)) as server:
        target = Target(f"{server.url}/metrics", "node", urlsplit(server.url).netloc, {})
        sources = create(Context(CollectSettings(targets=(target,)), tmp_path, {}))
        kept = history()
        await Collection(sources, clock=clock.read, history=kept).collect()
        ours = shown(kept, clock.read())

        assert list(ours.values()) == [0.0]
        with prometheus(tmp_path, server.url, job="node") as running:
            wait_until_same(running, ours)


async def test_sidecar_is_seen_as_prometheus_sees_it_also_after_a_delete(groups: Groups, tmp_path: Path) -> None:
    pages: list[str] = []
    page = Page(groups, (Own(),), clock.read())
    with answering(lambda _: Answer(body=pages[-1])) as server:
        kept = history()
        sampling = Sampling(kept, groups, (Own(),), instance=urlsplit(server.url).netloc)
        await push(groups, PUSHED, job="shop")
        await push(groups, "# TYPE load gauge\nload 7\n", job="shop", instance="db")
        await push(groups, "# TYPE load gauge\nload 8\n", job="sergas", branch="")
        pages.append((await page.text(now := clock.read())).decode())
        sampling.sample(now)

        with prometheus(tmp_path, server.url, job="sergas") as running:
            wait_until_same(running, shown(kept, now))

            await groups.delete({"job": "shop"})
            pages.append((await page.text(now := clock.read())).decode())
            sampling.sample(now)
            after = shown(kept, now)
            assert not any("took" in name for name in after)
            wait_until_same(running, after)


async def test_pushed_value_is_there_again_at_every_sampling(groups: Groups) -> None:
    kept = history()
    sampling = Sampling(kept, groups, (), instance="here:1")
    await push(groups, "load 7\n", job="shop")
    for second in range(5):
        sampling.sample(Now(second, second))

    [series] = kept.find(kept.select([Matcher(NAME, "=", "load")]))
    assert [list(part) for part in series.window(0, 5)] == [[0, 1, 2, 3, 4], [7, 7, 7, 7, 7]]


async def test_group_whose_time_is_over_vanishes_before_it_is_deleted(groups: Groups) -> None:
    kept = history()
    sampling = Sampling(kept, groups, (), instance="here:1")
    await push(groups, "load 7\n", job="shop", ttl_s=10)
    now = clock.read()
    sampling.sample(now)
    assert "__name__=load job=shop" in shown(kept, now)

    later = Now(now.monotonic_s + 11, now.wall_s + 11)
    sampling.sample(later)

    assert "__name__=load job=shop" not in shown(kept, later)


class Changes:
    """What `Groups` tells about its groups: path → what the group had before the first change, and what it has."""

    def __init__(self, groups: Groups) -> None:
        self.seen: list[tuple[str, Mapping[str, Piece], Mapping[str, Piece]]] = []
        groups.on_change = lambda *change: self.seen.append(change)

    def take(self, sampling: Sampling, now: Now) -> set[str]:
        """Sample them; return the names of the series that they have touched."""
        changes, self.seen = self.seen, []
        return {name for change in changes for name, _ in sampling.sample_group(now, *change)}


async def test_push_can_be_taken_alone_and_leaves_the_rest(groups: Groups) -> None:
    kept = history()
    sampling = Sampling(kept, groups, (Own(),), instance="here:1")
    await push(groups, "load 7\n", job="shop")
    await push(groups, "load 7\n", job="other")
    sampling.sample(Now(0, 0))
    changes = Changes(groups)
    await push(groups, "load 8\n", job="shop")

    assert changes.take(sampling, Now(1, 1)) == {"load", "push_time_seconds", "push_failure_time_seconds"}
    found = shown(kept, Now(1, 1))
    assert (found["__name__=load job=shop"], found["__name__=load job=other"]) == (8, 7)
    assert found["__name__=up instance=here:1 job=sergas"] == 1


async def test_a_family_that_a_push_leaves_as_it_was_is_not_taken(groups: Groups) -> None:
    kept = history()
    sampling = Sampling(kept, groups, (), instance="here:1")
    await push(groups, "load 7\nrest 1\n", job="shop")
    changes = Changes(groups)
    await push(groups, "load 8\n", job="shop")

    assert "rest" not in changes.take(sampling, Now(1, 1))


async def test_series_that_a_push_brings_no_more_are_gone(groups: Groups) -> None:
    kept = history()
    sampling = Sampling(kept, groups, (), instance="here:1")
    await push(groups, 'load{cpu="0"} 7\nload{cpu="1"} 7\n', job="shop")
    sampling.sample(Now(0, 0))
    changes = Changes(groups)
    await push(groups, 'load{cpu="1"} 8\nload{cpu="2"} 9\n', job="shop")
    changes.take(sampling, Now(1, 1))

    loads = {name: value for name, value in shown(kept, Now(1, 1)).items() if "=load" in name}
    assert loads == {"__name__=load cpu=1 job=shop": 8, "__name__=load cpu=2 job=shop": 9}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("load 7\n", id="gauge"),
        pytest.param('# TYPE load histogram\nload_bucket{le="1"} 1\nload_sum 1\nload_count 1\n', id="histogram"),
    ],
)
async def test_delete_can_be_taken_alone(groups: Groups, text: str) -> None:
    kept = history()
    sampling = Sampling(kept, groups, (), instance="here:1")
    await push(groups, text, job="shop")
    await push(groups, "load_of_others 3\n", job="other")
    sampling.sample(Now(0, 0))
    changes = Changes(groups)
    await groups.delete({"job": "shop"})
    changes.take(sampling, Now(1, 1))

    left = [name for name in shown(kept, Now(1, 1)) if "=load" in name]
    assert left == ["__name__=load_of_others job=other"]


async def test_names_that_nobody_selects_are_not_taken(groups: Groups) -> None:
    kept = History(limit=100, max_age_s=3_600)
    kept.select([Matcher(NAME, "=", "rest")])
    sampling = Sampling(kept, groups, (), instance="here:1")
    changes = Changes(groups)
    await push(groups, "load 8\nrest 1\n", job="shop")

    assert changes.take(sampling, Now(1, 1)) == {"rest"}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what is read of the groups, in order."""
    texts: list[bytes] = []

    def noted(text: bytes) -> tuple[Family, ...]:
        texts.append(text)
        return parse(text)

    monkeypatch.setattr("pytest_sergas.engine.sampling.parse", noted)
    return texts


async def test_names_that_nobody_selects_are_not_read(groups: Groups, reads: list[bytes]) -> None:
    kept = History(limit=100, max_age_s=3_600)
    kept.select([Matcher(NAME, "=", "took_count")])
    await push(groups, PUSHED, job="shop")
    Sampling(kept, groups, (), instance="here:1").sample(Now(0, 0))

    assert [text.split()[2] for text in reads] == [b"took"]


async def test_labels_are_read_once_for_all_families_of_a_group_however_often_it_is_pushed(
    groups: Groups, reads: list[bytes]
) -> None:
    kept = History(limit=100, max_age_s=3_600)
    kept.select([Matcher(NAME, "=~", "load|rest")])
    sampling = Sampling(kept, groups, (), instance="here:1")
    await push(groups, "load 1\nrest 1\n", job="a")
    await push(groups, "load 2\n", job="b")
    await sampling.read()
    for second in range(3):
        sampling.sample(Now(second, second))

    await push(groups, "load 3\nrest +Inf\n", job="a")
    sampling.sample(Now(4, 4))

    assert len(reads) == 2
    assert shown(kept, Now(4, 4)) == {
        "__name__=load job=a": 3,
        "__name__=load job=b": 2,
        "__name__=rest job=a": math.inf,
    }


async def test_labels_of_groups_that_are_gone_are_forgotten(
    groups: Groups, reads: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_sergas.engine.sampling._FEW_LABELS", 4)
    kept = History(limit=100, max_age_s=3_600)
    kept.select([Matcher(NAME, "=", "load")])
    sampling = Sampling(kept, groups, (), instance="here:1")
    await push(groups, "load 1\n", job="gone")
    sampling.sample(Now(0, 0))
    await groups.delete({"job": "gone"})
    for number in range(8):
        await push(groups, "load 1\n", job=f"{number}")
    sampling.sample(Now(1, 1))
    reads.clear()

    await push(groups, "load 1\n", job="gone")
    sampling.sample(Now(2, 2))

    assert len(reads) == 1


async def test_values_are_those_of_labels_with_any_letters(groups: Groups) -> None:
    kept = History(limit=100, max_age_s=3_600)
    kept.select([Matcher(NAME, "=", "load")])
    await push(groups, 'load{a="x\r} 7\\n",b="\\""} 1e3\nload{a="é"} NaN\n', job="a")
    Sampling(kept, groups, (), instance="here:1").sample(Now(0, 0))

    first, second = shown(kept, Now(0, 0)).items()
    assert first == ('__name__=load a=x\r} 7\n b=" job=a', 1000)
    assert second[0] == "__name__=load a=é job=a"
    assert math.isnan(second[1])


async def test_histogram_is_read_once_until_it_is_pushed_again(groups: Groups, reads: list[bytes]) -> None:
    kept = History(limit=100, max_age_s=3_600)
    kept.select([Matcher(NAME, "=", "took_count")])
    sampling = Sampling(kept, groups, (), instance="here:1")
    await push(groups, PUSHED, job="a")
    await push(groups, PUSHED, job="b")
    await sampling.read()
    for second in range(3):
        sampling.sample(Now(second, second))
    assert len(reads) == 2

    await push(groups, PUSHED, job="a")
    sampling.sample(Now(4, 4))

    assert len(reads) == 3
