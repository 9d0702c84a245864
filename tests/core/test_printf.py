"""``printf`` gives what Go's gives, also where a verb does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pytest_sergas.core.printf import Value, sprintf
from pytest_sergas.core.templates import Values, compile_template
from tests.servers import promtool

LABELS = (("host", 'db"1"'), ("zone", "eu"))
NUMBERS = (7.0, -0.5, 1234567.0, 0.0)

OPERANDS = st.sampled_from(["5", "-42", "0", "255", "$value", '"text"', '"a\\"b"', '""', "true", "$labels", '"é\\t"'])
VERBS = st.builds(
    "%{}{}{}{}".format,
    st.sampled_from(["", "-", "+", "#", "0", " ", "-0", "+0", "# "]),
    st.sampled_from(["", "", "2", "8"]),
    st.sampled_from(["", "", ".0", ".", ".3"]),
    st.sampled_from([*"vdsqxXtfegGbocUTz", "%"]),
)
CALLS = st.lists(st.one_of(VERBS, st.just(" | ")), max_size=3).flatmap(
    lambda verbs: st.builds(
        lambda operands: f"{{{{ printf {json.dumps(''.join(verbs))} {' '.join(operands)} }}}}",
        st.lists(OPERANDS, max_size=3),
    )
)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("form", "operands", "text"),
    [
        pytest.param("%05d", [42], "00042", id="zeros before a whole number"),
        pytest.param("%+06.2f", [1.5], "+01.50", id="sign and zeros before a number"),
        pytest.param("%-6d|", [5], "5     |", id="left"),
        pytest.param("%x %X %o %b %c %U", [255, 255, 8, 5, 65, 65], "ff FF 10 101 A U+0041", id="other bases"),
        pytest.param("%#x %O", [255, 8], "0xff 0o10", id="prefixes"),
        pytest.param("%q %x", ['say "hi"', "ab"], '"say \\"hi\\"" 6162', id="quoted and in hexadecimal digits"),
        pytest.param("%.2s", ["abc"], "ab", id="cut"),
        pytest.param("%T", [1.0], "float64", id="type"),
        pytest.param("100%%", [], "100%", id="percent"),
        pytest.param("host %s: %d jobs", ["db1", 7.0], "host db1: %!d(float64=7) jobs", id="verb that does not fit"),
        pytest.param("%d", [], "%!d(MISSING)", id="missing operand"),
        pytest.param("x", [1, "a"], "x%!(EXTRA int=1, string=a)", id="operands too many"),
        pytest.param("50%", [], "50%!(NOVERB)", id="no verb"),
        pytest.param("%y", [True], "%!y(bool=true)", id="verb that does not exist"),
    ],
)
def test_a_verb_gives_what_go_gives(form: str, operands: list[Value], text: str) -> None:
    assert sprintf(form, operands) == text


@pytest.mark.integration
@settings(
    max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)  # without shrinking: each try asks promtool
@given(calls=st.lists(CALLS, min_size=60, max_size=60), value=st.sampled_from(NUMBERS))
def test_any_call_gives_what_promtool_shows(calls: list[str], value: float) -> None:
    values = Values(LABELS, value, "")
    annotations = {f"a{number}": call for number, call in enumerate(calls)}
    labels = ",".join(f"{name}={json.dumps(text)}" for name, text in LABELS)
    document: dict[str, Any] = {
        "rule_files": ["r.yml"],
        "tests": [
            {
                "input_series": [{"series": f"{{{labels}}}", "values": f"{value}"}],
                "alert_rule_test": [
                    {
                        "eval_time": "0m",
                        "alertname": "A",
                        "exp_alerts": [
                            {
                                "exp_labels": dict(LABELS),
                                "exp_annotations": {
                                    name: compile_template(call).expand(values) for name, call in annotations.items()
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }
    rule = {"alert": "A", "expr": '{zone="eu"} > -1e9', "annotations": annotations}
    with TemporaryDirectory() as directory:
        (Path(directory) / "r.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}), "utf-8")
        passed, output = promtool.run_tests(Path(directory), document)

    assert passed, output + json.dumps(annotations)
