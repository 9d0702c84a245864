"""What samples from before the first one could change in the result of an expression.

A rule that looks back an hour has ten minutes of samples ten minutes after the start. ``max_over_time(x[1h]) > 5``
can be believed then where it holds, because older samples make a maximum only larger; where it does not hold, and for
``min_over_time(x[1h]) > 5`` or ``rate(x[1h]) > 5`` altogether, it cannot. Whatever has no line here may change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

# "up": a value is never smaller with older samples than without them.
Values = Literal["same", "up", "down", "any"]
# "more": elements that are there stay, others may come.
Elements = Literal["same", "more", "any"]


class Change(NamedTuple):
    """What older samples may do to the values of a vector or a number, and to the elements of a vector."""

    values: Values
    elements: Elements = "same"


_SAME = Change("same")
_ANY = Change("any", "any")
_OVER_RANGES: Mapping[str, Values] = MappingProxyType(
    {
        "changes": "up",
        "count_over_time": "up",
        "idelta": "any",
        "irate": "any",
        "last_over_time": "same",
        "max_over_time": "up",
        "min_over_time": "down",
        "present_over_time": "same",
        "resets": "up",
    }
)
_KEEPING = frozenset(
    {"ceil", "exp", "floor", "label_join", "label_replace", "ln", "log10", "log2", "round", "sgn", "sqrt", "vector"}
)
_OPPOSITE: Mapping[Values, Values] = MappingProxyType({"same": "same", "up": "down", "down": "up", "any": "any"})
# Comparison → how the left side has to change, and the right one opposite, for it to hold as before.
_DIRECTIONS: Mapping[str, Values] = MappingProxyType({">": "up", ">=": "up", "<": "down", "<=": "down"})


def firing_lasts(tree: Any) -> bool:
    """Whether every element of the result would be there with older samples, too."""
    return change(tree).elements != "any"


def change(tree: Any) -> Change:
    """Return what older samples may do to the result of a tree of promql-parser."""
    find = _NODES.get(type(tree).__name__)
    return _ANY if find is None else find(tree)


def _selector(tree: Any) -> Change:
    offset = tree.offset
    return _SAME if offset is None or offset.total_seconds() <= 0 else Change("same", "more")


def _unary(tree: Any) -> Change:
    inner = change(tree.expr)
    return Change(_OPPOSITE[inner.values], inner.elements)


def _call(tree: Any) -> Change:
    name, args = tree.func.name, [change(arg) for arg in tree.args if type(arg).__name__ != "StringLiteral"]
    if any(type(arg).__name__ == "MatrixSelector" for arg in tree.args):
        return _ANY if name == "absent_over_time" else Change(_OVER_RANGES.get(name, "any"), "more")
    if all(arg == _SAME for arg in args):
        return _SAME
    first, *others = args
    if name == "scalar":
        return Change(first.values) if first.elements == "same" else _ANY
    # Those whose result rises with the value, or has nothing to do with it; by how much must not change.
    if name in _KEEPING and all(other == _SAME for other in others):
        return first
    return Change("any", first.elements) if name == "abs" else _ANY


def _aggregation(tree: Any) -> Change:
    op, inner = str(tree.op), change(tree.expr)
    if inner.elements == "any" or (tree.param is not None and op not in {"count_values", "quantile"}):
        return inner if inner == _SAME else _ANY
    if op == "group":
        return Change("same", inner.elements)
    if inner.elements == "same":
        steady = op in {"sum", "avg", "min", "max", "quantile"} or inner.values == "same"
        return Change("same" if op == "count" else inner.values if steady else "any", "same")
    if op == "count_values":
        return Change("up", "more") if inner.values == "same" else _ANY
    grows = op == "count" or (op == "max" and inner.values in {"same", "up"})
    shrinks = op == "min" and inner.values in {"same", "down"}
    return Change("up" if grows else "down" if shrinks else "any", "more")


def _binary(tree: Any) -> Change:
    op, left, right = str(tree.op), change(tree.lhs), change(tree.rhs)
    if op in _SETS:
        return _SETS[op](left, right)
    if "any" in {left.elements, right.elements}:
        return _ANY
    elements: Elements = "same" if left.elements == right.elements == "same" else "more"
    if op in _DIRECTIONS or op in {"==", "!="}:
        return _comparison(tree, op, left, right, elements)
    return Change(_combined(tree, op, left.values, right.values), elements)


def _and(left: Change, right: Change) -> Change:
    if right.elements == "any":
        return _ANY
    return left if right.elements == "same" else Change(left.values, "any" if left.elements == "any" else "more")


def _or(left: Change, right: Change) -> Change:
    # An element that comes on the left side takes the place of one on the right.
    if left.elements != "same" or right.elements == "any":
        return _ANY
    return Change(left.values if left.values == right.values else "any", right.elements)


def _unless(left: Change, right: Change) -> Change:
    return left if right.elements == "same" else _ANY


def _comparison(tree: Any, op: str, left: Change, right: Change, elements: Elements) -> Change:
    towards = _DIRECTIONS.get(op, "same")
    steady = left.values == right.values == "same"
    holds_on = steady or (left.values in {"same", towards} and right.values in {"same", _OPPOSITE[towards]})
    if tree.modifier is not None and tree.modifier.return_bool:
        return Change("same" if steady else "up" if holds_on and towards != "same" else "any", elements)
    # The elements of the result are those of the side that is a vector.
    values = right.values if type(_bare(tree.lhs)).__name__ in _NUMBERS else left.values
    if not holds_on:
        return _ANY
    return Change(values, elements if steady else "more")


def _combined(tree: Any, op: str, left: Values, right: Values) -> Values:
    if left == right == "same":
        return "same"
    if op == "-":
        op, right = "+", _OPPOSITE[right]
    if op == "+":
        given = {left, right} - {"same"}
        return given.pop() if len(given) == 1 else "any"
    # By a positive number: more of it, in the same direction.
    if op in {"*", "/"} and (factor := _number(tree.rhs)) is not None and factor > 0:
        return left
    if op == "*" and (factor := _number(tree.lhs)) is not None and factor > 0:
        return right
    return "any"


def _bare(tree: Any) -> Any:
    while type(tree).__name__ == "ParenExpr":
        tree = tree.expr
    return tree


def _number(tree: Any) -> float | None:
    bare = _bare(tree)
    return float(bare.val) if type(bare).__name__ == "NumberLiteral" else None


_NUMBERS = frozenset({"NumberLiteral"})
_SETS: Mapping[str, Callable[[Change, Change], Change]] = MappingProxyType({"and": _and, "or": _or, "unless": _unless})
_NODES: Mapping[str, Callable[[Any], Change]] = MappingProxyType(
    {
        "AggregateExpr": _aggregation,
        "BinaryExpr": _binary,
        "Call": _call,
        "NumberLiteral": lambda _tree: _SAME,
        "ParenExpr": lambda tree: change(tree.expr),
        "UnaryExpr": _unary,
        "VectorSelector": _selector,
    }
)
