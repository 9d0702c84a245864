"""Collecting: every source on its own thread, at its own interval, within its own time.

A source that raises, hangs or returns what cannot be exposed costs its own data only: `sergas_collector_up` is 0
and `Collection.status` has the reason. A thread that hangs cannot be stopped, so it is left alone, as the
only one of its source: until it is back the source is not called again, and what it brings then is too late.
Threads are daemons, so that none of them keeps the process from ending.

Everything but `collect` itself happens on the event loop, so that nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from pytest_sergas.collectors import Measured, Source
from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.monitoring import MonitoringMetric, check, families_of
from pytest_sergas.core.series import LOOKBACK_S, seen
from pytest_sergas.core.text import one_line, redact_url
from pytest_sergas.engine.history import History
from pytest_sergas.errors import CollectError, MetricError

WAITING = "has not been asked yet"

_REASON_LIMIT = 300
_AHEAD_S = 600.0  # so far into the future Prometheus takes samples


@dataclass(frozen=True, slots=True)
class Status:
    """How the last attempt of one source went.

    Attributes:
        reason: why it is not up, or "".
        duration_s: seconds that it took; None before the first attempt.
        asked: when it began; None before the first attempt.
        metrics: what it measured, where it measured metrics.
        families: everything that it has, as families; nothing when it is not up.
    """

    name: str
    reason: str
    duration_s: float | None = None
    asked: Now | None = None
    metrics: tuple[MonitoringMetric, ...] = ()
    families: tuple[Family, ...] = ()

    @property
    def up(self) -> bool:
        return not self.reason


@dataclass(slots=True)
class _Running:
    """A source with what is known of it."""

    source: Source
    status: Status
    is_out: bool = False  # whether its thread has not come back
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: asyncio.Task[None] | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)  # once, or never again


class Collection:
    """The sources, and what they had to say last. `start` and `stop` once each, in one event loop.

    Args:
        sources: each name once.
        clock: reads the clocks; from any thread.
        history: takes what targets had at the moment when they were scraped.

    Attributes:
        interval_s: seconds from one measurement to the next, in the place of what the sources say; None for theirs.
            It holds for sources that begin from then on, and not for targets.
        on_measured: is given what a source that is no target has measured, at once; not what is asked whenever somebody
            looks.
    """

    interval_s: float | None = None

    def __init__(self, sources: Iterable[Source], *, clock: Callable[[], Now], history: History | None = None) -> None:
        self._clock = clock
        self._history = history
        self._running: dict[str, _Running] = {}
        self._started = False
        self.on_measured: Callable[[Sequence[Family]], None] = _heed_nothing
        for source in sources:
            self._register(source)

    @property
    def sources(self) -> Sequence[Source]:
        """The sources, in the order in which they were added."""
        return tuple(running.source for running in self._running.values())

    def add(self, source: Source) -> None:
        """Add a source; when collecting has begun, it is asked at once.

        Raises:
            ValueError: there is one of this name.
        """
        running = self._register(source)
        if self._started:
            self._begin(running)

    def follow(self, sources: Iterable[Source]) -> None:
        """Go on with other sources: what is as before keeps what it has, the others end or begin."""
        wanted = {source.name: source for source in sources}
        for name, running in list(self._running.items()):
            if wanted.get(name) != running.source:
                del self._running[name]
                running.asked.set()
                if running.task is not None:
                    running.task.cancel()
                if self._history is not None and running.source.target is not None:
                    self._history.record(name, self._clock(), {})
        for name, source in wanted.items():
            if name not in self._running:
                self.add(source)

    async def start(self) -> None:
        """Begin; every source is asked at once, and this does not wait for them."""
        self._started = True
        for running in self._running.values():
            self._begin(running)

    async def stop(self) -> None:
        """Ask no more. Threads that are out are not waited for."""
        self._started = False
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def collect(self) -> Sequence[Status]:
        """Ask all sources now, beside their intervals, and wait for all of them."""
        await asyncio.gather(*(self._ask(running) for running in self._running.values()))
        return self.status()

    async def asked(self) -> None:
        """Return when every source has been asked once that is asked at intervals."""
        for running in list(self._running.values()):
            if running.task is not None:
                await running.asked.wait()

    def record(self) -> None:
        """Bring into the history what targets had last, for those who did not look at it then."""
        for running in self._running.values():
            self._record(running)

    def status(self) -> Sequence[Status]:
        """Return how each source is, in the order in which they were added."""
        return tuple(self._latest(running) for running in self._running.values())

    def looked_at(self) -> tuple[Family, ...]:
        """Return what those sources have now that are asked whenever somebody looks."""
        found = [running for running in self._running.values() if running.source.interval_s == 0]
        return tuple(family for running in found for family in self._latest(running).families)

    def families(self, now: Now) -> tuple[Family, ...]:
        """Return what is exposed: the latest of every source that is no target, and the collection's own metrics."""
        del now
        statuses = self.status()
        samples: dict[str, list[Sample]] = {}
        first: dict[str, Family] = {}
        for running, status in zip(self._running.values(), statuses, strict=True):
            if running.source.target is None:
                for family in status.families:
                    first.setdefault(family.name, family)
                    samples.setdefault(family.name, []).extend(family.samples)
        collected = (replace(first[name], samples=tuple(entries)) for name, entries in samples.items())
        return (*collected, *_own(statuses))

    def _register(self, source: Source) -> _Running:
        if source.name in self._running:
            raise ValueError(f"there is a collector of the name {source.name!r}; names are used once")
        running = _Running(source, Status(source.name, WAITING))
        self._running[source.name] = running
        return running

    def _begin(self, running: _Running) -> None:
        if running.source.interval_s > 0:
            name = f"sergas collects {running.source.name}"
            interval_s = running.source.interval_s
            if self.interval_s is not None and running.source.target is None:
                interval_s = self.interval_s
            running.task = asyncio.get_running_loop().create_task(self._run(running, interval_s), name=name)

    async def _run(self, running: _Running, interval_s: float) -> None:
        """Ask a source again and again, on a grid: what takes long does not move the next time."""
        due_s = self._clock().monotonic_s
        while True:
            await self._ask(running)
            late_s = self._clock().monotonic_s - due_s
            due_s += interval_s * max(1, -(-late_s // interval_s))
            await asyncio.sleep(max(0.0, due_s - self._clock().monotonic_s))

    async def _ask(self, running: _Running) -> None:
        """Ask a source once, and keep what came of it; whoever asks meanwhile waits for his turn."""
        if running.source.interval_s == 0:
            return  # asked whenever somebody looks
        async with running.turn:
            began = self._clock()
            running.status = await self._attempt(running, began)
        self._record(running)
        if running.source.target is None and running.status.up:
            self.on_measured(running.status.families)
        running.asked.set()

    def _record(self, running: _Running) -> None:
        target, status = running.source.target, running.status
        if self._history is None or target is None or status.asked is None:
            return
        wanted = (family for family in _scraped(status) if self._history.wants_any_of(family.name, family.type))
        page = [timely(family, status.asked) for family in wanted]
        self._history.record(running.source.name, status.asked, seen(page, target))

    async def _attempt(self, running: _Running, began: Now) -> Status:
        source = running.source
        if running.is_out:
            return self._failed(running, began, "has not come back from an earlier attempt, and was not asked again")
        answer: asyncio.Future[tuple[Measured, ...]] = asyncio.get_running_loop().create_future()
        thread = threading.Thread(
            target=_call, args=(running, self._clock, began, answer), name=f"sergas {source.name}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more
            return self._failed(running, began, f"no thread: {error}")
        running.is_out = True
        try:
            async with asyncio.timeout(source.timeout_s):
                return self._accepted(running, await answer, began)
        except TimeoutError:
            return self._failed(running, began, f"did not come back within {source.timeout_s:g} s")
        except _Raised as raised:
            return self._failed(running, began, raised.reason)

    def _latest(self, running: _Running) -> Status:
        source = running.source
        if source.interval_s == 0:
            began = self._clock()
            try:
                measured = tuple(source.collector.collect(lambda: source.timeout_s))
            except Exception as error:  # noqa: BLE001  the edge of a stranger's collector
                running.status = self._failed(running, began, _reason(error))
            else:
                running.status = self._accepted(running, measured, began)
        return running.status

    def _accepted(self, running: _Running, measured: Iterable[Measured], began: Now) -> Status:
        """Return the status of a source that has measured something, which may yet be unusable."""
        duration_s = self._clock().monotonic_s - began.monotonic_s
        try:
            entries = [_stamped(entry, began) for entry in measured]
            families = families_of(entries)
            if running.source.target is None:
                check(families)
                self._refuse_conflicts(running, families)
        except Exception as error:  # noqa: BLE001  the edge of what a stranger's collector returns
            return self._failed(running, began, _reason(error))
        metrics = tuple(entry for entry in entries if isinstance(entry, MonitoringMetric))
        return Status(running.source.name, "", duration_s, began, metrics, families)

    def _refuse_conflicts(self, running: _Running, families: Iterable[Family]) -> None:
        """Refuse what another source has already: the same series, or another type for the name.

        Raises:
            MetricError: naming the other source.
        """
        for other in self._running.values():
            if other is running or other.source.target is not None:
                continue
            theirs = {family.name: family for family in other.status.families}
            for family in families:
                if (their := theirs.get(family.name)) is None:
                    continue
                if their.type != family.type:
                    text = f"{family.name} is a {family.type} here and a {their.type} of {other.source.name}"
                    raise MetricError(text)
                if not _series(their).isdisjoint(_series(family)):
                    raise MetricError(f"{family.name} has a series that {other.source.name} has as well")

    def _failed(self, running: _Running, began: Now, reason: str) -> Status:
        return Status(running.source.name, reason, self._clock().monotonic_s - began.monotonic_s, began)


def _heed_nothing(families: Sequence[Family]) -> None:
    del families


class _Raised(Exception):
    """A collector raised; the text that people read is made on its thread, where the exception is."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _call(
    running: _Running, clock: Callable[[], Now], began: Now, answer: asyncio.Future[tuple[Measured, ...]]
) -> None:
    """Run on a thread: collect, and hand over what came of it."""
    end_s = began.monotonic_s + running.source.timeout_s
    measured: tuple[Measured, ...] | _Raised
    try:
        # A generator works here, not on the event loop.
        measured = tuple(running.source.collector.collect(lambda: max(0.0, end_s - clock().monotonic_s)))
    except BaseException as error:  # noqa: BLE001  the edge of a stranger's collector, which may even call sys.exit()
        measured = _Raised(_reason(error))
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        answer.get_loop().call_soon_threadsafe(_come_back, running, answer, measured)


def _come_back(
    running: _Running, answer: asyncio.Future[tuple[Measured, ...]], measured: tuple[Measured, ...] | _Raised
) -> None:
    running.is_out = False
    if answer.done():
        return  # it is too late
    if isinstance(measured, _Raised):
        answer.set_exception(measured)
    else:
        answer.set_result(measured)


def _reason(error: BaseException) -> str:
    # What connects to something likes to name it with its password.
    text = " ".join(redact_url(word) if "://" in word else word for word in str(error).split())
    if isinstance(error, CollectError | MetricError):
        return one_line(text, _REASON_LIMIT)
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__, _REASON_LIMIT)


def _stamped(entry: Measured, now: Now) -> Measured:
    if isinstance(entry, MonitoringMetric) and entry.timestamp is None:
        return replace(entry, timestamp=now.wall_s)
    return entry


def _series(family: Family) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {(sample.suffix, frozenset(sample.labels)) for sample in family.samples}


def _own(statuses: Sequence[Status]) -> tuple[Family, ...]:
    def one(name: str, text: str, value: Callable[[Status], float]) -> Family:
        samples = (Sample((("collector", status.name),), value(status)) for status in asked)
        return Family(name, "gauge", text, tuple(samples))

    asked = [status for status in statuses if status.asked is not None]
    return (
        one(
            "sergas_collector_up", "Whether the last attempt of a collector succeeded.", lambda status: float(status.up)
        ),
        one(
            "sergas_collector_duration_seconds",
            "What the last attempt of a collector took, in seconds.",
            lambda status: status.duration_s or 0.0,
        ),
        one(
            "sergas_collector_samples",
            "Samples that the last attempt of a collector brought.",
            lambda status: sum(len(family.samples) for family in status.families),
        ),
    )


def timely(family: Family, now: Now) -> Family:
    """Return a family without the samples whose own timestamps lie too far away for Prometheus to see them now."""
    samples = tuple(
        sample
        for sample in family.samples
        if sample.timestamp_ms is None or -_AHEAD_S <= now.wall_s - sample.timestamp_ms / 1000 <= LOOKBACK_S
    )
    return family if len(samples) == len(family.samples) else replace(family, samples=samples)


def _scraped(status: Status) -> tuple[Family, ...]:
    """Return what Prometheus would have of a target: ``up``, which wins over the page's own, and the page."""
    up = Family("up", "gauge", "Whether the target answered.", (Sample((), float(status.up)),))
    return (up, *status.families)
