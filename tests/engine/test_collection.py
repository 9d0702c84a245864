"""Collecting: on threads, each source in its own time, and whatever happens to one costs only its own data."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from pytest_sergas.collectors import Collector, Measured, Source
from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.monitoring import MonitoringMetric, MonitorType
from pytest_sergas.core.series import Labels, Matcher
from pytest_sergas.engine import clock
from pytest_sergas.engine.collection import Collection, Status
from pytest_sergas.engine.history import History
from pytest_sergas.errors import CollectError

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
HOUR_S = 3_600.0
TARGET: Labels = (("instance", "db:9100"), ("job", "node"))


@dataclass(slots=True)
class Calling:
    """A collector that is a function, and counts its calls."""

    function: Callable[[], Iterable[Measured]]
    calls: int = 0
    threads: set[threading.Thread] = field(default_factory=set)
    remaining_s: float = 0.0
    called: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        self.calls += 1
        self.called.release()
        self.threads.add(threading.current_thread())
        self.remaining_s = remaining_s()
        return self.function()


class Hanging:
    """A collector that does not come back until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.called = threading.Semaphore(0)
        self.let_go = threading.Event()

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        del remaining_s
        self.calls += 1
        self.called.release()
        self.let_go.wait(PATIENCE_S)
        return [metric("late")]


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    collector = Hanging()
    yield collector
    collector.let_go.set()


def metric(name: str = "users", value: float = 1.0, **labels: str) -> MonitoringMetric:
    return MonitoringMetric(name, value, None, MonitorType.CUSTOM, labels)


def family(name: str, *samples: Sample, kind: FamilyType = "gauge") -> Family:
    return Family(name, kind, "", samples or (Sample((), 1.0),))


def source(
    collector: Collector,
    name: str = "mine",
    *,
    interval_s: float = HOUR_S,
    timeout_s: float = PATIENCE_S,
    target: Labels | None = None,
) -> Source:
    return Source(name, collector, interval_s, timeout_s, target)


def giving(*measured: Measured, name: str = "mine") -> Source:
    return source(Calling(lambda: measured), name)


def raising(error: BaseException) -> Calling:
    def fail() -> Iterable[Measured]:
        raise error

    return Calling(fail)


async def collected(*sources: Source) -> Collection:
    """Return a collection that has asked each source once."""
    collection = Collection(sources, clock=clock.read)
    await collection.collect()
    return collection


@asynccontextmanager
async def running(*sources: Source, history: History | None = None) -> AsyncIterator[Collection]:
    collection = Collection(sources, clock=clock.read, history=history)
    await collection.start()
    try:
        yield collection
    finally:
        await collection.stop()


def exposed(collection: Collection) -> dict[str, float]:
    """Series as people write them → value, without durations."""
    return {
        f"{entry.name}{sample.suffix}{{{','.join(f'{name}={value}' for name, value in sample.labels)}}}": sample.value
        for entry in collection.families(clock.read())
        for sample in entry.samples
        if entry.name != "sergas_collector_duration_seconds"
    }


def reasons(collection: Collection) -> dict[str, str]:
    return {status.name: status.reason for status in collection.status()}


async def call_of(collector: Calling | Hanging) -> None:
    """Wait for the next call."""
    assert await asyncio.to_thread(collector.called.acquire, timeout=PATIENCE_S)


async def test_what_is_collected_is_exposed_with_what_is_said_about_it() -> None:
    collection = await collected(giving(metric(value=7.0, team="a"), family("jobs")))

    assert exposed(collection) == {
        "custom_users{team=a}": 7.0,
        "jobs{}": 1.0,
        "sergas_collector_up{collector=mine}": 1.0,
        "sergas_collector_samples{collector=mine}": 2,
    }


async def test_how_long_it_took_is_exposed() -> None:
    collection = await collected(giving(metric()))

    [duration] = [
        sample.value
        for entry in collection.families(clock.read())
        if entry.name == "sergas_collector_duration_seconds"
        for sample in entry.samples
    ]
    assert 0 <= duration < PATIENCE_S


async def test_collectors_run_on_threads_that_end() -> None:
    calling = Calling(lambda: [metric()])
    await collected(source(calling))

    [thread] = calling.threads
    assert thread is not threading.current_thread()
    assert thread.daemon
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


async def test_generator_works_on_the_thread() -> None:
    at_work: list[threading.Thread] = []

    def generate() -> Iterable[Measured]:
        at_work.append(threading.current_thread())
        yield metric()

    await collected(source(Calling(generate)))

    assert at_work != [threading.current_thread()]


async def test_collector_is_told_how_much_time_it_has() -> None:
    calling = Calling(list)
    await collected(source(calling, timeout_s=50.0))

    assert 0 < calling.remaining_s <= 50.0


async def test_metric_without_a_time_gets_that_of_its_collection() -> None:
    before = clock.read().wall_s
    [status] = (await collected(giving(metric()))).status()

    [measured] = status.metrics
    assert isinstance(measured.timestamp, float)
    assert before <= measured.timestamp <= clock.read().wall_s


async def test_source_that_was_not_asked_yet_says_so_and_exposes_nothing() -> None:
    collection = Collection([giving(metric())], clock=clock.read)

    assert reasons(collection) == {"mine": "has not been asked yet"}
    assert exposed(collection) == {}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(RuntimeError("no\nway"), "RuntimeError: no way", id="any exception"),
        pytest.param(KeyError(), "KeyError", id="without a text"),
        pytest.param(CollectError("it answered 500"), "it answered 500", id="with a reason that says all"),
        pytest.param(SystemExit(3), "SystemExit: 3", id="that would end the process"),
        pytest.param(
            OSError("cannot reach postgresql://shop:s3cret@db/x now"),
            "OSError: cannot reach postgresql://***@db/x now",
            id="with a password",
        ),
        pytest.param(SystemError("\x1b[31mx" * 200), None, id="long and coloured"),
    ],
)
async def test_collector_that_raises_costs_its_own_data_and_says_why(error: BaseException, reason: str | None) -> None:
    collection = await collected(source(raising(error), "broken"), giving(metric()))

    found = reasons(collection)
    assert found["mine"] == ""
    if reason is None:
        assert len(found["broken"]) <= 300
        assert "\x1b" not in found["broken"]
    else:
        assert found["broken"] == reason
    assert exposed(collection) == {
        "custom_users{}": 1.0,
        "sergas_collector_up{collector=broken}": 0.0,
        "sergas_collector_up{collector=mine}": 1.0,
        "sergas_collector_samples{collector=broken}": 0,
        "sergas_collector_samples{collector=mine}": 1,
    }


async def test_data_of_a_collector_that_fails_now_are_gone_at_once() -> None:
    answers: list[list[Measured]] = [[metric()]]
    collection = Collection([source(Calling(answers.pop))], clock=clock.read)
    await collection.collect()
    assert "custom_users{}" in exposed(collection)

    await collection.collect()

    assert "custom_users{}" not in exposed(collection)
    assert reasons(collection) == {"mine": "IndexError: pop from empty list"}


async def test_collector_that_hangs_costs_its_own_data_and_says_so(hanging: Hanging) -> None:
    collection = await collected(source(hanging, "hung", timeout_s=0.05), giving(metric()))

    assert reasons(collection) == {"hung": "did not come back within 0.05 s", "mine": ""}
    assert exposed(collection)["sergas_collector_up{collector=hung}"] == 0
    assert exposed(collection)["custom_users{}"] == 1


async def test_collector_that_hangs_is_not_asked_again_and_piles_up_no_threads(hanging: Hanging) -> None:
    collection = await collected(source(hanging, "hung", timeout_s=0.05))
    before = threading.active_count()
    for _ in range(10):
        await collection.collect()

    assert hanging.calls == 1
    assert threading.active_count() == before
    assert reasons(collection) == {"hung": "has not come back from an earlier attempt, and was not asked again"}


async def test_system_without_threads_costs_the_attempt_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    collection = Collection([giving(metric())], clock=clock.read)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        await collection.collect()
    assert reasons(collection) == {"mine": "no thread: can't start new thread"}

    await collection.collect()

    assert reasons(collection) == {"mine": ""}


async def test_what_comes_too_late_is_thrown_away_and_the_collector_is_asked_again(hanging: Hanging) -> None:
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    collection = await collected(source(hanging, "hung", timeout_s=0.05))
    hanging.let_go.set()
    # Its thread comes back through the loop.
    while reasons(collection)["hung"]:
        assert "custom_late{}" not in exposed(collection)
        await collection.collect()

    assert exposed(collection)["custom_late{}"] == 1
    assert hanging.calls == 2
    assert errors == []


async def test_those_who_ask_at_once_wait_for_their_turn() -> None:
    calling = Calling(lambda: [metric()])
    collection = Collection([source(calling)], clock=clock.read)
    await asyncio.gather(*(collection.collect() for _ in range(5)))

    assert calling.calls == 5
    assert reasons(collection) == {"mine": ""}


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        pytest.param(
            [family("a b")],
            "family 'a b': allowed: letters, digits, _ and :, not starting with a digit; write 'a_b'",
            id="name",
        ),
        pytest.param(
            [family("jobs", Sample((), 1.0), Sample((), 2.0))], "jobs: the series {} is there twice", id="twice"
        ),
        pytest.param(
            [cast("Family", 5)], "AttributeError: 'int' object has no attribute 'exported_name'", id="no metric at all"
        ),
    ],
)
async def test_what_would_spoil_the_page_is_left_out_with_the_reason(measured: list[Measured], reason: str) -> None:
    collection = await collected(giving(*measured, name="bad"), giving(metric()))

    assert reasons(collection) == {"bad": reason, "mine": ""}
    assert exposed(collection)["custom_users{}"] == 1


async def test_sources_that_share_a_name_share_a_family() -> None:
    one = giving(family("jobs", Sample((("queue", "a"),), 1.0)), name="one")
    two = giving(family("jobs", Sample((("queue", "b"),), 2.0)), name="two")
    collection = await collected(one, two)

    [jobs] = [entry for entry in collection.families(clock.read()) if entry.name == "jobs"]
    assert [sample.value for sample in jobs.samples] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        pytest.param(family("jobs"), "jobs has a series that one has as well", id="series"),
        pytest.param(
            family("jobs", kind="counter"), "jobs is a counter here and a gauge of one", id="type of the family"
        ),
    ],
)
async def test_what_another_source_has_already_is_refused(second: Family, reason: str) -> None:
    collection = Collection([giving(family("jobs"), name="one")], clock=clock.read)
    await collection.collect()
    collection.add(giving(second, name="two"))
    await collection.collect()

    assert reasons(collection) == {"one": "", "two": reason}
    assert exposed(collection)["jobs{}"] == 1


async def test_name_of_a_source_is_used_once() -> None:
    collection = Collection([giving()], clock=clock.read)

    with pytest.raises(ValueError, match=r"^there is a collector of the name 'mine'; names are used once$"):
        collection.add(giving())


async def test_source_without_an_interval_is_asked_whenever_somebody_looks() -> None:
    calling = Calling(lambda: [metric(value=calling.calls)])
    collection = Collection([source(calling, interval_s=0)], clock=clock.read)

    assert [exposed(collection)["custom_users{}"], exposed(collection)["custom_users{}"]] == [1, 2]
    assert calling.threads == {threading.current_thread()}


async def test_source_without_an_interval_that_raises_costs_its_own_data() -> None:
    collection = Collection([source(raising(ValueError("no")), interval_s=0)], clock=clock.read)

    assert exposed(collection)["sergas_collector_up{collector=mine}"] == 0
    assert reasons(collection) == {"mine": "ValueError: no"}


async def test_sources_are_asked_at_once_and_again_at_their_own_intervals() -> None:
    often, seldom = Calling(list), Calling(list)
    async with running(source(often, "often", interval_s=0.01), source(seldom, "seldom")):
        for calling in (seldom, often, often, often):
            await call_of(calling)

    assert seldom.calls == 1


async def test_source_that_was_late_is_not_asked_again_for_each_time_that_it_missed() -> None:
    now_s = 0.0

    def takes_long() -> list[Measured]:
        nonlocal now_s
        now_s += 10.5 * HOUR_S
        return []

    late, often = Calling(takes_long), Calling(list)
    collection = Collection([source(late)], clock=lambda: Now(now_s, now_s))
    await collection.start()
    try:
        await call_of(late)
        collection.add(source(often, "often", interval_s=0.01))
        for _ in range(3):
            await call_of(often)
    finally:
        await collection.stop()

    assert late.calls == 1


async def test_source_that_is_added_later_is_asked_at_once() -> None:
    calling = Calling(list)
    async with running() as collection:
        collection.add(source(calling))
        await call_of(calling)


async def test_nothing_is_asked_after_the_end() -> None:
    calling = Calling(list)
    async with running(source(calling, interval_s=0.01)):
        await call_of(calling)

    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("sergas collects")] == []


async def test_end_does_not_wait_for_what_hangs(hanging: Hanging) -> None:
    async with running(source(hanging, timeout_s=HOUR_S)):
        await call_of(hanging)

    assert not hanging.let_go.is_set()


def test_thread_that_comes_back_when_the_loop_is_closed_disturbs_nobody(hanging: Hanging) -> None:
    async def begin() -> None:
        async with running(source(hanging, timeout_s=HOUR_S)):
            await call_of(hanging)

    asyncio.run(begin())
    [thread] = [thread for thread in threading.enumerate() if thread.name == "sergas mine"]
    hanging.let_go.set()
    thread.join(PATIENCE_S)

    # An exception on it would have become a warning, and warnings are errors.
    assert not thread.is_alive()


class Ticking:
    """A clock that stands still unless a test moves it."""

    def __init__(self) -> None:
        self.second = 0.0

    def __call__(self) -> Now:
        return Now(self.second, 1_700_000_000 + self.second)


def samples(history: History, **labels: str) -> dict[str, list[tuple[float, float]]]:
    """Labels of the series that are kept → times and values."""
    selection = history.select(Matcher(name, "=~", value) for name, value in labels.items())
    return {
        " ".join((series.name, *(f"{name}={value}" for name, value in series.labels))): list(
            zip(series.times_s, series.values, strict=True)
        )
        for series in history.find(selection)
    }


async def scraping(answers: Sequence[Sequence[Measured]]) -> tuple[History, Collection]:
    """Scrape a target once a second, until it has no answer left."""
    history = History(limit=100, max_age_s=HOUR_S)
    history.select([Matcher("job", "=~", ".+")])
    ticking = Ticking()
    left = list(answers)
    target = source(Calling(lambda: left.pop(0)), "scrape", target=TARGET)
    collection = Collection([target], clock=ticking, history=history)
    for second in range(len(answers) + 1):
        ticking.second = float(second)
        await collection.collect()
    return history, collection


async def test_series_of_a_target_reach_the_history_with_its_labels() -> None:
    page = [family("load", Sample((), 2.0), Sample((("job", "own"), ("cpu", "")), 3.0))]
    history, _ = await scraping([page])

    assert samples(history, job=".+") == {
        "up instance=db:9100 job=node": [(0.0, 1.0), (1.0, 0.0)],
        "load instance=db:9100 job=node": [(0.0, 2.0)],
        "load instance=db:9100 job=own": [(0.0, 3.0)],
    }


async def test_target_that_fails_is_down_and_its_series_vanish_at_once() -> None:
    history, _ = await scraping([[family("load")], [family("load")]])

    values = {series.name: series.at(2.0) for series in history.find(history.select([Matcher("job", "=~", ".+")]))}
    assert values == {"up": 0.0, "load": None}


async def test_page_of_a_target_does_not_say_itself_that_it_is_up() -> None:
    history, _ = await scraping([[family("up", Sample((), 7.0))]])

    assert samples(history, job=".+") == {"up instance=db:9100 job=node": [(0.0, 1.0), (1.0, 0.0)]}


async def test_series_of_a_target_are_not_exposed_here_again() -> None:
    target = source(Calling(lambda: [family("load")]), "scrape", target=TARGET)
    collection = await collected(target)

    assert exposed(collection) == {
        "sergas_collector_up{collector=scrape}": 1,
        "sergas_collector_samples{collector=scrape}": 1,
    }


def test_status_is_up_without_a_reason() -> None:
    assert Status("mine", "").up
    assert not Status("mine", "why").up


async def test_source_that_stays_the_same_keeps_what_it_has() -> None:
    stays, goes, comes = Calling(list), Calling(list), Calling(list)
    async with running(source(stays, "stays"), source(goes, "goes")) as collection:
        for calling in (stays, goes):
            await call_of(calling)
        collection.follow([source(stays, "stays"), source(comes, "comes")])
        await call_of(comes)

        assert list(reasons(collection)) == ["stays", "comes"]
        assert stays.calls == 1


async def test_source_that_changes_begins_anew() -> None:
    calling = Calling(list)
    async with running(source(calling)) as collection:
        await call_of(calling)
        collection.follow([source(calling, timeout_s=1.0)])
        await call_of(calling)

        assert [source.timeout_s for source in collection.sources] == [1.0]


async def test_series_of_a_target_that_is_no_more_vanish_at_once() -> None:
    history = History(limit=100, max_age_s=HOUR_S)
    selection = history.select([Matcher("job", "=~", ".+")])
    ticking = Ticking()
    collection = Collection([source(Calling(list), target=TARGET)], clock=ticking, history=history)
    await collection.collect()
    ticking.second = 1.0
    collection.follow([])

    assert [(series.name, series.at(1.0)) for series in history.find(selection)] == [("up", None)]


async def test_who_waits_until_all_have_been_asked_does_not_wait_for_one_that_is_no_more(hanging: Hanging) -> None:
    stays = source(Calling(list), "stays")
    async with running(stays, source(hanging, "goes")) as collection, asyncio.timeout(PATIENCE_S / 2):
        waiting = asyncio.create_task(collection.asked())
        await call_of(hanging)
        assert not waiting.done()
        collection.follow([stays])
        await waiting

        assert collection.status()[0].asked is not None
