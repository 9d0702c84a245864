"""Rules of a running sidecar: what it says of them, and what a reload does to them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.core.exposition import parse
from tests.servers.process import get, until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.http import Request, send

pytestmark = pytest.mark.integration

CONFIG = '[rules]\nfiles = ["shop.yml"]\nready_made = []\nevaluation_interval = 3600\n'
EVALUATION_SECONDS = "sergas_rule_evaluation_seconds"
RULES = "groups: [{name: g, rules: [{alert: High, expr: 'load > 5'}]}]"


def rules_of(running: Sidecar) -> list[dict[str, Any]]:
    return list(json.loads(get(f"{running.url}/api/rules"))["rules"])


def push(running: Sidecar, value: int) -> None:
    assert send(running.url, Request("PUT", "/metrics/job/shop", f"load {value}\n".encode())).status == 200


def waits_for_alerts(running: Sidecar, count: int) -> None:
    def active() -> bool:
        [rule] = rules_of(running)
        return rule["evaluated"] is not None and rule["active"] == count

    until(active, f"{count} alerts", running.log)


def alerts_of(running: Sidecar) -> list[dict[str, Any]]:
    return list(json.loads(get(f"{running.url}/api/alerts"))["alerts"])


def test_a_push_is_evaluated_without_waiting_for_the_interval(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(RULES, "utf-8")
    with sidecar(tmp_path, "--store", ":memory:", config=CONFIG) as running:
        push(running, 7)
        waits_for_alerts(running, 1)
        push(running, 3)
        waits_for_alerts(running, 0)

        [rule] = rules_of(running)
        assert (rule["id"], rule["file"], rule["group"], rule["alert"]) == (
            "shop.yml;g;High{}",
            "shop.yml",
            "g",
            "High",
        )
        assert (rule["expr"], rule["for_s"], rule["interval_s"]) == ("load > 5", 0, 3600)
        assert (rule["error"], rule["unmatched"]) == ("", [])


def test_page_says_how_long_the_rules_took(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(RULES, "utf-8")
    config = CONFIG.replace("3600", "1")
    with sidecar(tmp_path, "--store", ":memory:", config=config) as running:

        def seconds() -> float:
            (family,) = (of for of in parse(get(f"{running.url}/metrics").encode()) if of.name == EVALUATION_SECONDS)
            return family.samples[0].value

        assert 0 < until(seconds, "rules were evaluated", running.log) < 60


def test_a_wrong_rule_file_leaves_its_old_rules_in_force_loudly_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(RULES, "utf-8")
    with sidecar(tmp_path, "--store", ":memory:", config=CONFIG) as running:
        push(running, 7)
        waits_for_alerts(running, 1)
        (tmp_path / "shop.yml").write_text(RULES.replace("load > 5", "load @ 5"), "utf-8")
        running.send(signal.SIGHUP)
        running.waits_for(
            "ERROR pytest_sergas.engine.engine: shop.yml: those that it had stay in force: "
            "shop.yml:1: group 'g', rule 'High', expr: 'load @ 5' the modifier @ is not supported"
        )

        assert [rule["expr"] for rule in rules_of(running)] == ["load > 5"]
        page = get(f"{running.url}/metrics")
        assert "sergas_config_last_reload_successful 0\n" in page
        assert "sergas_rule_files_refused 1\n" in page
        assert [alert["state"] for alert in alerts_of(running)] == ["firing"]
        [refused] = json.loads(get(f"{running.url}/api/rules"))["refused"]
        assert (refused["file"], refused["kept"]) == ("shop.yml", True)
        assert "the modifier @ is not supported" in get(f"{running.url}/")
        (tmp_path / "other.yml").write_text(RULES.replace("High", "Other"), "utf-8")
        (tmp_path / "sergas.toml").write_text(CONFIG.replace('"shop.yml"', '"shop.yml", "other.yml"'), "utf-8")
        running.send(signal.SIGHUP)
        until(lambda: [rule["alert"] for rule in rules_of(running)] == ["High", "Other"], "both", running.log)
        (tmp_path / "shop.yml").write_text(RULES.replace("> 5", "> 6"), "utf-8")
        running.send(signal.SIGHUP)
        until(lambda: "sergas_rule_files_refused 0\n" in get(f"{running.url}/metrics"), "it is right", running.log)
        assert "is not in force" not in get(f"{running.url}/")


def test_a_reload_keeps_the_alerts_of_rules_that_stay_and_ends_the_others(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(RULES, "utf-8")
    with sidecar(tmp_path, "--store", ":memory:", config=CONFIG) as running:
        push(running, 7)
        waits_for_alerts(running, 1)
        [before] = alerts_of(running)
        more = "{alert: High, expr: 'load > 5', annotations: {summary: new}}, {alert: Other, expr: rest}"
        (tmp_path / "shop.yml").write_text(f"groups: [{{name: g, rules: [{more}]}}]", "utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("the configuration was read again")

        assert [rule["alert"] for rule in rules_of(running)] == ["High", "Other"]
        assert alerts_of(running) == [before]

        (tmp_path / "shop.yml").write_text("groups: [{name: g, rules: [{alert: Other, expr: rest}]}]", "utf-8")
        running.send(signal.SIGHUP)
        until(lambda: not alerts_of(running), "the alert has ended", running.log)


def test_an_alert_that_goes_on_after_a_reload_is_not_told_again(tmp_path: Path) -> None:
    def events() -> list[str]:
        found = json.loads(get(f"{running.url}/api/alerts/history"))["events"]
        return [f"{event['event']} {event['why']}" for event in reversed(found)]

    (tmp_path / "shop.yml").write_text(RULES, "utf-8")
    told = 'channels = [{type = "log"}]\nroutes = [{channels = ["log"], group_wait = 0, group_interval = 0}]\n'
    with sidecar(tmp_path, "--store", ":memory:", config=told + CONFIG) as running:
        push(running, 7)
        until(lambda: events() == ["firing condition_true", "told new"], "it is told", running.log)
        [before] = alerts_of(running)
        changed = RULES.replace("'load > 5'", "'load > 5', annotations: {summary: new}")
        (tmp_path / "shop.yml").write_text(changed, "utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("the configuration was read again")
        push(running, 8)
        [after] = until(lambda: [one for one in alerts_of(running) if one["value"] == 8], "evaluated", running.log)

        assert after == {**before, "value": 8.0, "message": "new", "annotations": {"summary": "new"}}
        push(running, 1)
        until(lambda: events()[2:] == ["resolved condition_false", "told resolved"], "its end is told", running.log)


def test_a_restart_keeps_alerts_until_the_samples_reach_back_far_enough(tmp_path: Path) -> None:
    # The identity of a rule is its name and labels: the one of the second process looks further back.
    short = RULES.replace("load > 5", "max_over_time(load[1ms]) > 5")
    (tmp_path / "shop.yml").write_text(short, "utf-8")
    with sidecar(tmp_path, config=CONFIG) as running:
        push(running, 6)
        waits_for_alerts(running, 1)
        push(running, 7)  # the window begins with the first sample
        until(lambda: [alert["state"] for alert in alerts_of(running)] == ["firing"], "it fires", running.log)
    (tmp_path / "shop.yml").write_text(RULES.replace("load > 5", "max_over_time(load[1h]) > 5"), "utf-8")
    with sidecar(tmp_path, config=CONFIG, name="second") as running:
        push(running, 3)
        until(lambda: rules_of(running)[0]["evaluated"], "it is evaluated", running.log)

        assert [alert["state"] for alert in alerts_of(running)] == ["firing"]


def test_a_wrong_rule_file_is_absent_at_the_start_and_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text("groups: {}", "utf-8")
    (tmp_path / "other.yml").write_text(RULES, "utf-8")

    with sidecar(tmp_path, config=CONFIG.replace('"shop.yml"', '"*.yml"')) as running:
        running.waits_for("shop.yml: none of its rules is in force: shop.yml:1: groups: allowed: a list")
        assert [rule["file"] for rule in rules_of(running)] == ["other.yml"]
        assert "sergas_rule_files_refused 1\n" in get(f"{running.url}/metrics")
        assert "shop.yml:1: groups: allowed: a list" in get(f"{running.url}/alerts")
