"""Tests of rules, in the format of ``promtool test rules``.

    https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/

    rule_files: [tests.yml]
    evaluation_interval: 1m
    tests:
      - interval: 1m
        input_series:
          - {series: 'sergas_tests{type="unit",outcome="failed"}', values: "0 2x10"}
        alert_rule_test:
          - eval_time: 5m
            alertname: TestsFailed
            exp_alerts: [{exp_labels: {type: unit}, exp_annotations: {summary: "2 tests failed"}}]
        promql_expr_test:
          - {expr: sum(sergas_tests), eval_time: 5m, exp_samples: [{labels: "{}", value: 2}]}

All rules are evaluated every `evaluation_interval` from 0 on, whatever interval their group has, as promtool does. The
alerts of a time are those that fire after the last evaluation that is not later. Groups are evaluated in the order of
`group_eval_order`, the others after them; what they record is there for the next rule. `external_labels` are refused: a
sidecar has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_sergas.core import alerts
from pytest_sergas.core.clock import Now
from pytest_sergas.core.input_series import SAMPLES_LIMIT, NotationError, read_metric, read_series, read_value
from pytest_sergas.core.messages import ALERTNAME
from pytest_sergas.core.printf import shown_float
from pytest_sergas.core.promql import EvaluationError, Expression, Selector, Vector
from pytest_sergas.core.promql.vectors import shown
from pytest_sergas.core.rule_document import Entry, entries_of, read_document, text_of
from pytest_sergas.core.rules import ALERTS, Group, Recording, Rule, alert_labels, read_duration_of, read_expression_of
from pytest_sergas.core.series import NAME, Labels, Series, canonical
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import ConfigurationError

EVALUATION_INTERVAL_S = 60.0

Told = tuple[Labels, Labels]  # labels and annotations of an alert


@dataclass(frozen=True, slots=True)
class AlertTest:
    """Which alerts of a name have to fire at a time, as labels and annotations, sorted."""

    line: int
    time_s: float
    alert: str
    expected: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class ExpressionTest:
    """What an expression has to be at a time."""

    line: int
    time_s: float
    expression: Expression
    expected: Vector


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test: series, and what has to follow from them."""

    name: str
    series: tuple[Series, ...]
    alerts: tuple[AlertTest, ...]
    expressions: tuple[ExpressionTest, ...]
    external_url: str = ""


@dataclass(frozen=True, slots=True)
class TestFile:
    """A file of tests.

    Attributes:
        rule_files: the patterns of the rule files that it is about, relative to it.
        interval_s: seconds from one evaluation to the next.
        order: names of groups, in the order in which they are evaluated, before the others.
    """

    __test__ = False  # none of pytest's

    name: str
    rule_files: tuple[str, ...]
    interval_s: float
    tests: tuple[RuleTest, ...]
    order: tuple[str, ...] = ()


def read_tests(content: str, file: str) -> TestFile:
    """Read a file of tests.

    Raises:
        ConfigurationError: with every fault.
    """
    faults: list[str] = []
    top = read_document(content, file, faults)
    fields = top.fields(("rule_files", "evaluation_interval", "group_eval_order", "tests")) if top is not None else {}
    order: dict[str, None] = {}
    for entry in entries_of(fields, "group_eval_order"):
        if (group := entry.text()) in order:
            entry.fault(f"{one_line(group, 80)!r} is duplicated")
        order[group] = None
    interval_s = read_duration_of(fields["evaluation_interval"]) if "evaluation_interval" in fields else 0.0
    files = tuple(entry.text() for entry in entries_of(fields, "rule_files"))
    entries = enumerate(entries_of(fields, "tests"), 1)
    tests = tuple(_test(entry.inside(f"test {number}")) for number, entry in entries)
    if faults:
        raise ConfigurationError(tuple(faults))
    return TestFile(file, files, interval_s or EVALUATION_INTERVAL_S, tests, tuple(order))


def run_file(file: TestFile, groups: Sequence[Group]) -> Iterator[str]:
    """Run the tests of a file over the rules of its rule files; return what is not as expected."""
    ranks = {name: rank for rank, name in enumerate(file.order)}
    ordered = sorted(groups, key=lambda group: ranks.get(group.name, len(ranks)))
    for test in file.tests:
        yield from (f"{test.name}, {failure}" for failure in run(test, ordered, file.interval_s))


def run(test: RuleTest, groups: Sequence[Group], interval_s: float) -> Iterator[str]:
    """Run a test; return what is not as expected, a text for each place."""
    wanted: dict[float, list[AlertTest]] = {}
    for expected in test.alerts:
        wanted.setdefault(round(expected.time_s // interval_s * interval_s, 3), []).append(expected)
    ends_s = (*wanted, *(expression.time_s for expression in test.expressions))
    count = int(max(ends_s, default=-interval_s) / interval_s + 1e-9) + 1
    evaluated = Evaluated([rule for group in groups for rule in group.rules], test.series, test.external_url)
    try:
        for time_s in (round(index * interval_s, 3) for index in range(count)):
            evaluated.evaluate(time_s)
            for expected in wanted.get(time_s, ()):
                yield from _compare_alerts(expected, evaluated.firing().get(expected.alert, ()))
    except EvaluationError as error:
        yield f"a rule cannot be evaluated: {error}"
        return
    for expected_values in test.expressions:
        yield from _compare_values(expected_values, evaluated.series)


def _compare_alerts(expected: AlertTest, got: Sequence[Told]) -> Iterator[str]:
    if sorted(expected.expected) != list(got):
        head = f"line {expected.line}: {expected.alert} at {_time(expected.time_s)}"
        yield _difference(head, map(_told, expected.expected), map(_told, got))


def _compare_values(expected: ExpressionTest, series: Sequence[Series]) -> Iterator[str]:
    head = f"line {expected.line}: {expected.expression.source} at {_time(expected.time_s)}"
    now = Now(expected.time_s, expected.time_s)
    try:
        got = expected.expression.evaluate(selected(expected.expression, series), now)
    except EvaluationError as error:
        yield f"{head}: {error}"
        return
    if not _equal(got, expected.expected):
        yield _difference(head, map(_element, expected.expected), map(_element, got))


class Evaluated:
    """Rules that are evaluated over series, and what has come of them.

    A series is taken as it is: an offset into the future finds the samples that are written there, and promtool none.

    Attributes:
        series: those given, and what was recorded: the alerts, too, as ``ALERTS``.
        alerts: those that are pending or firing after the last evaluation.
    """

    def __init__(self, rules: Sequence[Rule | Recording], series: Iterable[Series], external_url: str = "") -> None:
        self._rules = rules
        self._external_url = external_url
        self._states: list[Mapping[Labels, alerts.Alert]] = [{} for _ in rules]
        # By what records them: a rule's place in the list, or `ALERTS`.
        self._recorded: dict[int | str, dict[tuple[str, Labels], Series]] = {}
        self.series = list(series)

    @property
    def alerts(self) -> Sequence[alerts.Alert]:
        return [alert for of_rule in self._states for alert in of_rule.values()]

    def evaluate(self, time_s: float) -> None:
        """Evaluate all rules, in their order.

        Raises:
            EvaluationError: a rule has no result.
        """
        now = Now(time_s, time_s)
        for index, rule in enumerate(self._rules):
            elements = rule.expression.evaluate(selected(rule.expression, self.series), now)
            if isinstance(rule, Recording):
                self._record(index, rule.name, rule.samples(elements), time_s)
                continue
            active = rule.alerts(elements, self._external_url)
            evaluation = alerts.Evaluation(rule.identity, now, active, rule.for_s, rule.keep_firing_for_s)
            self._states[index] = alerts.step(self._states[index], evaluation).alerts
            own = [(alert_labels(alert), 1.0) for alert in self._states[index].values()]
            self._record(f"{ALERTS} {index}", ALERTS, own, time_s)

    def firing(self) -> Mapping[str, Sequence[Told]]:
        """Return the name of each alert → those that fire, as labels and annotations."""
        fired: dict[str, list[Told]] = {rule.name: [] for rule in self._rules if isinstance(rule, Rule)}
        for alert in self.alerts:
            if alert.state is alerts.State.FIRING:
                fired[alert.name].append((alert.labels, alert.annotations))
        return {name: sorted(told) for name, told in fired.items()}

    def _record(self, source: int | str, name: str, samples: Sequence[tuple[Labels, float]], time_s: float) -> None:
        known = self._recorded.setdefault(source, {})
        for labels in {labels for _, labels in known} - {labels for labels, _ in samples}:
            known[name, labels].end(time_s)
        for labels, value in samples:
            if (name, labels) not in known:
                known[name, labels] = Series(name, labels, math.inf)
                self.series.append(known[name, labels])
            known[name, labels].append(time_s, value, SAMPLES_LIMIT)


def selected(expression: Expression, series: Sequence[Series]) -> list[list[Series]]:
    """Return, for each selector of ``expression``, those of ``series`` that it selects."""
    return [[one for one in series if _selects(selector, one)] for selector in expression.selectors]


def _selects(selector: Selector, series: Series) -> bool:
    labels = {NAME: series.name, **dict(series.labels)}
    return all(matcher.predicate()(labels.get(matcher.label, "")) for matcher in selector.matchers)


def _equal(got: Vector, expected: Vector) -> bool:
    """Whether two vectors have the same elements; the values may differ in the last digits."""
    values = {(name, labels): value for name, labels, value in expected}
    return len(got) == len(expected) and all(
        (name, labels) in values and _close(value, values[name, labels]) for name, labels, value in got
    )


def _close(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _difference(head: str, expected: Iterable[str], got: Iterable[str]) -> str:
    lines = [head, "    expected: " + (", ".join(expected) or "none"), "    got:      " + (", ".join(got) or "none")]
    return "\n".join(lines)


def _told(told: Told) -> str:
    return f"{shown(told[0])} with {shown(told[1])}"


def _element(element: tuple[str, Labels, float]) -> str:
    return f"{element[0]}{shown(element[1])} {shown_float(element[2])}"


def _time(time_s: float) -> str:
    return f"{time_s:g} s"


def _test(entry: Entry) -> RuleTest:
    keys = (
        "name",
        "interval",
        "input_series",
        "alert_rule_test",
        "promql_expr_test",
        "external_labels",
        "external_url",
    )
    fields = entry.fields(keys)
    if "external_labels" in fields:
        fields["external_labels"].fault("is not supported: a sidecar has no external labels")
    interval_s = read_duration_of(fields["interval"]) if "interval" in fields else 60.0
    series = [_series(item, interval_s) for item in entries_of(fields, "input_series")]
    alert_tests = tuple(_alert_test(item) for item in entries_of(fields, "alert_rule_test"))
    expressions = [_expression_test(item) for item in entries_of(fields, "promql_expr_test")]
    return RuleTest(
        name=text_of(fields, "name") or entry.path[0],
        series=tuple(one for one in series if one is not None),
        alerts=alert_tests,
        expressions=tuple(one for one in expressions if one is not None),
        external_url=text_of(fields, "external_url"),
    )


def _series(entry: Entry, interval_s: float) -> Series | None:
    fields = entry.fields(("series", "values"))
    try:
        return read_series(text_of(fields, "series"), text_of(fields, "values"), interval_s)
    except NotationError as error:
        entry.fault(str(error))
        return None


def _alert_test(entry: Entry) -> AlertTest:
    fields = entry.fields(("eval_time", "alertname", "exp_alerts"))
    name = text_of(fields, "alertname")
    if not name:
        entry.fault("'alertname' is missing")
    expected = []
    for item in entries_of(fields, "exp_alerts"):
        told = item.fields(("exp_labels", "exp_annotations"))
        labels, annotations = (_texts(told[key]) if key in told else {} for key in ("exp_labels", "exp_annotations"))
        expected.append((canonical({**labels, ALERTNAME: name}.items()), tuple(sorted(annotations.items()))))
    return AlertTest(entry.line, _time_of(fields), name, tuple(expected))


def _expression_test(entry: Entry) -> ExpressionTest | None:
    fields = entry.fields(("expr", "eval_time", "exp_samples"))
    if "expr" not in fields:
        entry.fault("'expr' is missing")
        return None
    expression = read_expression_of(fields["expr"])
    expected: Vector = []
    for item in entries_of(fields, "exp_samples"):
        sample = item.fields(("labels", "value"))
        try:
            expected.append((*read_metric(text_of(sample, "labels") or "{}"), read_value(text_of(sample, "value"))))
        except NotationError as error:
            item.fault(str(error))
    return None if expression is None else ExpressionTest(entry.line, _time_of(fields), expression, expected)


def _time_of(fields: Mapping[str, Entry]) -> float:
    return read_duration_of(fields["eval_time"]) if "eval_time" in fields else 0.0


def _texts(entry: Entry) -> Mapping[str, str]:
    return {name: value.text() for name, value in entry.table().items()}
