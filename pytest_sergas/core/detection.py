"""Whether a test is flaky or depends on the order, from trials: in random order together with others, and alone.

    all trials passed                                 steady
    all trials failed                                 broken
    failures on one side only, and not by chance      depends on the order
    failures on both sides, and passes                flaky
    anything else                                     unclear: flaky, or dependent on the order

How often a test is tried follows its duration: many trials of short tests cost little.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import comb

# Seconds that a test takes at most → how often it is tried on each side.
TRIALS = ((5.0, 10), (10.0, 5), (30.0, 3), (float("inf"), 2))
# How often chance alone may put all failures on one side.
ALPHA = 0.05


class Nature(StrEnum):
    """What a test turned out to be."""

    STEADY = "steady"
    BROKEN = "broken"
    FLAKY = "flaky"
    ORDER = "depends on the order"
    UNCLEAR = "flaky, or depends on the order"


def trials(duration_s: float) -> int:
    """Return how often a test that takes so long is tried on each side."""
    return next(number for limit_s, number in TRIALS if duration_s <= limit_s)


@dataclass(frozen=True, slots=True)
class Side:
    """Trials of one kind."""

    tried: int = 0
    failed: int = 0

    def and_one(self, *, passed: bool) -> Side:
        return Side(self.tried + 1, self.failed + (not passed))


@dataclass(frozen=True, slots=True)
class Tried:
    """All trials of a test: together with others in random order, and alone in a process of its own."""

    together: Side = Side()
    alone: Side = Side()

    @property
    def nature(self) -> Nature:
        together, alone = self.together, self.alone
        failed, tried = together.failed + alone.failed, together.tried + alone.tried
        if failed == 0:
            return Nature.STEADY
        if failed == tried:
            return Nature.BROKEN
        for one, other in ((together, alone), (alone, together)):
            # The failures are all on one side; or so are the passes.
            by_chance = (_chance(one.failed, one, other), _chance(one.tried - one.failed, one, other))
            kinds = (other.failed == 0, other.failed == other.tried)
            if other.tried and any(is_so and by <= ALPHA for is_so, by in zip(kinds, by_chance, strict=True)):
                return Nature.ORDER
        return Nature.FLAKY if together.failed and alone.failed else Nature.UNCLEAR

    def __str__(self) -> str:
        """What was found, as its reader sees it."""
        return (
            f"{self.nature}: failed {self.together.failed} of {self.together.tried} times in random order, "
            f"{self.alone.failed} of {self.alone.tried} times alone"
        )


def alone_needed(tried: Tried, wanted: int) -> bool:
    """Whether a test is to be tried alone once more.

    One that never failed is tried alone once, to see whether it needs the others; the rest as often as together.
    """
    failed = tried.together.failed + tried.alone.failed
    return tried.alone.tried < (wanted if failed else 1)


def expected_trials(tried: Mapping[str, Tried], wanted: Mapping[str, int]) -> int:
    """Return how many processes all trials take, as far as is known by now.

    Args:
        tried: node id → its trials until now.
        wanted: node id → how often it is tried on each side.
    """
    failed = {name for name, one in tried.items() if one.together.failed + one.alone.failed}
    return max(wanted.values(), default=0) + sum(number if name in failed else 1 for name, number in wanted.items())


def _chance(count: int, one: Side, other: Side) -> float:
    """Return how likely it is that ``count`` trials out of all fall on ``one`` side by chance."""
    return comb(one.tried, count) / comb(one.tried + other.tried, count)


def chosen(
    ran: Mapping[str, float], known: Collection[str], *, selects: bool, most: int
) -> tuple[tuple[str, ...], str]:
    """Return which tests are tried, and what there is to say about the choice.

    Args:
        ran: node id → seconds, of the tests that ran.
        known: the tests of earlier runs.
        selects: whether the command line names single tests: then these are tried, new or not.
        most: how many are tried at most; the shortest ones.
    """
    if not selects and not known:
        return (), "detect-flaky: no earlier run is known, so nothing is new; name tests to try them all the same"
    names = sorted((name for name in ran if selects or name not in known), key=lambda name: (ran[name], name))
    if not names:
        return (), "detect-flaky: no test is new since earlier runs; name tests to try them all the same"
    left = len(names) - most
    return tuple(names[:most]), f"detect-flaky: not tried, because they are too many: {left} more" if left > 0 else ""
