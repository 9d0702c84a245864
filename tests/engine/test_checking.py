"""The checking: in parallel, each by itself; the last results; the history, also after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.config.checks import CheckSettings, ChecksSettings
from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.health import CheckResult, HealthStatus, Thresholds
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.engine import checking as module
from pytest_sergas.engine.checking import Checking, Planned, plan
from pytest_sergas.engine.store import Store
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.integration

HEALTHY, DEGRADED, UNKNOWN, UNHEALTHY = HealthStatus
PATIENT_S = 60.0
NOW = Now(0, 0)


@dataclass(slots=True)
class Clock:
    """Time that passes when a test says so."""

    wall_s: float = 1_000_000.0
    monotonic_s: float = 0.0

    def __call__(self) -> Now:
        self.monotonic_s += 1e-6  # no two readings are the same
        return Now(self.monotonic_s, self.wall_s)

    def pass_by(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds


@dataclass(slots=True)
class Told:
    """A check that finds what it was told to, and counts."""

    name: str
    status: HealthStatus = HEALTHY
    figures: tuple[Family, ...] = ()
    runs: int = 0
    on_run: Callable[[], object] = lambda: None
    secrets: tuple[str, ...] = ()

    def run(self, timeout_s: float) -> CheckResult:
        del timeout_s
        self.runs += 1
        self.on_run()
        return CheckResult(self.name, self.status, "as told", figures=self.figures)


@dataclass(slots=True)
class Hanging:
    """A check that hangs until a test lets it go."""

    name: str
    end: threading.Event = field(default_factory=threading.Event)
    secrets: tuple[str, ...] = ()

    def run(self, timeout_s: float) -> CheckResult:
        del timeout_s
        self.end.wait()
        return CheckResult(self.name, HEALTHY, "let go")


def planned(
    check: Any, *depends_on: str, failures: int = 1, timeout_s: float = PATIENT_S, interval_s: float = 30
) -> Planned:
    return Planned(check, timeout_s, interval_s, Thresholds(failures, 1), depends_on)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await Store.open(None, GroupSettings())
    yield opened
    await opened.close()


async def until(look: Callable[[], object]) -> None:
    """Wait until ``look`` returns something true."""
    async with asyncio.timeout(PATIENT_S):
        while not look():  # noqa: ASYNC110  the threads of the checks send no event to the test
            await asyncio.sleep(0.005)


def statuses(checking: Checking) -> dict[str, HealthStatus]:
    return {name: result.status for name, result in checking.results().items()}


def values(checking: Checking, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of the labels → the value, for the metric ``name``."""
    families = {family.name: family for family in checking.families(NOW)}
    return {tuple(value for _, value in sample.labels): sample.value for sample in families[name].samples}


# Running


async def test_nothing_to_check_is_healthy(store: Store, clock: Clock) -> None:
    checking = Checking([], store, clock)
    await checking.start()
    await checking.stop()

    assert checking.overall().status is HEALTHY
    assert checking.overall().details["total_checks"] == 0


async def test_before_the_first_result_everything_is_unknown(store: Store, clock: Clock) -> None:
    hanging = Hanging("db")
    checking = Checking([planned(hanging)], store, clock)
    await checking.start()

    assert statuses(checking) == {"db": UNKNOWN}
    assert checking.overall().status is DEGRADED

    hanging.end.set()
    await checking.stop()


async def test_checks_run_at_the_same_time(store: Store, clock: Clock) -> None:
    together = threading.Barrier(20)
    checks = [Told(str(number), on_run=lambda: together.wait(PATIENT_S)) for number in range(20)]
    checking = Checking(map(planned, checks), store, clock)

    assert {result.message for result in (await checking.check_all()).values()} == {"as told"}


async def test_each_check_runs_again_and_again_in_its_own_rhythm(store: Store, clock: Clock) -> None:
    often, seldom = Told("often"), Told("seldom")
    checking = Checking([planned(often, interval_s=0.001), planned(seldom, interval_s=3600)], store, clock)
    await checking.start()
    await until(lambda: often.runs >= 5)
    await checking.stop()

    assert seldom.runs == 1


async def test_check_that_hangs_costs_only_its_own_result(store: Store, clock: Clock) -> None:
    hanging, other = Hanging("slow"), Told("other")
    checking = Checking([planned(hanging, timeout_s=0.01), planned(other, interval_s=0.001)], store, clock)
    await checking.start()
    await until(lambda: statuses(checking) == {"slow": UNHEALTHY, "other": HEALTHY})
    before = other.runs
    await until(lambda: other.runs > before)
    await checking.stop()
    hanging.end.set()

    assert checking.results()["slow"].message.endswith("the check still hangs")


async def test_check_that_raises_costs_only_its_own_result(store: Store, clock: Clock) -> None:
    def fail() -> None:
        raise ValueError("a defect")

    checking = Checking([planned(Told("broken", on_run=fail)), planned(Told("other"))], store, clock)
    await checking.check_all()

    assert statuses(checking) == {"broken": UNHEALTHY, "other": HEALTHY}
    assert checking.results()["broken"].message == "the check raised ValueError: a defect"


async def test_check_that_raised_runs_again(store: Store, clock: Clock) -> None:
    def fail() -> None:
        raise ValueError("a defect")

    broken = Told("broken", on_run=fail)
    checking = Checking([planned(broken, interval_s=0.001)], store, clock)
    await checking.start()
    await until(lambda: broken.runs >= 3)
    await checking.stop()

    assert statuses(checking) == {"broken": UNHEALTHY}


async def test_stop_does_not_wait_for_a_check_that_hangs(store: Store, clock: Clock) -> None:
    hanging = Hanging("slow")
    checking = Checking([planned(hanging)], store, clock)
    await checking.start()
    async with asyncio.timeout(PATIENT_S / 2):  # its own timeout would take twice as long
        await checking.stop()

    assert statuses(checking) == {"slow": UNKNOWN}
    hanging.end.set()


async def test_who_asks_while_a_run_is_under_way_waits_for_it(store: Store, clock: Clock) -> None:
    gate = threading.Event()
    check = Told("db", on_run=gate.wait)
    checking = Checking([planned(check)], store, clock)
    asked = [asyncio.create_task(checking.check_all()) for _ in range(3)]
    await until(lambda: check.runs == 1)
    gate.set()
    await asyncio.gather(*asked)

    assert check.runs == 1


async def test_check_that_is_added_later_starts_at_once(store: Store, clock: Clock) -> None:
    checking = Checking([], store, clock)
    await checking.start()
    checking.add(planned(Told("late")))
    assert set(checking.results()) == {"late"}
    await until(lambda: statuses(checking) == {"late": HEALTHY})
    await checking.stop()


async def test_two_checks_of_one_name_are_refused(store: Store, clock: Clock) -> None:
    with pytest.raises(ValueError, match=r"^there is a check 'db' already; give each a name of its own$"):
        Checking([planned(Told("db")), planned(Told("db"))], store, clock)


async def test_dependency_that_does_not_exist_is_refused(store: Store, clock: Clock) -> None:
    with pytest.raises(ValueError, match=r"^checks.shop: depends_on = 'xyz': there is no check of that name; "):
        Checking([planned(Told("shop"), "xyz")], store, clock)


async def test_check_that_is_added_with_a_dependency_that_does_not_exist_is_refused(store: Store, clock: Clock) -> None:
    checking = Checking([planned(Told("db"))], store, clock)
    with pytest.raises(ValueError, match=r"^checks.shop: depends_on = 'xyz': there is no check of that name; "):
        checking.add(planned(Told("shop"), "xyz"))

    assert statuses(checking) == {"db": UNKNOWN}
    await checking.check_all()
    assert statuses(checking) == {"db": HEALTHY}


async def test_other_checks_are_followed_and_what_stays_keeps_its_state(store: Store, clock: Clock) -> None:
    old, gone = Told("db", UNHEALTHY), Told("gone")
    checking = Checking([planned(old, interval_s=0.001), planned(gone, interval_s=0.001)], store, clock)
    await checking.start()
    await until(lambda: statuses(checking) == {"db": UNHEALTHY, "gone": HEALTHY})
    new, added = Hanging("db"), Told("added")
    checking.follow([planned(new), planned(added)])

    assert statuses(checking) == {"db": UNHEALTHY, "added": UNKNOWN}
    await until(lambda: statuses(checking)["added"] is HEALTHY)
    new.end.set()
    await until(lambda: statuses(checking)["db"] is HEALTHY)
    await checking.stop()
    assert checking.results()["db"].message == "let go"


async def test_who_waits_until_all_have_been_asked_does_not_wait_for_one_that_is_no_more(
    store: Store, clock: Clock
) -> None:
    stays, goes = planned(Told("stays")), planned(hanging := Hanging("goes"))
    checking = Checking([stays, goes], store, clock)
    await checking.start()
    async with asyncio.timeout(PATIENT_S / 2):
        waiting = asyncio.create_task(checking.asked())
        await until(lambda: statuses(checking)["stays"] is HEALTHY)
        assert not waiting.done()
        checking.follow([stays])
        await waiting
    await checking.stop()
    hanging.end.set()


# States


async def test_state_changes_when_enough_results_say_so(store: Store, clock: Clock) -> None:
    check = Told("db")
    checking = Checking([planned(check, failures=2)], store, clock)
    await checking.check_all()
    check.status = UNHEALTHY
    await checking.check_all()
    assert statuses(checking) == {"db": HEALTHY}

    await checking.check_all()
    assert statuses(checking) == {"db": UNHEALTHY}
    assert checking.overall().status is UNHEALTHY


async def test_who_fails_first_is_not_blamed_for_the_death_of_what_it_depends_on(store: Store, clock: Clock) -> None:
    database, shop = Told("db"), Told("shop")
    checking = Checking([planned(database, interval_s=3600), planned(shop, "db", interval_s=0.001)], store, clock)
    seen: set[HealthStatus] = set()
    await checking.start()
    await until(lambda: statuses(checking) == {"db": HEALTHY, "shop": HEALTHY})
    database.status = shop.status = UNHEALTHY

    def blamed() -> bool:
        seen.add(statuses(checking)["shop"])
        return statuses(checking)["db"] is UNHEALTHY  # an hour early, because the shop failed

    await until(blamed)
    await checking.stop()

    assert statuses(checking)["shop"] is UNKNOWN
    assert UNHEALTHY not in seen


async def test_dependency_that_was_looked_at_meanwhile_is_not_run_again(store: Store, clock: Clock) -> None:
    gate = threading.Event()
    shop, database = Told("shop", UNHEALTHY, on_run=gate.wait), Told("db")
    checking = Checking([planned(shop, "db"), planned(database)], store, clock)
    asked = asyncio.create_task(checking.check_all())
    await until(lambda: statuses(checking)["db"] is HEALTHY)
    gate.set()
    await asked

    assert statuses(checking)["shop"] is UNHEALTHY
    assert database.runs == 1


async def test_change_of_a_state_is_logged(store: Store, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    check = Told("db")
    checking = Checking([planned(check)], store, clock)
    caplog.set_level("INFO")
    for status in (HEALTHY, HEALTHY, UNHEALTHY):
        check.status = status
        await checking.check_all()

    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert logged == [("INFO", "db is healthy: as told"), ("WARNING", "db is unhealthy: as told")]


# Metrics


async def test_metrics_tell_what_is_reported(store: Store, clock: Clock) -> None:
    checking = Checking(
        [planned(Told("db", UNHEALTHY)), planned(Told("disk", DEGRADED)), planned(Told("shop"), "db")], store, clock
    )
    await checking.check_all()

    assert values(checking, "sergas_check_up") == {("db",): 0, ("disk",): 1}  # nothing for what is unknown
    status = values(checking, "sergas_check_status")
    assert [labels for labels, value in status.items() if value == 1] == [
        ("db", "unhealthy"),
        ("disk", "degraded"),
        ("shop", "unknown"),
    ]
    assert len(status) == 12
    assert set(values(checking, "sergas_check_duration_seconds")) == {("db",), ("disk",), ("shop",)}


async def test_results_and_their_time_are_counted(store: Store, clock: Clock) -> None:
    check = Told("db")
    checking = Checking([planned(check, failures=5)], store, clock)
    for status in (HEALTHY, HEALTHY, UNHEALTHY):
        check.status = status
        await checking.check_all()

    counted = values(checking, "sergas_check_results_total")
    assert counted == {("db", "healthy"): 2, ("db", "degraded"): 0, ("db", "unknown"): 0, ("db", "unhealthy"): 1}
    assert values(checking, "sergas_check_seconds_total")["db",] > 0


async def test_figures_of_checks_of_one_kind_are_one_family(store: Store, clock: Clock) -> None:
    def figures(value: float) -> tuple[Family, ...]:
        return (Family("database_size_bytes", "gauge", "Size.", (Sample((), value),)),)

    checks = [Told("a", figures=figures(1)), Told("b", figures=figures(2)), Told("c")]
    checking = Checking(map(planned, checks), store, clock)
    await checking.check_all()

    assert values(checking, "database_size_bytes") == {("a",): 1, ("b",): 2}
    names = [family.name for family in checking.families(NOW)]
    assert len(names) == len(set(names))


async def test_figures_vanish_when_the_check_measures_nothing(store: Store, clock: Clock) -> None:
    check = Told("a", figures=(Family("database_size_bytes", "gauge", "Size.", (Sample((), 1),)),))
    checking = Checking([planned(check)], store, clock)
    await checking.check_all()
    check.figures = ()
    await checking.check_all()

    assert "database_size_bytes" not in [family.name for family in checking.families(NOW)]


# History


async def test_uptime_is_the_share_of_the_observed_time(store: Store, clock: Clock) -> None:
    check = Told("db")
    checking = Checking([planned(check)], store, clock)
    for status in (HEALTHY, HEALTHY, HEALTHY, UNHEALTHY, HEALTHY):
        check.status = status
        await checking.check_all()
        clock.pass_by(30)

    assert checking.uptime() == {"db": {"1h": 0.75, "24h": 0.75, "7d": 0.75, "30d": 0.75}}
    assert values(checking, "sergas_check_uptime_ratio")["db", "1h"] == 0.75


async def test_time_in_which_nobody_looked_counts_as_nothing(store: Store, clock: Clock) -> None:
    check = Told("db")
    checking = Checking([planned(check, timeout_s=10)], store, clock)
    await checking.check_all()
    clock.pass_by(30)
    await checking.check_all()
    check.status = UNHEALTHY
    clock.pass_by(3600)
    await checking.check_all()
    clock.pass_by(30)
    await checking.check_all()

    assert checking.uptime()["db"]["24h"] == 0.5


async def test_result_that_comes_late_leaves_no_gap(store: Store, clock: Clock) -> None:
    check = Told("db")
    checking = Checking([planned(check, timeout_s=10, interval_s=30)], store, clock)
    for status, next_s in ((HEALTHY, 79), (UNHEALTHY, 21), (HEALTHY, 0)):
        check.status = status
        await checking.check_all()
        clock.pass_by(next_s)

    assert checking.uptime()["db"]["24h"] == 0.79


async def test_what_depends_on_a_dead_component_is_not_down_meanwhile(store: Store, clock: Clock) -> None:
    database, shop = Told("db"), Told("shop")
    checking = Checking([planned(database), planned(shop, "db")], store, clock)
    for status in (HEALTHY, HEALTHY, UNHEALTHY, UNHEALTHY):
        database.status = shop.status = status
        await checking.check_all()
        clock.pass_by(30)

    assert checking.uptime()["db"]["1h"] == pytest.approx(2 / 3)
    assert checking.uptime()["shop"]["1h"] == 1


async def test_history_survives_a_restart(store: Store, clock: Clock) -> None:
    check = Told("db")
    first = Checking([planned(check)], store, clock)
    for status in (HEALTHY, HEALTHY, UNHEALTHY, UNHEALTHY):
        check.status = status
        await first.check_all()
        clock.pass_by(30)
    await first.stop()

    second = Checking([planned(check)], store, clock)
    await second.start()
    await until(lambda: statuses(second) == {"db": UNHEALTHY})
    await second.stop()

    assert second.uptime()["db"]["1h"] == 0.5  # 60 s up, 60 s down: the 30 s between the two belong to it


async def test_change_is_saved_at_once(store: Store, clock: Clock) -> None:
    checking = Checking([planned(Told("db"))], store, clock)
    await checking.start()
    rows: list[tuple[Any, ...]] = []

    async with asyncio.timeout(PATIENT_S):
        while not rows:
            rows = await store.read(_rows)
            await asyncio.sleep(0.005)  # the checking tells nobody when it has saved
    await checking.stop()

    assert rows == [("db", "healthy", clock.wall_s, clock.wall_s)]


async def test_clock_that_was_set_back_takes_back_what_has_not_been(store: Store, clock: Clock) -> None:
    check = Told("db")
    checking = Checking([planned(check)], store, clock)
    start_s = clock.wall_s
    for _ in range(10):
        await checking.check_all()
        clock.pass_by(30)
    await checking._save()  # noqa: SLF001  what is in the store has to be taken back too
    clock.wall_s = start_s + 60
    check.status = UNHEALTHY
    await checking.check_all()
    clock.pass_by(60)
    await checking.check_all()
    await checking.stop()

    assert await store.read(_rows) == [
        ("db", "healthy", start_s, start_s + 60),
        ("db", "unhealthy", start_s + 60, start_s + 120),
    ]
    assert checking.uptime()["db"]["1h"] == 0.5


async def test_clock_that_was_set_back_takes_back_whole_stretches(store: Store, clock: Clock) -> None:
    check = Told("db")
    checking = Checking([planned(check)], store, clock)
    start_s = clock.wall_s
    for number in range(10):
        check.status = UNHEALTHY if number % 2 else HEALTHY
        await checking.check_all()
        clock.pass_by(30)
    await checking._save()  # noqa: SLF001  what is in the store has to be taken back too
    clock.wall_s = start_s + 45
    await checking.check_all()
    await checking.stop()

    assert await store.read(_rows) == [
        ("db", "healthy", start_s, start_s + 30),
        ("db", "unhealthy", start_s + 30, start_s + 45),
    ]


async def test_history_is_bounded_by_age(store: Store, clock: Clock) -> None:
    checking = Checking([planned(Told("db"))], store, clock)
    await checking.check_all()
    await checking._save()  # noqa: SLF001  the old one has to be in the store
    clock.pass_by(31 * 86_400)
    await checking.check_all()
    await checking.stop()

    assert await store.read(_rows) == [("db", "healthy", clock.wall_s, clock.wall_s)]


async def test_history_is_bounded_by_number(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HISTORY_SPANS", 4)
    check = Told("db")
    checking = Checking([planned(check)], store, clock)
    for number in range(20):
        check.status = UNHEALTHY if number % 2 else HEALTHY
        await checking.check_all()
        await checking._save()  # noqa: SLF001  each change by itself, as when it runs
        clock.pass_by(30)
    await checking.stop()

    rows = await store.read(_rows)
    assert len(rows) == 4
    assert rows[-1][:2] == ("db", "unhealthy")


async def rename(store: Store, old: str, new: str) -> None:
    """Take a table away, or bring it back."""
    await store.write(lambda connection: connection.execute(f"ALTER TABLE {old} RENAME TO {new}") and None)


async def test_history_that_cannot_be_written_costs_no_result_and_is_tried_again(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    checking = Checking([planned(Told("db"))], store, clock)
    await rename(store, "health_spans", "away")
    await checking.check_all()
    await checking._save()  # noqa: SLF001  nothing else says when it was tried
    logged = [record.getMessage() for record in caplog.records if record.name == module.__name__]
    await rename(store, "away", "health_spans")
    await checking.stop()

    assert logged == ["the history of health is kept in memory for now: no such table: health_spans"]
    assert statuses(checking) == {"db": HEALTHY}
    assert await store.read(_rows) == [("db", "healthy", clock.wall_s, clock.wall_s)]


async def test_history_that_a_closed_store_refuses_costs_nothing_else(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = await Store.open(None, GroupSettings())
    checking = Checking([planned(Told("db"))], store, clock)
    await store.close()
    await checking.check_all()
    await checking.stop()

    assert statuses(checking) == {"db": HEALTHY}
    assert "the history of health is kept in memory for now: the store in memory is closed" in caplog.text


# From the configuration


def test_plan_has_what_the_configuration_says(tmp_path: Path) -> None:
    entry = CheckSettings("tcp", "db", 5, 15, 3, 2, options={"host": "127.0.0.1", "port": 1})
    dependent = CheckSettings("tcp", "shop", depends_on=("db",), options={"host": "127.0.0.1", "port": 1})

    first, second = plan(ChecksSettings(checks=(entry, dependent)), tmp_path)

    assert (first.check.name, first.timeout_s, first.interval_s) == ("db", 5, 15)
    assert (first.thresholds, first.depends_on) == (Thresholds(3, 2), ())
    assert second.depends_on == ("db",)


def test_plan_refuses_what_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        plan(ChecksSettings(checks=(CheckSettings("tcp", "db"),)), tmp_path)


def _rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT name, status, from_s, until_s FROM health_spans ORDER BY from_s").fetchall()
