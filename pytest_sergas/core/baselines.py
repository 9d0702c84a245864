"""What calls took in earlier runs, for budgets that compare with it, and the file that it is kept in.

Only runs in which the test passed are kept, apart for each kind of machine, because times of different machines say
nothing about each other. A sample knows its branch, so that branches can be compared; a test is judged by the newest
samples, whatever their branch.

The file is JSON with a line for each test:

    {"format": "sergas-history", "version": 1, "machines": {
    "Example CPU, 2 cores, CPython 3.11": {
    "tests/test_shop.py::test_pay": [[1767225600, 0.0123, "main"]]
    }
    }}

The numbers are seconds since the Unix epoch, and undisturbed seconds of the call, at the best pace of the core.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from pytest_sergas.core.kinds import YEAR_S
from pytest_sergas.core.records import Outcome, TestRecord

FORMAT = "sergas-history"
VERSION = 1
# Of a test, on one kind of machine and one branch.
KEPT = 20
BUDGET = "max_regression"
# Clocks of machines that share a file differ; by more than a day, something is wrong.
_AHEAD_S = 24 * 3600.0
_DIGITS = 7


class BaselinesError(ValueError):
    """A text is no history; the text of the error says why, without naming the file.

    Attributes:
        newer: another version has written it, which would miss what this one overwrites.
    """

    def __init__(self, reason: str, *, newer: bool = False) -> None:
        self.newer = newer
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a call took in one run; ``when_s`` is seconds since the Unix epoch."""

    when_s: float
    seconds: float
    branch: str = ""


Samples = tuple[Sample, ...]
# Kind of machine → node id → samples, oldest first.
Baselines = Mapping[str, Mapping[str, Samples]]


def judged_by(samples: Samples) -> tuple[float, ...]:
    """Return the seconds that a new run is compared with."""
    return tuple(sample.seconds for sample in samples[-KEPT:])


def measured(tests: Iterable[TestRecord], when_s: float, branch: str) -> dict[str, Sample]:
    """Return a sample of each test that has a relative budget and passed.

    It is the median of the attempts that were measured for it: a run whose first attempt was disturbed is not slower.
    """
    found = {}
    for test in tests:
        if test.outcome is Outcome.PASSED and has_budget(test):
            took_s = median(one.measured.compared_s for one in test.attempts if one.measured is not None)
            found[test.node_id] = Sample(when_s, took_s, branch)
    return found


def has_budget(test: TestRecord) -> bool:
    """Whether a test has a relative budget."""
    return test.last.measured is not None and any(use.budget == BUDGET for use in test.last.measured.uses)


def attempts(test: TestRecord, when_s: float, branch: str) -> Samples:
    """Return a sample for each attempt that was measured, for a baseline that somebody sets."""
    found = (one.measured for one in test.attempts if one.measured is not None)
    return tuple(Sample(when_s, one.compared_s, branch) for one in found)


def added(known: Baselines, machine: str, new: Mapping[str, Sample]) -> dict[str, dict[str, Samples]]:
    """Return what is known after a run on a ``machine``; what is older than a year before it is forgotten."""
    merged = {name: dict(tests) for name, tests in known.items()}
    own = merged.setdefault(machine, {})
    for node_id, sample in new.items():
        kept = [one for one in own.get(node_id, ()) if sample.when_s - one.when_s <= YEAR_S]
        own[node_id] = _bounded((*kept, sample))
    return merged


def replaced(known: Baselines, machine: str, new: Mapping[str, Samples]) -> dict[str, dict[str, Samples]]:
    """Return what is known when the tests of ``new`` begin anew on a ``machine``, with these samples."""
    merged = {name: dict(tests) for name, tests in known.items()}
    own = merged.setdefault(machine, {})
    own.update({node_id: _bounded(samples) for node_id, samples in new.items()})
    return merged


def _bounded(samples: Samples) -> Samples:
    """Return the newest samples of each branch, oldest first."""
    seen: Counter[str] = Counter()
    kept = []
    for sample in sorted(samples, key=lambda one: one.when_s, reverse=True):
        seen[sample.branch] += 1
        if seen[sample.branch] <= KEPT:
            kept.append(sample)
    return tuple(reversed(kept))


def to_json(baselines: Baselines) -> bytes:
    """Return the file; equal baselines give equal bytes."""
    machines = []
    for machine in sorted(baselines):
        tests = baselines[machine]
        lines = ",\n".join(f"{json.dumps(node_id)}: {_line(tests[node_id])}" for node_id in sorted(tests))
        machines.append(f"{json.dumps(machine)}: {{\n{lines}\n}}" if lines else f"{json.dumps(machine)}: {{}}")
    # ASCII, because a node id may carry bytes that are not UTF-8.
    body = ",\n".join(machines)
    return f'{{"format": "{FORMAT}", "version": {VERSION}, "machines": {{\n{body}\n}}}}\n'.encode("ascii")


def from_json(data: bytes, now_s: float) -> tuple[dict[str, dict[str, Samples]], int]:
    """Read a file; return what it says, and how many samples were left out because they are from the future.

    Args:
        now_s: seconds since the Unix epoch.

    Raises:
        BaselinesError: it is none, half of one, or of a later version.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BaselinesError(f"is not whole JSON ({type(error).__name__})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BaselinesError(f'is not a history: "format" is not "{FORMAT}"')
    version = document.get("version")
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        raise BaselinesError(f'has another "version" than {VERSION}: {version!r:.20}', newer=newer)
    machines = document.get("machines")
    if not isinstance(machines, dict) or not all(isinstance(tests, dict) for tests in machines.values()):
        raise BaselinesError('has no table "machines" of tables')
    read = {
        machine: {node_id: _samples(node_id, entry) for node_id, entry in tests.items()}
        for machine, tests in machines.items()
    }
    latest_s = now_s + _AHEAD_S
    past = {
        machine: {
            node_id: tuple(one for one in samples if one.when_s <= latest_s) for node_id, samples in tests.items()
        }
        for machine, tests in read.items()
    }
    return past, _count(read) - _count(past)


def _count(baselines: Baselines) -> int:
    return sum(len(samples) for tests in baselines.values() for samples in tests.values())


def _samples(node_id: str, entry: object) -> Samples:
    if not isinstance(entry, list):
        raise BaselinesError(f"has an entry that is no list of samples: {node_id!r:.100}")
    return tuple(_sample(node_id, one) for one in entry)


def _sample(node_id: str, entry: object) -> Sample:
    match entry:
        case [int() | float() as when_s, int() | float() as seconds, str() as branch] if (
            0 <= when_s <= 1e12 and 0 <= seconds <= YEAR_S
        ):
            return Sample(float(when_s), float(seconds), branch)
    raise BaselinesError(f"has an entry that is no sample: {node_id!r:.100}")


def _line(samples: Samples) -> str:
    return json.dumps([[round(one.when_s), round(one.seconds, _DIGITS), one.branch] for one in samples])
