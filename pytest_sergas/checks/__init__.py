"""Health checks: one file for each kind, found through the entry points `GROUP`.

An entry point names a factory: `Factory`. The engine runs the checks again and again, the gates of the
plugin once, before the tests that need what is checked; both go through `runner.Runner`.

    registry    from the configuration to checks
    options     the options of one kind, judged
    runner      one run with a deadline, on a thread of its own
    once        all of them, once
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_sergas.config.checks import CheckSettings
from pytest_sergas.core.health import CheckResult

GROUP = "pytest_sergas.checks"


@dataclass(frozen=True, slots=True)
class Context:
    """What a factory may look at.

    Attributes:
        settings: one entry of ``[[checks]]``; the options in it are not judged yet.
        root: the directory that files are relative to.
    """

    settings: CheckSettings
    root: Path


class Check(Protocol):
    """One thing that is checked.

    `run` blocks. It is called on a thread of its own, not always the same. It has ``timeout_s`` seconds for
    everything, name look-up included; who is not back half a second later is abandoned: the result says so,
    what comes later is dropped, and `run` is called again when it is due, while the abandoned call may still go
    on. Only then do two calls overlap; when `HANGING_LIMIT` of them hang, no further one is made. What fails is a
    result, not an exception; an exception counts as unhealthy.

    A check keeps nothing open between two runs: what `run` opens it closes before it returns. So there is
    nothing to close in the end, and a check that is no longer wanted is simply not run again.

    Attributes:
        name: the component's name, for the results.
        secrets: what must not appear in any text of a result, whoever wrote it; the runner cuts it out.
        about: a `MonitorType`, optional: what its metrics are about for rules in Python; default: an application.
    """

    @property
    def name(self) -> str: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    def run(self, timeout_s: float) -> CheckResult:
        """Check once; ``duration_s`` of the result is filled in by the caller."""
        ...


Factory = Callable[[Context], Check]
"""Makes a check; raises `ConfigurationError` with every fault of its options."""
