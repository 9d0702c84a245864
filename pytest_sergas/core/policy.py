"""What a test's type brings: `Policy`, the keywords that make it up, and who wins where two disagree.

A setting may be given in many places. The first of these that says anything decides:

    1. the test's markers, closest first: the engine's own (``timeout``, ``flaky``) or the type's keyword
    2. the command line or the environment (``--timeout``, ``PYTEST_TIMEOUT``, ``--reruns``)
    3. ``[tool.sergas]``: the type's table, then the general key
    4. the engine's ini values (``timeout = ...`` under ``[tool.pytest]``)
    5. the built-in policy

A choice keeps its `Source`, because what comes from an engine's own setting is left to that engine:
nothing is injected where nothing is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pytest_sergas.core import kinds
from pytest_sergas.core.budgets import ATTEMPTS, Budgets, numbers
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.records import TestType
from pytest_sergas.core.text import show_value

_SECONDS = kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True)
_SECONDS_OR_NONE = kinds.duration(0, kinds.YEAR_S, "seconds (0 for none)")


class Source(StrEnum):
    """Where a setting came from, in the order in which the places are asked."""

    ENGINE_MARKER = "the engine's marker"
    MARKER = "the type marker"
    COMMAND_LINE = "command line or environment"
    TYPE_TABLE = "the type's table in [tool.sergas]"
    GENERAL = "[tool.sergas]"
    ENGINE_INI = "the engine's ini value"
    BUILT_IN = "built-in"

    @property
    def is_engine(self) -> bool:
        """Whether the engine already knows the value by itself."""
        return self in {Source.ENGINE_MARKER, Source.COMMAND_LINE, Source.ENGINE_INI}


@dataclass(frozen=True, slots=True)
class Keyword:
    """A setting of a type.

    Attributes:
        in_marker: whether a type marker takes it too; otherwise only the type's table does.
        example: a value as TOML, for the starter file: the default where there is one.
    """

    kind: kinds.Kind
    help: str
    example: str
    in_marker: bool = True


_WORKERS = kinds.whole(1, 10_000, "workers")
_MEMORY = kinds.number(0, 1e9, "MiB", open_below=True)


KEYWORDS: Mapping[str, Keyword] = MappingProxyType(
    {
        "timeout": Keyword(
            _SECONDS_OR_NONE, "seconds that an attempt may take, set-up and teardown included; 0 for none", "300"
        ),
        "retries": Keyword(kinds.whole(0, 100, "repetitions"), "how often a failed test is repeated", "0"),
        "retry_delay": Keyword(_SECONDS_OR_NONE, "seconds to wait before a repetition", "0"),
        "retry_on": Keyword(kinds.exceptions, "repeat only after these exceptions; none for any", "[]"),
        "max_duration": Keyword(_SECONDS, "seconds that the call may take; no limit by default", "2"),
        "max_memory_mb": Keyword(_MEMORY, "MiB that the call may add at its peak; no limit by default", "100"),
        "max_cpu": Keyword(_SECONDS, "CPU seconds that the call may use; no limit by default", "2"),
        "max_regression": Keyword(
            kinds.share, "how much slower than its history a test may be; no limit by default", '"20%"'
        ),
        "budget_attempts": Keyword(kinds.whole(1, 99, "attempts"), "attempts that decide about a time budget", "3"),
        "dependencies": Keyword(kinds.texts, "the checks that must pass before the test runs", "[]"),
        "exclusive": Keyword(kinds.boolean, "no other test of the run runs meanwhile", "false"),
        "paths": Keyword(kinds.texts, "directories or files whose tests have this type", "[]", in_marker=False),
        "gate": Keyword(kinds.boolean, "run first; the rest does not start when one fails", "false", in_marker=False),
        "parallel": Keyword(kinds.boolean, "false is max_workers = 1", "true", in_marker=False),
        "max_workers": Keyword(
            _WORKERS, "workers that may run tests of this type; no limit by default", "4", in_marker=False
        ),
        "fail_on_flaky": Keyword(kinds.boolean, "is max_flaky = 0", "false", in_marker=False),
        "max_flaky": Keyword(
            kinds.whole(0, 1_000_000, "tests"),
            "more flaky tests fail the run; no limit by default",
            "0",
            in_marker=False,
        ),
        "min_coverage": Keyword(
            kinds.number(0, 100, "percent"), "less coverage fails the run; no limit by default", "80", in_marker=False
        ),
        "on_unavailable": Keyword(
            kinds.one_of("fail", "skip"),
            "what a missing dependency does to a test; default: fail in CI, skip elsewhere",
            '"fail"',
            in_marker=False,
        ),
        "wait_s": Keyword(
            _SECONDS_OR_NONE, "seconds to wait for dependencies that are still starting", "0", in_marker=False
        ),
    }
)

MARKER_KEYWORDS = tuple(name for name, keyword in KEYWORDS.items() if keyword.in_marker)

DEFAULTS: Mapping[str, Any] = MappingProxyType({"timeout": 300.0, "retries": 0, "retry_delay": 0.0, "retry_on": ()})
_EXCLUSIVE: Mapping[str, Any] = MappingProxyType({**DEFAULTS, "exclusive": True})
BUILT_IN: Mapping[TestType, Mapping[str, Any]] = MappingProxyType(
    {
        **dict.fromkeys(TestType, DEFAULTS),
        TestType.PERFORMANCE: _EXCLUSIVE,
        TestType.LOAD: _EXCLUSIVE,
        TestType.STRESS: _EXCLUSIVE,
        TestType.E2E: MappingProxyType({**DEFAULTS, "max_workers": 2}),
    }
)

Layer = tuple[Source, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A value, and the place that decided on it."""

    value: Any
    source: Source


@dataclass(frozen=True, slots=True)
class Policy:
    """What applies to one test.

    Attributes:
        type: a value of `TestType`.
        choices: keyword → the value that won; a keyword that nobody gave is missing. ``timeout``,
            ``retries``, ``retry_delay`` and ``retry_on`` are always there.
    """

    type: str
    choices: Mapping[str, Choice]

    @property
    def timeout_s(self) -> float:
        """Seconds for each attempt; 0 for none."""
        return float(self.choices["timeout"].value)

    @property
    def retries(self) -> int:
        return int(self.choices["retries"].value)

    @property
    def retry_delay_s(self) -> float:
        return float(self.choices["retry_delay"].value)

    @property
    def retry_on(self) -> tuple[str, ...]:
        return tuple(self.choices["retry_on"].value)

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The checks that have to pass before the test runs."""
        choice = self.choices.get("dependencies")
        return () if choice is None else tuple(choice.value)

    @property
    def wait_s(self) -> float:
        """Seconds to wait for the dependencies."""
        choice = self.choices.get("wait_s")
        return 0.0 if choice is None else float(choice.value)

    @property
    def on_unavailable(self) -> str:
        """What a missing dependency does to the test: ``fail``, ``skip``, or "" where nobody has said."""
        choice = self.choices.get("on_unavailable")
        return "" if choice is None else str(choice.value)

    @property
    def exclusive(self) -> bool:
        """Whether no other test of the run may run meanwhile."""
        choice = self.choices.get("exclusive")
        return choice is not None and bool(choice.value)

    @property
    def max_workers(self) -> int | None:
        """How many workers may run tests of this type; None for any number."""
        parallel, limit = self.choices.get("parallel"), self.choices.get("max_workers")
        if parallel is not None and not parallel.value:
            return 1
        return None if limit is None else int(limit.value)

    @property
    def budgets(self) -> Budgets:
        """What the call of the test may use."""

        def limit(name: str) -> float | None:
            choice = self.choices.get(name)
            return None if choice is None else float(choice.value)

        choice = self.choices.get("budget_attempts")
        slower = limit("max_regression")
        asked = ATTEMPTS if choice is None else int(choice.value)
        attempts, most = numbers(asked if slower is None else max(asked, ATTEMPTS))
        return Budgets(limit("max_duration"), limit("max_cpu"), limit("max_memory_mb"), attempts, most, slower)


def resolve(test_type: TestType, given: Sequence[Layer]) -> Policy:
    """Return the policy of a test.

    Args:
        test_type: the type that its closest type marker, or its directory, gives it.
        given: what each place says, in the order in which they are asked; the built-in policy is added.
    """
    choices: dict[str, Choice] = {}
    for source, values in (*given, (Source.BUILT_IN, BUILT_IN[test_type])):
        for name, value in values.items():
            if name not in choices:
                choices[name] = Choice(value, source)
    return Policy(test_type.value, choices)


def read_keywords(marker: str, given: Mapping[str, object]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Check the keywords of one type marker.

    Args:
        marker: the marker's name, for the texts.
        given: its keywords, as the user wrote them.

    Returns:
        The values that can be used, and a line for each fault.
    """
    values: dict[str, Any] = {}
    faults = []
    for name, value in given.items():
        where = f"@pytest.mark.{marker}({name}={show_value(name, value)})"
        keyword = KEYWORDS.get(name)
        if keyword is None or not keyword.in_marker:
            faults.append(f"{where}: {_instead(name)}")
            continue
        try:
            values[name] = keyword.kind(value)
        except kinds.NotAllowed as wrong:
            faults.append(f"{where}: {wrong}")
    return values, tuple(faults)


def _instead(name: str) -> str:
    if name in KEYWORDS:
        return f"{name!r} is not for a single test; it belongs into the type's table, [tool.sergas.types]"
    near = kinds.nearest(name, MARKER_KEYWORDS)
    return (
        f"unknown keyword; did you mean {near!r}?"
        if near
        else f"unknown keyword; allowed: {', '.join(MARKER_KEYWORDS)}"
    )
