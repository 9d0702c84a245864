"""The markers: as ``pytest --markers`` explains them, and which of those that tests carry are ours.

The names of the types are common. A marker that the suite registers itself is the suite's, and brings no policy until
there is a configuration, be it empty. Markers that nobody registered are ours, and so are those of our decorators.

Plain text, and imported without anything else: every run needs it. A test compares it with `core.records.TestType`
and `core.policy.KEYWORDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_sergas.config import TypeSettings
    from pytest_sergas.core.records import TestType

MEANING = {
    "unit": "one piece of code by itself",
    "integration": "several pieces, or a service, together",
    "performance": "how fast or how large something is",
    "security": "what an attacker would try",
    "load": "many requests at once",
    "regression": "a defect that must not come back",
    "smoke": "whether it runs at all",
    "e2e": "the whole system as its user sees it",
    "compatibility": "other versions and other platforms",
    "stress": "what happens beyond the limits",
}
KEYWORDS = (
    "timeout",
    "retries",
    "retry_delay",
    "retry_on",
    "max_duration",
    "max_memory_mb",
    "max_cpu",
    "max_regression",
    "budget_attempts",
    "dependencies",
    "exclusive",
)


# The runs that are configured in this process, the innermost last, each with its names of the markers: what a
# decorator is asked when a test file is imported, where no configuration is at hand.
RUNS: list[tuple[pytest.Config, Mapping[str, str]]] = []
# By identity: the marks of our decorators, which look like any other.
_DECORATED: dict[int, pytest.Mark] = {}

_CONFIGURED = pytest.StashKey[bool]()
_NAMES = pytest.StashKey[Mapping[str, str]]()
_LINES = pytest.StashKey[frozenset[str]]()


def name(config: pytest.Config, types: Mapping[TestType, TypeSettings] | None) -> None:
    """Note the names of the markers in this suite.

    Args:
        types: what the configuration says of each type; None where it says nothing.
    """
    if types is None:
        names = {test_type: test_type for test_type in MEANING}
    else:
        names = {kind.value: table.marker for kind, table in types.items() if table.enabled}
    config.stash[_NAMES] = names
    run = (config, names)
    RUNS.append(run)
    config.add_cleanup(lambda: RUNS.remove(run))


def register(config: pytest.Config) -> None:
    """Register the markers that nobody has registered yet."""
    taken = {_name(line) for line in config.getini("markers")}
    keywords = ", ".join([f"{keyword}=None" for keyword in KEYWORDS])
    lines = [
        f"{name}({keywords}): a test of the type {test_type}: {MEANING[test_type]}. Its policy comes from "
        f"[tool.sergas.types.{test_type}]; the keywords change it for this test."
        for test_type, name in config.stash[_NAMES].items()
        if name not in taken
    ]
    config.stash[_LINES] = frozenset(lines)
    for line in lines:
        config.addinivalue_line("markers", line)


def decorated(mark: pytest.Mark) -> None:
    """Note that ``mark`` stands on a test by a decorator of ours."""
    _DECORATED[id(mark)] = mark


def is_decorated(mark: pytest.Mark) -> bool:
    """Whether ``mark`` stands on a test by a decorator of ours."""
    return id(mark) in _DECORATED


def is_configured(config: pytest.Config, look: Callable[[Path], bool]) -> bool:
    """Whether there is a configuration; ``look`` is asked once."""
    if _CONFIGURED not in config.stash:
        config.stash[_CONFIGURED] = look(config.rootpath)
    return config.stash[_CONFIGURED]


def own(config: pytest.Config) -> frozenset[str]:
    """Return the names of types that are markers of the suite itself; to be asked when all is collected."""
    if config.stash.get(_CONFIGURED, False):
        return frozenset()
    ours = config.stash[_LINES]
    return frozenset({_name(line) for line in config.getini("markers") if line not in ours} & MEANING.keys())


def met(config: pytest.Config, items: Iterable[pytest.Item]) -> tuple[bool, Sequence[str]]:
    """Return whether a test has a type, where nothing is configured, and which markers are the suite's own."""
    suites = own(config)
    kept: dict[str, None] = {}
    seen: set[int] = set()
    for item in items:
        node: pytest.Item | pytest.Collector | None = item
        while node is not None and id(node) not in seen:
            if node is not item:
                seen.add(id(node))
            for mark in node.own_markers:
                if mark.name not in MEANING:
                    continue
                if mark.name not in suites or is_decorated(mark):
                    return True, ()
                kept[mark.name] = None
            node = node.parent
    return False, [*kept]


def kept_note(names: Iterable[str]) -> str:
    """Return what is said about markers that are the suite's own."""
    listed = sorted(names)
    several = len(listed) > 1
    return (
        f"{', '.join(listed)}: {'markers' if several else 'a marker'} that this suite registers itself, so "
        f"{'they bring' if several else 'it brings'} no policy; with a sergas.toml, be it empty, "
        f"{'they do' if several else 'it does'}"
    )


class Kept:
    """Says the one line about them at the end of a run that has nothing else of ours."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if not config.getoption("collectonly") and not config.getoption("setuponly", default=False):
            terminalreporter.write_line(f"sergas: {kept_note(self._names)}")


def _name(line: str) -> str:
    return line.partition(":")[0].partition("(")[0].strip()
