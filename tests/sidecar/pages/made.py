"""Runs made for the pages: of a shop, with a failure, a flaky test, budgets, workers, and names that mean harm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.grouping import to_path
from pytest_sergas.core.measurement import Measurement, Use
from pytest_sergas.core.records import (
    AttemptRecord,
    Environment,
    Outcome,
    RunRecord,
    TestRecord,
    final_outcome,
)
from tests.servers.sidecar import Sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages.html import quoted

HOUR_S = 3_600.0
START_S = 1_750_000_000.0
# Each would run a script, close an attribute or turn the line round where it is not escaped.
HARM = "<img src=x onerror=alert(1)>"
RIGHT_TO_LEFT = "\u05e9\u05dc\u05d5\u05dd"  # Hebrew: figures and signs after it change sides unless it is isolated
HOSTILE = f"{RIGHT_TO_LEFT} {HARM}\"'><script>alert(2)</script>\u202eevil {{{{7*7}}}} ${{7}}"
LONG = "n" * 10_000
TOTAL = "tests/test_orders.py::test_total"
SLOW = "tests/test_speed.py::test_search"
UNSURE = "tests/test_stock.py::test_warehouse"


def attempt(outcome: Outcome, start_s: float, call_s: float = 0.2, worker: str = "gw0", **fields: Any) -> AttemptRecord:
    return AttemptRecord(
        outcome, start_s=start_s, setup_s=0.01, call_s=call_s, teardown_s=0.01, worker=worker, **fields
    )


def case(
    node_id: str,
    *attempts: AttemptRecord,
    type: str = "unit",  # noqa: A002  the field's name
    exclusive: bool = False,
) -> TestRecord:
    outcome = final_outcome([one.outcome for one in attempts])
    return TestRecord(node_id, type, outcome, attempts, node_id.partition("::")[0], 7, exclusive)


def shop_run(number: int, *more: TestRecord, fails: bool = False, **fields: Any) -> RunRecord:
    """Return run ``number`` of a shop on two workers; every third has a flaky test, and each an exclusive one."""
    at_s = START_S + number * HOUR_S
    search_s = 0.4 + number / 100
    uses = Use("max_duration", search_s, 0.5), Use("max_memory_mb", 1.9, 8.0)
    cost = Measurement("wall", search_s, search_s, search_s, 0.0, 2_000_000 + number, uses=uses)
    total = (
        attempt(
            Outcome.FAILED,
            at_s,
            message="AssertionError: assert 12 == 13",
            trace=">       assert order.total == 13\nE       AssertionError: assert 12 == 13",
        )
        if fails
        else attempt(Outcome.PASSED, at_s)
    )
    unsure = [attempt(Outcome.PASSED, at_s + 0.5, worker="gw1")]
    if number % 3 == 0:
        unsure.insert(0, attempt(Outcome.FAILED, at_s, worker="gw1", message="ConnectionError: it is starting"))
    tests = (
        case(TOTAL, total),
        case(UNSURE, *unsure, type="integration"),
        case(SLOW, attempt(Outcome.PASSED, at_s + 1, search_s, measured=cost), type="performance", exclusive=True),
        *more,
    )
    environment = Environment(
        provider="github",
        branch="main",
        commit=f"{number:040x}",
        job="ci",
        build_url=f"https://ci.example.org/{number}",
        python="3.11",
        platform="Linux",
    )
    values: dict[str, Any] = {"run_id": f"shop-{number}", "project": "shop", "environment": environment, **fields}
    return RunRecord(
        **{"started_s": at_s, "finished_s": at_s + 3, "workers": 2, "collected": len(tests), **values}, tests=tests
    )


def shards() -> list[RunRecord]:
    """Return two of the three shards of a run, each with a test of its own."""
    return [
        replace(
            shop_run(1, run_id=f"part-{number}", shard=f"{number}/3", split="s"),
            tests=(case(f"a.py::test_{number}", attempt(Outcome.PASSED, 100.0 + number)),),
        )
        for number in (1, 2)
    ]


def hostile_run(number: int) -> RunRecord:
    """Return a run all of whose texts mean harm."""
    at_s = START_S + number * HOUR_S
    bad = attempt(Outcome.FAILED, at_s, worker=HOSTILE, message=HOSTILE, trace=HOSTILE)
    run = shop_run(
        number,
        case(f"{HOSTILE}::{HOSTILE}", bad, type=HOSTILE),
        case(f"a.py::{LONG}", attempt(Outcome.FAILED, at_s, message=LONG)),
    )
    environment = Environment(
        branch=HOSTILE, commit=HOSTILE, job=HOSTILE, build_url="javascript:alert(3)", python=HOSTILE
    )
    return replace(run, project=HOSTILE, environment=environment, notes=(HOSTILE,), stopped=HOSTILE)


def long_run(number: int) -> RunRecord:
    """Return a run all of whose texts have ten thousand letters."""
    environment = Environment(branch=LONG, commit=LONG, job=LONG, build_url="https://ci.example.org/1", python=LONG)
    bad = attempt(Outcome.FAILED, START_S + number * HOUR_S, worker=LONG, message=LONG, trace=LONG)
    return replace(
        shop_run(number, case(LONG, bad, type=LONG), run_id="long"),
        project=LONG,
        environment=environment,
        notes=(LONG,),
        stopped=LONG,
        shard=f"1/{LONG}",
    )


def send(running: Sidecar, *runs: RunRecord) -> None:
    for run in runs:
        send_document(running, to_json(run))


def send_document(running: Sidecar, document: bytes) -> None:
    reply = ask(running.url, "/api/runs", "POST", headers={"Content-Type": "application/json"}, body=document)
    assert reply.status == 201, reply.text


def foreign_document(run_id: str, results: Mapping[str, Any] = {}, **test: Any) -> bytes:
    """Return what another tool might write: as little as CTRF asks for, with these ``results`` beside the test."""
    tests = [{"name": "t", "status": "passed", "duration": 1, **test}]
    return json.dumps({"reportFormat": "CTRF", "runId": run_id, "results": {"tests": tests, **results}}).encode()


def group_path(job: str, **labels: str) -> str:
    """Return the path that a push to the group with this job and these labels has."""
    return to_path({"job": job, **labels})


def group_page(page: str, job: str, **labels: str) -> str:
    """Return the address of the page about this group: ``group``, or ``delete``."""
    return f"/pushes/{page}?path={quoted(group_path(job, **labels))}"
