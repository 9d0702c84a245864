"""What failed, or had another outcome, in the newest runs: what a notification about a type of test says.

A run is found by what the labels of an alert say: ``type``, and where they are there ``job`` (the project), ``branch``
and ``shard``. The shards of one commit are one run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_sergas.core.report import Report, ReportedTest

SHOWN = 5
LINES = 1_000  # combinations of project, branch, shard and type that are remembered
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class OfType:
    """The tests of one type in one run.

    Attributes:
        tests: outcome → the first test of each of the first `SHOWN` causes; `FAILED` has those of every way to fail.
        counts: outcome → what the tests of a cause have in common → how many they are.
    """

    run_id: str
    commit: str
    shard: str
    split: str
    tests: Mapping[str, tuple[ReportedTest, ...]]
    counts: Mapping[str, Mapping[str, int]]

    def is_shard_with(self, other: OfType) -> bool:
        """Whether both are parts of one run."""
        mine, others = (self.commit, self.split), (other.commit, other.split)
        return bool(self.shard and other.shard) and self.shard != other.shard and mine == others


_Key = tuple[str, str, str, str]  # project, branch, shard, type


class NewestTests:
    """Remembers the tests of the newest run of each type."""

    def __init__(self) -> None:
        self._newest: OrderedDict[_Key, OfType] = OrderedDict()

    def take(self, report: Report) -> None:
        """Remember a run that is newer than all before it."""
        found: dict[str, dict[str, list[ReportedTest]]] = {}
        counts: dict[str, dict[str, dict[str, int]]] = {}
        for test in report.tests:
            of_type = found.setdefault(test.type, {})
            outcome = FAILED if test.status == FAILED else test.outcome
            for word in {outcome, test.outcome}:
                shown = of_type.setdefault(word, [])
                alike = counts.setdefault(test.type, {}).setdefault(word, {})
                if test.alike not in alike and len(shown) < SHOWN:
                    shown.append(test)
                    alike[test.alike] = 0
                if test.alike in alike:
                    alike[test.alike] += 1
        for name, outcomes in found.items():
            key = (report.project, report.branch, report.shard, name)
            tests = {outcome: tuple(shown) for outcome, shown in outcomes.items() if outcome != "passed"}
            self._newest[key] = OfType(report.run_id, report.commit, report.shard, report.split, tests, counts[name])
            self._newest.move_to_end(key)
        while len(self._newest) > LINES:
            self._newest.popitem(last=False)

    def find(self, labels: Mapping[str, str]) -> tuple[OfType, ...]:
        """Return the newest run, or its shards, that an alert with ``labels`` is about; nothing where none is known."""
        names = ("job", "branch", "shard", "type")
        if "type" not in labels:
            return ()
        known = [
            of_type
            for key, of_type in reversed(self._newest.items())
            if all(labels.get(name, value) == value for name, value in zip(names, key, strict=True))
        ]
        return tuple(one for one in known if one is known[0] or one.is_shard_with(known[0]))
