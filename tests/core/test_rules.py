"""Rule files: what is read, every fault with its place, and the alerts that a rule makes of elements."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.alerts import Active
from pytest_sergas.core.clock import Now
from pytest_sergas.core.input_series import read_series
from pytest_sergas.core.promql import EvaluationError, Vector
from pytest_sergas.core.rule_tests import selected
from pytest_sergas.core.rules import Recording, Rule, read_rules
from pytest_sergas.core.series import Labels, Series
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit

FILE = """\
groups:
- name: tests
  interval: 30s
  rules:
  - alert: TestsFailed
    expr: sergas_tests{outcome="failed"} > 0
    for: 1h30m
    keep_firing_for: 10m
    labels:
      severity: error
      many: '{{ if gt $value 5.0 }}yes{{ end }}'
    annotations:
      summary: "{{ $value }} of type {{ $labels.type }} failed, see {{ $externalURL }}"
- name: empty
"""


def rule(text: str) -> Rule:
    """Return a rule of one line, ``expr: ..., labels: ...``."""
    [group] = read_rules([("r.yml", f"groups: [{{name: g, rules: [{{alert: A, {text}}}]}}]")])
    return group.alerts[0]


def test_everything_is_read() -> None:
    tests, empty = read_rules([("rules/tests.yml", FILE)])
    [found] = tests.alerts

    assert (tests.file, tests.name, tests.interval_s) == ("rules/tests.yml", "tests", 30.0)
    assert (empty.name, empty.rules, empty.interval_s) == ("empty", (), None)
    assert (found.alert, found.for_s, found.keep_firing_for_s) == ("TestsFailed", 5400.0, 600.0)
    assert found.expression.source == 'sergas_tests{outcome="failed"} > 0'
    assert found.place == "rules/tests.yml:5: group 'tests', rule 'TestsFailed'"
    assert found.identity == (
        'rules/tests.yml;tests;TestsFailed{many="{{ if gt $value 5.0 }}yes{{ end }}", severity="error"}'
    )


@pytest.mark.parametrize("content", ["", "# nothing", "groups:", "groups: []", "null"])
def test_a_file_may_have_nothing_in_it(content: str) -> None:
    assert read_rules([("r.yml", content)]) == ()


def test_values_are_texts_whatever_yaml_takes_them_for() -> None:
    found = rule("expr: 1, for: 0, keep_firing_for: , labels: {a: 1, b: yes, c: , d: 1.50}")

    assert [(name, template.source) for name, template in found.labels] == [
        ("a", "1"),
        ("b", "yes"),
        ("c", ""),
        ("d", "1.50"),
    ]


def identities(*rules: str) -> list[str]:
    [group] = read_rules([("r.yml", f"groups: [{{name: g, rules: [{', '.join(rules)}]}}]")])
    return [each.identity for each in group.rules]


def test_rules_alike_are_told_apart_by_their_expressions_wherever_they_stand() -> None:
    one, other, single = "{alert: A, expr: x}", "{alert: A, expr: y}", "{alert: B, expr: x}"
    before = identities(one, other, single)

    assert identities(single, other, one) == before[::-1]
    assert len(set(before)) == 3
    assert before[2] == "r.yml;g;B{}"
    first, second = identities(one, one)
    assert second == f"{first}#2"


@pytest.mark.parametrize(
    ("labels", "could"),
    [
        pytest.param((("alertname", "A"), ("severity", "error"), ("x", "1")), True, id="its own"),
        pytest.param((("alertname", "B"), ("severity", "error"), ("x", "1")), False, id="another name"),
        pytest.param((("alertname", "A"), ("severity", "info"), ("x", "1")), False, id="another fixed label"),
        pytest.param((("alertname", "A"), ("severity", "error"), ("x", "2")), True, id="another filled in"),
    ],
)
def test_rule_says_whether_an_alert_could_be_its_own(labels: Labels, could: bool) -> None:  # noqa: FBT001
    assert rule("expr: y, labels: {severity: error, x: '{{ $value }}'}").could_have(labels) is could


def test_labels_tell_rules_of_one_name_apart() -> None:
    text = "{alert: A, expr: x, labels: {severity: error}}, {alert: A, expr: x > 5, labels: {severity: critical}}"
    [group] = read_rules([("r.yml", f"groups: [{{name: g, rules: [{text}]}}]")])

    assert [each.identity for each in group.rules] == [
        'r.yml;g;A{severity="error"}',
        'r.yml;g;A{severity="critical"}',
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(
            "groups: [", "r.yml:1: is not YAML: expected the node content, but found '<stream end>'", id="yaml"
        ),
        pytest.param(
            "a\x00",
            "r.yml: is not YAML: unacceptable character #x0000: special characters are not allowed in "
            '"<unicode string>", position 1',
            id="character",
        ),
        pytest.param("--- {}\n--- {}", "r.yml:2: is not YAML: but found another document", id="two documents"),
        pytest.param("[" * 5000, "r.yml: lists or tables stand in one another too deeply", id="too deep"),
        pytest.param("text", "r.yml:1: allowed: a table", id="no table"),
        pytest.param("groups: {}", "r.yml:1: groups: allowed: a list", id="no list"),
        pytest.param("group: []", "r.yml:1: unknown key 'group'; did you mean 'groups'?", id="unknown key"),
        pytest.param("groups:\n- rules: []", "r.yml:2: group '': a group has to have a name", id="no name"),
        pytest.param(
            "groups: [{name: g}, {name: g}]",
            "r.yml:1: group 'g': there are two groups of this name in the file",
            id="two of a name",
        ),
        pytest.param(
            "groups: [{name: g, query_offset: 1m}]",
            "r.yml:1: group 'g': unknown key 'query_offset'; allowed: name, interval, limit, rules",
            id="new key",
        ),
        pytest.param(
            "groups: [{name: g, interval: 5}]",
            "r.yml:1: group 'g', interval: '5' is not a duration; allowed: such as 90s, 5m or 1h30m, "
            "units y w d h m s ms",
            id="interval",
        ),
        pytest.param(
            "groups: [{name: g, limit: -1}]",
            "r.yml:1: group 'g', limit: '-1' is not a whole number, 0 or more",
            id="limit",
        ),
        pytest.param(
            "groups: [{name: g, limit: '3'}]",
            "r.yml:1: group 'g', limit: '3' is not a whole number, 0 or more",
            id="limit in quotes",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{record: r, expr: x, for: 1m}]}]",
            "r.yml:1: group 'g', rule 'r': unknown key 'for'; allowed: record, expr, labels",
            id="key of an alert in a recording",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{record: a-b, expr: x}]}]",
            "r.yml:1: group 'g', rule 'a-b': 'a-b' is not a metric name; "
            "allowed: letters, digits, _ and :, no digit first",
            id="name of a recording",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{record: r}]}]",
            "r.yml:1: group 'g', rule 'r': 'expr' is missing, what is recorded",
            id="nothing to record",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{record: r, expr: x, labels: {a-b: c}}]}]",
            "r.yml:1: group 'g', rule 'r', labels, a-b: 'a-b' is not a name; "
            "allowed: letters, digits and _, no digit first",
            id="label of a recording",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{expr: x}]}]",
            "r.yml:1: group 'g', rule '': 'alert' is missing, the name of the alert",
            id="no alert",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A}]}]",
            "r.yml:1: group 'g', rule 'A': 'expr' is missing, the condition",
            id="no expression",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: 'limitk(1, x)'}]}]",
            "r.yml:1: group 'g', rule 'A', expr: 'limitk(1, x)' the aggregation limitk is not supported; "
            "supported: sum, avg, min, max, count, group, stddev, stdvar, topk, bottomk, count_values, quantile",
            id="expression",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, for: 1h1d}]}]",
            "r.yml:1: group 'g', rule 'A', for: '1h1d' is not a duration; allowed: such as 90s, 5m or 1h30m, "
            "units y w d h m s ms",
            id="order of units",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, for: 300y}]}]",
            "r.yml:1: group 'g', rule 'A', for: '300y' is too long a duration; allowed: at most 292 years",
            id="too long",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, lables: {}}]}]",
            "r.yml:1: group 'g', rule 'A': unknown key 'lables'; did you mean 'labels'?",
            id="misspelt",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, labels: {a-b: c}}]}]",
            "r.yml:1: group 'g', rule 'A', labels, a-b: 'a-b' is not a name; allowed: letters, digits and _, "
            "no digit first",
            id="name of a label",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, labels: {__name__: c}}]}]",
            "r.yml:1: group 'g', rule 'A', labels, __name__: '__name__' is not a name; allowed: letters, digits "
            "and _, no digit first",
            id="the metric's name",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, annotations: {s: '{{ query }}'}}]}]",
            "r.yml:1: group 'g', rule 'A', annotations, s: the function 'query' is not supported; supported: ",
            id="template",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, expr: y}]}]",
            "r.yml:1: group 'g', rule 'A': the key 'expr' stands there twice",
            id="key twice",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, labels: {a: [1]}}]}]",
            "r.yml:1: group 'g', rule 'A', labels, a: allowed: a text",
            id="no text",
        ),
        pytest.param(
            "groups: [{name: g, rules: [{alert: A, expr: x, labels: {[a]: b}}]}]",
            "r.yml:1: group 'g', rule 'A', labels: allowed: keys that are texts",
            id="key that is no text",
        ),
    ],
)
def test_fault(content: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_rules([("r.yml", content)])

    [found] = caught.value.faults
    assert found.startswith(fault) if fault.endswith(" ") else found == fault


def test_all_faults_of_all_files_are_found() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_rules(
            [
                ("a.yml", "groups: [{name: g, rules: [{alert: A, expr: 'x[5m]', for: soon}, {record: r}]}]"),
                ("b.yml", "groups: [{}]"),
            ]
        )

    assert [fault.partition(": ")[0] for fault in caught.value.faults] == ["a.yml:1", "a.yml:1", "a.yml:1", "b.yml:1"]


UNIT: Labels = (("type", "unit"),)


def test_an_alert_has_the_labels_of_its_element_those_of_its_rule_and_its_name() -> None:
    [group, _] = read_rules([("r.yml", FILE)])

    assert group.alerts[0].alerts([("sergas_tests", UNIT, 7.0)], "https://ci.example.org") == (
        Active(
            (("alertname", "TestsFailed"), ("many", "yes"), ("severity", "error"), ("type", "unit")),
            7.0,
            (("summary", "7 of type unit failed, see https://ci.example.org"),),
        ),
    )


def test_a_label_that_expands_to_nothing_is_not_there() -> None:
    found = rule("expr: x, labels: {type: '{{ $labels.missing }}'}").alerts([("x", UNIT, 1.0)])

    assert found[0].labels == (("alertname", "A"),)


def test_two_alerts_of_a_rule_must_differ() -> None:
    with pytest.raises(EvaluationError) as caught:
        rule("expr: x, labels: {type: all}").alerts([("x", UNIT, 1.0), ("x", (("type", "e2e"),), 1.0)])

    assert str(caught.value) == 'two alerts have the labels {alertname="A", type="all"}; let them differ'


def recording(text: str) -> Recording:
    [group] = read_rules([("r.yml", f"groups: [{{name: g, limit: 2, rules: [{{record: 'a:b', {text}}}]}}]")])
    [found] = group.rules
    assert isinstance(found, Recording)
    return found


def test_a_recording_makes_a_series_of_each_element_with_labels_of_its_own() -> None:
    found = recording("expr: x, labels: {b: c, type: ''}")

    assert found.samples([("x", UNIT, 1.0), ("x", (("z", "1"),), 2.0)]) == [
        ((("b", "c"),), 1.0),
        ((("b", "c"), ("z", "1")), 2.0),
    ]
    assert found.identity == 'r.yml;g;record a:b{b="c", type=""}'
    assert found.place == "r.yml:1: group 'g', rule 'a:b'"


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        pytest.param(
            [("x", UNIT, 1.0), ("y", UNIT, 2.0)],
            'two series have the labels {type="unit"}; let them differ',
            id="alike",
        ),
        pytest.param(
            [("x", (("a", str(number)),), 1.0) for number in range(3)],
            "there are 3 series, more than the group's limit of 2",
            id="too many",
        ),
    ],
)
def test_what_cannot_be_recorded_has_no_result(elements: Vector, reason: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        recording("expr: x").samples(elements)

    assert str(caught.value) == reason


def test_a_group_bounds_the_alerts_of_a_rule() -> None:
    [group] = read_rules([("r.yml", "groups: [{name: g, limit: 1, rules: [{alert: A, expr: x}]}]")])
    elements: Vector = [("x", UNIT, 1.0), ("x", (), 1.0)]

    assert len(group.alerts[0].alerts(elements[:1])) == 1
    with pytest.raises(EvaluationError) as caught:
        group.alerts[0].alerts(elements)
    assert str(caught.value) == "there are 2 alerts, more than the group's limit of 1"


def gone(found: Rule, followed: Labels, series: list[Series]) -> bool:
    return followed in found.gone([followed], selected(found.expression, series), Now(0.0, 0.0))


@pytest.mark.parametrize(
    ("text", "present", "is_gone"),
    [
        pytest.param("expr: x > 5", 'x{type="unit"}', False, id="the condition is false"),
        pytest.param("expr: x > 5", 'x{type="e2e"}', True, id="another series is there"),
        pytest.param(
            "expr: x > 5, labels: {level: '{{ $value }}'}", 'x{type="unit"}', False, id="a label has the value"
        ),
    ],
)
def test_a_series_that_is_gone_is_told_from_a_condition_that_is_false(
    text: str, present: str, *, is_gone: bool
) -> None:
    found = rule(text)
    alert = found.alerts([("x", UNIT, 7.0)])[0].labels

    assert gone(found, alert, [read_series(present, "1", 60.0)]) is is_gone


@given(st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), st.floats()), unique_by=lambda pair: pair[0]))
def test_every_element_is_an_alert(pairs: list[tuple[str, float]]) -> None:
    found = rule("expr: x, annotations: {s: '{{ $value | humanizeDuration }}'}")
    elements: Vector = [("x", (("a", label),), value) for label, value in pairs]

    alerts = found.alerts(elements)

    assert [dict(alert.labels)["a"] for alert in alerts] == [label for label, _ in pairs]
    assert all(alert.value == value or math.isnan(value) for alert, (_, value) in zip(alerts, pairs, strict=True))
