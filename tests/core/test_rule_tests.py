"""Tests of rules: the format of promtool's, what fires when, and what a failure says."""

from __future__ import annotations

import math

import pytest

from pytest_sergas.core.input_series import NotationError, read_metric, read_series
from pytest_sergas.core.rule_tests import read_tests, run_file
from pytest_sergas.core.rules import read_rules
from pytest_sergas.core.series import Labels
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit

RULES = """\
groups:
- name: g
  rules:
  - alert: High
    expr: x > 5
    for: 2m
    keep_firing_for: 1m
    annotations: {summary: "{{ $value }}"}
"""
HEAD = """\
rule_files: [r.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {series: 'x{a="1"}', values: "9x5 0x10"}
"""
SEVERAL = "several series on the right side match {}; one side of an operator has to have a single one for each match"
A_RANGE = "is a range of samples; a function such as rate() makes values of it"
NO_DURATION = "is not a duration; allowed: such as 90s, 5m or 1h30m, units y w d h m s ms"


def failures(text: str, rules: str = RULES, before: str = "") -> list[str]:
    """Run the tests of a file that goes on with ``text``, and begins with ``before``."""
    found = run_file(read_tests(before + HEAD + text, "t.yml"), read_rules([("r.yml", rules)]))
    return [failure.removeprefix("test 1, ") for failure in found]


def alert_test(time: str, *expected: str) -> str:
    return f"  alert_rule_test: [{{eval_time: {time}, alertname: High, exp_alerts: [{', '.join(expected)}]}}]\n"


FIRING = "{exp_labels: {a: 1}, exp_annotations: {summary: 9}}"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        pytest.param("1m", (), id="pending"),
        pytest.param("1m59s", (), id="not evaluated yet"),
        pytest.param("2m", (FIRING,), id="firing"),
        pytest.param("5m", (FIRING,), id="still"),
        pytest.param("6m", (FIRING,), id="kept"),
        pytest.param("7m", (), id="over"),
    ],
)
def test_what_fires_at_a_time(time: str, expected: tuple[str, ...]) -> None:
    assert failures(alert_test(time, *expected)) == []


def test_a_failure_shows_what_was_expected_and_what_there_is() -> None:
    [failure] = failures(alert_test("2m", "{exp_labels: {a: 2}}"))

    assert failure == (
        "line 7: High at 120 s\n"
        '    expected: {a="2", alertname="High"} with {}\n'
        '    got:      {a="1", alertname="High"} with {summary="9"}'
    )


RECORDED = """\
groups:
- name: late
  rules:
  - {alert: High, expr: "later:x > 5", annotations: {summary: "{{ $value }}"}}
- name: early
  rules:
  - {record: "early:x", expr: sum(x)}
  - {record: "later:x", expr: "early:x + 1", labels: {a: "1"}}
"""


def test_what_is_recorded_is_there_for_the_next_rule_in_the_order_of_the_groups() -> None:
    expected = alert_test("0m", "{exp_labels: {a: 1}, exp_annotations: {summary: 10}}")

    assert failures(expected, RECORDED, "group_eval_order: [early, late]\n") == []
    assert failures(expected, RECORDED, "group_eval_order: [late, early]\n") != []


def test_what_is_recorded_and_the_alerts_themselves_are_series() -> None:
    samples = 'exp_samples: [{labels: \'ALERTS{a="1", alertname="High", alertstate="pending"}\', value: 1}]'
    tests = f"""\
  promql_expr_test:
  - {{expr: "early:x", eval_time: 6m, exp_samples: [{{labels: 'early:x', value: 0}}]}}
  - {{expr: "later:x", eval_time: 6m, exp_samples: [{{labels: 'later:x{{a="1"}}', value: 1}}]}}
  - {{expr: ALERTS, eval_time: 1m, {samples}}}
"""
    rules = RECORDED.replace('"later:x > 5"', '"later:x > 5", for: 2m')

    assert failures(tests, rules, "group_eval_order: [early, late]\n") == []


def test_a_rule_without_a_result_fails_the_test() -> None:
    rules = RULES.replace("x > 5", 'x + on() {__name__=~"x|y"}')
    text = "  - {series: y, values: 1x10}\n" + alert_test("2m")

    assert failures(text, rules) == [f"a rule cannot be evaluated: {SEVERAL}"]


@pytest.mark.parametrize(
    ("expression", "samples", "failure"),
    [
        pytest.param("x / 3", "{labels: '{a=\"1\"}', value: 3}", "", id="equal"),
        pytest.param("x / 9 * 0.1", "{labels: '{a=\"1\"}', value: 0.1}", "", id="equal but for the last digits"),
        pytest.param("x * NaN", "{labels: '{a=\"1\"}', value: NaN}", "", id="no number"),
        pytest.param(
            "x",
            "{labels: 'x{a=\"1\"}', value: 8}",
            'line 7: x at 60 s\n    expected: x{a="1"} 8\n    got:      x{a="1"} 9',
            id="another value",
        ),
        pytest.param(
            "x > 10", "{labels: x}", "line 7: x > 10 at 60 s\n    expected: x{} 0\n    got:      none", id="none"
        ),
        pytest.param(
            'x + on() {__name__="x"} + on() (x or on(b) x)',
            "",
            'line 7: x + on() {__name__="x"} + on() (x or on(b) x) at 60 s\n    expected: none\n    got:      {} 27',
            id="something",
        ),
    ],
)
def test_expression(expression: str, samples: str, failure: str) -> None:
    text = f"  promql_expr_test: [{{expr: '{expression}', eval_time: 1m, exp_samples: [{samples}]}}]\n"

    assert "".join(failures(text)) == failure


def test_an_expression_without_a_result_fails_the_test() -> None:
    text = (
        "  - {series: y, values: 1x10}\n  promql_expr_test: [{expr: 'x + on() {__name__=~\"x|y\"}', eval_time: 1m}]\n"
    )

    assert failures(text) == [f'line 8: x + on() {{__name__=~"x|y"}} at 60 s: {SEVERAL}']


def test_everything_that_is_left_out_has_a_default() -> None:
    file = read_tests("tests: [{}]", "t.yml")

    assert (file.rule_files, file.interval_s) == ((), 60.0)
    assert (file.tests[0].name, file.tests[0].series, file.tests[0].external_url) == ("test 1", (), "")


def test_every_fault_is_found() -> None:
    text = """\
group_eval_order: [a, b, a]
tests:
- external_labels: {a: b}
  input_series: [{series: sum(x), values: 1}, {series: x, values: 1y}]
  alert_rule_test: [{eval_time: soon}]
  promql_expr_test: [{expr: "x[5m]"}, {}, {expr: x, exp_samples: [{labels: x, value: many}]}]
"""
    with pytest.raises(ConfigurationError) as caught:
        read_tests(text, "t.yml")

    assert caught.value.faults == (
        "t.yml:1: group_eval_order: 'a' is duplicated",
        "t.yml:3: test 1, external_labels: is not supported: a sidecar has no external labels",
        "t.yml:4: test 1, input_series: 'sum(x)' is not a series; allowed: such as name{label=\"value\"}",
        "t.yml:4: test 1, input_series: '1y' is not a value; allowed: such as 1, 1x5, 1+2x5, _, _x5, stale",
        "t.yml:5: test 1, alert_rule_test: 'alertname' is missing",
        f"t.yml:5: test 1, alert_rule_test, eval_time: 'soon' {NO_DURATION}",
        f"t.yml:6: test 1, promql_expr_test, expr: 'x[5m]' {A_RANGE}",
        "t.yml:6: test 1, promql_expr_test: 'expr' is missing",
        "t.yml:6: test 1, promql_expr_test, exp_samples: 'many' is not a number",
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param("1 2", {0: 1, 1: 2}, id="numbers"),
        pytest.param("1x2", {0: 1, 1: 1, 2: 1}, id="repeated"),
        pytest.param("1+2x2", {0: 1, 1: 3, 2: 5}, id="rising"),
        pytest.param("-1-.5x1", {0: -1, 1: -1.5}, id="falling"),
        pytest.param("_ 1 _x2 2", {1: 1, 4: 2}, id="gaps"),
        pytest.param("1e1 Inf -Inf", {0: 10, 1: math.inf, 2: -math.inf}, id="infinite"),
        pytest.param("0x3", {0: 0, 1: 0, 2: 0, 3: 0}, id="no hexadecimal number"),
        pytest.param("", {}, id="none"),
    ],
)
def test_values(values: str, expected: dict[int, float]) -> None:
    series = read_series("x", values, 15.0)

    assert dict(zip(series.times_s, series.values, strict=True)) == {15.0 * at: value for at, value in expected.items()}


def test_a_stale_series_has_ended() -> None:
    series = read_series("x", "1 stale _ 2", 60.0)

    assert [series.at(60.0 * minute) for minute in range(4)] == [1.0, None, None, 2.0]


@pytest.mark.parametrize(
    ("written", "name", "labels"),
    [
        pytest.param("x", "x", (), id="name"),
        pytest.param("{}", "", (), id="nothing"),
        pytest.param('x{b="2",a="1",c="",}', "x", (("a", "1"), ("b", "2")), id="labels"),
        pytest.param('{__name__="x"}', "x", (), id="name as a label"),
        pytest.param('x{a="\\"\\u00e9"}', "x", (("a", '"é'),), id="escapes"),
    ],
)
def test_metric(written: str, name: str, labels: Labels) -> None:
    assert read_metric(written) == (name, labels)


@pytest.mark.parametrize(
    "written", ["", "x y", "1", 'x{a=~"1"}', 'x{a="1",a="2"}', "x offset 5m", "x[5m]", "-x", "(x)"]
)
def test_no_metric(written: str) -> None:
    with pytest.raises(NotationError) as caught:
        read_metric(written)

    assert str(caught.value) == f'{written!r} is not a series; allowed: such as name{{label="value"}}'


def test_a_series_has_a_bound() -> None:
    with pytest.raises(NotationError) as caught:
        read_series("x", "1x9999999", 60.0)

    assert str(caught.value) == "a series has more than 1000000 values"
