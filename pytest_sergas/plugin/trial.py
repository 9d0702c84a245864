"""A trial of ``--sergas-detect-flaky``: a run of its own with the tests that it is given, in their order.

Loaded with ``-p`` in that process only. The environment names a directory with the order; what became of each test is
written beside it. Nothing is published or kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

VARIABLE = "SERGAS_TRIAL"
NAME = __name__
ORDER = "order.json"
RESULTS = "results.json"

_passed: dict[str, bool] = {}


def _directory() -> Path:
    return Path(os.environ[VARIABLE])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, object, object]:
    result = yield
    order = {name: place for place, name in enumerate(json.loads((_directory() / ORDER).read_text("ascii")))}
    others = [item for item in items if item.nodeid not in order]
    items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])
    config.hook.pytest_deselected(items=others)
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # A failure that was repeated is one: how the test does at its first attempt is what counts.
    if report.outcome in {"failed", "rerun"}:
        _passed[report.nodeid] = False
    elif report.outcome == "passed" and report.when == "call":
        _passed.setdefault(report.nodeid, True)


def pytest_sessionfinish() -> None:
    (_directory() / RESULTS).write_text(json.dumps(_passed), encoding="ascii")
