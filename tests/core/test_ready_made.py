"""Each ready-made rule fires when it should, with the words that people read; promtool says the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.config.rules import READY_MADE
from pytest_sergas.core.alerts import AlertLevel
from pytest_sergas.core.input_series import read_series
from pytest_sergas.core.rule_tests import Evaluated, Told
from pytest_sergas.core.rules import Rule, read_rules
from pytest_sergas.core.series import Series
from pytest_sergas.engine.rule_files import ready_made
from tests.servers import promtool

pytestmark = pytest.mark.integration

MINUTES = 30


def case(alert: str, level: str, summary: str, series: dict[str, str], minute: int = 0, **labels: str) -> Any:
    """Return an alert that the ``series``, a value a minute, make fire from ``minute`` on, and not before."""
    told = ({"severity": level, **labels}, summary)
    return pytest.param(alert, series, minute, told, id=f"{alert} {level}")


CASES = [
    case(
        "TestsFailed",
        "error",
        "3 tests of type unit failed in shop",
        {
            'sergas_tests{job="shop",type="unit",outcome="failed"}': "2x30",
            'sergas_tests{job="shop",type="unit",outcome="timeout"}': "1x30",
            'sergas_tests{job="shop",type="unit",outcome="passed"}': "9x30",
            'sergas_tests{job="shop",type="e2e",outcome="failed"}': "0x30",
        },
        job="shop",
        type="unit",
    ),
    case(
        "TestsFailed",
        "critical",
        "1 smoke test failed",
        {'sergas_tests{type="smoke",outcome="crashed"}': "1x30"},
        type="smoke",
    ),
    case(
        "SuccessRateLow",
        "warning",
        "Only 94.4 % of the tests of type unit succeeded",
        {'sergas_success_rate_percent{type="unit"}': "94.4x30", 'sergas_success_rate_percent{type="e2e"}': "95x30"},
        type="unit",
    ),
    case(
        "RuleFilesRefused",
        "warning",
        "2 rule files cannot be used; the rules of before stay, or none",
        {"sergas_rule_files_refused": "2x30"},
    ),
    case(
        "TestsFlaky",
        "info",
        "2 tests of type unit passed only when repeated",
        {'sergas_tests{type="unit",outcome="flaky"}': "2x30"},
        type="unit",
        outcome="flaky",
    ),
    case(
        "TestsSlower",
        "warning",
        "Tests of type unit took 1m 0s, half as long again as before",
        {'sergas_wall_seconds{type="unit"}': "20x9 60", 'sergas_wall_seconds{type="e2e"}': "2x9 9"},
        10,
        type="unit",
    ),
    case(
        "BudgetNearlyUsed",
        "info",
        "A test of type unit used 95% of its max_duration budget",
        {
            'sergas_budget_use_ratio{type="unit",budget="max_duration"}': "0.95x30",
            'sergas_budget_use_ratio{type="unit",budget="max_cpu"}': "0.9x30",
        },
        type="unit",
        budget="max_duration",
    ),
    case(
        "RunMissing",
        "error",
        "Tests of type unit were last run 1d 2h 1m 0s ago",
        {'sergas_last_run_timestamp_seconds{type="unit"}': f"{-26 * 3600}x30"},
        1,
        type="unit",
    ),
    case(
        "NoSuccessfulRun",
        "error",
        "Tests of type unit last succeeded 3d 0h 1m 0s ago",
        {'sergas_last_success_timestamp_seconds{type="unit"}': f"{-72 * 3600}x30"},
        1,
        type="unit",
    ),
    case(
        "CpuBusy",
        "warning",
        "The CPUs have been busy to 96 % for ten minutes",
        {"system_cpu_usage_percent": "96x30"},
        10,
    ),
    case("MemoryFull", "error", "The memory is used to 96 %", {"system_memory_usage_percent": "96x30"}, 5),
    case(
        "DiskFull",
        "warning",
        "The disk at /data is full to 91 %",
        {'system_disk_usage_percent{mountpoint="/data"}': "91x30"},
        5,
        mountpoint="/data",
    ),
    case(
        "DiskFull",
        "critical",
        "The disk at /data is full to 98 %",
        {'system_disk_usage_percent{mountpoint="/data"}': "98x30"},
        mountpoint="/data",
    ),
    case(
        "DiskFillsUp",
        "error",
        "The disk at /data will be full in less than four hours",
        {'system_disk_free_bytes{mountpoint="/data"}': "10000-100x30"},
        11,
        mountpoint="/data",
    ),
    case(
        "ComponentUnhealthy",
        "critical",
        "database is unhealthy",
        {'sergas_check_up{check="database"}': "0x30"},
        check="database",
    ),
    case(
        "ComponentDegraded",
        "warning",
        "database has been degraded for ten minutes",
        {'sergas_check_status{check="database",status="degraded"}': "1x30"},
        10,
        check="database",
        status="degraded",
    ),
    case(
        "TargetDown",
        "error",
        "node at db:9100 does not answer",
        {'up{job="node",instance="db:9100"}': "0x30"},
        1,
        job="node",
        instance="db:9100",
    ),
    case(
        "StoreFails",
        "critical",
        "The sidecar cannot write its store",
        {"sergas_store_failed_commits_total": "0 1x20"},
        1,
    ),
    case(
        "ConfigurationNotInForce",
        "warning",
        "The sidecar runs with an older configuration, because it cannot use the new one",
        {"sergas_config_last_reload_successful": "0x30"},
    ),
    case(
        "RuleFilesRefused",
        "warning",
        "1 rule file cannot be used; the rules of before stay, or none",
        {"sergas_rule_files_refused": "1x30"},
    ),
    case(
        "CollectorDown",
        "warning",
        "The collector disk has not measured anything for five minutes",
        {'sergas_collector_up{collector="disk"}': "0x30"},
        5,
        collector="disk",
    ),
    case("RulesFail", "error", "2 alert rules cannot be evaluated", {"sergas_rules_failing": "2x30"}, 5),
    case(
        "HistoryFull",
        "warning",
        "The sidecar does not keep samples of all series that rules read",
        {"sergas_history_refused_total": "0 7x20"},
        1,
    ),
    case(
        "PushesRefused",
        "warning",
        "The sidecar refused pushes, whose metrics do not go together with others",
        {'sergas_pushes_total{result="refused"}': "0 1x20", 'sergas_pushes_total{result="succeeded"}': "0+1x20"},
        1,
        result="refused",
    ),
    case(
        "NotificationsFail",
        "error",
        "The channel mail could not tell somebody about an alert",
        {'sergas_notifications_total{channel="mail",result="failed"}': "0 1x20"},
        1,
        channel="mail",
        result="failed",
    ),
]


def firing(
    rules: Sequence[Rule], series: Sequence[Series], times_s: Iterable[float]
) -> Iterator[tuple[float, Mapping[str, Sequence[Told]]]]:
    """Evaluate rules at ``times_s``; return, for each time, name of an alert → those that fire after it."""
    evaluated = Evaluated(rules, series)
    for time_s in times_s:
        evaluated.evaluate(time_s)
        yield time_s, evaluated.firing()


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    return [rule for group in read_rules(ready_made(READY_MADE)) for rule in group.alerts]


@pytest.mark.parametrize(("alert", "series", "minute", "told"), CASES)
def test_alert(
    rules: list[Rule], alert: str, series: dict[str, str], minute: int, told: tuple[dict[str, str], str]
) -> None:
    read = [read_series(written, values, 60.0) for written, values in series.items()]
    times_s = [60.0 * at for at in range(minute + 1)]
    fired = [by_name[alert] for _, by_name in firing(rules, read, times_s)]
    labels, summary = told

    of_level = [[one for one in found if dict(one[0])["severity"] == labels["severity"]] for found in fired]
    assert of_level[:-1] == [[]] * minute
    [(own, annotations)] = of_level[-1]
    assert dict(own) == {"alertname": alert, **labels}
    assert dict(annotations)["summary"] == summary
    assert dict(annotations)["action"]


def test_type_that_never_succeeded_fires_after_three_days(rules: list[Rule]) -> None:
    of_it = [rule for rule in rules if rule.alert == "NoSuccessfulRun"]
    written = {
        'sergas_last_run_timestamp_seconds{type="e2e"}': "0x80",
        'sergas_last_run_timestamp_seconds{type="unit"}': "0x80",
        'sergas_last_success_timestamp_seconds{type="unit"}': "0+3600x80",
    }
    read = [read_series(series, values, 3600.0) for series, values in written.items()]
    fired = [
        [(dict(labels)["type"], dict(notes)["summary"]) for labels, notes in by_name["NoSuccessfulRun"]]
        for _, by_name in firing(of_it, read, [3600.0 * hour for hour in range(74)])
    ]

    assert fired == [[]] * 72 + [[("e2e", "Tests of type e2e have never succeeded")]] * 2


def test_success_rate_is_told_only_where_no_failed_tests_are(rules: list[Rule]) -> None:
    written = {
        'sergas_success_rate_percent{job="shop",type="unit"}': "50x2",
        'sergas_success_rate_percent{job="till",type="unit"}': "50x2",
        'sergas_tests{job="shop",type="unit",outcome="failed"}': "1x2",
        'sergas_tests{job="shop",type="unit",outcome="passed"}': "1x2",
        'sergas_tests{job="till",type="unit",outcome="failed"}': "0x2",
    }
    read = [read_series(series, values, 60.0) for series, values in written.items()]

    *_, (_, by_name) = firing(rules, read, [0.0, 60.0])

    told = [(name, dict(labels)["job"]) for name in ("SuccessRateLow", "TestsFailed") for labels, _ in by_name[name]]
    assert told == [("SuccessRateLow", "till"), ("TestsFailed", "shop")]


def test_every_rule_has_a_case_of_its_level(rules: list[Rule]) -> None:
    levels = {(rule.alert, dict(rule.labels)["severity"].source) for rule in rules}

    assert levels == {(param.values[0], param.values[3][0]["severity"]) for param in CASES}
    assert {level for _, level in levels} <= set(AlertLevel)


def test_promtool_says_the_same(tmp_path: Path, rules: list[Rule]) -> None:
    for name, text in ready_made(READY_MADE):
        (tmp_path / f"{name.partition(':')[2]}.yml").write_text(text, "utf-8")
    tests = []
    for alert, series, minute, _ in (param.values for param in CASES):
        read = [read_series(written, values, 60.0) for written, values in series.items()]
        expected = [
            {
                "eval_time": f"{time_s:g}s",
                "alertname": alert,
                "exp_alerts": [
                    {"exp_labels": dict(own), "exp_annotations": dict(notes)} for own, notes in by_name[alert]
                ],
            }
            for time_s, by_name in firing(rules, read, [60.0 * at for at in range(minute + 1)])
        ]
        inputs = [{"series": written, "values": values} for written, values in series.items()]
        tests.append({"interval": "1m", "input_series": inputs, "alert_rule_test": expected})
    files = [f"{name}.yml" for name in READY_MADE]

    passed, output = promtool.run_tests(tmp_path, {"rule_files": files, "tests": tests})
    assert passed, output


def test_nothing_fires_when_all_is_well(rules: list[Rule]) -> None:
    well = {
        'sergas_tests{type="unit",outcome="passed"}': "9x30",
        'sergas_tests{type="unit",outcome="failed"}': "0x30",
        'sergas_success_rate_percent{type="unit"}': "100x30",
        'sergas_success_rate_percent{type="e2e"}': "NaNx30",
        'sergas_last_run_timestamp_seconds{type="unit"}': "0x30",
        'sergas_last_success_timestamp_seconds{type="unit"}': "0x30",
        'sergas_wall_seconds{type="unit"}': "20x30",
        "system_cpu_usage_percent": "20x30",
        'system_disk_usage_percent{mountpoint="/"}': "50x30",
        'system_disk_free_bytes{mountpoint="/"}': "1e12-1e6x30",
        'sergas_check_up{check="database"}': "1x30",
        'up{job="sergas"}': "1x30",
        "sergas_store_failed_commits_total": "0x30",
        "sergas_config_last_reload_successful": "1x30",
    }
    read = [read_series(written, values, 60.0) for written, values in well.items()]

    for _, by_name in firing(rules, read, [60.0 * at for at in range(MINUTES)]):
        assert not any(by_name.values())
