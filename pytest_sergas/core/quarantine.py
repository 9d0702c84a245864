"""Tests that are known to fail and are not to fail the run: until a day, and with somebody's name on it.

A test in quarantine counts as ``quarantined``, whatever it does; its attempts keep what they were. After its day an
entry hides nothing any more and fails the run, so that a quarantine is no grave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_sergas.core.records import Outcome, Refusal, TestRecord

FILE = "sergas-quarantine.toml"


class Mode(StrEnum):
    """What is done with the test."""

    RUN = "run"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Entry:
    """One test in quarantine.

    Attributes:
        test: its node id; without parameters it stands for all of them.
        reason: why it fails.
        owner: who mends it.
        until: the last day on which the entry is in force, as YYYY-MM-DD.
    """

    test: str
    reason: str
    owner: str
    until: str
    mode: Mode = Mode.RUN


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The entries, on one day.

    Attributes:
        today: as YYYY-MM-DD, which sorts as days do.
    """

    entries: tuple[Entry, ...]
    today: str

    def of(self, node_id: str) -> Entry | None:
        """Return the entry that is in force for a test; one with its parameters comes before one without."""
        names = (node_id, without_parameters(node_id))
        found = (entry for name in names for entry in self.entries if entry.test == name)
        return next((entry for entry in found if entry.until >= self.today), None)

    def applied(self, tests: Iterable[TestRecord]) -> tuple[TestRecord, ...]:
        """Return ``tests``, with those in quarantine counted as such."""
        return tuple(
            test if self.of(test.node_id) is None else test._replace(outcome=Outcome.QUARANTINED) for test in tests
        )

    def unmatched(self, node_ids: Iterable[str]) -> tuple[str, ...]:
        """Return what the entries name that is none of ``node_ids``."""
        known = set()
        for node_id in node_ids:
            known |= {node_id, without_parameters(node_id)}
        return tuple(entry.test for entry in self.entries if entry.test not in known)

    def refused(self, unmatched: Sequence[str]) -> tuple[Refusal, ...]:
        """Return why the run fails: entries after their day, and those that match no test.

        Args:
            unmatched: of a run with all tests; nothing for one of a selection.
        """
        return tuple(
            Refusal("", text)
            for entry in self.entries
            if (text := _gone(entry) if entry.test in unmatched else self._expired(entry))
        )

    def _expired(self, entry: Entry) -> str:
        if entry.until >= self.today:
            return ""
        return (
            f"quarantine: {entry.test} was in quarantine until {entry.until}, for {entry.owner} to fix: "
            f"{entry.reason}; fix it, or give its entry in {FILE} another date"
        )


def _gone(entry: Entry) -> str:
    return f"quarantine: {entry.test} matches no test; remove its entry from {FILE}, or mend the name"


def surely_gone(unmatched: Sequence[str], not_collected: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``unmatched`` for which there is no test in what was collected, nor may be one elsewhere.

    Args:
        not_collected: node ids of the files and directories that could not be collected, or were skipped as a whole.
    """
    elsewhere = tuple(f"{node_id}{separator}" for node_id in not_collected for separator in ("::", "/"))
    return tuple(name for name in unmatched if not name.startswith(elsewhere))


def without_parameters(node_id: str) -> str:
    """Return the node id of a test function, whatever its parameters."""
    file, separator, name = node_id.partition("::")
    return f"{file}{separator}{name.partition('[')[0]}"
