"""Everything at a glance, in the form that the specification documents.

timestamp   when it was asked
health      overall, and each check under its name, from the last results
alerts      active ones, by level and by source
metrics     latest: the own and collected values; prometheus: the whole page as text
tests       the run that came last
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pytest_sergas.core.clock import Now
from pytest_sergas.core.health import CheckResult
from pytest_sergas.core.metrics import Family
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.clock import moment
from pytest_sergas.engine.page import Page, Source
from pytest_sergas.engine.runs import KeptRun, Runs


class Parts(Protocol):
    """What is asked: the engine, once it has started."""

    @property
    def page(self) -> Page: ...

    @property
    def runs(self) -> Runs: ...

    @property
    def checking(self) -> Checking: ...

    @property
    def alerting(self) -> Alerting: ...

    @property
    def sources(self) -> Iterable[Source]: ...


async def document(engine: Parts, now: Now) -> dict[str, Any]:
    """Return the status at ``now`` for JSON."""
    own = [family for source in engine.sources for family in source.families(now)]
    return {
        "timestamp": moment(now.wall_s),
        "health": {
            "overall": _brief(engine.checking.overall()),
            "individual": {name: _brief(result) for name, result in engine.checking.results().items()},
        },
        "alerts": engine.alerting.counts(),
        "metrics": {"latest": latest(own), "prometheus": (await engine.page.text(now)).decode()},
        "tests": figures(engine.runs.latest),
    }


def latest(families: Iterable[Family]) -> list[dict[str, Any]]:
    """Return every sample; a value that JSON cannot hold (NaN, infinite) is its text, as Prometheus writes it."""
    return [
        {
            "name": family.name + sample.suffix,
            "type": family.type,
            "labels": dict(sample.labels),
            # Who measures may have counted with whole numbers, or with true and false.
            "value": float(sample.value) if math.isfinite(sample.value) else _text(sample.value),
        }
        for family in families
        for sample in family.samples
    ]


def figures(run: KeptRun | None) -> Mapping[str, Any]:
    """Return the figures of ``run``; the rate is null where no test passed or failed."""
    if run is None:
        return {"total": 0, "success_rate": None, "by_status": {}}
    return {"total": run.total, "success_rate": run.success_percent, "by_status": dict(run.by_status)}


def _brief(result: CheckResult) -> dict[str, str]:
    return {"status": result.status.value, "message": result.message}


def _text(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
