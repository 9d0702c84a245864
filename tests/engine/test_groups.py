"""Pushed groups: seen when they are committed and not before, there after a restart, gone when their time is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.config.groups import GroupSettings, TtlRule
from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import InconsistentError
from pytest_sergas.core.metrics import FamilyType
from pytest_sergas.engine.groups import FAILED, PUSHED, BoundReachedError, Groups, PushRefusedError
from pytest_sergas.engine.index import Index, Piece
from pytest_sergas.engine.store import Store
from pytest_sergas.errors import StoreError
from tests.engine.pushing import START, at, push, shown

pytestmark = pytest.mark.integration

SETTINGS = GroupSettings()


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await Store.open(None, SETTINGS)
    yield opened
    await opened.close()


@pytest.fixture
async def groups(store: Store) -> Groups:
    return await Groups.load(store, SETTINGS, START)


async def rows(store: Store) -> list[str]:
    return await store.read(
        lambda connection: [row[0] for row in connection.execute("SELECT path FROM pushed_groups ORDER BY path")]
    )


async def break_writing(store: Store) -> None:
    """Make the transactions fail when their rows are written."""
    refuse = "CREATE TRIGGER broken BEFORE INSERT ON pushed_groups BEGIN SELECT RAISE(ABORT, 'broken'); END"
    forbid = "CREATE TRIGGER kept BEFORE DELETE ON pushed_groups BEGIN SELECT RAISE(ABORT, 'broken'); END"
    await store.write(lambda connection: [connection.execute(statement) for statement in (refuse, forbid)])


async def mend_writing(store: Store) -> None:
    await store.write(lambda connection: [connection.execute(f"DROP TRIGGER {name}") for name in ("broken", "kept")])


# A commit that fails


async def test_nothing_is_seen_of_a_commit_that_fails(store: Store, groups: Groups) -> None:
    await push(groups, "old", "m 1\n")
    await break_writing(store)

    results = await asyncio.gather(
        push(groups, "old", "m 2\nn 2\n"),
        push(groups, "new", "m 3\n"),
        push(groups, "new", "m 4\n", replace=False),
        groups.delete({"job": "old"}),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [StoreError] * 4
    assert shown(groups, "m") == 'm{instance="",job="old"} 1\n'
    assert [group.path for group in groups.all(START)] == ["/metrics/job/old"]
    assert groups.index.series == 3


async def test_after_a_commit_that_failed_everything_can_be_pushed(store: Store, groups: Groups) -> None:
    await push(groups, "old", 'm{a="1"} 1\n')
    await break_writing(store)
    await asyncio.gather(
        push(groups, "old", "# TYPE m counter\nm 2\n"), push(groups, "new", 'n{a="1"} 1\n'), return_exceptions=True
    )
    await mend_writing(store)

    await push(groups, "new/a/1", "n 2\n")  # the series that was not taken
    with pytest.raises(PushRefusedError):
        await push(groups, "old/a/1", "m 1\n")  # the series that is still there

    assert shown(groups, "n") == 'n{a="1",instance="",job="new"} 2\n'


async def test_pushes_in_one_transaction_are_checked_against_each_other(groups: Groups) -> None:
    results = await asyncio.gather(
        push(groups, "j", 'm{a="1"} 1\n'), push(groups, "j/a/1", "m 2\n"), return_exceptions=True
    )

    assert [str(result) for result in results] == [
        "None",
        'the series m{a="1",instance="",job="j"} is there already, pushed to /metrics/job/j',
    ]
    assert shown(groups, "m") == 'm{a="1",instance="",job="j"} 1\n'


async def test_group_that_is_deleted_frees_its_names_and_series(groups: Groups) -> None:
    await push(groups, "j", "# TYPE m counter\nm 1\n")

    await groups.delete({"job": "j"})

    assert groups.page == {}
    assert groups.index.series == 0
    await push(groups, "k", "# TYPE m gauge\nm 1\n")


async def test_group_that_does_not_grow_is_taken_beyond_the_bound_of_series(store: Store, groups: Groups) -> None:
    await push(groups, "j", 'm{a="1"} 1\nm{a="2"} 1\n')
    bounded = await Groups.load(store, GroupSettings(max_series=2), START)
    assert bounded.index.series > 2  # the times of the push are among them

    await push(bounded, "j", 'm{a="1"} 2\nm{a="2"} 2\n')

    assert shown(bounded, "m").count(" 2\n") == 2
    with pytest.raises(BoundReachedError, match="with 1 series more there are 5, and max_series allows 2"):
        await push(bounded, "j", 'm{a="1"} 3\nm{a="2"} 3\nm{a="3"} 3\n')


# After a restart


async def test_groups_are_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "sergas.db"
    body = '# HELP m Some "help"\\n.\n# TYPE m counter\nm{a="x\\"\\n"} 1.5\nn NaN\n'
    body += '# TYPE h histogram\nh_bucket{le="1"} 1\n'
    store = await Store.open(path, SETTINGS)
    before = await Groups.load(store, SETTINGS, START)
    await push(before, "j/a@base64/w6k", body, ttl_s=60.0)
    await push(before, "j/a@base64/w6k", "o 1\n", replace=False, now=at(5))
    await push(before, "k", "p 1\n")
    with pytest.raises(PushRefusedError):
        await push(before, "k", "p 1 1\n", now=at(6))
    await store.close()

    store = await Store.open(path, SETTINGS)
    after = await Groups.load(store, SETTINGS, at(7))

    assert without_deadlines(after) == without_deadlines(before)
    assert {name: dict(pieces) for name, pieces in after.page.items()} == before.page
    assert after.index.series == before.index.series
    await store.close()


def without_deadlines(groups: Groups) -> list[object]:
    return [replace(group, deadline_s=None) for group in sorted(groups.all(at(7)), key=lambda group: group.path)]


async def test_row_that_cannot_be_read_is_lost_loudly_and_alone(
    store: Store, groups: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    await push(groups, "good", "m 1\n")
    await push(groups, "bad", "m 1\n")
    await store.write(
        lambda connection: connection.execute("UPDATE pushed_groups SET families = '[[' WHERE path LIKE '%/bad'")
    )

    loaded = await Groups.load(store, SETTINGS, START)

    assert [group.path for group in loaded.all(START)] == ["/metrics/job/good"]
    assert caplog.messages == ["the group /metrics/job/bad cannot be read from the store and is lost"]
    assert await rows(store) == ["/metrics/job/good"]


# A time to live


async def test_group_goes_when_its_time_is_over(store: Store, groups: Groups) -> None:
    await push(groups, "brief", "m 1\n", ttl_s=10.0)
    await push(groups, "j", "m 1\n")

    assert groups.due(at(9.9)) == frozenset()
    assert groups.due(at(10)) == {"/metrics/job/brief"}
    assert [group.path for group in groups.all(at(10))] == ["/metrics/job/j"]
    await groups.expire(at(10))

    assert shown(groups, "m") == 'm{instance="",job="j"} 1\n'
    assert await rows(store) == ["/metrics/job/j"]
    assert metric(groups, "sergas_expired_groups_total") == 1


async def test_successful_push_starts_the_time_again(groups: Groups) -> None:
    await push(groups, "j", "m 1\n", ttl_s=10.0)
    await push(groups, "j", "m 1\n", ttl_s=10.0, replace=False, now=at(8))

    await groups.expire(at(17))
    assert len(groups.all(at(17))) == 1
    await groups.expire(at(18))
    assert groups.all(at(18)) == []


async def test_refused_push_does_not_start_the_time_again(groups: Groups) -> None:
    await push(groups, "j", "m 1\n", ttl_s=10.0)
    with pytest.raises(PushRefusedError):
        await push(groups, "j", "m 1 1\n", ttl_s=10.0, now=at(8))

    await groups.expire(at(10))

    assert groups.all(at(10)) == []


async def test_push_without_a_ttl_takes_the_configurations(store: Store) -> None:
    settings = GroupSettings(ttl=5.0, ttl_rules=(TtlRule({"a": "1"}, 50.0), TtlRule({"a": "2"}, 0.0)))
    groups = await Groups.load(store, settings, START)
    for path in ("j", "j/a/1", "j/a/2"):
        await push(groups, path, "m 1\n")

    assert {group.path: group.ttl_s for group in groups.all(START)} == {
        "/metrics/job/j": 5.0,
        "/metrics/job/j/a/1": 50.0,
        "/metrics/job/j/a/2": None,
    }
    await push(groups, "j", "m 1\n", ttl_s=7.0)
    await push(groups, "j/a/1", "m 1\n", ttl_s=0.0)
    assert [group.ttl_s for group in groups.all(START)] == [7.0, None, None]


async def test_push_after_the_time_is_over_finds_an_empty_group(groups: Groups) -> None:
    await push(groups, "j", "m 1\n", ttl_s=10.0)

    await push(groups, "j", "n 1\n", replace=False, now=at(11))

    assert set(groups.page) == {"n", PUSHED, FAILED}
    await groups.expire(at(11))
    assert set(groups.page) == {"n", PUSHED, FAILED}


async def test_push_that_comes_before_the_deletion_wins(groups: Groups) -> None:
    await push(groups, "j", "m 1\n", ttl_s=10.0)

    await asyncio.gather(push(groups, "j", "m 2\n", ttl_s=10.0, now=at(10)), groups.expire(at(10)))

    assert shown(groups, "m") == 'm{instance="",job="j"} 2\n'
    assert metric(groups, "sergas_expired_groups_total") == 0


async def test_expired_group_is_hidden_although_it_cannot_be_deleted(store: Store, groups: Groups) -> None:
    await push(groups, "j", "m 1\n", ttl_s=10.0)
    await break_writing(store)

    with pytest.raises(StoreError):
        await groups.expire(at(10))

    assert groups.all(at(10)) == []
    await mend_writing(store)
    await groups.expire(at(11))
    assert groups.page == {}


@pytest.mark.parametrize(
    ("away_s", "left_s"),
    [
        pytest.param(4.0, 6.0, id="time goes on while nobody runs"),
        pytest.param(-3600.0, 10.0, id="a clock that was set back an hour counts as no time"),
    ],
)
async def test_time_to_live_survives_a_restart(away_s: float, left_s: float, store: Store, groups: Groups) -> None:
    await push(groups, "j", "m 1\n", ttl_s=10.0)
    restarted = Now(monotonic_s=7.0, wall_s=START.wall_s + away_s)

    loaded = await Groups.load(store, SETTINGS, restarted)

    (group,) = loaded.all(restarted)
    assert group.deadline_s == pytest.approx(7.0 + left_s)


async def test_group_whose_time_was_over_meanwhile_is_not_loaded(store: Store, groups: Groups) -> None:
    await push(groups, "j", "m 1\n", ttl_s=10.0)

    loaded = await Groups.load(store, SETTINGS, Now(7.0, START.wall_s + 10))

    assert loaded.page == {}
    assert await rows(store) == []


async def test_clock_that_is_set_back_neither_stops_nor_shortens_a_life(groups: Groups) -> None:
    await push(groups, "j", "m 1\n", ttl_s=10.0)
    back = Now(START.monotonic_s + 5, START.wall_s - 3600)

    await push(groups, "j", "m 2\n", ttl_s=10.0, now=back)

    assert shown(groups, PUSHED) == f'push_time_seconds{{instance="",job="j"}} {int(back.wall_s)}\n'
    assert groups.due(Now(START.monotonic_s + 14, back.wall_s)) == frozenset()
    assert groups.due(Now(START.monotonic_s + 15, back.wall_s)) == {"/metrics/job/j"}


async def test_groups_go_by_themselves_the_earliest_first(groups: Groups) -> None:
    gone: list[str] = []
    changed = asyncio.Event()
    publish = groups._publish  # noqa: SLF001  to be told, instead of looking again and again

    def told(path: str, after: object) -> None:
        publish(path, after)  # type: ignore[arg-type]
        if after is None:
            gone.append(path)
            changed.set()

    groups._publish = told  # type: ignore[method-assign]  # noqa: SLF001
    now = START
    expiring = asyncio.create_task(groups.expire_for_ever(lambda: now))
    await push(groups, "late", "m 1\n", ttl_s=3600.0)
    await push(groups, "early", "m 1\n", ttl_s=0.01)
    now = at(1)
    await asyncio.wait_for(changed.wait(), 60)

    assert gone == ["/metrics/job/early"]
    expiring.cancel()
    await asyncio.gather(expiring, return_exceptions=True)


async def test_expiry_that_is_cancelled_in_the_moment_of_an_earlier_deadline_ends(groups: Groups) -> None:
    await push(groups, "late", "m 1\n", ttl_s=3600.0)
    expiring = asyncio.create_task(groups.expire_for_ever(lambda: START))
    for _ in range(10):
        await asyncio.sleep(0)  # it waits now

    groups._earlier.set()  # noqa: SLF001  what a push with a shorter time to live does
    await asyncio.sleep(0)
    expiring.cancel()

    ended, _ = await asyncio.wait({expiring}, timeout=10)
    assert ended == {expiring}


# Numbers


def metric(groups: Groups, name: str) -> float:
    return next(family.samples[0].value for family in groups.families(START) if family.name == name)


async def test_groups_say_what_they_are(groups: Groups) -> None:
    await push(groups, "j", "m 1\nn 1\n")
    with pytest.raises(PushRefusedError):
        await push(groups, "k", "m 1 1\n")

    values = {
        (family.name, *sample.labels): sample.value for family in groups.families(START) for sample in family.samples
    }

    assert values == {
        ("sergas_groups",): 2,
        ("sergas_group_series",): 6,
        ("sergas_pushes_total", ("result", "succeeded")): 1,
        ("sergas_pushes_total", ("result", "refused")): 1,
        ("sergas_expired_groups_total",): 0,
    }


async def test_one_push_writes_one_row_whatever_there_is(store: Store, groups: Groups) -> None:
    for number in range(50):
        await push(groups, f"j/a/{number}", "m 1\n")
    statements: list[str] = []
    store._writer.set_trace_callback(statements.append)  # noqa: SLF001

    await push(groups, "j/a/7", "m 2\n")

    store._writer.set_trace_callback(None)  # noqa: SLF001
    assert [statement.split()[0] for statement in statements] == ["BEGIN", "INSERT", "COMMIT"]


# The index, against looking at everything


PIECES = st.lists(
    st.builds(
        lambda name, kind, labels: Piece(name, kind, "", 0.0, b"\n" * len(labels), tuple(sorted(labels))),
        st.sampled_from(["m", "m_sum", "m_count", "n"]),
        st.sampled_from(["gauge", "counter", "summary"]),
        st.sets(st.sampled_from([b"{a}", b"{b}", b"{c}"]), min_size=1),
    ),
    max_size=3,
    unique_by=lambda piece: piece.name,
)


def goes_together(all_groups: dict[str, list[Piece]]) -> bool:
    types: dict[str, FamilyType] = {}
    series: set[tuple[str, bytes]] = set()
    for pieces in all_groups.values():
        for piece in pieces:
            if types.setdefault(piece.name, piece.type) != piece.type:
                return False
            for labels in piece.series:
                if (piece.name, labels) in series:
                    return False
                series.add((piece.name, labels))
    return not any(
        kind == "summary" and (f"{name}_sum" in types or f"{name}_count" in types) for name, kind in types.items()
    )


@given(st.lists(st.tuples(st.sampled_from("xyz"), PIECES), max_size=8))
def test_index_takes_exactly_what_goes_together(pushes: list[tuple[str, list[Piece]]]) -> None:
    index = Index()
    present: dict[str, list[Piece]] = {}
    for path, pieces in pushes:
        wanted = {**present, path: pieces}
        try:
            index.replace(path, present.get(path, []), pieces)
        except InconsistentError:
            assert not goes_together(wanted)
        else:
            assert goes_together(wanted)
            present = wanted
        assert index.series == sum(len(piece.series) for pieces in present.values() for piece in pieces)


def test_index_knows_the_sidecars_own_names() -> None:
    index = Index()
    index.own = {"own": "gauge"}

    with pytest.raises(InconsistentError) as caught:
        index.replace("x", [], [Piece("own", "counter", "", 0.0, b"\n", (b"{}",))])

    assert str(caught.value) == "metric 'own' has the type gauge already, and counter in this push"
