"""``sergas rules``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sergas.cli import main
from pytest_sergas.cli.rules import running_lines
from tests.servers.gateways import Answer, answering
from tests.servers.promtool import run_tests
from tests.servers.sidecar import sidecar

pytestmark = pytest.mark.integration

RULES = "groups: [{name: g, rules: [{alert: High, expr: 'load > 5', for: 2m}]}]"
TESTS = {
    "rule_files": ["*.rules.yml"],
    "tests": [
        {
            "interval": "1m",
            "input_series": [{"series": 'load{job="a"}', "values": "9x10"}],
            "alert_rule_test": [
                {"eval_time": "1m", "alertname": "High"},
                {"eval_time": "2m", "alertname": "High", "exp_alerts": [{"exp_labels": {"job": "a"}}]},
            ],
            "promql_expr_test": [
                {"expr": "load * 2", "eval_time": "1m", "exp_samples": [{"labels": '{job="a"}', "value": 18}]}
            ],
        }
    ],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.rules.yml").write_text(RULES, "utf-8")
    (tmp_path / "a_test.yml").write_text(json.dumps(TESTS), "utf-8")
    return tmp_path


def test_named_files_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "check", "a.rules.yml"]) == 0
    assert capsys.readouterr().out == "a.rules.yml: 1 rule\n"


def test_files_of_the_configuration_are_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sergas.toml").write_text('[rules]\nfiles = ["*.rules.yml"]\nready_made = ["health"]\n', "utf-8")

    assert main(["rules", "check"]) == 0
    assert capsys.readouterr().out == "a.rules.yml: 1 rule\nsergas:health: 3 rules\n"


def test_without_rules_it_says_where_they_would_be(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sergas.toml").write_text("[rules]\nready_made = []\n", "utf-8")

    assert main(["rules", "check"]) == 2
    assert capsys.readouterr().err == "sergas: no rules; the key files of [rules] says where they are\n"


def test_a_wrong_file_is_refused_with_every_fault(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "b.yml").write_text(RULES.replace("load > 5", "limitk(1, load)").replace("2m", "soon"), "utf-8")

    assert main(["rules", "check", "b.yml"]) == 2
    assert capsys.readouterr().err == (
        "sergas: 2 faults in the configuration\n"
        "  b.yml:1: group 'g', rule 'High', expr: 'limitk(1, load)' the aggregation limitk is not supported; "
        "supported: sum, avg, min, max, count, group, stddev, stdvar, topk, bottomk, count_values, quantile\n"
        "  b.yml:1: group 'g', rule 'High', for: 'soon' is not a duration; allowed: such as 90s, 5m or 1h30m, "
        "units y w d h m s ms\n"
    )


def test_a_running_sidecar_tells_which_rules_never_had_a_series(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = '[rules]\nfiles = ["a.rules.yml"]\nready_made = []\nevaluation_interval = 0.1\n'
    (here / "sergas.toml").write_text(settings, "utf-8")
    with sidecar(here, "--store", ":memory:") as running:
        assert main(["rules", "check", "--url", running.url]) == 0

        assert capsys.readouterr().out == (
            "a.rules.yml: 1 rule\n"
            f"{running.url} has 1 rule in force\n"
            '  a.rules.yml: g, High selects series that there have never been: {__name__="load"}\n'
        )


def test_a_rule_that_fails_is_shown() -> None:
    rule = {"file": "a.yml", "group": "g", "alert": "High", "record": "", "error": "two alerts", "unmatched": []}

    assert list(running_lines([{**rule, "warming_up_s": 0}])) == ["  a.yml: g, High fails: two alerts"]


def test_a_rule_that_is_warming_up_is_shown() -> None:
    rule = {"file": "a.yml", "group": "g", "alert": "", "record": "a:b", "error": "", "unmatched": []}

    assert list(running_lines([{**rule, "warming_up_s": 90}])) == [
        "  a.yml: g, a:b is warming up: samples reach as far back as it looks in 90.0 s"
    ]


def test_another_server_is_not_taken_for_a_sidecar(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(lambda _: Answer(body="{}")) as server:
        assert main(["rules", "check", "a.rules.yml", "--url", server.url]) == 2

        assert capsys.readouterr().err == (
            f"sergas: {server.url}: what it answers is not the rules of a sidecar; is it another server?\n"
        )


def test_tests_pass_as_with_promtool(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "test", "a_test.yml"]) == 0
    assert capsys.readouterr().out == "a_test.yml: 1 test, no failures\n"
    assert run_tests(here, TESTS)[0]


def test_tests_fail_as_with_promtool(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.rules.yml").write_text(RULES.replace("2m", "5m"), "utf-8")

    assert main(["rules", "test", "a_test.yml"]) == 1
    assert capsys.readouterr().out == (
        "a_test.yml: 1 test, 1 failure\n"
        "  test 1, line 1: High at 120 s\n"
        '    expected: {alertname="High", job="a"} with {}\n'
        "    got:      none\n"
    )
    assert not run_tests(here, TESTS)[0]


def test_rule_files_are_looked_for_beside_the_tests(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.rules.yml").unlink()

    assert main(["rules", "test", "a_test.yml"]) == 2
    assert capsys.readouterr().err == (
        "sergas: 1 fault in the configuration\n"
        f"  a_test.yml: rule_files = '*.rules.yml': there is no such file in {str(here)!r}\n"
    )
