"""Which worker gets which test, and when: the scheduler of pytest-xdist that follows a plan.

A worker of pytest-xdist takes the next test from its queue *before* it runs the current one, because that
decides which fixtures are torn down. So a worker with one test in its queue holds it until another follows, or
its shutdown, and what is queued before a shutdown still runs. From that follows how stages are kept apart:

- A worker whose queue falls below two tests is served: with the rest of its unit, or with the unit whose kind
  is most urgent. Short tests come several at a time, as many as take `BATCH_S` together.
- When its stage has nothing left for it, it is released: with one test of a later stage, which it then holds,
  or with its shutdown where no later stage needs it. For an exclusive stage one worker is kept, the owner.
- A held test is followed by another only when all tests of the earlier stages are over. So it has not begun,
  and where a gate failed it never does: the worker refuses it (`pytest_sergas.plugin.gate`).

Which tests have begun is known from what the workers announce: a worker that dies with a test that it only held
has not crashed in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pytest_sergas.core.plan import Plan, Unit

BATCH_S = 0.1
_ANYWHERE: frozenset[str] = frozenset()

Node = Any  # xdist's WorkerController; the package has no types


@dataclass(frozen=True, slots=True)
class Assignment:
    """What `PlannedScheduling` works from: the plan, what limits it, and the recorded seconds of each test."""

    plan: Plan
    caps: Mapping[str, int]
    seconds: Sequence[float | None]


class _Lane:
    """The units of a stage that the same workers may run, next one first."""

    def __init__(self) -> None:
        self.units: deque[Unit] = deque()
        self.seconds = 0.0

    def urgency(self, width: int) -> float:
        """Return how long ``width`` workers would at least be busy with this lane."""
        return max(self.units[0].seconds, self.seconds / min(width, len(self.units)))

    def pop(self) -> Unit:
        unit = self.units.popleft()
        self.seconds -= unit.seconds
        return unit

    def take(self, unit: Unit) -> None:
        self.units.remove(unit)
        self.seconds -= unit.seconds

    def put_first(self, unit: Unit) -> None:
        self.units.appendleft(unit)
        self.seconds += unit.seconds


@dataclass(slots=True, eq=False)
class _Stage:
    """What runs between two points at which all workers wait for each other.

    Attributes:
        place: its place among the stages.
        unfinished: how many of its tests are not over.
        unsent: how many of its tests no worker has been given.
        owner: who runs it, if it is exclusive.
    """

    place: int
    gate: int | None
    exclusive: bool
    lanes: dict[frozenset[str], _Lane] = field(default_factory=dict)
    unfinished: int = 0
    unsent: int = 0
    owner: Node = None

    @property
    def anybodys(self) -> deque[Unit] | None:
        """The units, where every worker may run any of them and no choice has to be made."""
        lane = self.lanes.get(_ANYWHERE)
        return lane.units if lane is not None and len(self.lanes) == 1 and not self.exclusive else None

    def add(self, unit: Unit) -> None:
        lane = self.lanes.get(unit.capped)
        if lane is None:
            lane = self.lanes[unit.capped] = _Lane()
        lane.units.append(unit)
        lane.seconds += unit.seconds


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker as the scheduler sees it.

    Attributes:
        ready: whether it has collected the same tests as the others.
        queue: what it was sent and has not completed; the first one may be running.
        rest: what it will be sent next, because it belongs to a unit that it has begun.
    """

    node: Node
    ready: bool = False
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
        self._unit_of: dict[int, int] = {}
        self._seconds: list[float | None] = []
        self._caps: Mapping[str, int] = {}
        self._holders: dict[str, set[Node]] = {}
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
        if text is not None:
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
        for holders in self._holders.values():
            holders.discard(node)
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
        self._caps, self._seconds = assignment.caps, list(assignment.seconds)
        self._holders = {name: set() for name in self._caps}
        self._units = assignment.plan.units
        self._stage_of = [self._current] * len(collection)
        for place, units in enumerate(assignment.plan.stages):
            stage = _Stage(place, units[0].gate, units[0].exclusive)
            for unit in units:
                stage.add(unit)
                for index in unit.tests:
                    self._stage_of[index] = stage
            stage.unfinished = stage.unsent = sum(len(unit.tests) for unit in units)
            self._stages.append(stage)
        # What stands after the last one has nothing to do: so there always is a current one.
        self._stages.append(_Stage(len(self._stages), None, exclusive=False))
        self._current = self._stages[0]
        return True

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
        anybodys = stage.anybodys
        most = max(2 - len(worker.queue), stage.unsent // (2 * len(self._workers)))
        unrecorded_s = self._unrecorded_s / self._unrecorded if self._unrecorded else BATCH_S
        rest, seconds = worker.rest, self._seconds
        batch: list[int] = []
        batch_s = 0.0
        # Each test passes through here: what it takes is not shared with `_next`, which is seldom asked.
        while len(batch) < most and (batch_s < BATCH_S or len(worker.queue) + len(batch) < 2):
            if not rest:
                if anybodys:
                    rest.extend(anybodys.popleft().tests)
                elif not self._take_unit(worker, stage):
                    break
            index = rest.popleft()
            batch.append(index)
            recorded_s = seconds[index]
            batch_s += unrecorded_s if recorded_s is None else recorded_s
        stage.unsent -= len(batch)
        return batch

    def _next(self, worker: _Worker, stage: _Stage) -> int | None:
        """Take the next test for a worker out of a stage."""
        if not worker.rest and not self._take_unit(worker, stage):
            return None
        stage.unsent -= 1
        return worker.rest.popleft()

    def _take_unit(self, worker: _Worker, stage: _Stage) -> bool:
        """Give a worker the unit that it should run next; return whether there is one."""
        node = worker.node
        if stage.exclusive and stage.owner is not None and stage.owner is not node:
            return False
        best: _Lane | None = None
        most = -1.0
        for capped, lane in stage.lanes.items():
            if lane.units and all(self._may_run(node, name) for name in capped):
                width = min((self._caps[name] for name in capped), default=len(self._workers))
                urgency = lane.urgency(width)
                if urgency > most:
                    best, most = lane, urgency
        if best is None:
            return False
        unit = best.pop()
        for name in unit.capped:
            self._holders[name].add(node)
        if stage.exclusive:
            stage.owner = node
        worker.rest.extend(unit.tests)
        return True

    def _may_run(self, node: Node, name: str) -> bool:
        holders = self._holders[name]
        return node in holders or len(holders) < self._caps[name]

    def _release(self, worker: _Worker) -> None:
        """Let a worker run the test that it holds, although its stage has no more for it."""
        for stage in self._stages[self._current.place + 1 :]:
            index = self._next(worker, stage)
            if index is not None:
                self._send(worker, [index])
                return
        others = any(other.open for other in self._workers.values() if other is not worker)
        left = any(stage.unsent for stage in self._stages)
        if others or not left:
            worker.node.shutdown()

    def _send(self, worker: _Worker, batch: list[int]) -> None:
        worker.queue.extend(batch)
        with suppress(OSError):  # it has died: `remove_node`, which will be told, gives back what it was sent
            worker.node.send_runtest_some(batch)

    def _put_back(self, indices: Sequence[int]) -> None:
        """Put tests that were sent first in their lanes again, each with what is there of its unit already."""
        if not self._unit_of:
            self._unit_of = {index: number for number, unit in enumerate(self._units) for index in unit.tests}
        groups: dict[int, list[int]] = {}
        for index in indices:
            groups.setdefault(self._unit_of[index], []).append(index)
        for number, tests in reversed(groups.items()):
            whole = self._units[number]
            stage = self._stage_of[tests[0]]
            stage.unsent += len(tests)
            lane = stage.lanes[whole.capped]
            rest = next((unit for unit in lane.units if self._unit_of[unit.tests[0]] == number), None)
            if rest is not None:
                lane.take(rest)
                tests = [*tests, *rest.tests]  # noqa: PLW2901  the group grows by what is there already
            seconds = whole.seconds * len(tests) / len(whole.tests)
            lane.put_first(replace(whole, tests=tuple(tests), seconds=seconds))

    def _report_difference(self, worker_id: str, text: str) -> None:
        report = pytest.CollectReport(nodeid=worker_id, outcome="failed", longrepr=text, result=[])
        self.config.hook.pytest_collectreport(report=report)
