"""Which worker gets which test, and when: the scheduler of pytest-xdist that follows a plan.

A worker of pytest-xdist takes the next test from its queue *before* it runs the current one, because that
decides which fixtures are torn down. So a worker with one test in its queue holds it until another follows, or
its shutdown, and what is queued before a shutdown still runs. From that follows how stages are kept apart:

- A worker whose queue falls below two tests is served: with the rest of its unit, or with what it should run next.
  Short tests come several at a time, as many as take `BATCH_S` together.
- Where the plan says which worker runs a unit, its tests stand in that worker's share, in the order of collection. A
  worker that has done its share takes the longest unit that another one has not begun, unless it stands in its file
  before what the worker has already run. Elsewhere the first unit of the most urgent kind comes next, by the same rule.
- When its stage has nothing left for it, it is released: with one test of a later stage, which it then holds,
  or with its shutdown where no later stage needs it. For an exclusive stage one worker is kept, the owner.
- A held test is followed by another only when all tests of the earlier stages are over. So it has not begun,
  and where a gate failed it never does: the worker refuses it (`pytest_sergas.plugin.gate`).

Which tests have begun is known from what the workers announce: a worker that dies with a test that it only held
has not crashed in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import field, replace
from typing import Any

import pytest

from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.plan import Plan, Unit

BATCH_S = 0.1
_ANYWHERE: frozenset[int] = frozenset()

Node = Any  # xdist's WorkerController; the package has no types


@dataclass(frozen=True, slots=True)
class Assignment:
    """What `PlannedScheduling` works from: the plan, and the recorded seconds of each test."""

    plan: Plan
    seconds: Sequence[float | None]


class _Lane:
    """Units of a stage that the same workers may run, in the order of collection."""

    def __init__(self) -> None:
        self.units: deque[Unit] = deque()
        self.seconds = 0.0
        self.longest_s = 0.0

    def urgency(self, width: int) -> float:
        """Return how long ``width`` workers would at least be busy with this lane."""
        return max(self.longest_s, self.seconds / min(width, len(self.units)))

    def put_last(self, unit: Unit) -> None:
        self.units.append(unit)
        self._count(unit)

    def put_first(self, unit: Unit) -> None:
        self.units.appendleft(unit)
        self._count(unit)

    def take(self, unit: Unit) -> None:
        self.units.remove(unit)
        self.seconds -= unit.seconds

    def _count(self, unit: Unit) -> None:
        self.seconds += unit.seconds
        self.longest_s = max(self.longest_s, unit.seconds)


class _Share:
    """What one worker should run in a stage.

    Attributes:
        tests: what it has not been sent, in the order of collection.
        units: of these, the units of which no test has been sent, under their numbers.
    """

    def __init__(self) -> None:
        self.tests: deque[int] = deque()
        self.units: dict[int, Unit] = {}

    def put(self, number: int, unit: Unit) -> None:
        self.units[number] = unit
        self.tests = deque(sorted((*self.tests, *unit.tests)))

    def take(self, number: int) -> Unit:
        """Take a unit that has not been begun."""
        unit = self.units.pop(number)
        gone = set(unit.tests)
        self.tests = deque(index for index in self.tests if index not in gone)
        return unit


@dataclass(slots=True, eq=False)
class _Stage:
    """What runs between two points at which all workers wait for each other.

    Attributes:
        place: its place among the stages.
        unfinished: how many of its tests are not over.
        unsent: how many of its tests no worker has been given.
        owner: who runs it, if it is exclusive.
        shares: number of a worker → what it should run.
        lanes: what no worker is named for.
    """

    place: int
    gate: int | None
    exclusive: bool
    shares: dict[int, _Share] = field(default_factory=dict)
    lanes: dict[frozenset[int], _Lane] = field(default_factory=dict)
    unfinished: int = 0
    unsent: int = 0
    owner: Node = None

    def lane(self, unit: Unit) -> _Lane:
        lane = self.lanes.get(unit.workers)
        if lane is None:
            lane = self.lanes[unit.workers] = _Lane()
        return lane


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker as the scheduler sees it.

    Attributes:
        ready: whether it has collected the same tests as the others.
        queue: what it was sent and has not completed; the first one may be running.
        rest: what it will be sent next, because it belongs to a unit that it has begun.
        numbers: those whom the plan means when it names this worker; more than one where it stands in for a dead one.
        last: stage and file → the last test of it that this worker was given.
    """

    node: Node
    ready: bool = False
    numbers: set[int] = field(default_factory=set)
    last: dict[tuple[int, str], int] = field(default_factory=dict)
    queue: deque[int] = field(default_factory=deque)
    rest: deque[int] = field(default_factory=deque)

    @property
    def open(self) -> bool:
        """Whether it can be given tests."""
        return self.ready and not self.node.shutting_down


class PlannedScheduling:
    """Implements ``xdist.scheduler.Scheduling``.

    Args:
        workers: how many workers have to collect before anything starts.
        assign: makes the plan, once, for the node ids that all workers collected.
        failed_gate: the place of the gate that failed, or None.
        differs: compares two collections of two workers; returns a text, or None when they are the same.

    Attributes:
        repeated: tests that a worker completed more than once, each with the worker. A process that a test has
            forked, and that went on as the worker, does so, because it has the connection as well.
    """

    def __init__(
        self,
        config: pytest.Config,
        *,
        workers: int,
        assign: Callable[[Sequence[str]], Assignment],
        failed_gate: Callable[[], int | None],
        differs: Callable[[Sequence[str], Sequence[str], str, str], str | None],
    ) -> None:
        self.config = config  # pytest-rerunfailures looks for it here
        self._expected = workers
        self._assign = assign
        self._failed_gate = failed_gate
        self._differs = differs
        self._workers: dict[Node, _Worker] = {}
        self._collections: list[tuple[str, Sequence[str]]] = []
        self._collection: Sequence[str] = ()
        self._started = False
        self._stages: list[_Stage] = []
        self._current = _Stage(0, None, exclusive=False)
        self._stage_of: list[_Stage] = []
        self._units: Sequence[Unit] = ()
        self._unit_of: list[int] = []
        self._owners: dict[int, int] = {}
        self._files: list[str] = []
        self._seconds: list[float | None] = []
        self._expected_s: list[float] = []
        self._unrecorded = 0
        self._unrecorded_s = 0.0
        self._begun: set[str] = set()
        self._crashed: dict[str, int] = {}
        self._refused = False
        self.repeated: list[tuple[str, str]] = []

    # What pytest-xdist asks.

    @property
    def nodes(self) -> list[Node]:
        return list(self._workers)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._collections) >= self._expected

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left to send; what is queued still runs after the shutdown that follows."""
        if self._current.unsent or not self.collection_is_completed:
            return False  # what is asked after every event costs nothing for most of the run
        # A test that is held for a later stage would start with the shutdown, unless its worker refuses it.
        if not self._refused and (
            any(stage.unsent for stage in self._stages)
            or any(stage.unfinished for stage in self._stages[self._current.place + 1 :])
        ):
            return False
        return all(len(worker.queue) < 2 for worker in self._workers.values())

    @property
    def has_pending(self) -> bool:
        return any(stage.unfinished for stage in self._stages)

    # What pytest-xdist tells.

    def add_node(self, node: Node) -> None:
        self._workers[node] = _Worker(node)

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        worker = self._workers[node]
        if not self._started:
            self._collections.append((node.gateway.id, collection))
            worker.ready = True
            return
        first = self._collections[0][0]
        text = self._differs(self._collection, collection, first, node.gateway.id)
        worker.ready = text is None
        if text is None:
            self._number(worker)
        else:
            self._report_difference(node.gateway.id, text)
            node.shutdown()
            if not any(other.open for other in self._workers.values()):
                self._give_up()

    def schedule(self) -> None:
        if not self._started and not self._begin():
            return
        self._advance()
        self._serve_all()

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        # This runs once for each test, and nearly always only counts.
        worker = self._workers[node]
        queue = worker.queue
        try:
            queue.remove(item_index)  # it is the first one, so this costs nothing
        except ValueError:
            self.repeated.append((self._collection[item_index], node.gateway.id))
            return
        self._begun.discard(self._collection[item_index])
        if self._seconds[item_index] is None:
            self._unrecorded += 1
            self._unrecorded_s += duration
        stage = self._stage_of[item_index]
        stage.unfinished -= 1
        if not stage.unfinished and self._advance():
            self._serve_all()
        elif len(queue) < 2:
            self._serve(worker)

    def mark_test_pending(self, item: str) -> None:
        """Run once more what a worker has just crashed in."""
        index = self._crashed.pop(item)
        self._stage_of[index].unfinished += 1
        self._put_back([index])

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        raise NotImplementedError("nothing is ever stolen")

    def remove_node(self, node: Node) -> str | None:
        """Forget a worker that has ended; return the test that it crashed in, if any.

        What it had not begun goes back. It is handed out again by `resume`, when it is known whether the test
        that crashed is repeated: it may belong to the same unit.
        """
        worker = self._workers.pop(node)
        for stage in self._stages:
            if stage.owner is node:
                stage.owner = None
        if not self._started:
            return None
        crashed = self._crash(worker)
        if not self._refused:
            for index in worker.rest:
                self._stage_of[index].unsent -= 1
            self._put_back([*worker.queue, *worker.rest])
        if crashed is None:
            self.resume()
        return crashed

    # What the hooks of `pytest_sergas.plugin.scheduling` tell.

    def begun(self, node_id: str) -> None:
        """Note that a worker has begun a test."""
        self._begun.add(node_id)

    def running(self) -> dict[str, str]:
        """Return node id → worker of the tests that have begun; may be called from any thread."""
        first = {worker.node.gateway.id: list(worker.queue)[:1] for worker in list(self._workers.values())}
        began = {self._collection[index]: name for name, queued in first.items() for index in queued}
        return {node_id: name for node_id, name in began.items() if node_id in self._begun}

    def resume(self) -> None:
        """Hand out what a crash has given back."""
        if self._started:
            self._advance()
            self._serve_all()

    # How it is done.

    def _begin(self) -> bool:
        first, collection = self._collections[0]
        same = True
        for other, theirs in self._collections[1:]:
            text = self._differs(collection, theirs, first, other)
            if text is not None:
                same = False
                self._report_difference(other, text)
        if not same:
            return False
        self._collection, self._started = collection, True
        assignment = self._assign(collection)
        self._seconds, self._units = list(assignment.seconds), assignment.plan.units
        self._expected_s = [0.0] * len(collection)
        self._stage_of = [self._current] * len(collection)
        self._unit_of = [0] * len(collection)
        self._files = [node_id.partition("::")[0] for node_id in collection]
        number = 0
        for place, units in enumerate(assignment.plan.stages):
            stage = _Stage(place, units[0].gate, units[0].exclusive)
            for unit in units:
                self._add(stage, number, unit)
                number += 1
            for share in stage.shares.values():
                share.tests = deque(sorted(share.tests))
            stage.unfinished = stage.unsent = sum(len(unit.tests) for unit in units)
            self._stages.append(stage)
        # What stands after the last one has nothing to do: so there always is a current one.
        self._stages.append(_Stage(len(self._stages), None, exclusive=False))
        self._current = self._stages[0]
        # Whoever was ready first: the same plan is carried out by the same workers.
        self._workers = dict(sorted(self._workers.items(), key=lambda entry: _natural(entry[0].gateway.id)))
        for worker in self._workers.values():
            if worker.ready:
                self._number(worker)
        return True

    def _add(self, stage: _Stage, number: int, unit: Unit) -> None:
        for index in unit.tests:
            self._stage_of[index] = stage
            self._unit_of[index] = number
            recorded_s = self._seconds[index]
            self._expected_s[index] = unit.seconds / len(unit.tests) if recorded_s is None else recorded_s
        if unit.worker is None:
            stage.lane(unit).put_last(unit)
            return
        self._owners[number] = unit.worker
        share = stage.shares.setdefault(unit.worker, _Share())
        share.units[number] = unit
        share.tests.extend(unit.tests)

    def _number(self, worker: _Worker) -> None:
        """Let a worker be the first one of the plan that nobody is."""
        taken = self._numbers()
        worker.numbers.add(next(number for number in range(len(taken) + 1) if number not in taken))

    def _numbers(self) -> set[int]:
        return {number for worker in self._workers.values() for number in worker.numbers}

    def _crash(self, worker: _Worker) -> str | None:
        """Return the test that a worker died in, and take it as over."""
        if not worker.queue or self._collection[worker.queue[0]] not in self._begun:
            return None
        index = worker.queue.popleft()
        node_id = self._collection[index]
        self._begun.discard(node_id)
        self._crashed[node_id] = index
        self._stage_of[index].unfinished -= 1
        return node_id

    def _advance(self) -> bool:
        """Go to the first stage with tests that are not over; return whether another one than before is current."""
        before, last = self._current, self._stages[-1]
        while not self._current.unfinished and self._current is not last:
            self._current = self._stages[self._current.place + 1]
            failed = self._failed_gate()
            if failed is not None and not self._refused and self._current is not last:
                gate = self._current.gate
                if gate is None or gate > failed:
                    self._give_up()
        return self._current is not before

    def _give_up(self) -> None:
        """Send nothing more."""
        self._refused = True
        for stage in self._stages:
            stage.unsent = 0
        for worker in self._workers.values():
            worker.rest.clear()

    def _serve_all(self) -> None:
        # One each first, and the next ones from behind: else the second longest would wait behind the longest.
        for worker in self._workers.values():
            if worker.open and not worker.queue and not self._refused:
                index = self._next(worker, self._current)
                if index is not None:
                    self._send(worker, [index])
        for worker in reversed(self._workers.values()):
            if len(worker.queue) < 2:
                self._serve(worker)

    def _serve(self, worker: _Worker) -> None:
        """Send a worker what it should run next, or release it."""
        if not worker.open or self._refused or self._holds_later(worker):
            return
        batch = self._batch(worker)
        if batch:
            self._send(worker, batch)
        if len(worker.queue) < 2:
            self._release(worker)

    def _holds_later(self, worker: _Worker) -> bool:
        return bool(worker.queue) and self._stage_of[worker.queue[-1]].place > self._current.place

    def _batch(self, worker: _Worker) -> list[int]:
        """Return the tests that bring a worker's queue to two, or to `BATCH_S` where they are short."""
        stage = self._current
        most = max(2 - len(worker.queue), stage.unsent // (2 * len(self._workers)))
        unrecorded_s = self._unrecorded_s / self._unrecorded if self._unrecorded else BATCH_S
        rest, seconds = worker.rest, self._seconds
        batch: list[int] = []
        batch_s = 0.0
        # Each test passes through here: what it takes is not shared with `_next`, which is seldom asked.
        while len(batch) < most and (batch_s < BATCH_S or len(worker.queue) + len(batch) < 2):
            if not rest and not self._take(worker, stage, batch):
                break
            index = rest.popleft()
            batch.append(index)
            recorded_s = seconds[index]
            batch_s += unrecorded_s if recorded_s is None else recorded_s
        stage.unsent -= len(batch)
        return batch

    def _next(self, worker: _Worker, stage: _Stage) -> int | None:
        """Take the next test for a worker out of a stage."""
        if not worker.rest and not self._take(worker, stage):
            return None
        stage.unsent -= 1
        return worker.rest.popleft()

    def _take(self, worker: _Worker, stage: _Stage, batch: Sequence[int] = ()) -> bool:
        """Give a worker what it should run next; return whether there is something.

        Args:
            batch: what it is about to be sent.
        """
        tests = self._own(worker, stage) or self._anybodys(worker, stage) or self._others(worker, stage, batch)
        if not tests:
            return False
        worker.rest.extend(tests)
        for index in tests:
            worker.last[stage.place, self._files[index]] = index
        return True

    def _own(self, worker: _Worker, stage: _Stage) -> Sequence[int]:
        """Take the next tests out of a worker's share: those of one unit."""
        for number in worker.numbers:
            share = stage.shares.get(number)
            if share is not None and share.tests:
                unit = self._unit_of[share.tests[0]]
                share.units.pop(unit, None)
                tests = []
                while share.tests and self._unit_of[share.tests[0]] == unit:
                    tests.append(share.tests.popleft())
                return tests
        return ()

    def _anybodys(self, worker: _Worker, stage: _Stage) -> Sequence[int]:
        """Take a unit that no worker is named for."""
        if stage.exclusive and stage.owner not in {None, worker.node}:
            return ()
        best: tuple[_Lane, Unit] | None = None
        most = -1.0
        for numbers, lane in stage.lanes.items():
            if not lane.units or not self._may_run(worker, numbers):
                continue
            urgency = lane.urgency(len(numbers) or len(self._workers))
            unit = self._first(worker, stage, lane)
            if unit is not None and urgency > most:
                best, most = (lane, unit), urgency
        if best is None:
            return ()
        lane, unit = best
        lane.take(unit)
        self._stand_in(worker, unit.workers)
        if stage.exclusive:
            stage.owner = worker.node
        return unit.tests

    def _first(self, worker: _Worker, stage: _Stage, lane: _Lane) -> Unit | None:
        """Return the first unit with which a worker keeps the order of each file; rather another one than never."""
        for unit in lane.units:
            if self._follows(worker, stage, unit):
                return unit
        unit = lane.units[0]
        later = not stage.exclusive and any(
            self._may_run(other, unit.workers) and self._follows(other, stage, unit)
            for other in self._others_than(worker)
        )
        return None if later else unit

    def _others(self, worker: _Worker, stage: _Stage, batch: Sequence[int]) -> Sequence[int]:
        """Take what another worker should run: the longest unit that it would begin too late, or all if it is gone."""
        if not stage.shares:
            return ()
        workers = {number: other for other in self._workers.values() for number in other.numbers}
        busy_s = self._sum_s((*worker.queue, *batch))
        best: tuple[int, int] | None = None
        most = -1.0
        for number, share in stage.shares.items():
            if number not in workers:
                if share.tests:
                    worker.numbers.add(number)
                    return self._own(worker, stage)
                continue
            other = workers[number]
            left_s = self._sum_s((*other.queue, *other.rest, *share.tests)) - busy_s
            for place, unit in share.units.items():
                if (
                    most < unit.seconds <= left_s
                    and self._may_run(worker, unit.workers)
                    and self._follows(worker, stage, unit)
                ):
                    best, most = (number, place), unit.seconds
        if best is None:
            return ()
        number, place = best
        self._owners[place] = min(worker.numbers)
        return stage.shares[number].take(place).tests

    def _sum_s(self, tests: Iterable[int]) -> float:
        """Return what tests are expected to take."""
        return sum(self._expected_s[index] for index in tests)

    def _others_than(self, worker: _Worker) -> Iterator[_Worker]:
        return (other for other in self._workers.values() if other is not worker and other.open)

    def _may_run(self, worker: _Worker, numbers: frozenset[int]) -> bool:
        """Whether a worker is one of those that may run something, or none of them is there."""
        return not numbers or bool(numbers & worker.numbers) or not numbers & self._numbers()

    def _stand_in(self, worker: _Worker, numbers: frozenset[int]) -> None:
        """Let a worker be one of those that may run something."""
        if numbers and not numbers & worker.numbers:
            worker.numbers.add(min(numbers))

    def _follows(self, worker: _Worker, stage: _Stage, unit: Unit) -> bool:
        """Whether a worker would keep the order of each file if it ran a unit next."""
        last = worker.last
        return all(index > last.get((stage.place, self._files[index]), -1) for index in unit.tests)

    def _release(self, worker: _Worker) -> None:
        """Let a worker run the test that it holds, although its stage has no more for it."""
        for stage in self._stages[self._current.place + 1 :]:
            index = self._next(worker, stage)
            if index is not None:
                self._send(worker, [index])
                return
        others = any(self._others_than(worker))
        left = any(stage.unsent for stage in self._stages)
        if others or not left:
            worker.node.shutdown()

    def _send(self, worker: _Worker, batch: list[int]) -> None:
        worker.queue.extend(batch)
        with suppress(OSError):  # it has died: `remove_node`, which will be told, gives back what it was sent
            worker.node.send_runtest_some(batch)

    def _put_back(self, indices: Sequence[int]) -> None:
        """Put tests that were sent first in their lanes again, each with what is there of its unit already."""
        groups: dict[int, list[int]] = {}
        for index in indices:
            groups.setdefault(self._unit_of[index], []).append(index)
        for number, tests in reversed(groups.items()):
            self._put_back_unit(number, tests)

    def _put_back_unit(self, number: int, tests: Sequence[int]) -> None:
        whole = self._units[number]
        stage = self._stage_of[tests[0]]
        stage.unsent += len(tests)
        owner = self._owners.get(number)
        lane = stage.lane(whole)
        if owner is None:
            rest = next((unit for unit in lane.units if self._unit_of[unit.tests[0]] == number), None)
            if rest is not None:
                lane.take(rest)
        else:
            share = stage.shares.setdefault(owner, _Share())
            rest = share.take(number) if number in share.units else None
        tests = sorted((*tests, *(rest.tests if rest is not None else ())))
        unit = replace(whole, tests=tuple(tests), seconds=whole.seconds * len(tests) / len(whole.tests))
        if owner is None:
            lane.put_first(unit)
        else:
            share.put(number, unit)

    def _report_difference(self, worker_id: str, text: str) -> None:
        report = pytest.CollectReport(nodeid=worker_id, outcome="failed", longrepr=text, result=[])
        self.config.hook.pytest_collectreport(report=report)


def _natural(worker: str) -> tuple[int, str]:
    """Return what sorts gw2 before gw10."""
    return len(worker), worker
