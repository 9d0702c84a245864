"""All checks of a configuration, once: for scripts, and for what has to wait until they pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pytest_sergas.checks.registry import create
from pytest_sergas.checks.runner import GRACE_S, Runner
from pytest_sergas.config.checks import CheckSettings
from pytest_sergas.core.health import CheckResult, Component, report


def run_once(entries: Sequence[CheckSettings], root: Path) -> dict[str, CheckResult]:
    """Run the checks at the same time and return name → what is to be said about each, in their order.

    Args:
        entries: complete: what they depend on is among them.
        root: the directory that files are relative to.

    Raises:
        ConfigurationError: with every fault of all of them.
    """
    names = [entry.name for entry in entries]
    return Once(entries, root, names).run(names)


class Once:
    """Checks that are run on request.

    Args:
        entries: complete: what they depend on is among them.
        root: the directory that files are relative to.
        names: those that will be asked for; the others are not even made.

    Raises:
        ConfigurationError: with every fault of all of them.
    """

    def __init__(self, entries: Sequence[CheckSettings], root: Path, names: Sequence[str]) -> None:
        self._entries = with_dependencies(entries, names)
        checks = create(self._entries, root)
        self._runners = {entry.name: Runner(check) for entry, check in zip(self._entries, checks, strict=True)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the checks that were made."""
        return tuple(self._runners)

    def run(self, names: Sequence[str]) -> dict[str, CheckResult]:
        """Run the checks with these ``names``, and what they depend on, at the same time.

        The thresholds have no meaning here; the dependencies have. It takes as long as the longest timeout, and half
        a second more when a check hangs.

        Returns:
            Name → what is to be said about each, in the order of the configuration.
        """
        entries = with_dependencies(self._entries, names)
        started_s = time.monotonic()
        futures = [self._runners[entry.name].start(entry.timeout) for entry in entries]
        components = []
        for entry, future in zip(entries, futures, strict=True):
            remaining_s = max(0.0, started_s + entry.timeout + GRACE_S - time.monotonic())
            try:
                result = future.result(remaining_s)
            except TimeoutError:
                result = self._runners[entry.name].overdue()
            components.append(Component(entry.name, entry.depends_on).observe(result))
        return report(components)


def with_dependencies(entries: Sequence[CheckSettings], names: Sequence[str]) -> tuple[CheckSettings, ...]:
    """Return the entries with these ``names`` and everything that they depend on, in the order of ``entries``.

    A name that no entry has is left out.
    """
    known = {entry.name: entry for entry in entries}
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in known and name not in wanted:
            wanted.add(name)
            waiting.extend(known[name].depends_on)
    return tuple(entry for entry in entries if entry.name in wanted)
