"""How a test stands over its latest runs: a word for it, the reason, and how sure the figures are.

Only runs count that judged the test: it passed, failed or was flaky. The first of these that holds decides:

    broken    the newest 3 failed; or the newest failed, and none of those before was flaky or failed
    flaky     a run was flaky, or a failure stands between two passes
    new       fewer than 5 runs have judged it
    slower    the newest 5 passes took half as long again as those before, and each of them longer than was usual
    stable    none of these
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from pytest_sergas.core.proportion import Interval, wilson
from pytest_sergas.core.records import FAILURES, SUCCESSES, Outcome

FEW = 5
BROKEN_RUNS = 3
SLOWER_RATIO = 1.5
SLOWER_LEAST_S = 0.05  # less interests nobody, and is noise


class Standing(StrEnum):
    """The word for it; in the order of what somebody should look at first."""

    BROKEN = "broken"
    FLAKY = "flaky"
    SLOWER = "slower"
    NEW = "new"
    STABLE = "stable"


@dataclass(frozen=True, slots=True)
class Seen:
    """The test in one run; ``outcome`` is a value of `Outcome` or a status of CTRF."""

    outcome: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """How a test stands.

    Attributes:
        reason: a sentence without a full stop.
        judged: how many runs judged it.
        troubled: in how many of them it failed or was flaky.
        share: where the share of such runs lies, with 95 % certainty.
    """

    standing: Standing
    reason: str
    judged: int
    troubled: int
    share: Interval


def is_failure(outcome: str) -> bool:
    return outcome in FAILURES


def assess(newest_first: Sequence[Seen]) -> Assessment:
    """Return how a test stands that was seen so in its latest runs."""
    judged = [seen for seen in newest_first if seen.outcome in FAILURES or seen.outcome in SUCCESSES]
    troubled = sum(seen.outcome in FAILURES or seen.outcome == Outcome.FLAKY for seen in judged)
    standing, reason = _broken(judged) or _flaky(judged, troubled) or _new(judged) or _slower(judged) or _stable(judged)
    return Assessment(standing, reason, len(judged), troubled, wilson(troubled, len(judged)))


_Found = tuple[Standing, str] | None


def _broken(judged: Sequence[Seen]) -> _Found:
    failed = [is_failure(seen.outcome) for seen in judged]
    streak = failed.index(False) if False in failed else len(failed)
    if streak >= BROKEN_RUNS or (streak and all(_is_calm(seen) for seen in judged[streak:])):
        runs = "run" if streak == 1 else f"{streak} runs"
        return Standing.BROKEN, f"it failed in the newest {runs} of {len(judged)}"
    return None


def _flaky(judged: Sequence[Seen], troubled: int) -> _Found:
    calm = [index for index, seen in enumerate(judged) if _is_calm(seen)]
    between = any(is_failure(seen.outcome) for seen in judged[calm[0] : calm[-1]]) if calm else False
    if not between and not any(seen.outcome == Outcome.FLAKY for seen in judged):
        return None
    return Standing.FLAKY, f"it failed or was flaky in {troubled} of {len(judged)} runs, and passed in others"


def _new(judged: Sequence[Seen]) -> _Found:
    if len(judged) >= FEW:
        return None
    runs = "1 run has" if len(judged) == 1 else f"{len(judged) or 'no'} runs have"
    return Standing.NEW, f"{runs} judged it; {FEW} are needed to say more"


def _slower(judged: Sequence[Seen]) -> _Found:
    passes_s = [seen.duration_s for seen in judged if _is_calm(seen)]
    newest_s, before_s = passes_s[:FEW], passes_s[FEW:]
    if len(before_s) < FEW:
        return None
    usual_s, now_s = median(before_s), median(newest_s)
    if now_s < usual_s * SLOWER_RATIO or now_s - usual_s < SLOWER_LEAST_S or min(newest_s) <= usual_s:
        return None
    times = f", {now_s / usual_s:.1f} times as long" if usual_s else ""
    return Standing.SLOWER, f"the newest {FEW} passes took {now_s:.2f} s, those before {usual_s:.2f} s{times}"


def _stable(judged: Sequence[Seen]) -> tuple[Standing, str]:
    return Standing.STABLE, f"nothing stands out in {len(judged)} runs"


def _is_calm(seen: Seen) -> bool:
    return seen.outcome in SUCCESSES and seen.outcome != Outcome.FLAKY
