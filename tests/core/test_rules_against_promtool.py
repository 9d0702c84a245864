"""Rule files are taken by Prometheus, and its alerts fire when ours do, with the same labels and annotations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pytest_sergas.config.rules import READY_MADE
from pytest_sergas.core.alerts import Alert, State
from pytest_sergas.core.input_series import read_series
from pytest_sergas.core.promql import EvaluationError
from pytest_sergas.core.rule_tests import Evaluated, read_tests, run_file
from pytest_sergas.core.rules import Rule, read_rules
from pytest_sergas.core.series import Series
from pytest_sergas.engine.rule_files import ready_made
from pytest_sergas.errors import ConfigurationError
from tests.core.promql import expressions
from tests.servers import promtool

pytestmark = pytest.mark.integration

MINUTE_S = 60.0
LAST_S = 720

# Each try asks promtool: nothing is shrunk, and a failure shows what it has said.
ASKING = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

DURATIONS = st.sampled_from(["0s", "30s", "1m", "90s", "2m", "3m", "5m"])
TEMPLATES = st.sampled_from(
    [
        "plain",
        "{{ $value }}",
        "{{ $labels.a }}-{{ .Labels.b }}",
        "{{ $value | humanize }} {{ $value | humanize1024 }}",
        "{{ humanizeDuration $value }} {{ humanizePercentage .Value }}",
        "{{ humanizeTimestamp $value }}",
        '{{ printf "%.2f|%v|%8.1e|%+.3g" $value $value $value $value }}',
        '{{ if gt $value 2.0 }}many{{ else if eq $labels.a "1" }}one{{ else }}few{{ end }}',
        '{{- $labels.a | toUpper -}} x {{ title "a b" }} {{ match "1.*" $labels.b }}',
        '{{ reReplaceAll "(\\\\d)" "<$1>" $labels.b }} {{ len $labels }} {{ index $labels "a" }}',
        "{{ $labels }}",
        '{{ and $labels.a "x" }}{{ or $labels.missing "y" }}{{ not true }}{{ ne 1 2 }}{{ le 1.5 $value }}',
    ]
)
CONDITIONS = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(["x", "y", 'x{a="1"}']), st.sampled_from([">", "<", "=="]),
              st.sampled_from(["0", "1", "2", "7.5", "100"])),
    st.sampled_from(["x > on(a) y", 'absent(y{a="1"})', "rate(x[2m]) > 0", "changes(y[3m]) > 1", "x unless on(a) y",
                     "sum by (a) (x) > 2", "x and on(a) y > 0", "count(y > 1) > 0", "time() > bool 300", "vector(1)"]),
)  # fmt: skip


@st.composite
def rule(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "expr": draw(CONDITIONS),
        "for": draw(DURATIONS),
        "keep_firing_for": draw(DURATIONS),
        "labels": {"severity": "error", "level": draw(TEMPLATES)},
        "annotations": {"summary": draw(TEMPLATES), "more": draw(TEMPLATES)},
    }


@st.composite
def rule_groups(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return two groups of rules whose names differ; an interval of a group means nothing to tests of rules."""
    rules = [{"alert": f"A{number}", **draw(rule())} for number in range(5)]
    groups: list[dict[str, Any]] = [{"name": "g", "rules": rules[:3]}, {"name": "h", "rules": rules[3:]}]
    optional: dict[str, st.SearchStrategy[Any]] = {
        "interval": st.sampled_from(["10s", "5m"]),
        "limit": st.sampled_from([2, 9]),
    }
    for group in groups:
        group.update(draw(st.fixed_dictionaries({}, optional=optional)))
        for limited in group["rules"] if "limit" in group else ():
            # There an alert that is kept firing counts as well, and here only what the expression finds.
            limited["keep_firing_for"] = "0s"
    return groups


@ASKING
@given(
    series=expressions.series(),
    groups=rule_groups(),
    interval_s=st.sampled_from([20, 60, 150]),
    later_s=st.sampled_from([0, 7]),
    order=st.sampled_from([["g", "h"], ["h"], []]),
)
def test_alerts_are_pending_and_fire_when_those_of_promtool_do(
    series: dict[str, str], groups: list[dict[str, Any]], interval_s: int, later_s: int, order: list[str]
) -> None:
    text = json.dumps({"groups": groups})
    rules = [rule for group in read_rules([("r.yml", text)]) for rule in group.alerts]
    read = [read_series(written, values, MINUTE_S) for written, values in series.items()]
    times_s = [float(time_s) for time_s in range(0, LAST_S + 1, interval_s)]
    try:
        found = list(followed(rules, read, times_s))
    except EvaluationError:
        found = []
    inputs = [{"series": written, "values": values} for written, values in series.items()]
    test = {
        "interval": "1m",
        "input_series": inputs,
        # Where a rule has no result, the test fails whatever is expected.
        "alert_rule_test": [expected for each in found or [(LAST_S, [])] for expected in told(*each, later_s, rules)],
        "promql_expr_test": [pending(time_s, alerts, later_s) for time_s, alerts in found],
    }
    document = {
        "rule_files": ["r.yml"],
        "evaluation_interval": f"{interval_s}s",
        "group_eval_order": order,
        "tests": [test],
    }
    with TemporaryDirectory() as directory:
        (Path(directory) / "r.yml").write_text(text, "utf-8")
        passed, output = promtool.run_tests(Path(directory), document)

    assert passed == bool(found), f"{text}\n{output}"
    # The same file through our own runner.
    ours = read_tests(json.dumps(document), "t.yml")
    failures = list(run_file(ours, read_rules([("r.yml", text)])))
    assert bool(failures) != bool(found), failures


def followed(
    rules: Sequence[Rule], series: Sequence[Series], times_s: Iterable[float]
) -> Iterator[tuple[float, Sequence[Alert]]]:
    """Evaluate ``rules`` at ``times_s``; return, for each time, the alerts that are pending or firing after it."""
    evaluated = Evaluated(rules, series)
    for time_s in times_s:
        evaluated.evaluate(time_s)
        yield time_s, list(evaluated.alerts)


def told(time_s: float, alerts: Sequence[Alert], later_s: int, rules: Sequence[Rule]) -> Iterator[dict[str, Any]]:
    """Return the tests that exactly those of ``alerts`` that fire do so ``later_s`` after an evaluation."""
    for rule in rules:
        yield {
            "eval_time": f"{time_s + later_s:.0f}s",
            "alertname": rule.alert,
            "exp_alerts": [
                {"exp_labels": dict(alert.labels), "exp_annotations": dict(alert.annotations)}
                for alert in alerts
                if alert.state is State.FIRING and alert.name == rule.alert
            ],
        }


def pending(time_s: float, alerts: Sequence[Alert], later_s: int) -> dict[str, Any]:
    """Return the test that exactly those of ``alerts`` that are pending are so ``later_s`` after an evaluation."""
    labels = [{**dict(alert.labels), "alertstate": "pending"} for alert in alerts if alert.state is State.PENDING]
    written = (", ".join(f"{name}={json.dumps(value)}" for name, value in each.items()) for each in labels)
    return {
        "expr": 'ALERTS{alertstate="pending"}',
        "eval_time": f"{time_s + later_s:.0f}s",
        "exp_samples": [{"labels": f"ALERTS{{{each}}}", "value": 1} for each in written],
    }


# Most of these are refused by both; what only one of them takes is what is looked for.
ODD_TEMPLATES = st.lists(
    st.sampled_from(
        [
            *(
                "plain ",
                "{{",
                "}}",
                "{{ $value",
                " | humanize }}",
                "{{ $labels.a }}",
                "{{ $labels.a.b }}",
                "{{ .Value }}",
            ),
            *("{{ if ", "true }}", "{{ else }}", "{{ else if .Labels.a }}", "{{ end }}", "{{ range $labels }}"),
            *("{{ $x }}", "{{ nil }}", '{{ query "x" | first | value }}', '{{ printf "%d" 1 }}', "{{ humanize }}"),
            *(
                "{{- 1 -}}",
                "{{/* c */}}",
                "{{ `a` }}",
                "{{ 'a' }}",
                "{{ 0x1f }}",
                "{{ 1_000 }}",
                "{{ .5 }}",
                "{{ (1) }}",
            ),
            *("{{ $externalURL }}", "{{ $externalLabels.a }}", "{{ len 1 }}", "{{ index $labels }}", "{{ eq 1 1.0 }}"),
            *(
                '{{ "\\x41" }}',
                '{{ "\\q" }}',
                "{{ true | not }}",
                "{{ $value := 1 }}",
                "{{ toUpper 1 }}",
                "{{ define }}",
            ),
        ]
    ),
    min_size=1,
    max_size=4,
).map("".join)
ODD_DURATIONS = st.sampled_from(["0", "5", "1.5m", "1h30m", "30m1h", "1y2w3d", "-1m", "1m ", "", "90s", "1ms", "400y"])
ODD_NAMES = st.sampled_from(["a", "a_1", "1a", "a-b", "__name__", "alertname", "é", "a:b", "_"])


@st.composite
def odd_group(draw: st.DrawFn) -> dict[str, Any]:
    """Return a group of one rule, in which a few things may be wrong."""
    texts = st.dictionaries(ODD_NAMES, st.one_of(TEMPLATES, ODD_TEMPLATES), max_size=1)
    optional = {
        **{name: st.one_of(DURATIONS, ODD_DURATIONS) for name in ("for", "keep_firing_for")},
        **dict.fromkeys(("labels", "annotations"), texts),
    }
    rule = {"alert": "A", "expr": draw(CONDITIONS), **draw(st.fixed_dictionaries({}, optional=optional))}
    of_group = {"interval": ODD_DURATIONS, "limit": st.sampled_from([0, 3, -1, "3", 1.5])}
    return {"rules": [rule], **draw(st.fixed_dictionaries({}, optional=of_group))}


@ASKING
@given(st.lists(odd_group(), min_size=40, max_size=40))
def test_files_that_we_take_prometheus_takes(groups: list[dict[str, Any]]) -> None:
    taken = [{"name": f"g{number}", **group} for number, group in enumerate(groups)]
    taken = [group for group in taken if is_taken({"groups": [group]})]
    with TemporaryDirectory() as directory:
        refused = promtool.check(Path(directory), json.dumps({"groups": taken}))

    assert not refused, refused


@ASKING
@given(st.lists(st.one_of(expressions.VECTORS, expressions.ODD), min_size=40, max_size=40, unique=True))
def test_what_we_take_prometheus_takes(sources: list[str]) -> None:
    rules = [{"alert": f"A{number}", "expr": source} for number, source in enumerate(sources)]
    taken = [rule for rule in rules if is_taken({"groups": [{"name": "g", "rules": [rule]}]})]
    with TemporaryDirectory() as directory:
        refused = promtool.check(Path(directory), json.dumps({"groups": [{"name": "g", "rules": taken}]}))

    assert not refused, refused


def is_taken(document: object) -> bool:
    try:
        read_rules([("r.yml", json.dumps(document))])
    except ConfigurationError:
        return False
    return True


@pytest.mark.parametrize("name", READY_MADE)
def test_ready_made_rules_are_taken_by_prometheus(tmp_path: Path, name: str) -> None:
    [(_, text)] = ready_made([name])

    assert promtool.check(tmp_path, text) == ""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("groups: [{name: g, rules: [{alert: A, expr: x, for: 1h1d}]}]", id="order of units"),
        pytest.param("groups: [{name: g}, {name: g}]", id="two groups of a name"),
        pytest.param("groups: [{name: g, limit: '3'}]", id="number in quotes"),
        pytest.param("groups: [{name: g, rules: [{alert: A}]}]", id="no expression"),
        pytest.param("groups: [{name: g, rules: [{alert: A, expr: x, labels: {a-b: c}}]}]", id="name of a label"),
        pytest.param("groups: [{name: g, rules: [{alert: A, expr: x, lables: {}}]}]", id="unknown key"),
        pytest.param("groups: [{name: g, rules: [{alert: A, expr: x, annotations: {s: '{{ $x }}'}}]}]", id="template"),
    ],
)
def test_what_prometheus_refuses_is_refused(tmp_path: Path, text: str) -> None:
    assert promtool.check(tmp_path, text) != ""
    with pytest.raises(ConfigurationError):
        read_rules([("r.yml", text)])
