"""A run of a program, as the engine takes one that was sent and pushed: its document, and a group for each type."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_sergas.config.runs import Settings
from pytest_sergas.core import ctrf
from pytest_sergas.core.acceptance import ALL
from pytest_sergas.core.merging import merge
from pytest_sergas.core.metrics import run_families
from pytest_sergas.core.records import RunRecord
from pytest_sergas.core.report import Report, read_report
from pytest_sergas.core.summary import summarise
from pytest_sergas.core.text import one_line
from pytest_sergas.engine import clock
from pytest_sergas.engine.engine import Engine
from pytest_sergas.engine.groups import Push
from pytest_sergas.monitoring.covered import union
from pytest_sergas.monitoring.suites import SuiteResults
from pytest_sergas.publishers.pushgateway import LABEL_LIMIT, filled


@dataclass(frozen=True, slots=True)
class Reported:
    """A run that an engine can take."""

    report: Report
    document: bytes
    pushes: tuple[Push, ...]

    async def add(self, engine: Engine) -> None:
        """Hand it to ``engine``."""
        await engine.add_run(self.report, self.document, self.pushes)


def report(results: Sequence[SuiteResults], settings: Settings) -> Reported:
    """Return the runs of several suites as one run of the program.

    Args:
        settings: with the labels of pushes.
    """
    run = _one(results)
    document = ctrf.to_json(run)
    labels = {"job": one_line(run.project, LABEL_LIMIT), **filled(settings.push_labels, run.environment)}
    pushes = tuple(
        Push.of({**labels, "type": kind.type}, run_families(run, (kind,)), replace=False, ttl_s=None, now=clock.read())
        for kind in summarise(run, slowest=settings.slowest)
    )
    return Reported(read_report(json.loads(document)), document, pushes)


def _one(results: Sequence[SuiteResults]) -> RunRecord:
    first, *others = (one.run for one in results)
    if not others:
        return first
    # One that died could not say what it was a run of.
    run = merge({one.name: replace(one.run, project=first.project) for one in results})
    coverage = {name: percent for one in results for name, percent in one.run.coverage.items() if name != ALL}
    covered = union(one.covered for one in results)
    return replace(run, coverage={**coverage, **({ALL: covered.percent} if covered else {})})
