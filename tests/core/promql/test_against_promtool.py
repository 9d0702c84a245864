"""Expressions have the values that Prometheus' own engine gives them, and fail where it fails."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pytest_sergas.core.clock import Now
from pytest_sergas.core.input_series import read_series
from pytest_sergas.core.promql import EvaluationError, PromqlError, Vector, compile_expression
from pytest_sergas.core.rule_tests import selected
from pytest_sergas.core.series import Series
from tests.core.promql import expressions
from tests.servers import promtool

pytestmark = pytest.mark.integration

NOW_S = 600.0


def ours(source: str, series: Sequence[Series]) -> Vector | str:
    try:
        expression = compile_expression(source)
        return expression.evaluate(selected(expression, series), Now(NOW_S, NOW_S))
    except (EvaluationError, PromqlError) as error:
        return str(error)


def same(one: Vector | str, other: Vector | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str)
    values = {(name, labels): value for name, labels, value in other}
    return len(one) == len(other) and all(
        (name, labels) in values and close(value, values[name, labels]) for name, labels, value in one
    )


def close(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


# Without shrinking: each try asks promtool, and every wrong expression is shown as it is.
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(expressions.series(), st.lists(expressions.VECTORS, min_size=30, max_size=30, unique=True))
def test_any_expression_has_the_value_that_promtool_gives_it(series: dict[str, str], sources: list[str]) -> None:
    with TemporaryDirectory() as directory:
        theirs = promtool.evaluate(Path(directory), series, "30s", sources, "10m")
    read = [read_series(written, values, 30.0) for written, values in series.items()]

    found = {source: ours(source, read) for source in sources}

    wrong = [
        f"{source}\n  ours:   {found[source]}\n  theirs: {expected}"
        for source, expected in zip(sources, theirs, strict=True)
        if not same(found[source], expected)
    ]
    assert not wrong, "\n".join(wrong)
