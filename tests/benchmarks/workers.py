"""Workers of pytest-xdist in virtual time, under any of its schedulers: what a schedule is worth, without noise.

A worker does what xdist's does: it takes the next test from its queue before it runs the current one. A test takes
its seconds, and the shared set-up of its module when the worker's test before it was of another module.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, LoadScheduling, WorkStealingScheduling

from pytest_sergas.core.plan import Collected, History, Rules, plan
from pytest_sergas.plugin.scheduler import Assignment, PlannedScheduling

_CONFIG = SimpleNamespace(
    getoption=lambda _: None,
    getvalue={"tx": ["popen"], "verbose": 0, "loadscopereorder": True}.get,
    option=SimpleNamespace(loadscopereorder=True, verbose=0),
)


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests with their seconds, and module → seconds of its shared set-up."""

    tests: Sequence[Collected]
    seconds: Sequence[float]
    setups: dict[str, float] = field(default_factory=dict)

    @property
    def history(self) -> History:
        """What an earlier run has recorded: of each module, the first test paid for the set-up."""
        setups: dict[str, float] = {}
        for test in self.tests:
            module = test.node_id.partition("::")[0]
            first = module not in {node_id.partition("::")[0] for node_id in setups}
            setups[test.node_id] = self.setups.get(module, 0.0) if first else 0.0
        durations = zip(self.tests, self.seconds, strict=True)
        return History({test.node_id: seconds + setups[test.node_id] for test, seconds in durations}, setups)


class _Worker:
    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.queue: deque[int] = deque()
        self.running = False
        self.shutting_down = False
        self.module = ""
        self.stolen: Callable[[Any, list[int]], None]

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.queue.extend(indices)

    def send_steal(self, indices: Sequence[int]) -> None:
        waiting = list(self.queue)[2:]  # the first runs, and the second is out of the queue already
        taken = [index for index in indices if index in waiting]
        if len(taken) != len(indices):
            taken = []
        self.queue = deque(index for index in self.queue if index not in taken)
        self.stolen(self, taken)

    def shutdown(self) -> None:
        self.shutting_down = True


def start(scheduler: Any, suite: Suite, workers: int) -> list[_Worker]:
    """Let all workers have collected, and the scheduler hand out what comes first."""
    node_ids = [test.node_id for test in suite.tests]
    nodes = [_Worker(number) for number in range(workers)]
    scheduler.numnodes = workers
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, node_ids)
    scheduler.schedule()
    return nodes


def makespan_s(scheduler: Any, suite: Suite, workers: int) -> float:
    """Return when the last test of the suite is over."""
    node_ids = [test.node_id for test in suite.tests]
    steals: deque[tuple[_Worker, list[int]]] = deque()
    nodes = start(scheduler, suite, workers)
    for node in nodes:
        node.stolen = lambda worker, taken: steals.append((worker, taken))
    begun = getattr(scheduler, "begun", None)  # ours is told, by a hook
    now_s, over = 0.0, 0
    ends: list[tuple[float, int]] = []
    while over < len(node_ids):
        if scheduler.tests_finished:
            for node in nodes:
                node.shutdown()
        while steals:
            worker, taken = steals.popleft()
            scheduler.remove_pending_tests_from_node(worker, taken)
        for number, node in enumerate(nodes):
            if not node.running and (len(node.queue) > 1 or (node.queue and node.shutting_down)):
                node.running = True
                index = node.queue[0]
                if begun is not None:
                    begun(node_ids[index])
                module = node_ids[index].partition("::")[0]
                setup_s = suite.setups.get(module, 0.0) if module != node.module else 0.0
                node.module = module
                heapq.heappush(ends, (now_s + setup_s + suite.seconds[index], number))
        now_s, number = heapq.heappop(ends)
        node, over = nodes[number], over + 1
        node.running = False
        index = node.queue.popleft()
        scheduler.mark_test_complete(node, index, suite.seconds[index])
    return now_s


def ours(suite: Suite, workers: int, *, recorded: bool) -> PlannedScheduling:
    """Return our scheduler, with or without the durations of an earlier run."""
    history = suite.history if recorded else History()
    made = plan(suite.tests, Rules(), history, workers=workers)  # here, because it has a bound of its own
    return PlannedScheduling(
        SimpleNamespace(),  # type: ignore[arg-type]  # only reports of different collections need a real one
        workers=workers,
        assign=lambda _: Assignment(made, [history.durations.get(test.node_id) for test in suite.tests]),
        failed_gate=lambda: None,
        differs=lambda *_: None,
    )


def theirs(name: str) -> Any:
    """Return one of pytest-xdist's own."""
    kinds = {"load": LoadScheduling, "worksteal": WorkStealingScheduling, "loadfile": LoadFileScheduling}
    return kinds[name](_CONFIG, Producer(name, enabled=False))


def lower_bound_s(suite: Suite, workers: int) -> float:
    """Return what no schedule can beat: an even share, or the longest test."""
    return max(sum(suite.seconds) / workers, *suite.seconds)
