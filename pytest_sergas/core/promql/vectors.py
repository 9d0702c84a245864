"""Vectors: elements with a name, labels and a value, and how two of them are matched.

    https://prometheus.io/docs/prometheus/latest/querying/operators/#vector-matching

An element is a plain tuple, because making one is most of what an evaluation does. A name of "" is none, and
labels are canonical (core/series.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_sergas.core.promql.arithmetic import COMPARISONS, Comparison, Operation
from pytest_sergas.core.series import NAME, Labels, Series, canonical

Element = tuple[str, Labels, float]
Vector = list[Element]
# What two elements have to have in common: a name, "" for any, and labels.
Key = tuple[str, Labels]
KeyOf = Callable[[str, Labels], Key]


class EvaluationError(Exception):
    """An expression has no result for the series that are there; the text says why."""


class Context:
    """What one evaluation has to go by.

    Attributes:
        series: those of each selector of the expression.
        now_s: the moment, on the clock of the samples.
        ahead_s: what the wall clock has more than that clock.
        filtering: whether comparisons leave out the elements for which they do not hold. Without it the result has
            every element that there is something to compare for.
    """

    __slots__ = ("ahead_s", "filtering", "now_s", "series")

    def __init__(self, series: Sequence[Sequence[Series]], now_s: float, wall_s: float, *, filtering: bool) -> None:
        self.series = series
        self.now_s = now_s
        self.ahead_s = wall_s - now_s
        self.filtering = filtering

    def before(self, offset_s: float) -> float:
        """Return the moment ``offset_s`` before, to the microsecond; the moment itself to the last digit."""
        return round(self.now_s - offset_s, 6) if offset_s else self.now_s


@dataclass(frozen=True, slots=True)
class Matching:
    """How the elements of two vectors find each other.

    Attributes:
        on: whether ``labels`` are those that have to be equal, or those that do not.
        many: the side of which several elements may have the same counterpart.
        include: labels that the elements of the other side give to the result.
    """

    on: bool = False
    labels: frozenset[str] = frozenset()
    many: Literal["", "left", "right"] = ""
    include: tuple[str, ...] = ()

    @property
    def key(self) -> KeyOf:
        """What is compared of an element; names are only where they are asked for."""
        return picking(self.labels) if self.on else leaving(self.labels)

    @property
    def keeps_name(self) -> bool:
        """Whether the result of a comparison keeps the name of its element."""
        return bool(self.many) or (NAME in self.labels) == self.on


# For each element a tuple is made, of a list: of a generator it takes twice as long.


def picking(names: frozenset[str]) -> KeyOf:
    """Return what keeps the labels ``names`` alone: ``by`` and ``on``."""
    if NAME in names:
        return lambda name, labels: (name, tuple([pair for pair in labels if pair[0] in names]))
    if not names:
        return lambda _name, _labels: ("", ())
    return lambda _name, labels: ("", tuple([pair for pair in labels if pair[0] in names]))


def leaving(names: frozenset[str]) -> KeyOf:
    """Return what leaves out the labels ``names``, and the name: ``without`` and ``ignoring``."""
    if not names:
        return lambda _name, labels: ("", labels)
    return lambda _name, labels: ("", tuple([pair for pair in labels if pair[0] not in names]))


def nameless(elements: Iterable[Element]) -> Vector:
    """Return ``elements`` without their names.

    Raises:
        EvaluationError: two of them differ by nothing else.
    """
    given = list(elements)
    if len({name for name, _, _ in given}) > 1 and len({labels for _, labels, _ in given}) < len(given):
        raise EvaluationError("without their names two series are the same; select the name as well")
    return [("", labels, value) for _, labels, value in given]


def unequal(elements: Iterable[Element]) -> Vector:
    """Return ``elements`` as they are.

    Raises:
        EvaluationError: two of them have the same name and labels.
    """
    given = list(elements)
    if len({(name, labels) for name, labels, _ in given}) < len(given):
        raise EvaluationError("two series have the same name and labels; let them differ")
    return given


def grouped(elements: Iterable[Element], key: KeyOf) -> Iterable[tuple[Key, Vector]]:
    """Return the elements that have the same key, by their keys."""
    groups: dict[Key, Vector] = {}
    for element in elements:
        groups.setdefault(key(element[0], element[1]), []).append(element)
    return groups.items()


def shown(labels: Labels) -> str:
    """Return labels as people write them."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"


def both(left: Vector, right: Vector, key: KeyOf) -> Vector:
    """``and``: the elements of ``left`` that have a counterpart."""
    there = {key(name, labels) for name, labels, _ in right}
    return [element for element in left if key(element[0], element[1]) in there]


def either(left: Vector, right: Vector, key: KeyOf) -> Vector:
    """``or``: all of ``left``, and the elements of ``right`` that have no counterpart there."""
    there = {key(name, labels) for name, labels, _ in left}
    return [*left, *(element for element in right if key(element[0], element[1]) not in there)]


def except_for(left: Vector, right: Vector, key: KeyOf) -> Vector:
    """``unless``: the elements of ``left`` that have no counterpart."""
    there = {key(name, labels) for name, labels, _ in right}
    return [element for element in left if key(element[0], element[1]) not in there]


def matched(left: Vector, right: Vector, matching: Matching) -> list[tuple[Element, Element, Key]]:
    """Return the pairs of elements that belong together, as (left, right, key).

    Raises:
        EvaluationError: an element has several counterparts where one is allowed.
    """
    if not left or not right:
        return []
    key = matching.key
    swapped = matching.many == "right"
    many, ones = (right, left) if swapped else (left, right)
    by_key: dict[Key, Element] = {}
    for one in ones:
        which = key(one[0], one[1])
        if which in by_key:
            side = "left" if swapped else "right"
            raise EvaluationError(
                f"several series on the {side} side match {shown(which[1])}; "
                "one side of an operator has to have a single one for each match"
            )
        by_key[which] = one
    pairs = [(element, by_key[which], which) for element in many if (which := key(element[0], element[1])) in by_key]
    return [(one, element, which) for element, one, which in pairs] if swapped else pairs


def combined(left: Vector, right: Vector, matching: Matching, operate: Operation) -> Vector:
    """Return ``left op right`` for arithmetic."""
    pairs = matched(left, right, matching)
    return _results(((*pair, operate(pair[0][2], pair[1][2])) for pair in pairs), matching, keeps_name=False)


def compared(left: Vector, right: Vector, matching: Matching, op: str, *, filtering: bool) -> Vector:
    """Return the elements of ``left`` for which ``left op right`` holds; all, unless ``filtering``."""
    holds: Comparison = COMPARISONS[op]
    pairs = matched(left, right, matching)
    kept = ((*pair, pair[0][2]) for pair in pairs if not filtering or holds(pair[0][2], pair[1][2]))
    return _results(kept, matching, keeps_name=matching.keeps_name)


def judged(left: Vector, right: Vector, matching: Matching, op: str) -> Vector:
    """Return 1 or 0 for each pair: ``left op bool right``."""
    holds: Comparison = COMPARISONS[op]
    return nameless(combined(left, right, matching, lambda one, other: float(holds(one, other))))


def _results(pairs: Iterable[tuple[Element, Element, Key, float]], matching: Matching, *, keeps_name: bool) -> Vector:
    """Return an element for each pair.

    Raises:
        EvaluationError: two pairs have the same counterpart where one is allowed, or the same labels in the result.
    """
    results: Vector = []
    taken: set[Key] = set()
    for left, right, which, value in pairs:
        many, one = (right, left) if matching.many == "right" else (left, right)
        name, labels = many[0] if keeps_name else "", many[1] if matching.many else which[1]
        if matching.include:
            given = {NAME: one[0], **dict(one[1])}
            merged = {NAME: name, **dict(labels), **{label: given.get(label, "") for label in matching.include}}
            name, labels = merged.pop(NAME), canonical(merged.items())
        key = (name, labels) if matching.many else which
        if key in taken:
            raise EvaluationError(_CLASH[bool(matching.many)].format(shown(key[1])))
        taken.add(key)
        results.append((name, labels, value))
    return results


# Whether several elements may have the same counterpart → what is wrong all the same.
_CLASH = {
    False: "several series on the left side match {}; many-to-one matching has to be explicit, with group_left",
    True: "several results would have the labels {}; match on more labels",
}
