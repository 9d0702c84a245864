"""Expressions over series: each operator and function once, by hand; the whole of it is compared with promtool."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from pytest_sergas.core.clock import Now
from pytest_sergas.core.input_series import read_series
from pytest_sergas.core.promql import EvaluationError, PromqlError, Selector, Vector, compile_expression
from pytest_sergas.core.rule_tests import selected
from pytest_sergas.core.series import Matcher, Series

pytestmark = pytest.mark.unit

MINUTE_S = 60.0
NOW_S = 10 * MINUTE_S
WALL_AHEAD_S = 1_000_000.0
NAN = math.nan

# A sample a minute, the last one now.
WORLD = {
    'tests{type="unit",outcome="failed"}': "0x9 3",
    'tests{type="unit",outcome="passed"}': "0x9 97",
    'tests{type="e2e",outcome="failed"}': "0x9 0",
    'limit{type="unit"}': "2x10",
    'pushes{job="a"}': "0+6x5 0+6x4",
    'level{job="a"}': "0+10x10",
    'flat{job="a"}': "4x10",
    'mixed{job="a"}': "1 5 3 NaN 3 3 2 2 8 9 4",
    'ended{job="a"}': "1x9 stale",
    'old{job="a"}': "1x4",
    'd_bucket{le="1"}': "4x10",
    'd_bucket{le="2"}': "8x10",
    'd_bucket{le="+Inf"}': "10x10",
}


def world() -> list[Series]:
    return [read_series(written, values, MINUTE_S) for written, values in WORLD.items()]


def evaluate(source: str, *, filtering: bool = True, series: Sequence[Series] | None = None) -> Vector:
    expression = compile_expression(source)
    chosen = selected(expression, world() if series is None else series)
    return sorted(expression.evaluate(chosen, Now(NOW_S, NOW_S + WALL_AHEAD_S), filtering=filtering))


def values(source: str) -> list[float]:
    return [value for _, _, value in evaluate(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param('tests{outcome="failed",type="unit"}', [3.0], id="equal"),
        pytest.param('tests{outcome!="failed"}', [97.0], id="not equal"),
        pytest.param('tests{type=~"unit|load",outcome=~"f.*"}', [3.0], id="regular expression"),
        pytest.param('tests{type!~"u.*"}', [0.0], id="not the regular expression"),
        pytest.param('tests{type=~"un"}', [], id="a regular expression matches the whole value"),
        pytest.param('{__name__=~"lim.*"}', [2.0], id="name by a regular expression"),
        pytest.param("level offset 3m", [70.0], id="offset"),
        pytest.param("ended", [], id="what has ended is not there"),
        pytest.param("ended offset 1m", [1.0], id="it was there before"),
        pytest.param("old", [], id="a value is five minutes old at most"),
        pytest.param("missing", [], id="nothing"),
        pytest.param("1 + 2 * 3 ^ 2 ^ 1 - 4 % 3", [18.0], id="precedence"),
        pytest.param("-1 ^ 2", [-1.0], id="the sign comes after the power"),
        pytest.param("-limit", [-2.0], id="sign"),
        pytest.param("1 / 0", [math.inf], id="division by zero"),
        pytest.param("-1 / 0", [-math.inf], id="negative division by zero"),
        pytest.param("0 ^ -1", [math.inf], id="zero to a negative power"),
        pytest.param("10 ^ 400", [math.inf], id="a power that is too large"),
        pytest.param("-10 ^ 401", [-math.inf], id="a negative power that is too large"),
        pytest.param("5 > bool 3", [1.0], id="comparison of numbers"),
        pytest.param("limit * 3", [6.0], id="vector and number"),
        pytest.param("3 - limit", [1.0], id="number and vector"),
        pytest.param("limit > 1", [2.0], id="a comparison keeps the element's value"),
        pytest.param("1 < limit", [2.0], id="also on the right"),
        pytest.param("limit > 2", [], id="what does not compare is left out"),
        pytest.param("limit > bool 2", [0.0], id="bool leaves nothing out"),
        pytest.param("2 == bool limit", [1.0], id="bool with the number first"),
        pytest.param("sum(tests)", [100.0], id="sum"),
        pytest.param("avg(tests)", [100 / 3], id="avg"),
        pytest.param("min(tests)", [0.0], id="min"),
        pytest.param("max(tests)", [97.0], id="max"),
        pytest.param("count(tests)", [3.0], id="count"),
        pytest.param("sum(missing)", [], id="a sum of nothing is nothing"),
        pytest.param("rate(pushes[4m])", [0.1], id="rate"),
        pytest.param("increase(pushes[4m])", [24.0], id="increase"),
        pytest.param("increase(pushes[10m])", [54.0], id="a counter that began again"),
        pytest.param("irate(pushes[4m])", [0.1], id="irate"),
        pytest.param("delta(level[4m])", [40.0], id="delta"),
        pytest.param("rate(pushes[30s])", [], id="one sample has no rate"),
        pytest.param("changes(mixed[10m])", [8.0], id="changes"),
        pytest.param("changes(flat[10m])", [0.0], id="no changes"),
        pytest.param("predict_linear(level[5m], 600)", [200.0], id="predict_linear"),
        pytest.param("predict_linear(flat[5m], 600)", [4.0], id="predict_linear of a constant"),
        pytest.param("predict_linear(level[30s], 600)", [], id="one sample is no line"),
        pytest.param("avg_over_time(level[2m])", [90.0], id="avg_over_time"),
        pytest.param("min_over_time(mixed[10m])", [1.0], id="min_over_time leaves NaN out"),
        pytest.param("max_over_time(mixed[10m])", [9.0], id="max_over_time"),
        pytest.param("sum_over_time(level[2m])", [270.0], id="sum_over_time"),
        pytest.param("count_over_time(level[2m])", [3.0], id="count_over_time, both ends included"),
        pytest.param("count_over_time(ended[2m])", [2.0], id="an end is no sample"),
        pytest.param("quantile_over_time(0.5, level[3m])", [85.0], id="quantile_over_time"),
        pytest.param("quantile_over_time(2, level[3m])", [math.inf], id="a quantile beyond 1"),
        pytest.param("quantile_over_time(-1, level[3m])", [-math.inf], id="a quantile below 0"),
        pytest.param("stdvar_over_time(level[1m])", [25.0], id="stdvar_over_time"),
        pytest.param("stddev_over_time(level[1m])", [5.0], id="stddev_over_time"),
        pytest.param("stddev_over_time(flat[10m])", [0.0], id="a constant has no deviation"),
        pytest.param("last_over_time(old[10m])", [1.0], id="last_over_time"),
        pytest.param("present_over_time(old[10m])", [1.0], id="present_over_time"),
        pytest.param("absent_over_time(old[10m])", [], id="absent_over_time of what was there"),
        pytest.param("absent_over_time(old[5m])", [1.0], id="absent_over_time"),
        pytest.param("histogram_quantile(0.5, d_bucket)", [1.25], id="histogram_quantile"),
        pytest.param("histogram_quantile(0.2, d_bucket)", [0.5], id="in the first bucket"),
        pytest.param("histogram_quantile(0.9, d_bucket)", [2.0], id="in the last bucket"),
        pytest.param("histogram_quantile(2, d_bucket)", [math.inf], id="a histogram's quantile beyond 1"),
        pytest.param("time()", [NOW_S + WALL_AHEAD_S], id="time is the wall clock's"),
        pytest.param("timestamp(old offset 3m)", [4 * MINUTE_S + WALL_AHEAD_S], id="timestamp of the sample"),
        pytest.param("timestamp(limit + 1)", [NOW_S + WALL_AHEAD_S], id="timestamp of a result"),
        pytest.param("vector(7)", [7.0], id="vector"),
        pytest.param("scalar(limit) + 1", [3.0], id="scalar"),
        pytest.param("abs(-limit)", [2.0], id="abs"),
        pytest.param("round(limit / 3)", [1.0], id="round"),
        pytest.param("round(limit / 3, 0.5)", [0.5], id="round to a multiple"),
        pytest.param("clamp(level, 1, 20)", [20.0], id="clamp"),
        pytest.param("clamp(limit / 0 * 0, Inf, Inf)", [math.inf], id="infinity is larger than no number"),
        pytest.param("clamp(level, 20, 1)", [], id="clamp to nothing"),
        pytest.param("clamp_min(limit, 3)", [3.0], id="clamp_min"),
        pytest.param("clamp_max(limit, 1)", [1.0], id="clamp_max"),
    ],
)
def test_value(source: str, expected: list[float]) -> None:
    assert values(source) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("written", "source", "expected"),
    [
        # A sample a minute: beyond 66 s, a tenth more, what is outside of the samples counts as half a minute.
        pytest.param("0+10x2", "delta(m[186s] offset 414s)", 25.0, id="just as far as it may not be at the end"),
        pytest.param("0+10x2", "delta(m[185s] offset 415s)", 20 * 185 / 120, id="not so far"),
        pytest.param("_x2 0+10x2", "increase(m[270s] offset 330s)", 25.0, id="a counter that was born at 0"),
        pytest.param("_x2 5+10x2", "increase(m[270s] offset 330s)", 30.0, id="a counter that was born above 0"),
    ],
)
def test_extrapolation_ends_where_prometheus_lets_it_end(written: str, source: str, expected: float) -> None:
    [(*_, value)] = evaluate(source, series=[read_series("m", written, MINUTE_S)])

    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("scalar(tests)", id="scalar of several elements"),
        pytest.param("0 / 0", id="zero by zero"),
        pytest.param("1 % 0", id="rest of a division by zero"),
        pytest.param("(-8) ^ 0.5", id="root of a negative number"),
        pytest.param("round(limit, 0)", id="a multiple of nothing"),
        pytest.param("clamp(limit, NaN, 3)", id="clamp to what is no number"),
        pytest.param("quantile_over_time(NaN, level[3m])", id="quantile that is no number"),
        pytest.param("histogram_quantile(0.5, d_bucket * 0)", id="histogram of nothing"),
        pytest.param('histogram_quantile(0.5, d_bucket{le!="+Inf"})', id="histogram without its last bucket"),
        pytest.param("NaN", id="no number"),
    ],
)
def test_no_number(source: str) -> None:
    [value] = values(source)
    assert math.isnan(value)


UNIT, E2E = ("type", "unit"), ("type", "e2e")
FAILED, PASSED = ("outcome", "failed"), ("outcome", "passed")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("limit", [("limit", (UNIT,), 2.0)], id="a selector keeps the name"),
        pytest.param("limit > 1", [("limit", (UNIT,), 2.0)], id="so does a comparison"),
        pytest.param("limit > bool 1", [("", (UNIT,), 1.0)], id="not with bool"),
        pytest.param("limit + 0", [("", (UNIT,), 2.0)], id="arithmetic does not"),
        pytest.param("last_over_time(flat[5m])", [("flat", (("job", "a"),), 4.0)], id="last_over_time does"),
        pytest.param("max_over_time(flat[5m])", [("", (("job", "a"),), 4.0)], id="other functions do not"),
        pytest.param("sum by (type) (tests)", [("", (E2E,), 0.0), ("", (UNIT,), 100.0)], id="by"),
        pytest.param("sum without (type) (tests)", [("", (FAILED,), 3.0), ("", (PASSED,), 97.0)], id="without"),
        pytest.param("count by (__name__) (limit)", [("limit", (), 1.0)], id="by name"),
        pytest.param("sum by (none) (tests)", [("", (), 100.0)], id="by a label that is not there"),
        pytest.param('tests{outcome="failed"} > on(type) limit', [("", (UNIT,), 3.0)], id="on keeps what it compares"),
        pytest.param(
            'tests{outcome="failed"} > ignoring(outcome) limit', [("tests", (UNIT,), 3.0)], id="ignoring leaves out"
        ),
        pytest.param(
            "tests / on(type) group_left limit",
            [("", (FAILED, UNIT), 1.5), ("", (PASSED, UNIT), 48.5)],
            id="group_left",
        ),
        pytest.param(
            "limit / on(type) group_right tests",
            [("", (FAILED, UNIT), 2 / 3), ("", (PASSED, UNIT), 2 / 97)],
            id="group_right",
        ),
        pytest.param(
            'tests{outcome="failed"} * on(type) group_left(job) (limit + on() group_left(job) flat)',
            [("", (("job", "a"), FAILED, UNIT), 18.0)],
            id="labels of the other side",
        ),
        pytest.param("tests and on(type) limit > 5", [], id="and with nothing"),
        pytest.param(
            'tests{outcome="failed"} and on(type) limit', [("tests", (FAILED, UNIT), 3.0)], id="and keeps the left"
        ),
        pytest.param('tests{outcome="failed"} unless on(type) limit', [("tests", (FAILED, E2E), 0.0)], id="unless"),
        pytest.param("limit or limit", [("limit", (UNIT,), 2.0)], id="or has each once"),
        pytest.param("limit or flat", [("flat", (("job", "a"),), 4.0), ("limit", (UNIT,), 2.0)], id="or"),
        pytest.param('absent(missing{a="1",b!="2",c=~"3"})', [("", (("a", "1"),), 1.0)], id="absent has the one value"),
        pytest.param('absent(missing{a="1",a="2"})', [("", (), 1.0)], id="absent of two values"),
        pytest.param("absent(sum(missing))", [("", (), 1.0)], id="absent of a result"),
        pytest.param("absent(limit)", [], id="absent of what is there"),
        pytest.param("3", [("", (), 3.0)], id="a number is an element without labels"),
    ],
)
def test_elements(source: str, expected: Vector) -> None:
    got = evaluate(source)

    assert [element[:2] for element in got] == [element[:2] for element in expected]
    assert [element[2] for element in got] == pytest.approx([element[2] for element in expected])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param(
            "tests + on(type) limit",
            'several series on the left side match {type="unit"}; '
            "many-to-one matching has to be explicit, with group_left",
            id="many to one",
        ),
        pytest.param(
            "limit + on(type) tests",
            'several series on the right side match {type="unit"}; '
            "one side of an operator has to have a single one for each match",
            id="one to many",
        ),
        pytest.param(
            "tests + on(type) group_right limit",
            'several series on the left side match {type="unit"}; '
            "one side of an operator has to have a single one for each match",
            id="many to many",
        ),
        pytest.param(
            "tests * on(type) group_left(outcome) limit",
            'several results would have the labels {type="unit"}; match on more labels',
            id="the same result twice",
        ),
        pytest.param(
            'abs({__name__=~"flat|level"})',
            "without their names two series are the same; select the name as well",
            id="only names differ",
        ),
    ],
)
def test_no_result(source: str, reason: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluate(source)

    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("source", "there"),
    [
        pytest.param("limit > 5", 1, id="a comparison with a number"),
        pytest.param("limit > on(type) limit", 1, id="a comparison of vectors"),
        pytest.param("limit and limit > 5", 1, id="and"),
        pytest.param("limit unless limit", 1, id="unless"),
        pytest.param("count(limit > 5)", 1, id="inside"),
        pytest.param("absent(limit)", 1, id="absence can always be said"),
        pytest.param("missing > 5", 0, id="nothing to compare"),
    ],
)
def test_without_filtering_everything_is_there_that_is_compared(source: str, there: int) -> None:
    assert evaluate(source) == []
    assert len(evaluate(source, filtering=False)) == there


AGGREGATIONS = "sum, avg, min, max, count, group, stddev, stdvar, topk, bottomk, count_values, quantile"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("", "is not PromQL: no expression found in input", id="nothing"),
        pytest.param("x{", "is not PromQL: unexpected end of input inside braces", id="not PromQL"),
        pytest.param("rate(x[5m:1m])", "subqueries are not supported", id="subquery"),
        pytest.param("x @ 1", "the modifier @ is not supported", id="at"),
        pytest.param("x @ -1", "the modifier @ is not supported", id="at a negative time"),
        pytest.param("x[5m]", "is a range of samples; a function such as rate() makes values of it", id="range"),
        pytest.param("'text'", "a text is no value of a rule", id="text"),
        pytest.param(
            "limitk(3, x)", f"the aggregation limitk is not supported; supported: {AGGREGATIONS}", id="aggregation"
        ),
        pytest.param('count_values("1a", x)', "'1a' is not the name of a label", id="label of a count"),
        pytest.param('label_replace(x, "1a", "", "b", "")', "'1a' is not the name of a label", id="label to replace"),
        pytest.param('label_join(x, "a", "", "1b")', "'1b' is not the name of a label", id="label to join"),
        pytest.param(
            'label_replace(x, "a", "", "b", "[")',
            "not a regular expression of RE2: '[': missing ]: [",
            id="pattern of a replacement",
        ),
        pytest.param(
            "count_values(1, x)",
            "is not PromQL: expected type string in aggregation expression, got scalar",
            id="number for a label",
        ),
        pytest.param("x atan2 y", "the operator atan2 is not supported", id="operator"),
        pytest.param("x + fill(0) y", "fill modifiers are not supported", id="fill"),
        pytest.param('x{a="1" or b="2"}', "'or' between matchers is not supported", id="or between matchers"),
        pytest.param(
            'x{a=~"(?=b)"}',
            "is not PromQL: illegal regex for (?=b)",
            id="regular expression that nobody has",
        ),
        pytest.param(
            'x{a=~"[a&&b]{2000}"}',
            "not a regular expression of RE2: '[a&&b]{2000}': invalid repetition size: {2000}",
            id="regular expression that RE2 has not",
        ),
        pytest.param("rate(x[5])", "'5' is not a duration; write it with a unit, such as 5m", id="range, no unit"),
        pytest.param("x[1e400]", "'1e400' is not a duration; write it with a unit, such as 5m", id="endless range"),
        pytest.param("x offset -Inf", "'Inf' is not a duration; write it with a unit, such as 5m", id="endless offset"),
        pytest.param(
            "x offset +5", "'+5' is not a duration; write it with a unit, such as 5m", id="offset with a plus"
        ),
        pytest.param("x offset 30", "'30' is not a duration; write it with a unit, such as 5m", id="offset, no unit"),
        pytest.param(
            "x offset 300y", "'300y' is too long a duration; allowed: at most 292 years", id="offset too long"
        ),
        pytest.param(
            '{"x"}',
            "a quoted text stands where none can be; the name of a metric or label is not quoted",
            id="quoted name",
        ),
        pytest.param(
            'x{"a"="b"}',
            "a quoted text stands where none can be; the name of a metric or label is not quoted",
            id="quoted label",
        ),
        pytest.param("1e400", "a number is too large", id="number"),
        pytest.param("offset -1m", "an offset has to follow a selector", id="offset of nothing"),
        pytest.param(
            "x > 5m",
            "'5m' stands where a number has to; write it in seconds, without a unit",
            id="duration as a number",
        ),
        pytest.param("x" + " + x" * 201, "has 201 operators and parentheses; at most 200 are read", id="too deep"),
        pytest.param("x" * 10_001, "has 10001 characters; at most 10000 are read", id="too long"),
    ],
)
def test_refused(source: str, reason: str) -> None:
    with pytest.raises(PromqlError) as caught:
        compile_expression(source)

    assert str(caught.value) == reason


def test_refused_function_names_the_supported_ones() -> None:
    with pytest.raises(PromqlError) as caught:
        compile_expression("deg(x)")

    assert str(caught.value).startswith(
        "the function deg is not supported; supported: abs, absent, absent_over_time, avg_over_time, "
    )


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('x{offset="5"}', id="a label called offset"),
        pytest.param('x{a="[5] offset 30 @ 1e400"}', id="all of it inside a text"),
        pytest.param("x # [5]", id="in a comment"),
        pytest.param('x{a="#"} > Inf', id="a sign of a comment inside a text"),
        pytest.param("sum by (offset) (x)", id="grouped by a label called offset"),
        pytest.param("x offset -5m", id="negative offset"),
        pytest.param('{a="1"} offset 5m', id="offset of a selector without a name"),
        pytest.param("offset + x1m > 0x1d", id="what looks like a duration"),
        pytest.param("x and offset + 5", id="what looks like an offset with a plus"),
        pytest.param("(" * 200 + "x" + ")" * 200, id="as deep as it may be"),
    ],
)
def test_taken(source: str) -> None:
    expression = compile_expression(source)

    assert expression.evaluate([[] for _ in expression.selectors], Now(0.0, 0.0)) == []


def test_selectors_say_what_is_looked_at_and_how_far_back() -> None:
    expression = compile_expression('rate(x{a!="1"}[10m] offset 1h) > y offset -1m')

    assert expression.selectors == (
        Selector((Matcher("__name__", "=", "x"), Matcher("a", "!=", "1")), 600.0, 3600.0),
        Selector((Matcher("__name__", "=", "y"),), 0.0, -60.0),
    )
    assert [selector.window_s for selector in expression.selectors] == [4200.0, 300.0]
    assert [selector.history_s for selector in expression.selectors] == [4200.0, 0.0]
    assert [selector.reads("x") for selector in expression.selectors] == [True, False]
    assert str(expression.selectors[0]) == '{__name__="x", a!="1"}'


@pytest.mark.parametrize("source", ["x", "count_over_time(x[1m])"])
def test_a_sample_of_this_very_moment_counts_however_many_digits_it_has(source: str) -> None:
    moment_s = 15_000.1234564  # rounded to the microsecond it is earlier
    series = Series("x", ())
    series.append(moment_s, 1.0, 10)

    assert len(compile_expression(source).evaluate([[series]], Now(moment_s, 0.0))) == 1
    assert len(compile_expression(source).evaluate([[series]], Now(moment_s + 0.0000004, 0.0))) == 1
