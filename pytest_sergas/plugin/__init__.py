"""The pytest half: hooks, thin round `pytest_sergas.core`.

In the order in which a test passes through it:

    options      what the command line says
    markers      what pytest --markers explains
    types        item → type → policy
    timeouts     every attempt and phase guarded, by pytest-timeout
    retries      failed tests repeated, by pytest-rerunfailures
    measuring    what each call costs (procfs, sampling, pace)
    budgets      verdicts on it, and more attempts where they need them
    benchmark    a fixture that repeats a call, where no other plugin has one
    gate         gated types first
    quarantine   known failures masked when they are final
    dependencies checks that tests need, before these
    recorder     reports → records
    publishing   the record → every publisher, within one deadline
    report       what publishers say → terminal
    status       what is done and left, while tests run, on a terminal

`session` holds them together; `exchange` carries what workers know to the controller of pytest-xdist.

`start` says what starts when: what a run does not need is not loaded.

pytest would rewrite the assertions of every module of a plugin, which takes longer than all the rest of a short run
where there is no cache of it. Ours have nothing to gain from it, so they are found past pytest (`PastRewriting`).
PYTEST_DONT_REWRITE: this module, the first, is not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class PastRewriting:
    """Finds our own modules as Python does."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, path, target) if name.startswith("pytest_sergas.") else None

    def put_first(self) -> None:
        """Take the place before pytest's finder; each session in this process puts its own first."""
        if sys.meta_path[0] is not self:
            self.remove()
            sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Leave the other modules of the process to the others."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)


PAST_REWRITING = PastRewriting()
PAST_REWRITING.put_first()

from pytest_sergas.plugin.start import LOADED as LOADED  # noqa: E402  past the rewriting
from pytest_sergas.plugin.start import pytest_addoption as pytest_addoption  # noqa: E402
from pytest_sergas.plugin.start import pytest_configure as pytest_configure  # noqa: E402
from pytest_sergas.plugin.start import pytest_unconfigure as pytest_unconfigure  # noqa: E402
from pytest_sergas.plugin.start import pytest_xdist_auto_num_workers as pytest_xdist_auto_num_workers  # noqa: E402
