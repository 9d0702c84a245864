"""Records made by hand for the publishers, and what a factory may look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.config import Settings
from pytest_sergas.core.records import AttemptRecord, Outcome, RunRecord, TestRecord, final_outcome
from pytest_sergas.publishers import Context, Publication

# The same run of the plugin as below tests/plugin, for the tests of how a publisher is wired.
from tests.plugin.conftest import Ran, Run, run
from tests.servers.pushgateway import Pushgateway, pushgateway

__all__ = ["Ran", "Run", "attempt", "context_for", "forever_s", "record", "run", "run_of", "text_of"]


def attempt(outcome: Outcome = Outcome.PASSED, **fields: Any) -> AttemptRecord:
    """Return an attempt of 0.5 s that began at second 1,000."""
    return AttemptRecord(
        outcome, **{"start_s": 1_000.0, "setup_s": 0.125, "call_s": 0.25, "teardown_s": 0.125, **fields}
    )


def record(
    node_id: str = "tests/test_shop.py::test_pay",
    *attempts: AttemptRecord | Outcome,
    type: str = "unit",  # noqa: A002  the field's name
    line: int | None = 7,
    exclusive: bool = False,
) -> TestRecord:
    """Return a test with these attempts (one that passed when there are none); its outcome follows from them."""
    tried = tuple(one if isinstance(one, AttemptRecord) else attempt(one) for one in attempts) or (attempt(),)
    outcome = final_outcome([one.outcome for one in tried])
    file = node_id.partition("::")[0]
    return TestRecord(node_id, type, outcome, tried, file, line, exclusive)


def run_of(*tests: TestRecord, **fields: Any) -> RunRecord:
    """Return a run of ``tests`` that took a minute from second 1,000 on."""
    values = {"run_id": "r1", "project": "shop", "started_s": 1_000.0, "finished_s": 1_060.0, "collected": len(tests)}
    return RunRecord(tests=tests, **{**values, **fields})


def context_for(root: Path, environ: Mapping[str, str] | None = None, **fields: Any) -> Context:
    """Return a context in ``root``; what is no field of `Context` is a setting."""
    own = {name: fields.pop(name) for name in ("junit_path", "junit_prefix", "invocation", "cache") if name in fields}
    return Context(Settings(**fields), environ or {}, root=root, **{"invocation": root, **own})


def text_of(publication: Publication) -> str:
    """Return the lines of a publication as plain text."""
    return "\n".join("".join(segment.text for segment in line) for line in publication.lines)


def forever_s() -> float:
    """A deadline that does not matter."""
    return 60.0


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Pushgateway]:
    """A Pushgateway of its own for each test."""
    with pushgateway(tmp_path) as running:
        yield running
