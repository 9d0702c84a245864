"""Which tests run together, and in which order: collected tests → units → stages.

A unit is what one worker runs in one go: a test, or all tests that share a class-, module- or package-scoped
fixture, or an ``xdist_group``. Two tests are in the same unit if a chain of shared ties leads from one to the
other. A class and a group are never cut. A unit of several classes or tests may be cut into contiguous chunks
where a further set-up is known to cost little: as long as all further set-ups together stay below `CUT_SHARE`
of the unit's time.

Stages run one after the other, and nothing of a stage starts before the one before it is over: each gate, the
ordinary tests, the exclusive ones. A unit belongs to the stage of its most demanding test: the first of its
gates; exclusive if one of its tests is. Within a stage the longest unit comes first (Graham, "Bounds on
multiprocessing timing anomalies", 1969: at most 4/3 of the shortest time possible).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from pytest_sergas.core.kinds import YEAR_S

CUT_SHARE = 0.05
# Chunks for each worker, were the whole run cut: what is left at the end is then small beside the whole.
_GRAIN = 16
_UNKNOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class Tie:
    """What binds a test to others; equal names, equal unit.

    Attributes:
        firm: whether the tests must not be separated even where it would cost nothing: a class, a group.
    """

    name: str
    firm: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """A test as the plan sees it."""

    node_id: str
    type: str
    ties: tuple[Tie, ...] = ()
    exclusive: bool = False


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


@dataclass(frozen=True, slots=True)
class Unit:
    """What one worker runs in one go.

    Attributes:
        tests: their places in the collection.
        gate: the place of its gate; None behind all gates.
        exclusive: whether no other test of the run may run meanwhile.
        capped: the types in it that not every worker may run.
        seconds: how long it is expected to take.
    """

    tests: tuple[int, ...]
    gate: int | None
    exclusive: bool
    capped: frozenset[str]
    seconds: float

    @property
    def stage(self) -> tuple[bool, int, bool]:
        """What orders stages: gates as they are configured, then the rest; the exclusive ones of each last."""
        return self.gate is None, self.gate or 0, self.exclusive


@dataclass(frozen=True, slots=True)
class Plan:
    """The units in the order in which they are handed out, and how it came about."""

    units: tuple[Unit, ...]
    tests: int
    recorded: int

    @property
    def stages(self) -> tuple[tuple[Unit, ...], ...]:
        return tuple(tuple(units) for _, units in groupby(self.units, key=attrgetter("gate", "exclusive")))

    @property
    def reason(self) -> str:
        """One line for people: what was ordered, and by what."""
        first = sum(len(unit.tests) for unit in self.units if unit.gate is not None)
        alone = sum(len(unit.tests) for unit in self.units if unit.exclusive)
        order = f"longest first by {self.recorded} recorded durations" if self.recorded else "no durations recorded yet"
        parts = [f"{_count(self.tests, 'test')} in {_count(len(self.units), 'unit')}", order]
        if first:
            parts.append(f"{first} first because of a gate")
        if alone:
            parts.append(f"{alone} exclusive, by one worker alone")
        return ", ".join(parts)


def plan(tests: Sequence[Collected], rules: Rules, history: History, *, workers: int) -> Plan:
    """Return the plan of a run.

    Args:
        tests: in the order in which they were collected; the same input gives the same plan.
        history: a duration that is missing or cannot be one counts as the median of the others.
        workers: how many share the work, at least 1; it decides how finely units are cut.
    """
    recorded = [_usable(history.durations.get(test.node_id)) for test in tests]
    known = [seconds for seconds in recorded if seconds is not None]
    usual_s = sorted(known)[len(known) // 2] if known else _UNKNOWN_S
    seconds = [usual_s if duration is None else duration for duration in recorded]
    cutter = _Cutter(tests, rules, history, seconds, sum(seconds) / (_GRAIN * max(workers, 1)))
    units = [_unit(chunk, tests, rules, seconds) for members in _components(tests) for chunk in cutter.chunks(members)]
    units.sort(key=lambda unit: (unit.stage, -unit.seconds, unit.tests[0]))
    return Plan(tuple(units), len(tests), len(known))


def gates_of_units(tests: Sequence[Collected], rules: Rules) -> list[int | None]:
    """Return for each test the place of the gate that its unit belongs to, None behind all gates.

    A unit in which several stages meet is never cut, so this depends neither on durations nor on workers.
    """
    found: list[int | None] = [None] * len(tests)
    for members in _components(tests) if rules.gates else ():
        gates = [rules.gates[tests[index].type] for index in members if tests[index].type in rules.gates]
        for index in members:
            found[index] = min(gates, default=None)
    return found


class _Cutter:
    """Cuts units where that is allowed and of use."""

    def __init__(
        self,
        tests: Sequence[Collected],
        rules: Rules,
        history: History,
        seconds: Sequence[float],
        grain_s: float,
    ) -> None:
        self._tests = tests
        self._rules = rules
        self._history = history
        self._seconds = seconds
        self._grain_s = grain_s

    def chunks(self, members: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Return the tests of one unit, whole or in contiguous chunks."""
        atoms = self._atoms(members)
        pieces = min(len(atoms), self._pieces(members)) if len(atoms) > 1 else 1
        rest_s = sum(self._seconds[index] for index in members)
        chunk: list[int] = []
        chunk_s = 0.0
        for atom in atoms:
            chunk.extend(atom)
            chunk_s += sum(self._seconds[index] for index in atom)
            if pieces > 1 and chunk_s * pieces >= rest_s:
                yield tuple(chunk)
                rest_s -= chunk_s
                pieces -= 1
                chunk, chunk_s = [], 0.0
        if chunk:
            yield tuple(chunk)

    def _atoms(self, members: Sequence[int]) -> list[list[int]]:
        """Return what must stay together within a unit: classes, groups, and single tests."""
        if len(members) == 1:
            return [list(members)]
        firm = [tuple(tie.name for tie in self._tests[index].ties if tie.firm) for index in members]
        return [[members[place] for place in places] for places in _connected(firm)]

    def _pieces(self, members: Sequence[int]) -> int:
        if len({self._stage(index) for index in members}) > 1:
            return 1  # a worker that holds the fixture could wait for the end of a stage that waits for the fixture
        setup_s = self._setup_s(members)
        total_s = sum(self._seconds[index] for index in members)
        if setup_s is None or setup_s >= CUT_SHARE * total_s:
            return 1
        useful = total_s / self._grain_s if self._grain_s else 0.0
        affordable = CUT_SHARE * total_s / setup_s if setup_s else useful
        return int(min(useful, affordable, len(members))) + 1

    def _stage(self, index: int) -> tuple[int | None, bool]:
        test = self._tests[index]
        return self._rules.gates.get(test.type), test.exclusive

    def _setup_s(self, members: Sequence[int]) -> float | None:
        """Return what the shared fixtures take: each was set up by one of the tests whose set-up took longest."""
        recorded = [_usable(self._history.setups.get(self._tests[index].node_id)) for index in members]
        known = sorted((seconds for seconds in recorded if seconds is not None), reverse=True)
        if not known:
            return None
        shared = {tie.name for index in members for tie in self._tests[index].ties if not tie.firm}
        return sum(known[: len(shared)])


def _unit(members: tuple[int, ...], tests: Sequence[Collected], rules: Rules, seconds: Sequence[float]) -> Unit:
    types = {tests[index].type for index in members}
    gates = [rules.gates[name] for name in types if name in rules.gates]
    return Unit(
        members,
        min(gates, default=None),
        any(tests[index].exclusive for index in members),
        frozenset(types & rules.caps.keys()),
        sum(seconds[index] for index in members),
    )


def _components(tests: Sequence[Collected]) -> list[list[int]]:
    return _connected([tuple(tie.name for tie in test.ties) for test in tests])


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
