"""Prometheus' own judge of rules: the values of expressions, and the alerts that fire, as promtool has them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_sergas.core.promql import Vector
from pytest_sergas.core.series import NAME
from tests.servers.tools import find

HINT = "apt-get install prometheus, or make test"

_BLOCK = re.compile(r'^    expr: (".*"), time: .*?,(?: err: (.*)|\n        exp: .*\n        got: (.*))$', re.MULTILINE)
_ELEMENT = re.compile(r"(\{[^{}]*\}) (\S+?)(?:, |$)")
_LABEL = re.compile(r'(\w+)=("(?:\\.|[^"\\])*")')
# No expression is ever this, so that promtool says what each of them is.
_NEVER = {"labels": "expected_by_nobody", "value": 0}


def promtool(*arguments: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [find("promtool", HINT), *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=120)


def check(directory: Path, rules: str) -> str:
    """Return why ``promtool check rules`` does not take a rule file, or ""."""
    (directory / "checked.yml").write_text(rules, "utf-8")
    done = promtool("check", "rules", "--lint=none", "checked.yml", directory=directory)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def run_tests(directory: Path, document: object, name: str = "test.yml") -> tuple[bool, str]:
    """Return whether a test file passes, and what promtool says."""
    (directory / name).write_text(json.dumps(document), "utf-8")  # JSON is YAML
    done = promtool("test", "rules", name, directory=directory)
    return done.returncode == 0, done.stdout + done.stderr


def evaluate(
    directory: Path, series: Mapping[str, str], interval: str, expressions: Sequence[str], time: str
) -> list[Vector | str]:
    """Return what each expression is at ``time``: its elements, or why it has none.

    Args:
        series: name and labels → values, as in a test file.
    """
    tests = [{"expr": expression, "eval_time": time, "exp_samples": [_NEVER]} for expression in expressions]
    inputs = [{"series": written, "values": values} for written, values in series.items()]
    document = {"tests": [{"interval": interval, "input_series": inputs, "promql_expr_test": tests}]}
    _, output = run_tests(directory, document)
    found = _BLOCK.findall(output)
    assert [json.loads(source) for source, _, _ in found] == list(expressions), output
    return [error or _vector(got) for _, error, got in found]


def _vector(got: str) -> Vector:
    elements: Vector = []
    for written, value in _ELEMENT.findall("" if got == "nil" else got):
        labels = {name: json.loads(text) for name, text in _LABEL.findall(written)}
        name = labels.pop(NAME, "")
        elements.append((name, tuple(sorted(labels.items())), float(value)))
    return elements
