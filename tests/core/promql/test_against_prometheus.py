"""A real Prometheus, asked over HTTP, answers the same expressions over the same samples with the same values."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pytest_sergas.core.clock import Now
from pytest_sergas.core.input_series import read_series
from pytest_sergas.core.promql import EvaluationError, compile_expression
from pytest_sergas.core.rule_tests import selected
from pytest_sergas.core.series import NAME, Series
from tests.core.promql import expressions
from tests.servers.prometheus import Prometheus, prometheus_with

pytestmark = pytest.mark.integration

STEP_S = 30.0
NOW_S = 600.0

WORLD = {
    'x{a="1",b="1"}': "1 2 4 8 16 3 5 7 9 11 13 2 4 6 8 10 12 14 16 18 20",
    'x{a="1",b="2"}': "0.5x8 7.25 -3 1e3 Inf _ _ 2 2 2 NaN 4 4.5 5",
    'x{a="2"}': "0+12.5x20",
    'x{a="3"}': "_x15 2 10 20 30 40 50",
    'y{a="1",b="1"}': "3x6 _x9 4 4 1 1 1 2",
    'y{a="2"}': "100-4.75x20",
    'y{b="13"}': "_x18 1 2 0",
    'x_bucket{le="1"}': "0+1x20",
    'x_bucket{le="2.5"}': "0+4x20",
    'x_bucket{le="+Inf"}': "0+5x20",
    'y_bucket{le="1"}': "0+2x20",
    'y_bucket{le="+Inf"}': "0+3x20",
}


@dataclass(frozen=True, slots=True)
class Both:
    """The same samples here and there; there, the first one is at ``start_s``."""

    series: Sequence[Series]
    prometheus: Prometheus
    start_s: float

    def ours(self, source: str) -> dict[frozenset[tuple[str, str]], float] | None:
        expression = compile_expression(source)
        try:
            elements = expression.evaluate(selected(expression, self.series), Now(NOW_S, self.start_s + NOW_S))
        except EvaluationError:
            return None
        return {frozenset((*labels, *([(NAME, name)] if name else []))): value for name, labels, value in elements}

    def theirs(self, source: str) -> dict[frozenset[tuple[str, str]], float] | None:
        answer = self.prometheus.at(source, self.start_s + NOW_S)
        return None if isinstance(answer, str) else {frozenset(labels.items()): value for labels, value in answer}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    start_s = float(int(time.time()) - 3_600)
    series = [read_series(written, values, STEP_S) for written, values in WORLD.items()]
    lines = []
    for name in sorted({one.name for one in series}):
        lines.append(f"# TYPE {name} unknown")
        for one in (one for one in series if one.name == name):
            labels = ",".join(f'{label}="{value}"' for label, value in one.labels)
            for time_s, value in zip(one.times_s, one.values, strict=True):
                shown = {math.inf: "+Inf"}.get(value, value)
                lines.append(f"{name}{{{labels}}} {shown} {start_s + time_s:.3f}")
    directory = tmp_path_factory.mktemp("prometheus")
    with prometheus_with(directory, "\n".join([*lines, "# EOF\n"])) as running:
        yield Both(series, running, start_s)


def same(ours: float, theirs: float) -> bool:
    return (math.isnan(ours) and math.isnan(theirs)) or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)


def agree(both: Both, source: str) -> None:
    ours, theirs = both.ours(source), both.theirs(source)

    assert (ours is None) == (theirs is None), (source, ours, theirs)
    assert (ours or {}).keys() == (theirs or {}).keys(), source
    for labels, value in (ours or {}).items():
        assert same(value, (theirs or {})[labels]), (source, labels, value, theirs)


@pytest.mark.parametrize("function", expressions.RANGE_FUNCTIONS)
def test_a_function_over_any_range_has_the_value_that_prometheus_gives_it(both: Both, function: str) -> None:
    for samples in expressions.RANGES:
        agree(both, f"{function}({samples})")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("quantile_over_time(0.3, x[10m])", id="quantile with NaN"),
        pytest.param("predict_linear(x[10m], 3600)", id="line"),
        pytest.param("predict_linear(y[10m] offset 1m, -60)", id="line of an offset"),
        pytest.param("y < on(a, b) x", id="on drops the name"),
        pytest.param('x{a="2"} > ignoring(b) y{a="2"}', id="ignoring"),
        pytest.param("x > on(a) group_left y", id="group_left keeps the name"),
        pytest.param('x * on(a) group_left(__name__) y{a=~".+"}', id="the name as a label of the other side"),
        pytest.param("y > on(a) group_right x", id="group_right keeps the name"),
        pytest.param("x == on(a, b, __name__) x", id="on the name"),
        pytest.param("x > bool on(a, b) y", id="bool"),
        pytest.param("clamp_min(x / 0, Inf)", id="infinity and no number"),
        pytest.param("clamp_max(x * NaN, -Inf)", id="negative infinity and no number"),
        pytest.param("min(x)", id="least with NaN"),
        pytest.param("avg(x / 0)", id="mean of infinities"),
        pytest.param("histogram_quantile(0.7, x_bucket)", id="histogram"),
        pytest.param("histogram_quantile(0.7, rate(x_bucket[5m]))", id="histogram of rates"),
        pytest.param("timestamp(x offset 45s)", id="timestamp of a sample"),
        pytest.param("timestamp(x + 0)", id="timestamp of a result"),
        pytest.param("time()", id="time"),
        pytest.param("-7 % 3", id="rest of a negative number"),
        pytest.param("vector(-8) ^ (1 / 3)", id="root of a negative number"),
        pytest.param("round(x, 0.3)", id="round"),
        pytest.param("topk(2, y)", id="largest"),
        pytest.param("topk by (a) (1, x_bucket)", id="largest of a group"),
        pytest.param("bottomk without (le) (2, x_bucket)", id="smallest of a group"),
        pytest.param("bottomk(2, y) > 1", id="smallest"),
        pytest.param("topk(NaN, y)", id="no number of series"),
        pytest.param('count_values without (a) ("value", y)', id="values counted"),
        pytest.param('count_values("v", x_bucket / 3)', id="values with decimals"),
        pytest.param('count_values("v", x_bucket * 1e20)', id="values with many digits"),
        pytest.param('label_replace(y, "c", "$1-${1}", "a", "(.)")', id="label from a part of another"),
        pytest.param('label_replace(y, "__name__", "z", "a", "1")', id="name replaced"),
        pytest.param('label_replace(y, "b", "", "a", ".*")', id="label taken away"),
        pytest.param('label_replace(y, "a", "1", "a", ".*")', id="labels that are equal afterwards"),
        pytest.param('label_join(y, "c", "/", "a", "__name__", "missing")', id="labels joined"),
        pytest.param("increase(x_bucket[20m])", id="a counter born at 0 inside the window"),
        pytest.param('histogram_quantile(0.5, {__name__=~"[xy]_bucket"})', id="histograms of two names"),
        pytest.param("deriv(x[9m] offset 1m)", id="slope"),
        pytest.param("quantile(0.3, x)", id="quantile"),
        pytest.param("stdvar by (b) (y)", id="variance"),
    ],
)
def test_an_expression_has_the_value_that_prometheus_gives_it(both: Both, source: str) -> None:
    agree(both, source)


# Without shrinking: what is wrong is shown as it is.
@settings(
    max_examples=200,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(source=expressions.VECTORS)
def test_any_expression_has_the_value_that_prometheus_gives_it(both: Both, source: str) -> None:
    agree(both, source)
