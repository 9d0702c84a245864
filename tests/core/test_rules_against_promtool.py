"""Rule files are taken by Prometheus, and its alerts fire when ours do, with the same labels and annotations."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from pytest_sergas.config.rules import READY_MADE
from pytest_sergas.core.input_series import read_series
from pytest_sergas.core.promql import EvaluationError
from pytest_sergas.core.rule_tests import firing
from pytest_sergas.core.rules import read_rules
from pytest_sergas.engine.rule_files import ready_made
from pytest_sergas.errors import ConfigurationError
from tests.core.promql import expressions
from tests.servers import promtool

pytestmark = pytest.mark.integration

MINUTE_S = 60.0
LAST_MINUTE = 12

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


@ASKING
@given(expressions.series(), st.lists(rule(), min_size=5, max_size=5))
def test_alerts_fire_when_those_of_promtool_do(series: dict[str, str], rules: list[dict[str, Any]]) -> None:
    named = [{"alert": f"A{number}", **each} for number, each in enumerate(rules)]
    text = json.dumps({"groups": [{"name": "g", "rules": named}]})
    [group] = read_rules([("r.yml", text)])
    read = [read_series(written, values, MINUTE_S) for written, values in series.items()]
    times_s = [MINUTE_S * minute for minute in range(LAST_MINUTE + 1)]
    try:
        fired = dict(firing(group.rules, read, times_s))
    except EvaluationError:
        assume(False)  # noqa: FBT003
    expected = [
        {
            "eval_time": f"{round(time_s)}s",
            "alertname": name,
            "exp_alerts": [{"exp_labels": dict(labels), "exp_annotations": dict(notes)} for labels, notes in told],
        }
        for time_s, by_name in fired.items()
        for name, told in by_name.items()
    ]
    inputs = [{"series": written, "values": values} for written, values in series.items()]
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": expected}
    with TemporaryDirectory() as directory:
        (Path(directory) / "r.yml").write_text(text, "utf-8")
        passed, output = promtool.run_tests(Path(directory), {"rule_files": ["r.yml"], "tests": [test]})

    assert passed, f"{text}\n{output}"


@ASKING
@given(st.lists(st.one_of(expressions.VECTORS, expressions.ODD), min_size=40, max_size=40, unique=True))
def test_what_we_take_prometheus_takes(sources: list[str]) -> None:
    taken = []
    for source in sources:
        try:
            read_rules([("r.yml", json.dumps({"groups": [{"name": "g", "rules": [{"alert": "A", "expr": source}]}]}))])
        except ConfigurationError:
            continue
        taken.append(source)
    rules = [{"alert": f"A{number}", "expr": source} for number, source in enumerate(taken)]
    with TemporaryDirectory() as directory:
        refused = promtool.check(Path(directory), json.dumps({"groups": [{"name": "g", "rules": rules}]}))

    assert not refused, refused


@pytest.mark.parametrize("name", READY_MADE)
def test_ready_made_rules_are_taken_by_prometheus(tmp_path: Path, name: str) -> None:
    [(_, text)] = ready_made([name])

    assert promtool.check(tmp_path, text) == ""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("groups: [{name: g, rules: [{alert: A, expr: x, for: 1h1d}]}]", id="order of units"),
        pytest.param("groups: [{name: g}, {name: g}]", id="two groups of a name"),
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
