"""An expression's tree → closures, which find out nothing more about it when it is evaluated.

What has no place here is refused, by a list of what is allowed: a node, an operator or a function that the parser
learns in a later version is refused as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pytest_sergas.core.clock import Now
from pytest_sergas.core.promql import arithmetic, functions
from pytest_sergas.core.promql.functions import RANGE_FUNCTIONS, VALUE_FUNCTIONS, Samples
from pytest_sergas.core.promql.hindsight import firing_lasts
from pytest_sergas.core.promql.syntax import PromqlError, check_text, parse_tree
from pytest_sergas.core.promql.vectors import (
    Context,
    Key,
    KeyOf,
    Matching,
    Vector,
    both,
    combined,
    compared,
    either,
    except_for,
    grouped,
    judged,
    nameless,
    picking,
    unequal,
)
from pytest_sergas.core.series import LOOKBACK_S, NAME, Labels, Matcher, Series

_LABEL = functions.LABEL

Ranges = Iterable[tuple[str, Labels, Samples]]


@dataclass(frozen=True, slots=True)
class Selector:
    """What an expression looks at.

    Attributes:
        range_s: how long the range is; 0 for the value at a moment.
        offset_s: how long before the evaluation it ends.
    """

    matchers: tuple[Matcher, ...]
    range_s: float = 0.0
    offset_s: float = 0.0

    @property
    def window_s(self) -> float:
        """How far back from an evaluation it looks."""
        return max(LOOKBACK_S, (self.range_s or LOOKBACK_S) + self.offset_s)

    @property
    def history_s(self) -> float:
        """How long samples have to have been taken before the result can be relied on."""
        return max(0.0, self.range_s + self.offset_s)

    def reads(self, name: str) -> bool:
        """Whether series of the metric ``name`` may be selected."""
        return all(matcher.predicate()(name) for matcher in self.matchers if matcher.label == NAME)

    def __str__(self) -> str:
        pairs = ", ".join(f'{matcher.label}{matcher.op}"{matcher.value}"' for matcher in self.matchers)
        return f"{{{pairs}}}"


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that can be evaluated; made by `compile_expression`.

    Attributes:
        selectors: what has to be there for `evaluate`.
        firing_lasts: whether every element of a result would be there with older samples, too.
    """

    source: str
    selectors: tuple[Selector, ...]
    firing_lasts: bool
    _run: Callable[[Context], Vector] = field(repr=False)

    def evaluate(self, series: Sequence[Sequence[Series]], now: Now, *, filtering: bool = True) -> Vector:
        """Return the elements that the expression has at ``now``; a scalar is an element without labels.

        Args:
            series: those of each of `selectors`.
            filtering: whether comparisons leave out the elements for which they do not hold.

        Raises:
            EvaluationError: there is no result for these series.
        """
        return self._run(Context(series, now.monotonic_s, now.wall_s, filtering=filtering))


@dataclass(frozen=True, slots=True)
class _Scalar:
    run: Callable[[Context], float]


@dataclass(frozen=True, slots=True)
class _Instant:
    """A vector.

    Attributes:
        selector: what it selects, when it is a selector.
    """

    run: Callable[[Context], Vector]
    selector: Selector | None = None
    index: int = -1


@dataclass(frozen=True, slots=True)
class _Range:
    run: Callable[[Context], Ranges]
    selector: Selector


_Node = _Scalar | _Instant | _Range


def compile_expression(source: str) -> Expression:
    """Read an expression.

    Raises:
        PromqlError: it is not taken.
    """
    compiler = _Compiler()
    tree = parse_tree(source)
    node = compiler.compile(tree)
    check_text(source, infinities=compiler.infinities, texts=compiler.texts)
    if isinstance(node, _Range):
        raise PromqlError("is a range of samples; a function such as rate() makes values of it")
    return Expression(source, tuple(compiler.selectors), firing_lasts(tree), _vector_of(node))


def _vector_of(node: _Scalar | _Instant) -> Callable[[Context], Vector]:
    if isinstance(node, _Instant):
        return node.run
    run = node.run
    return lambda context: [("", (), run(context))]


class _Compiler:
    """Compiles one tree, and collects what it selects."""

    def __init__(self) -> None:
        self.selectors: list[Selector] = []
        self.infinities = 0
        self.texts = 0

    def compile(self, tree: Any) -> _Node:
        kind = type(tree).__name__
        if (compile_node := _NODES.get(kind)) is None:
            raise PromqlError(_REFUSED_NODES.get(kind, f"{kind} is not supported"))
        return compile_node(self, tree)

    def scalar(self, tree: Any) -> Callable[[Context], float]:
        node = self.compile(tree)
        if not isinstance(node, _Scalar):
            raise PromqlError("a number is expected where a vector stands; scalar() makes one of it")
        return node.run

    def vector(self, tree: Any) -> _Instant:
        node = self.compile(tree)
        if not isinstance(node, _Instant):
            raise PromqlError("a vector is expected where a number or a range stands")
        return node

    def range(self, tree: Any) -> _Range:
        node = self.compile(tree)
        if not isinstance(node, _Range):
            raise PromqlError("a range of samples is expected, such as x[5m]")
        return node

    def text(self, tree: Any) -> str:
        while type(tree).__name__ == "ParenExpr":
            tree = tree.expr
        if type(tree).__name__ != "StringLiteral":
            raise PromqlError("a quoted text is expected")
        self.texts += 1
        return str(tree.val)

    def number(self, tree: Any) -> _Scalar:
        value = float(tree.val)
        self.infinities += math.isinf(value)
        return _Scalar(lambda _context: value)

    def paren(self, tree: Any) -> _Node:
        return self.compile(tree.expr)

    def unary(self, tree: Any) -> _Node:
        node = self.compile(tree.expr)
        if isinstance(node, _Scalar):
            scalar = node.run
            return _Scalar(lambda context: -scalar(context))
        if isinstance(node, _Range):
            raise PromqlError("- does not take a range of samples")
        vector = node.run
        return _Instant(lambda context: nameless((name, labels, -value) for name, labels, value in vector(context)))

    def instant_selector(self, tree: Any) -> _Instant:
        index, selector = self._select(tree, 0.0)
        offset_s = selector.offset_s

        def run(context: Context) -> Vector:
            at_s = context.before(offset_s)
            return [
                (series.name, series.labels, value)
                for series in context.series[index]
                if (value := series.at(at_s)) is not None
            ]

        return _Instant(run, selector, index)

    def range_selector(self, tree: Any) -> _Range:
        range_s = tree.range.total_seconds()
        index, selector = self._select(tree.vector_selector, range_s)

        def run(context: Context) -> Ranges:
            end_s = context.before(selector.offset_s)
            start_s = round(end_s - range_s, 6)
            for series in context.series[index]:
                times_s, values = series.window(start_s, end_s)
                if times_s:
                    samples = Samples(times_s, values, start_s, end_s, range_s, context.now_s)
                    yield series.name, series.labels, samples

        return _Range(run, selector)

    def _select(self, tree: Any, range_s: float) -> tuple[int, Selector]:
        if tree.at is not None:
            raise PromqlError("the modifier @ is not supported")
        if tree.matchers.or_matchers:
            raise PromqlError("'or' between matchers is not supported")
        matchers = [
            Matcher(matcher.name, _OPERATORS[str(matcher.op)], matcher.value) for matcher in tree.matchers.matchers
        ]
        if tree.name is not None:
            matchers.insert(0, Matcher(NAME, "=", tree.name))
        for matcher in matchers:
            try:
                matcher.predicate()
            except ValueError as error:
                raise PromqlError(str(error)) from error
        offset_s = 0.0 if tree.offset is None else tree.offset.total_seconds()
        selector = Selector(tuple(matchers), range_s, offset_s)
        self.selectors.append(selector)
        return len(self.selectors) - 1, selector

    def aggregation(self, tree: Any) -> _Instant:
        op = str(tree.op)
        grouping = _grouping(tree.modifier)
        if op in _CHOICES:
            return self._choice(_CHOICES[op], tree, grouping.key)
        if op == "count_values":
            return self._count_values(tree, grouping)
        if op == "quantile":
            return self._quantile(tree, grouping.key)
        if (aggregate := _AGGREGATIONS.get(op)) is None:
            supported = ", ".join((*_AGGREGATIONS, *_CHOICES, "count_values", "quantile"))
            raise PromqlError(f"the aggregation {op} is not supported; supported: {supported}")
        vector, key = self.vector(tree.expr).run, grouping.key

        def run(context: Context) -> Vector:
            groups: dict[Key, list[float]] = {}
            for name, labels, value in vector(context):
                groups.setdefault(key(name, labels), []).append(value)
            return [(name, labels, aggregate(values)) for (name, labels), values in groups.items()]

        return _Instant(run)

    def _quantile(self, tree: Any, key: KeyOf) -> _Instant:
        share, vector = self.scalar(tree.param), self.vector(tree.expr).run

        def run(context: Context) -> Vector:
            given = share(context)
            groups = grouped(vector(context), key)
            return [(*which, arithmetic.quantile(given, [value for *_, value in each])) for which, each in groups]

        return _Instant(run)

    def _choice(self, choose: Callable[[Vector, int], Vector], tree: Any, key: KeyOf) -> _Instant:
        limit, vector = self.scalar(tree.param), self.vector(tree.expr).run

        def run(context: Context) -> Vector:
            count, elements = functions.whole(limit(context)), vector(context)
            # What is left out is filtered as by a comparison.
            if not context.filtering:
                return elements
            return [element for _, group in grouped(elements, key) for element in choose(group, count)]

        return _Instant(run)

    def _count_values(self, tree: Any, grouping: Matching) -> _Instant:
        label, vector = self.text(tree.param), self.vector(tree.expr).run
        if not _LABEL.fullmatch(label):
            raise PromqlError(f"{label!r} is not the name of a label")
        key = picking(grouping.labels | {label}) if grouping.on else grouping.key

        def run(context: Context) -> Vector:
            valued = (functions.with_label(element, label, functions.plain(element[2])) for element in vector(context))
            return [(*which, float(len(each))) for which, each in grouped(valued, key)]

        return _Instant(run)

    def binary(self, tree: Any) -> _Node:
        op = str(tree.op)
        left, right = self.compile(tree.lhs), self.compile(tree.rhs)
        if isinstance(left, _Range) or isinstance(right, _Range):
            raise PromqlError(f"{op} does not take a range of samples")
        modifier = tree.modifier
        is_bool = modifier is not None and modifier.return_bool
        if op in _SETS:
            return _sets(op, left, right, _matching(modifier))
        if op not in arithmetic.ARITHMETIC and op not in arithmetic.COMPARISONS:
            raise PromqlError(f"the operator {op} is not supported")
        if isinstance(left, _Scalar):
            if isinstance(right, _Scalar):
                return _numbers(op, left, right)
            return _mixed(op, right, left, swapped=True, is_bool=is_bool)
        if isinstance(right, _Scalar):
            return _mixed(op, left, right, swapped=False, is_bool=is_bool)
        return _vectors(op, left, right, _matching(modifier), is_bool=is_bool)

    def call(self, tree: Any) -> _Node:
        name = tree.func.name
        if name in RANGE_FUNCTIONS:
            return _over_range(self.range(tree.args[0]), RANGE_FUNCTIONS[name], keeps_name=name == "last_over_time")
        if name in VALUE_FUNCTIONS:
            return _each(self.vector(tree.args[0]), VALUE_FUNCTIONS[name])
        if (compile_call := _CALLS.get(name)) is None:
            supported = ", ".join(sorted({*RANGE_FUNCTIONS, *VALUE_FUNCTIONS, *_CALLS}))
            raise PromqlError(f"the function {name} is not supported; supported: {supported}")
        return compile_call(self, tree.args)

    def time(self, _args: Sequence[Any]) -> _Scalar:
        return _Scalar(lambda context: context.now_s + context.ahead_s)

    def vector_of_scalar(self, args: Sequence[Any]) -> _Instant:
        return _Instant(_vector_of(_Scalar(self.scalar(args[0]))))

    def scalar_of_vector(self, args: Sequence[Any]) -> _Scalar:
        vector = self.vector(args[0]).run

        def run(context: Context) -> float:
            elements = vector(context)
            return elements[0][2] if len(elements) == 1 else math.nan

        return _Scalar(run)

    def timestamp(self, args: Sequence[Any]) -> _Instant:
        node = self.vector(args[0])
        selector, index, vector = node.selector, node.index, node.run
        if selector is None:
            return _Instant(
                lambda context: nameless(
                    (name, labels, context.now_s + context.ahead_s) for name, labels, _ in vector(context)
                )
            )
        offset_s = selector.offset_s

        def run(context: Context) -> Vector:
            at_s = context.before(offset_s)
            return nameless(
                (series.name, series.labels, series.window(at_s - LOOKBACK_S, at_s)[0][-1] + context.ahead_s)
                for series in context.series[index]
                if series.at(at_s) is not None
            )

        return _Instant(run)

    def label_replace(self, args: Sequence[Any]) -> _Instant:
        vector = self.vector(args[0]).run
        replace = functions.label_replace(*(self.text(arg) for arg in args[1:5]))
        return _Instant(lambda context: unequal(map(replace, vector(context))))

    def label_join(self, args: Sequence[Any]) -> _Instant:
        vector = self.vector(args[0]).run
        label, separator, *sources = (self.text(arg) for arg in args[1:])
        join = functions.label_join(label, separator, sources)
        return _Instant(lambda context: unequal(map(join, vector(context))))

    def round(self, args: Sequence[Any]) -> _Instant:
        vector = self.vector(args[0]).run
        nearest = self.scalar(args[1]) if len(args) > 1 else lambda _context: 1.0

        def run(context: Context) -> Vector:
            to = nearest(context)
            return nameless((name, labels, functions.rounded(value, to)) for name, labels, value in vector(context))

        return _Instant(run)

    def clamp(self, args: Sequence[Any]) -> _Instant:
        vector, lowest, highest = self.vector(args[0]).run, self.scalar(args[1]), self.scalar(args[2])
        return _Instant(lambda context: functions.clamped(vector(context), lowest(context), highest(context)))

    def clamp_min(self, args: Sequence[Any]) -> _Instant:
        vector, lowest = self.vector(args[0]).run, self.scalar(args[1])
        return _Instant(lambda context: functions.clamped(vector(context), lowest(context), math.inf))

    def clamp_max(self, args: Sequence[Any]) -> _Instant:
        vector, highest = self.vector(args[0]).run, self.scalar(args[1])
        return _Instant(lambda context: functions.clamped(vector(context), -math.inf, highest(context)))

    def histogram_quantile(self, args: Sequence[Any]) -> _Instant:
        share, vector = self.scalar(args[0]), self.vector(args[1]).run
        return _Instant(lambda context: functions.histogram_quantile(share(context), vector(context)))

    def predict_linear(self, args: Sequence[Any]) -> _Instant:
        ranges, ahead_s = self.range(args[0]), self.scalar(args[1])
        return _over_range_with(ranges, ahead_s, functions.predict_linear)

    def quantile_over_time(self, args: Sequence[Any]) -> _Instant:
        share, ranges = self.scalar(args[0]), self.range(args[1])
        return _over_range_with(ranges, share, functions.quantile_over_time)

    def absent(self, args: Sequence[Any]) -> _Instant:
        node = self.vector(args[0])
        return _absent(node.selector, lambda context: bool(node.run(context)))

    def absent_over_time(self, args: Sequence[Any]) -> _Instant:
        node = self.range(args[0])
        return _absent(node.selector, lambda context: any(True for _ in node.run(context)))


def _absent(selector: Selector | None, is_there: Callable[[Context], bool]) -> _Instant:
    missing: Vector = [("", functions.absent_labels(selector.matchers if selector else ()), 1.0)]
    # Whether something is absent can be said at any time: there is always something to compare.
    return _Instant(lambda context: [] if context.filtering and is_there(context) else missing)


def _each(node: _Instant, function: Callable[[float], float]) -> _Instant:
    vector = node.run
    return _Instant(
        lambda context: nameless((name, labels, function(value)) for name, labels, value in vector(context))
    )


def _over_range(ranges: _Range, function: Callable[[Samples], float | None], *, keeps_name: bool = False) -> _Instant:
    def run(context: Context) -> Vector:
        elements = [
            (name, labels, value)
            for name, labels, samples in ranges.run(context)
            if (value := function(samples)) is not None
        ]
        return elements if keeps_name else nameless(elements)

    return _Instant(run)


def _over_range_with(
    ranges: _Range, parameter: Callable[[Context], float], function: Callable[[Samples, float], float | None]
) -> _Instant:
    def run(context: Context) -> Vector:
        given = parameter(context)
        return nameless(
            (name, labels, value)
            for name, labels, samples in ranges.run(context)
            if (value := function(samples, given)) is not None
        )

    return _Instant(run)


def _grouping(modifier: Any) -> Matching:
    """Return which labels an aggregation goes by, as a matching of elements with their group."""
    if modifier is None:
        return Matching(on=True)
    return Matching(on=str(modifier.type).endswith("By"), labels=frozenset(modifier.labels))


def _matching(modifier: Any) -> Matching:
    if modifier is None:
        return Matching()
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise PromqlError("fill modifiers are not supported")
    labels = modifier.matching
    return Matching(
        on=labels is not None and str(labels.type).endswith("Include"),
        labels=frozenset(labels.labels if labels is not None else ()),
        many=_CARDINALITIES[str(modifier.card).rpartition(".")[2]],
        include=tuple(modifier.group_labels or ()),
    )


def _sets(op: str, left: _Scalar | _Instant, right: _Scalar | _Instant, matching: Matching) -> _Instant:
    if isinstance(left, _Scalar) or isinstance(right, _Scalar):
        raise PromqlError(f"{op} takes two vectors")
    operate, one, other, key = _SETS[op], left.run, right.run, matching.key
    if op != "unless":
        return _Instant(lambda context: operate(one(context), other(context), key))
    # What is left out is filtered as by a comparison.
    return _Instant(lambda context: operate(one(context), other(context), key) if context.filtering else one(context))


def _numbers(op: str, left: _Scalar, right: _Scalar) -> _Scalar:
    one, other = left.run, right.run
    if op in arithmetic.ARITHMETIC:
        operate = arithmetic.ARITHMETIC[op]
        return _Scalar(lambda context: operate(one(context), other(context)))
    holds = arithmetic.COMPARISONS[op]
    return _Scalar(lambda context: float(holds(one(context), other(context))))


def _vectors(op: str, left: _Instant, right: _Instant, matching: Matching, *, is_bool: bool) -> _Instant:
    one, other = left.run, right.run
    if op in arithmetic.ARITHMETIC:
        operate = arithmetic.ARITHMETIC[op]
        return _Instant(lambda context: combined(one(context), other(context), matching, operate))
    if is_bool:
        return _Instant(lambda context: judged(one(context), other(context), matching, op))
    return _Instant(lambda context: compared(one(context), other(context), matching, op, filtering=context.filtering))


def _mixed(op: str, vector: _Instant, scalar: _Scalar, *, swapped: bool, is_bool: bool) -> _Instant:
    """A vector and a number: each element is combined, or kept with its own value."""
    elements_of, number_of = vector.run, scalar.run
    if op in arithmetic.ARITHMETIC or is_bool:
        operate: Callable[[float, float], float] = arithmetic.ARITHMETIC.get(op) or arithmetic.COMPARISONS[op]

        def combine(context: Context) -> Vector:
            number = number_of(context)
            return nameless(
                (name, labels, float(operate(number, value) if swapped else operate(value, number)))
                for name, labels, value in elements_of(context)
            )

        return _Instant(combine)
    holds = arithmetic.COMPARISONS[_SWAPPED.get(op, op) if swapped else op]

    def keep(context: Context) -> Vector:
        elements = elements_of(context)
        if not context.filtering:
            return elements
        number = number_of(context)
        return [element for element in elements if holds(element[2], number)]

    return _Instant(keep)


_OPERATORS: Mapping[str, Any] = MappingProxyType(
    {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
)
_CARDINALITIES: Mapping[str, Any] = MappingProxyType(
    {"OneToOne": "", "ManyToOne": "left", "OneToMany": "right", "ManyToMany": ""}
)
_SWAPPED: Mapping[str, str] = MappingProxyType({">": "<", "<": ">", ">=": "<=", "<=": ">="})
_SETS: Mapping[str, Callable[[Vector, Vector, KeyOf], Vector]] = MappingProxyType(
    {"and": both, "or": either, "unless": except_for}
)
_AGGREGATIONS: Mapping[str, Callable[[list[float]], float]] = MappingProxyType(
    {
        "sum": arithmetic.total,
        "avg": arithmetic.mean,
        "min": arithmetic.least,
        "max": arithmetic.greatest,
        "count": lambda values: float(len(values)),
        "group": lambda _values: 1.0,
        "stddev": lambda values: math.sqrt(arithmetic.variance_of_group(values)),
        "stdvar": arithmetic.variance_of_group,
    }
)
_CHOICES: Mapping[str, Callable[[Vector, int], Vector]] = MappingProxyType(
    {"topk": functions.topk, "bottomk": functions.bottomk}
)
_CALLS: Mapping[str, Callable[[_Compiler, Sequence[Any]], _Node]] = MappingProxyType(
    {
        "absent": _Compiler.absent,
        "absent_over_time": _Compiler.absent_over_time,
        "clamp": _Compiler.clamp,
        "clamp_max": _Compiler.clamp_max,
        "clamp_min": _Compiler.clamp_min,
        "histogram_quantile": _Compiler.histogram_quantile,
        "label_join": _Compiler.label_join,
        "label_replace": _Compiler.label_replace,
        "predict_linear": _Compiler.predict_linear,
        "quantile_over_time": _Compiler.quantile_over_time,
        "round": _Compiler.round,
        "scalar": _Compiler.scalar_of_vector,
        "time": _Compiler.time,
        "timestamp": _Compiler.timestamp,
        "vector": _Compiler.vector_of_scalar,
    }
)
_NODES: Mapping[str, Callable[[_Compiler, Any], _Node]] = MappingProxyType(
    {
        "AggregateExpr": _Compiler.aggregation,
        "BinaryExpr": _Compiler.binary,
        "Call": _Compiler.call,
        "MatrixSelector": _Compiler.range_selector,
        "NumberLiteral": _Compiler.number,
        "ParenExpr": _Compiler.paren,
        "UnaryExpr": _Compiler.unary,
        "VectorSelector": _Compiler.instant_selector,
    }
)
_REFUSED_NODES: Mapping[str, str] = MappingProxyType(
    {
        "SubqueryExpr": "subqueries are not supported",
        "StringLiteral": "a text is no value of a rule",
    }
)
