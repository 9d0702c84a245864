"""What a run has to meet as a whole, where somebody asks for it: its tests may all have passed, and it fails."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pytest_sergas.core.records import Outcome, Refusal, TestRecord

ALL = "all"  # the whole run, among types
_SHOWN = 5


def too_flaky(
    tests: Sequence[TestRecord], allowed: Mapping[str, int], unsteady: Collection[str] = ()
) -> tuple[Refusal, ...]:
    """Return a refusal for each type that has more flaky tests than it may have.

    Args:
        allowed: type → how many; a type that may have any number is missing.
        unsteady: node ids of tests that trials have shown to be flaky, whatever they were in the run.
    """
    flaky: dict[str, list[str]] = {}
    for test in tests:
        if test.outcome is Outcome.FLAKY or test.node_id in unsteady:
            flaky.setdefault(test.type, []).append(test.node_id)
    found = ((name, flaky.get(name, []), limit) for name, limit in allowed.items())
    return tuple(Refusal(name, _flaky_text(name, ids, limit)) for name, ids, limit in found if len(ids) > limit)


def _flaky_text(name: str, node_ids: Sequence[str], limit: int) -> str:
    noun = "test is" if len(node_ids) == 1 else "tests are"
    return (
        f"{name}: {len(node_ids)} {noun} flaky, and max_flaky = {limit}: {listed(node_ids)}; "
        "mend what fails at first, or put it into quarantine"
    )


def too_little_covered(
    coverage: Mapping[str, float], least: Mapping[str, float], unknown: str = ""
) -> tuple[Refusal, ...]:
    """Return a refusal for each type that covers less than it has to, or whose coverage is not known.

    Args:
        coverage: type → percent; a type whose coverage is not known is missing.
        least: type → percent, of types that ran; a type that may cover anything is missing.
        unknown: why coverage is not known, or "" where nothing was measured, which is not judged.
    """
    refused = []
    for name, limit in least.items():
        if name not in coverage:
            text = (
                f"its coverage is not known ({unknown}), and min_coverage = {limit:g}; let it be known, or ask for none"
            )
            refused += [Refusal(name, f"{name}: {text}")] if unknown else []
        elif coverage[name] < limit:
            text = f"its tests cover {percent(coverage[name])}, and min_coverage = {limit:g}"
            refused.append(Refusal(name, f"{name}: {text}; test more with this type, or ask for less"))
    return tuple(refused)


def covered(coverage: Mapping[str, float]) -> str:
    """Return the percentages in one line, or "" where nothing was measured."""
    if ALL not in coverage:
        return ""
    types = ", ".join(f"{name} {percent(value)}" for name, value in coverage.items() if name != ALL)
    return f"{percent(coverage[ALL])} ({types})" if types else percent(coverage[ALL])


def percent(value: float) -> str:
    """Return a percentage that is never rounded up to a limit that it does not reach."""
    return f"{int(value * 10) / 10:.1f}%"


def listed(names: Sequence[str]) -> str:
    """Return the first of ``names``, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
