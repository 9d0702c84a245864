"""Which tests run together, in which order, and on which worker: collected tests → stages → units → workers.

Order is part of what a suite relies on, so within a stage every worker runs its tests in the order of collection:
recorded seconds decide who runs a test, never what comes first. With one worker nothing is left to decide.

Stages run one after the other, and nothing of a stage starts before the one before it is over: each gate, the
ordinary tests, the exclusive ones. An ``xdist_group`` belongs to the stage of its most demanding test.

A unit is what one worker runs in one go:

- the tests of an ``xdist_group``, which is never cut;
- the tests that share a class-, module- or package-scoped fixture, where further set-ups are known to take
  `CUT_SHARE` of the time of its tests or more; where they take less, in as many chunks as stay below it;
- neighbours in a file that are short, up to a small share of the run. Where durations are not recorded, or the order
  is all that counts, the first neighbours make large units and the last ones small units, as in pytest-xdist's own
  ``load``, which hands out ever smaller chunks (guided self-scheduling: Polychronopoulos and Kuck, 1987).

A fixture that is cheap, or whose cost is unknown, ties nothing together, with one exception: while a fixture that is
torn down later waits on one worker for the end of a stage, no other worker may need it in that stage, because it may
hold a lock. So the tests of such a fixture are one unit in each stage but its last.

Where most durations are recorded, every unit has its worker: the longest goes first to the worker that has least to do
(Graham, "Bounds on multiprocessing timing anomalies", 1969: at most 4/3 of the shortest time possible).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.kinds import YEAR_S

CUT_SHARE = 0.05
# To run so much in one go delays nobody: neighbours that take less together are not separated.
SHORT_S = 0.1
# Units for each worker, were all of them small: what is left at the end is then small beside the whole.
_GRAIN = 16
_UNKNOWN_S = 1.0
# A unit may grow by half to take the rest of its file along.
_STRETCH = 1.5


@dataclass(frozen=True, slots=True)
class Tie:
    """What binds a test to others.

    Attributes:
        name: equal for the tests that it binds together.
        firm: whether the tests must not be separated even where it would cost nothing: a group.
        fixture: what is set up; equal wherever it is set up anew. "" is as good as the name.
        held: whether something is torn down after the last test, so that a lock may be held until then.
    """

    name: str
    firm: bool = False
    fixture: str = ""
    held: bool = True


@dataclass(frozen=True, slots=True)
class Collected:
    """A test as the plan sees it."""

    node_id: str
    type: str
    ties: tuple[Tie, ...] = ()
    exclusive: bool = False

    @property
    def file(self) -> str:
        return self.node_id.partition("::")[0]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the types ask for.

    Attributes:
        gates: type → the place of its gate, 0 first; the others are missing.
        caps: type → how many workers may run it; the others are missing.
    """

    gates: Mapping[str, int] = field(default_factory=dict)
    caps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """What earlier runs took: node id → seconds.

    Attributes:
        durations: of whole tests.
        setups: of the set-up phase alone, shared fixtures included where the test was the first to use them.
    """

    durations: Mapping[str, float] = field(default_factory=dict)
    setups: Mapping[str, float] = field(default_factory=dict)


class Stage(NamedTuple):
    """What runs between two points at which all workers wait for each other; stages are ordered as they run."""

    behind_gates: bool
    place: int
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Unit:
    """What one worker runs in one go.

    Attributes:
        tests: their places in the collection, ascending.
        gate: the place of its gate; None behind all gates.
        exclusive: whether no other test of the run may run meanwhile.
        capped: the types in it that not every worker may run.
        seconds: how long it is expected to take.
        workers: the numbers of the workers that may run it; empty where all may.
        worker: the number of the worker that should run it; None where the first one that is free takes it.
    """

    tests: tuple[int, ...]
    gate: int | None
    exclusive: bool
    capped: frozenset[str]
    seconds: float
    workers: frozenset[int] = frozenset()
    worker: int | None = None

    @property
    def stage(self) -> Stage:
        return Stage(self.gate is None, self.gate or 0, self.exclusive)


@dataclass(frozen=True, slots=True)
class Plan:
    """The units, stage by stage, each stage in the order of collection, and how it came about."""

    units: tuple[Unit, ...]
    tests: int
    recorded: int
    order: str

    @property
    def stages(self) -> tuple[tuple[Unit, ...], ...]:
        return tuple(tuple(units) for _, units in groupby(self.units, key=attrgetter("stage")))

    @property
    def reason(self) -> str:
        """One line for people: what was ordered, and by what."""
        first = sum(len(unit.tests) for unit in self.units if unit.gate is not None)
        alone = sum(len(unit.tests) for unit in self.units if unit.exclusive)
        parts = [f"{_count(self.tests, 'test')} in {_count(len(self.units), 'unit')}", self.order]
        if first:
            parts.append(f"{first} first because of a gate")
        if alone:
            parts.append(f"{alone} exclusive, by one worker alone")
        return ", ".join(parts)


def plan(tests: Sequence[Collected], rules: Rules, history: History, *, workers: int, in_order: bool = False) -> Plan:
    """Return the plan of a run.

    Args:
        tests: in the order in which they were collected; the same input gives the same plan.
        history: a duration that is missing or cannot be one counts as the median of the others.
        workers: how many share the work, at least 1.
        in_order: whether the tests must begin in the order of collection, whatever they take.
    """
    recorded = [_usable(history.durations.get(test.node_id)) for test in tests]
    known = [seconds for seconds in recorded if seconds is not None]
    usual_s = sorted(known)[len(known) // 2] if known else _UNKNOWN_S
    seconds = [usual_s if duration is None else duration for duration in recorded]
    if workers == 1:
        units = _alone(tests, rules, seconds)
        return Plan(tuple(units), len(tests), len(known), "in collection order")
    shared_out = bool(known) and 2 * len(known) >= len(tests) and not in_order
    suite = _Suite(tests, rules, seconds, workers)
    units = _confined(_Cutter(suite, history, guided=not shared_out).units(), rules, workers)
    if shared_out:
        units = _share_out(units, workers)
        order = f"shared out by {_count(len(known), 'recorded duration')}"
    elif known:
        order = "in collection order"
    else:
        order = "in collection order, no durations recorded yet"
    return Plan(tuple(units), len(tests), len(known), order)


def gates_of_tests(tests: Sequence[Collected], rules: Rules, *, workers: int) -> list[int | None]:
    """Return for each test the place of the gate with which it runs, None behind all gates."""
    if workers == 1:
        return [rules.gates.get(test.type) for test in tests]
    return [None if stage.behind_gates else stage.place for stage in _stages(tests, rules)]


def _alone(tests: Sequence[Collected], rules: Rules, seconds: Sequence[float]) -> list[Unit]:
    """Return the units of the only worker: one for each stage, and nobody is there whom an exclusive test disturbs."""
    gates: dict[int | None, list[int]] = {}
    for place, test in enumerate(tests):
        gates.setdefault(rules.gates.get(test.type), []).append(place)
    units = [
        Unit(tuple(places), gate, exclusive=False, capped=frozenset(), seconds=sum(seconds[place] for place in places))
        for gate, places in gates.items()
    ]
    return sorted(units, key=attrgetter("stage"))


def _stages(tests: Sequence[Collected], rules: Rules) -> list[Stage]:
    """Return the stage of each test; all tests of a group have that of the most demanding one."""
    stages = [
        Stage(gate is None, gate or 0, test.exclusive) for test in tests for gate in (rules.gates.get(test.type),)
    ]
    groups = [[tie.name for tie in test.ties if tie.firm] for test in tests]
    if any(groups):
        for members in _connected(groups):
            if len(members) > 1:
                found = [stages[place] for place in members]
                first = min(found)
                joined = first._replace(exclusive=any(stage.exclusive for stage in found))
                for place in members:
                    stages[place] = joined
    return stages


class _Suite(NamedTuple):
    """What a plan is made of; ``seconds`` is what each test is expected to take."""

    tests: Sequence[Collected]
    rules: Rules
    seconds: Sequence[float]
    workers: int


class _Cutter:
    """Makes the units.

    Args:
        history: says what set-ups take.
        guided: whether neighbours make ever smaller units, for workers that take one whenever they are free.
    """

    def __init__(self, suite: _Suite, history: History, *, guided: bool) -> None:
        tests, rules, seconds, workers = suite
        self._tests, self._seconds, self._workers = tests, seconds, workers
        self._caps = {name for name, most in rules.caps.items() if most < workers}
        self._stages = _stages(tests, rules)
        self._guided = guided
        total_s = sum(seconds)
        self._short_s = min(SHORT_S, total_s / workers)
        self._grain_s = max(total_s / (_GRAIN * workers), self._short_s)
        self._costs = _costs(tests, history, seconds)
        # Of the others, as many set-ups as there could be neighbours cost no more than they may.
        self._limited = {name for name, cost in self._costs.items() if cost.affords < cost.cuts(self._grain_s)}
        self._last_stage: dict[str, Stage] = {}
        for test, stage in zip(tests, self._stages, strict=True):
            for tie in test.ties:
                self._last_stage[tie.name] = max(stage, self._last_stage.get(tie.name, stage))

    def units(self) -> list[Unit]:
        """Return the units, stage by stage, each in the order of collection."""
        stages: dict[Stage, list[int]] = {}
        for place, stage in enumerate(self._stages):
            stages.setdefault(stage, []).append(place)
        return [
            self._unit(members, stage)
            for stage, places in sorted(stages.items())
            for members in sorted(self._members(places, stage))
        ]

    def _unit(self, members: tuple[int, ...], stage: Stage) -> Unit:
        return Unit(
            members,
            None if stage.behind_gates else stage.place,
            stage.exclusive,
            self._capped(members),
            sum(self._seconds[place] for place in members),
        )

    def _capped(self, members: Iterable[int]) -> frozenset[str]:
        if not self._caps:
            return frozenset()
        return frozenset(name for place in members if (name := self._tests[place].type) in self._caps)

    def _members(self, places: Sequence[int], stage: Stage) -> Iterator[tuple[int, ...]]:
        """Return the tests of each unit of a stage."""
        bonds = [
            [tie.name for tie in self._tests[place].ties if self._binds(tie, stage) or tie.name in self._limited]
            for place in places
        ]
        free: list[int | None] = list(places)
        if any(bonds):
            for spots in _connected(bonds):
                if len(spots) > 1:
                    yield from self._chunks([places[spot] for spot in spots], stage)
                    for spot in spots:
                        free[spot] = None
        rest_s = sum(self._seconds[place] for place in free if place is not None)
        for run in self._runs(free):
            for members in self._neighbours(run, rest_s):
                yield members
                rest_s -= sum(self._seconds[place] for place in members)

    def _binds(self, tie: Tie, stage: Stage) -> bool:
        """Whether the tests of a stage that have a tie are never separated."""
        if tie.firm or (tie.held and stage < self._last_stage[tie.name]):
            return True
        cost = self._costs.get(tie.name)
        return cost is not None and cost.is_dear

    def _chunks(self, members: Sequence[int], stage: Stage) -> Iterator[tuple[int, ...]]:
        """Return the tests that something ties together, whole or in contiguous chunks."""
        bonds = [[tie.name for tie in self._tests[place].ties if self._binds(tie, stage)] for place in members]
        atoms = [[members[spot] for spot in spots] for spots in _connected(bonds)]
        pieces = self._pieces(members, len(atoms), stage)
        rest_s = sum(self._seconds[place] for place in members)
        chunk: list[int] = []
        chunk_s = 0.0
        for atom in atoms:
            chunk.extend(atom)
            chunk_s += sum(self._seconds[place] for place in atom)
            if pieces > 1 and chunk_s * pieces >= rest_s:
                yield tuple(sorted(chunk))
                rest_s -= chunk_s
                pieces -= 1
                chunk, chunk_s = [], 0.0
        if chunk:
            yield tuple(sorted(chunk))

    def _pieces(self, members: Sequence[int], atoms: int, stage: Stage) -> int:
        """Return how many chunks are of use, and cost no more set-ups than may be."""
        total_s = sum(self._seconds[place] for place in members)
        shared = {tie.name: tie for place in members for tie in self._tests[place].ties}
        setups_s = sum(
            self._costs[name].setup_s
            for name, tie in shared.items()
            if name in self._limited and not self._binds(tie, stage)
        )
        useful = total_s / self._grain_s if self._grain_s else 0.0
        affordable = CUT_SHARE * total_s / setups_s if setups_s else useful
        return min(atoms, int(min(useful, affordable)) + 1)

    def _runs(self, free: Sequence[int | None]) -> Iterator[list[int]]:
        """Return the neighbours of one file that the same workers may run."""
        run: list[int] = []
        known: tuple[str, frozenset[str]] | None = None
        for place in free:
            kind = None if place is None else (self._tests[place].file, self._capped((place,)))
            if run and kind != known:
                yield run
                run = []
            if place is not None:
                run.append(place)
            known = kind
        if run:
            yield run

    def _neighbours(self, run: Sequence[int], rest_s: float) -> Iterator[tuple[int, ...]]:
        """Return a run of neighbours in units.

        Args:
            rest_s: what these tests and the ones after them take.
        """
        run_s = sum(self._seconds[place] for place in run)
        most_s = self._most_s(rest_s)
        unit: list[int] = []
        unit_s = 0.0
        for place in run:
            grown_s = unit_s + self._seconds[place]
            if unit and grown_s > most_s and unit_s + run_s > _STRETCH * most_s:
                yield tuple(unit)
                rest_s -= unit_s
                most_s = self._most_s(rest_s)
                unit, grown_s = [], self._seconds[place]
            unit.append(place)
            unit_s = grown_s
            run_s -= self._seconds[place]
        if unit:
            yield tuple(unit)

    def _most_s(self, rest_s: float) -> float:
        return max(rest_s / (2 * self._workers), self._short_s) if self._guided else self._grain_s


class _Cost(NamedTuple):
    """What a shared fixture is known to take, and what all its tests do."""

    setup_s: float
    total_s: float
    tests: int
    files: int

    @property
    def is_dear(self) -> bool:
        """Whether not a single further set-up may be paid for."""
        return self.setup_s > 0 and self.setup_s >= CUT_SHARE * self.total_s

    @property
    def affords(self) -> float:
        """How many further set-ups may be paid for."""
        return CUT_SHARE * self.total_s / self.setup_s if self.setup_s else float("inf")

    def cuts(self, grain_s: float) -> float:
        """Return how many there are at most where short neighbours of a file are joined.

        Two of them together are above the grain, and the last ones of a file are alone.
        """
        return min(self.tests - 1, self.files + 2 * self.total_s / grain_s if grain_s else 0.0)


def _costs(tests: Sequence[Collected], history: History, seconds: Sequence[float]) -> dict[str, _Cost]:
    """Return the ties of known cost that are no group.

    A set-up phase contains everything that a test was the first to need. So what is set up for fewest tests is
    charged first, with what the same fixture usually takes: one fixture of a module that takes as long as in any
    other does not make the package's fixture, which was set up in the same phase, look expensive.
    """
    fixtures: dict[str, dict[str, list[int]]] = {}
    for place, test in enumerate(tests):
        for tie in test.ties:
            if not tie.firm:
                fixtures.setdefault(tie.fixture or tie.name, {}).setdefault(tie.name, []).append(place)
    if not fixtures or not history.setups:
        return {}
    left = [_usable(history.setups.get(test.node_id)) for test in tests]
    costs: dict[str, _Cost] = {}
    for instances in sorted(fixtures.values(), key=lambda instances: max(map(len, instances.values()))):
        payers = {}
        for name, places in instances.items():
            paid = [(left_s, -place) for place in places if (left_s := left[place]) is not None]
            if paid:
                setup_s, payer = max(paid)
                payers[-payer] = setup_s
                total_s, files = sum(seconds[place] for place in places), {tests[place].file for place in places}
                costs[name] = _Cost(setup_s, total_s, len(places), len(files))
        usual_s = sorted(payers.values())[(len(payers) - 1) // 2] if payers else 0.0
        for payer, setup_s in payers.items():
            left[payer] = max(setup_s - usual_s, 0.0)
    return costs


def _confined(units: Sequence[Unit], rules: Rules, workers: int) -> list[Unit]:
    """Say of every unit with types that not every worker may run which workers may.

    Types that meet in a unit are given the same workers, a narrower one the first of them: so for every unit there is
    one that may run it. Exclusive units of a stage count as one, because one worker runs them all.
    """
    alone: dict[Stage, set[str]] = {}
    for unit in units:
        if unit.exclusive:
            alone.setdefault(unit.stage, set()).update(unit.capped)
    mixed = [sorted(alone[unit.stage] if unit.exclusive else unit.capped) for unit in units]
    first: dict[str, int] = {}
    begin = 0
    for spots in _connected(mixed):
        names = sorted({name for spot in spots for name in mixed[spot]})
        first.update(dict.fromkeys(names, begin))
        begin += max((rules.caps[name] for name in names), default=0)
    return [
        replace(
            unit,
            workers=frozenset(
                (first[names[0]] + number) % workers for number in range(min(rules.caps[name] for name in names))
            ),
        )
        if names
        else unit
        for unit, names in zip(units, mixed, strict=True)
    ]


def _share_out(units: Sequence[Unit], workers: int) -> list[Unit]:
    """Give every unit its worker, except the exclusive ones: their worker is the one that is left."""
    shared = list(units)
    loads: dict[Stage, list[tuple[float, int]]] = {}
    # Those that few workers may run come first, as long as there is room on the others for the rest.
    for spot in sorted(
        range(len(units)), key=lambda spot: (len(units[spot].workers) or workers, -units[spot].seconds, spot)
    ):
        unit = units[spot]
        if unit.exclusive:
            continue
        load = loads.setdefault(unit.stage, [(0.0, 0)] * workers)
        worker = min(unit.workers or range(workers), key=lambda number: (load[number], number))
        load_s, number = load[worker]
        load[worker] = load_s + unit.seconds, number + len(unit.tests)
        shared[spot] = replace(unit, worker=worker)
    return shared


def _connected(names: Sequence[Iterable[str]]) -> list[list[int]]:
    """Return the places that share a name, directly or over others; by their first place, each in order."""
    leader: dict[str, int] = {}
    parent = list(range(len(names)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for place, own in enumerate(names):
        for name in own:
            one, other = sorted((root(place), root(leader.setdefault(name, place))))
            parent[other] = one
    found: dict[int, list[int]] = {}
    for place in range(len(names)):
        found.setdefault(root(place), []).append(place)
    return list(found.values())


def _usable(seconds: float | None) -> float | None:
    """Return a duration that can be added up, or None for what is none."""
    if seconds is None or not seconds >= 0:
        return None
    return min(float(seconds), YEAR_S)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
