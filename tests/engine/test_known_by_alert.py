"""A store of version 5, in which a route's name held what channels knew: nothing is told twice, and every end comes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.core.messages import Notification, Notified, encode, fingerprint, to_plain
from pytest_sergas.engine import schema
from tests.engine.alerted import Clock, Receiver, alerting, answered, found, labels, planned

pytestmark = pytest.mark.integration

WALL_S = 1_700_000_000.0


def notified(name: str, *, over: bool = False) -> Notified:
    own = labels(name)
    end_s = WALL_S - 10 if over else None
    return Notified(
        own, (), "resolved" if over else "firing", WALL_S - 100, end_s, "", 1.0, fingerprint(own), "warning"
    )


@pytest.fixture
def old(path: Path) -> sqlite3.Connection:
    """Return a store of version 5."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    for number, steps in schema.MIGRATIONS:
        for step in steps if number <= 5 else ():
            assert isinstance(step, str)
            connection.execute(step)
    connection.execute("PRAGMA user_version = 5")
    return connection


def entry(store: sqlite3.Connection, route: str, alert: Notified, **told: bool) -> None:
    """Have the group of a route know these channels' state: whether they have the alert as firing."""
    key = f"{route}:{{}}"
    body: dict[str, Any] = {
        "alert": to_plain(alert),
        "began_s": alert.starts_at_s,
        "cooldown_s": None,
        "source": "tests",
        "told": {channel: [firing, WALL_S - 50] for channel, firing in told.items()},
        "held": {},
    }
    store.execute("INSERT OR REPLACE INTO alert_groups VALUES (?, ?, '[]', ?)", (key, route, WALL_S - 50))
    store.execute("INSERT INTO alert_entries VALUES (?, ?, ?)", (key, json.dumps(alert.labels), json.dumps(body)))
    if alert.status == "firing":
        times = {"active_s": WALL_S - 100, "fired_s": WALL_S - 100, "ended_s": None}
        state = {"value": 1.0, "annotations": [], "reason": "condition_true", "source": "tests", "cooldown_s": None}
        row = ("rule", json.dumps(alert.labels), "firing", json.dumps({**state, **times}))
        store.execute("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)", row)


def outgoing(store: sqlite3.Connection, state: str, alert: Notified) -> None:
    notification = Notification((alert,), (), "chat", alert.status, f"k-{alert.name}-{alert.status}", "all:{}")
    values = (notification.key, "chat", state, WALL_S - 50, None, 1, "500", encode(notification))
    columns = "key, channel, state, made_s, finished_s, attempts, result, body"
    store.execute(f"INSERT INTO notifications ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608  fixed


async def told(path: Path, clock: Clock) -> list[str]:
    """Return what the channel hears of a process with this store in which everything that fires ends."""
    chat = Receiver()
    async with alerting(path, planned(chat), clock) as running:
        await answered(running, clock)
        await running.took_place([found(clock())])
        await answered(running, clock)
    return chat.told()


async def test_what_was_told_is_not_told_again_and_ends(path: Path, old: sqlite3.Connection, clock: Clock) -> None:
    entry(old, "one", notified("A"), chat=True)
    entry(old, "two", notified("A"), chat=False)
    old.close()

    assert await told(path, clock) == ["A over"]


@pytest.mark.parametrize("state", ["waiting", "held"])
async def test_what_was_on_its_way_arrives_once(state: str, path: Path, old: sqlite3.Connection, clock: Clock) -> None:
    entry(old, "all", notified("A"), chat=True)
    outgoing(old, state, notified("A"))
    old.close()

    assert await told(path, clock) == ["A fires", "A over"]


@pytest.mark.parametrize("known", [True, False], ids=["remembered", "forgotten"])
async def test_end_that_was_on_its_way_arrives(
    known: bool,  # noqa: FBT001
    path: Path,
    old: sqlite3.Connection,
    clock: Clock,
) -> None:
    if known:
        entry(old, "all", notified("A", over=True), chat=False)
    outgoing(old, "waiting", notified("A", over=True))
    old.close()

    assert await told(path, clock) == ["A over"]


async def test_beginning_and_end_that_both_waited_arrive_in_order(
    path: Path, old: sqlite3.Connection, clock: Clock
) -> None:
    outgoing(old, "waiting", notified("A"))
    outgoing(old, "waiting", notified("A", over=True))
    old.close()

    assert await told(path, clock) == ["A fires", "A over"]
