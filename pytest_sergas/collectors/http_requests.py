"""HTTP requests that an application has recorded: how many, and how long they took.

A series for each path that somebody makes up would be without end. So an endpoint is what the application
says (best the route, ``/users/{id}``), and only the first ``max_endpoints`` of them have series of their own;
the rest together are `OTHER`, and so are methods and statuses that HTTP does not know.
"""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pytest_sergas.collectors import Context, Measured, Source
from pytest_sergas.core.exposition import number
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.text import clean, show_value
from pytest_sergas.errors import MetricError

OTHER = "other"
EXCEPTIONS_LIMIT = 50  # kinds of exceptions with series of their own
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_ENDPOINT_LIMIT = 200


def create(context: Context) -> Sequence[Source]:
    requests = HttpRequests(
        max_endpoints=context.settings.max_endpoints, duration_sampling=context.settings.duration_sampling
    )
    return [context.source("http_requests", requests, interval_s=0)]


class RequestTasks:
    """Counts requests in flight where an application records only those that have ended.

    An ASGI server answers each request in a task of its own. The one that records a request shows which coroutine that
    is, and in which event loop; as many tasks as run the same coroutine there, as many requests are in flight. Where
    one task records two requests, a task is not a request (a connection, a client that tests), and nobody can know.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._code: object = None
        self._seen: weakref.WeakSet[asyncio.Task[object]] = weakref.WeakSet()
        self._useless = False

    def learn(self) -> None:
        """Look at the task that records a request."""
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no loop runs here
            task = None
        code = getattr(task and task.get_coro(), "cr_code", None)
        if task is None or code is None:
            return
        self._useless = self._useless or task in self._seen
        self._seen.add(task)
        self._loop, self._code = task.get_loop(), code

    def count(self) -> int | None:
        """Return how many requests are in flight; None where that cannot be known."""
        if self._loop is None or self._useless or not self._loop.is_running():
            return None
        tasks = asyncio.all_tasks(self._loop)
        return sum(getattr(task.get_coro(), "cr_code", None) is self._code for task in tasks)


@dataclass(slots=True, kw_only=True)
class HttpRequests:
    """Counts requests; may be told of them by any thread.

    Args:
        max_endpoints: how many endpoints have series of their own.
        duration_sampling: of so many requests of a method and an endpoint one is timed, the first of them
            first: the histogram is that of a sample, and the counter stays exact.
    """

    max_endpoints: int = 100
    duration_sampling: int = 1
    # What was recorded is no part of what it is: one that is configured the same goes on with it.
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    _endpoints: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _counts: dict[tuple[str, str, str], int] = field(default_factory=dict, init=False, repr=False, compare=False)
    _durations: dict[tuple[str, str], _Durations] = field(default_factory=dict, init=False, repr=False, compare=False)
    _raised: dict[tuple[str, str, str], int] = field(default_factory=dict, init=False, repr=False, compare=False)
    _begun: bool = field(default=False, init=False, repr=False, compare=False)
    _in_flight: int = field(default=0, init=False, repr=False, compare=False)
    _tasks: RequestTasks = field(default_factory=RequestTasks, init=False, repr=False, compare=False)

    def record_http_request(self, method: str, endpoint: str, status: int, duration: float) -> None:
        """Count one request.

        Args:
            endpoint: the route, or the path where there are few of them.
            duration: seconds, at least 0.

        Raises:
            MetricError: the duration is no such number.
        """
        if not isinstance(duration, int | float) or not 0 <= duration < math.inf:
            raise MetricError(f"duration {show_value('duration', duration)}: allowed: seconds, at least 0")
        self.answered(method, endpoint, status, duration)
        self._tasks.learn()

    def answered(self, method: str, endpoint: str, status: int, duration_s: float) -> None:
        """Count a request that was in flight from `begins` on; the arguments are those of `record_http_request`."""
        method = method.upper() if method.upper() in METHODS else OTHER
        shown = str(int(status)) if 100 <= status <= 599 else OTHER
        with self._lock:
            endpoint = self._capped(endpoint)
            key = (method, endpoint, shown)
            self._counts[key] = self._counts.get(key, 0) + 1
            durations = self._durations.get((method, endpoint))
            if durations is None:
                durations = self._durations[method, endpoint] = _Durations()
            if durations.requests % self.duration_sampling == 0:
                durations.add(duration_s)
            durations.requests += 1

    def begins(self) -> None:
        """Count a request as in flight, until `ends`."""
        with self._lock:
            self._begun = True
            self._in_flight += 1

    def ends(self) -> None:
        """Count a request as in flight no longer."""
        with self._lock:
            self._in_flight -= 1

    def raised(self, method: str, endpoint: str, exception: str) -> None:
        """Count an exception that the handler of a request raised.

        Args:
            exception: its kind.
        """
        method = method.upper() if method.upper() in METHODS else OTHER
        with self._lock:
            kinds = {kind for _, _, kind in self._raised}
            kind = exception if exception in kinds or len(kinds) < EXCEPTIONS_LIMIT else OTHER
            key = (method, self._capped(endpoint), kind)
            self._raised[key] = self._raised.get(key, 0) + 1

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        del remaining_s
        with self._lock:
            counts = [
                Sample((("method", method), ("endpoint", endpoint), ("status", status)), count)
                for (method, endpoint, status), count in self._counts.items()
            ]
            durations = [
                sample
                for (method, endpoint), seen in self._durations.items()
                for sample in seen.samples((("method", method), ("endpoint", endpoint)))
            ]
            raised = [
                Sample((("method", method), ("endpoint", endpoint), ("exception", kind)), count)
                for (method, endpoint, kind), count in self._raised.items()
            ]
            in_flight = self._now()
        text = "Duration of HTTP requests in seconds"
        if self.duration_sampling > 1:
            text = f"{text}, of one request in {self.duration_sampling}"
        return [
            Family("http_requests_total", "counter", "Total HTTP requests", tuple(counts)),
            Family("http_request_duration_seconds", "histogram", text, tuple(durations)),
            Family("http_requests_in_flight", "gauge", "HTTP requests that are being answered", tuple(in_flight)),
            Family("http_request_exceptions_total", "counter", "HTTP requests whose handler raised", tuple(raised)),
        ]

    def _now(self) -> Iterable[Sample]:
        """Return how many requests are in flight; nothing where no application says so, and where nobody can know."""
        if self._begun:
            yield Sample((), self._in_flight)
        elif (count := self._tasks.count()) is not None:
            yield Sample((), count)

    def _capped(self, endpoint: str) -> str:
        name = clean(str(endpoint), _ENDPOINT_LIMIT)
        if name in self._endpoints:
            return name
        if len(self._endpoints) < self.max_endpoints:
            self._endpoints.add(name)
            return name
        return OTHER


class _Durations:
    """A histogram of one method and endpoint."""

    __slots__ = ("below", "requests", "total_s")

    def __init__(self) -> None:
        self.requests = 0
        self.below = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0

    def add(self, duration_s: float) -> None:
        self.below[bisect_left(BUCKETS_S, duration_s)] += 1
        self.total_s += duration_s

    def samples(self, labels: tuple[tuple[str, str], ...]) -> Iterable[Sample]:
        count = 0
        for bound, here in zip((*map(number, BUCKETS_S), "+Inf"), self.below, strict=True):
            count += here
            yield Sample((*labels, ("le", bound)), count, "_bucket")
        yield Sample(labels, self.total_s, "_sum")
        yield Sample(labels, count, "_count")
