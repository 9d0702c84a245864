"""Of an expression that is said to last, every element is there with older samples, too."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_sergas.core.clock import Now
from pytest_sergas.core.input_series import read_series
from pytest_sergas.core.promql import EvaluationError, compile_expression
from pytest_sergas.core.rule_tests import selected
from pytest_sergas.core.series import Labels, Series
from tests.core.promql import expressions

pytestmark = pytest.mark.unit

STEP_S = 30.0
NOW_S = 600.0
SINCE_S = 420.0  # of what an hour ago was, three minutes are there


@pytest.mark.parametrize(
    ("source", "lasts"),
    [
        pytest.param("x > 5", True, id="a value of now"),
        pytest.param("max_over_time(x[1h]) > 5", True, id="a maximum that is large"),
        pytest.param("5 < max_over_time(x[1h])", True, id="the same, the other way round"),
        pytest.param("max_over_time(x[1h]) < 5", False, id="a maximum that is small"),
        pytest.param("max_over_time(x[1h]) == 5", False, id="a maximum of a certain size"),
        pytest.param("min_over_time(x[1h]) < 5", True, id="a minimum that is small"),
        pytest.param("min_over_time(x[1h]) > 5", False, id="a minimum that is large"),
        pytest.param("-min_over_time(x[1h]) > 5", True, id="a negative minimum"),
        pytest.param("2 * max_over_time(x[1h]) / 3 - 1 > 5", True, id="multiplied by positive numbers"),
        pytest.param("-2 * max_over_time(x[1h]) > 5", False, id="multiplied by another number"),
        pytest.param("1 - max_over_time(x[1h]) < 5", True, id="subtracted"),
        pytest.param("max_over_time(x[1h]) > min_over_time(y[1h])", True, id="both sides move apart"),
        pytest.param("max_over_time(x[1h]) > max_over_time(y[1h])", False, id="both sides move alike"),
        pytest.param("changes(x[1h]) > 3", True, id="changes"),
        pytest.param("resets(x[1h]) > 3", True, id="resets"),
        pytest.param("count_over_time(x[1h]) >= 3", True, id="count"),
        pytest.param("increase(x[1h]) > 5", False, id="extrapolated"),
        pytest.param("avg_over_time(x[1h]) > 5", False, id="mean"),
        pytest.param("absent_over_time(x[1h])", False, id="absence"),
        pytest.param("absent(x)", True, id="absence now"),
        pytest.param("x > 5 and x offset 1h > 5", True, id="a value of an hour ago"),
        pytest.param("x > x offset 1h", True, id="compared with a value of an hour ago"),
        pytest.param("x unless x offset 1h", False, id="what was not there an hour ago"),
        pytest.param("x offset 1h or y", False, id="one, or else the other"),
        pytest.param("x or y offset 1h", True, id="now, or else an hour ago"),
        pytest.param("max(max_over_time(x[1h])) > 5", True, id="the largest maximum"),
        pytest.param("sum(max_over_time(x[1h])) > 5", False, id="a sum, which gets more members"),
        pytest.param("count(present_over_time(x[1h])) > 5", True, id="how many there were"),
        pytest.param("topk(3, max_over_time(x[1h]))", False, id="a choice"),
        pytest.param("topk(3, x) > 5", True, id="a choice of now"),
        pytest.param("vector(scalar(max_over_time(x[1h]))) > 3", False, id="the only one of what may become several"),
        pytest.param("floor(max_over_time(x[1h])) > 5", True, id="rounded"),
        pytest.param("abs(max_over_time(x[1h])) > 5", False, id="without its sign"),
        pytest.param('label_replace(max_over_time(x[1h]), "a", "b", "", "") > 5', True, id="relabelled"),
        pytest.param("predict_linear(x[1h], 60) > 5", False, id="predicted"),
        pytest.param("(max_over_time(x[1h]) > bool 5) > 0", True, id="a judgement"),
        pytest.param("histogram_quantile(0.9, rate(x_bucket[1h])) > 1", False, id="quantile of rates"),
    ],
)
def test_what_older_samples_cannot_undo_is_said_to_last(source: str, *, lasts: bool) -> None:
    assert compile_expression(source).firing_lasts is lasts


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(expressions.series(), expressions.VECTORS)
def test_with_older_samples_every_element_is_still_there(series: dict[str, str], source: str) -> None:
    expression = compile_expression(source)
    if not expression.firing_lasts:
        return
    whole = [read_series(written, values, STEP_S) for written, values in series.items()]
    part = [later for each in whole if (later := since(each, SINCE_S)).times_s]

    with contextlib.suppress(EvaluationError):  # without a result states stay
        assert found(source, part) <= found(source, whole)


def since(series: Series, start_s: float) -> Series:
    """Return the same series as one that was first seen at ``start_s``."""
    later = Series(series.name, series.labels, series.keep_s)
    before = [time_s for time_s in series.times_s if time_s < start_s]
    at_start = series.at(start_s)
    if before and at_start is not None:
        later.append(start_s, at_start, 1_000)
    for time_s, value in zip(series.times_s, series.values, strict=True):
        if time_s >= start_s:
            later.append(time_s, value, 1_000)
    later.ends_s = tuple(end_s for end_s in series.ends_s if end_s > start_s)
    return later


def found(source: str, series: Sequence[Series]) -> set[tuple[str, Labels]]:
    expression = compile_expression(source)
    elements = expression.evaluate(selected(expression, series), Now(NOW_S, NOW_S))
    return {(name, labels) for name, labels, _ in elements}
