"""kill -9 between every two steps of firing → outbox → sent → resolved → sent."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Killed:
    """The step at which a process was killed, and what the receiver got from it and the next one."""

    step: str
    got: tuple[tuple[str, str], ...]


@pytest.fixture(scope="module", params=["0", "0.05"], ids=["told at once", "waits for others"])
def group_wait(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def killed(group_wait: str, tmp_path_factory: pytest.TempPathFactory) -> list[Killed]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.killed", tmp_path_factory.mktemp("killed"), group_wait],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [Killed(line["step"], tuple((status, key) for status, key in line["got"])) for line in lines]


def test_every_step_was_killed_at(killed: list[Killed], group_wait: str) -> None:
    steps = [one.step for one in killed]

    assert len(steps) >= 12
    # Who waits for others is in the store, and nothing is in the outbox yet.
    waiting = {"before a commit of states", "after a commit of states"} if group_wait != "0" else set()
    assert set(steps) - {"after a commit of nothing"} == waiting | {
        "before a commit of the outbox",
        "after a commit of the outbox",
        "before firing is sent",
        "after firing was sent",
        "before resolved is sent",
        "after resolved was sent",
    }


def test_beginning_and_end_arrive_in_order_wherever_it_was_killed(killed: list[Killed]) -> None:
    for one in killed:
        assert [status for status, _ in dict.fromkeys(one.got)] == ["firing", "resolved"], one


def test_what_arrives_twice_has_the_same_key(killed: list[Killed]) -> None:
    for one in killed:
        assert len({key for _, key in one.got}) == len({status for status, _ in one.got}) == 2, one


def test_only_a_kill_between_the_answer_and_our_commit_sends_anything_twice(killed: list[Killed]) -> None:
    sent = ""
    for one in killed:
        statuses = [status for status, _ in one.got]
        twice = {status for status in statuses if statuses.count(status) > 1}
        sent = (
            one.step.split()[1]
            if one.step.endswith("was sent")
            else sent
            if one.step.startswith("before a commit")
            else ""
        )
        assert twice <= {sent}, one
        assert len(statuses) <= 3, one
    assert any(len(one.got) == 3 for one in killed)
