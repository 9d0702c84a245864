"""The dataclass of what every run loads is, to those who use it, the one of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import field
from typing import Any

import pytest

from pytest_sergas.core import frozen

pytestmark = pytest.mark.unit


@frozen.dataclass(frozen=True, slots=True)
class Ours:
    name: str
    count: int = 3
    tags: tuple[str, ...] = field(default=(), repr=False)
    notes: list[str] = field(default_factory=list, compare=False)

    @property
    def shown(self) -> str:
        return f"{self.name} {self.count}"


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    name: str
    count: int = 3
    tags: tuple[str, ...] = field(default=(), repr=False)
    notes: list[str] = field(default_factory=list, compare=False)


@pytest.mark.parametrize("arguments", [("a",), ("a", 4), ("a", 4, ("x",), ["y"])])
def test_instances_have_the_same_values_texts_and_hashes(arguments: tuple[Any, ...]) -> None:
    ours: Any = Ours(*arguments)
    standard = Standard(*arguments)

    assert dataclasses.asdict(ours) == dataclasses.asdict(standard)
    assert repr(ours) == repr(standard).replace("Standard", "Ours")
    assert ours == Ours(*arguments) != Ours("other")
    assert ours != standard
    assert hash(ours) == hash(Ours(*arguments))
    assert ours.shown == f"{ours.name} {ours.count}"


def test_it_is_copied_pickled_and_replaced() -> None:
    ours = Ours("a", notes=["n"])

    assert copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours)) == ours  # noqa: S301  made here
    assert dataclasses.replace(ours, count=9) == Ours("a", 9)
    assert str(inspect.signature(Ours)).startswith("(name: 'str', count: 'int' = 3")
    assert Ours("a").notes is not Ours("a").notes


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [((), {}), (("a", 1, (), [], 5), {}), (("a",), {"name": "b"}), (("a",), {"other": 1})],
    ids=["missing", "too many", "twice", "unknown"],
)
def test_wrong_arguments_are_refused_by_both(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    for made in (Ours, Standard):
        with pytest.raises(TypeError):
            made(*arguments, **keywords)


def test_it_cannot_be_changed() -> None:
    ours = Ours("a")

    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
        ours.name = "b"  # type: ignore[misc]  # that is the point
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'name'"):
        del ours.name
    with pytest.raises((AttributeError, TypeError)):
        ours.__dict__  # noqa: B018  it has slots
