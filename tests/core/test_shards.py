"""A split is a partition, balanced, the same everywhere, and its fingerprint tells two splits apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.kinds import NotAllowed
from pytest_sergas.core.plan import Unit
from pytest_sergas.core.shards import Shard, SourceOrder, fingerprint, parse, split

pytestmark = pytest.mark.unit

SECONDS = st.just(0.0) | st.floats(0, 1e9)


@st.composite
def units(draw: st.DrawFn) -> list[Unit]:
    """Return units of one to four tests each."""
    sizes = draw(st.lists(st.integers(1, 4), max_size=12))
    found, place = [], 0
    for size in sizes:
        members = tuple(range(place, place + size))
        found.append(Unit(members, None, exclusive=False, capped=frozenset(), seconds=draw(SECONDS)))
        place += size
    return found


def unit(place: int, seconds: float) -> Unit:
    return Unit((place,), None, exclusive=False, capped=frozenset(), seconds=seconds)


def total_s(part: list[Unit]) -> float:
    return sum(unit.seconds for unit in part)


@given(units(), st.integers(1, 8))
def test_each_unit_is_in_exactly_one_shard(all_units: list[Unit], shards: int) -> None:
    parts = split(all_units, shards)

    assert len(parts) == shards
    assert sorted(unit.tests for part in parts for unit in part) == [unit.tests for unit in all_units]


@given(st.data(), st.integers(1, 8))
def test_split_does_not_depend_on_the_order_of_the_units(data: st.DataObject, shards: int) -> None:
    all_units = data.draw(units())

    assert split(data.draw(st.permutations(all_units)), shards) == split(all_units, shards)


@given(units(), st.integers(1, 8))
def test_no_shard_takes_longer_than_the_mean_and_the_longest_unit_together(all_units: list[Unit], shards: int) -> None:
    longest_s = max((unit.seconds for unit in all_units), default=0.0)
    mean_s = total_s(all_units) / shards

    assert max(map(total_s, split(all_units, shards))) <= (mean_s + longest_s) * (1 + 1e-9)


@given(st.integers(0, 40), st.integers(1, 8))
def test_units_of_the_same_length_are_split_by_count(number: int, shards: int) -> None:
    sizes = [len(part) for part in split([unit(place, 1.0) for place in range(number)], shards)]

    assert max(sizes) - min(sizes) <= 1


def test_units_that_take_no_time_are_split_by_count() -> None:
    assert [len(part) for part in split([unit(place, 0.0) for place in range(6)], 3)] == [2, 2, 2]


def test_the_longest_go_first() -> None:
    parts = split([unit(0, 1.0), unit(1, 1.0), unit(2, 1.0), unit(3, 3.0)], 2)

    assert [[unit.tests[0] for unit in part] for part in parts] == [[3], [0, 1, 2]]


def test_same_split_has_the_same_fingerprint() -> None:
    parts = split([unit(0, 1.0), unit(1, 2.0)], 2)

    assert fingerprint(["a", "b"], parts) == fingerprint(["a", "b"], [list(part) for part in parts])


@pytest.mark.parametrize(
    ("node_ids", "shards"),
    [
        pytest.param(["a", "c"], [[0], [1]], id="other tests"),
        pytest.param(["a", "b"], [[1], [0]], id="other shards"),
        pytest.param(["a", "b"], [[0, 1], []], id="other sizes"),
        pytest.param(["a", "\udcff"], [[0], [1]], id="bytes that are not UTF-8"),
    ],
)
def test_another_split_has_another_fingerprint(node_ids: list[str], shards: list[list[int]]) -> None:
    parts = [[unit(place, 1.0) for place in places] for places in shards]

    assert fingerprint(node_ids, parts) != fingerprint(["a", "b"], [[unit(0, 1.0)], [unit(1, 1.0)]])


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of))))
def test_shard_is_read_as_it_is_written(pair: tuple[int, int]) -> None:
    shard = Shard(*pair)

    assert parse(str(shard)) == shard


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("0/5", "allowed: a number from 1 to 5, such as 1/5", id="none"),
        pytest.param("6/5", "allowed: a number from 1 to 5, such as 1/5", id="behind the last"),
        pytest.param("1/0", "allowed: from 1 to 10000 shards, such as 2/5", id="of none"),
        pytest.param("1/99999", "allowed: from 1 to 10000 shards, such as 2/5", id="of too many"),
        pytest.param("a/b", "allowed: NUMBER/OF, such as 2/5 for the second of five shards", id="no numbers"),
        pytest.param("", "allowed: NUMBER/OF, such as 2/5 for the second of five shards", id="empty"),
        pytest.param("-1/5", "allowed: NUMBER/OF, such as 2/5 for the second of five shards", id="negative"),
        pytest.param("1/5/7", "allowed: NUMBER/OF, such as 2/5 for the second of five shards", id="one too many"),
        pytest.param("²/5", "allowed: NUMBER/OF, such as 2/5 for the second of five shards", id="no plain digit"),
    ],
)
def test_what_is_no_shard_says_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        parse(text)

    assert str(caught.value) == message


def test_order_of_a_split_is_that_of_collection_and_the_same_whatever_a_set_gave() -> None:
    functions = [
        "b.py::test_z[9]",
        "b.py::test_z[10]",
        "b.py::test_a",
        "a.py::TestA::test_b[x-2]",
        "a.py::TestA::test_b[x-11]",
    ]
    shuffled = [
        "b.py::test_z[10]",
        "b.py::test_z[9]",
        "b.py::test_a",
        "a.py::TestA::test_b[x-11]",
        "a.py::TestA::test_b[x-2]",
    ]
    added = "a.py::TestA::test_added"

    orders = [SourceOrder(functions), SourceOrder(shuffled)]

    assert [sorted([added, *reversed(functions)], key=order.key) for order in orders] == [[*functions, added]] * 2
