"""The rules that come with it, over what is really there: a run that is pushed, and a sidecar with all its parts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.config.rules import READY_MADE
from pytest_sergas.core.exposition import parse
from pytest_sergas.core.rules import Rule, read_rules
from pytest_sergas.core.series import NAME, Labels, seen
from pytest_sergas.engine.rule_files import ready_made
from tests.plugin.conftest import OURS_ALONE
from tests.servers.gateways import Answer, Answering, answering, refusing
from tests.servers.process import get, until
from tests.servers.sidecar import Sidecar, sidecar
from tests.test_docs import INHERITED

pytestmark = pytest.mark.integration

PATIENT_S = 60.0
EXTERNAL = "https://ci.example.org/sergas"
BROKEN_RUN = """\
import pytest


@pytest.mark.smoke(max_duration=60)
def test_smoke(): pass

@pytest.mark.unit
@pytest.mark.parametrize("number", range(5))
def test_unit(number): assert number < 1

@pytest.mark.integration
def test_integration(): assert False

@pytest.mark.regression
def test_regression(): raise ValueError

@pytest.mark.security
def test_security(missing_fixture): pass

@pytest.mark.compatibility
def test_compatibility(): assert False
"""
# What rules see beside the page of the sidecar, as a Prometheus does that scrapes it.
TARGET = (("instance", "127.0.0.1:8000"), ("job", "sergas"))
UP: Mapping[str, list[tuple[Labels, float]]] = {"up": [(TARGET, 1.0)]}

_LABEL = re.compile(r"\$labels\.(\w+)")


@dataclass(frozen=True, slots=True)
class Scene:
    """A sidecar with checks, collectors, a target and the ready-made rules, to which a broken run was sent."""

    running: Sidecar
    webhook: Answering

    def told(self) -> list[dict[str, Any]]:
        """Return what the webhook was told about tests; the machine may be busy, and its disk full."""
        bodies = [json.loads(request.body) for request in self.webhook.received]
        return [body for body in bodies if any(alert["labels"].get("type") for alert in body["alerts"])]

    def unmatched(self) -> dict[str, list[str]]:
        rules = json.loads(get(f"{self.running.url}/api/rules"))["rules"]
        return {rule["id"]: rule["unmatched"] for rule in rules if rule["unmatched"] or not rule["evaluated"]}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("ready_made")
    with answering() as webhook, answering(lambda _: Answer(body="load 7\n")) as node, refusing() as database:
        config = f"""
        channels = [{{type = "webhook", url = "{webhook.url}"}}]
        checks = [{{type = "tcp", name = "database", host = "127.0.0.1", port = {database.rpartition(":")[2]}}}]
        [serve]
        external_url = "{EXTERNAL}"
        [rules]
        evaluation_interval = 0.5
        [collect]
        interval = 1
        targets = [{{url = "{node.url}/metrics"}}]
        """
        with sidecar(directory, config=config) as running:
            broken_run(directory / "shop", running.url)
            yield Scene(running, webhook)


def broken_run(directory: Path, url: str) -> None:
    directory.mkdir()
    (directory / "sergas.toml").write_text('project = "shop"\n', encoding="utf-8")
    (directory / "test_shop.py").write_text(BROKEN_RUN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *OURS_ALONE, "--sergas-sidecar", url],
        cwd=directory,
        env={name: value for name, value in os.environ.items() if name not in INHERITED},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENT_S,
    )
    assert done.returncode == 1, done.stdout


def test_one_broken_run_is_one_message(scene: Scene) -> None:
    until(scene.told, "the run is told", scene.running.log, deadline_s=PATIENT_S)

    [message] = scene.told()
    assert message["groupLabels"] == {"job": "shop"}
    told = {(alert["labels"]["alertname"], alert["labels"]["type"]): alert for alert in message["alerts"]}
    assert sorted(told) == [("TestsFailed", kind) for kind in TYPES]
    unit, alone = told["TestsFailed", "unit"], told["TestsFailed", "integration"]
    assert unit["annotations"]["summary"] == "4 tests of type unit failed in shop"
    assert alone["annotations"]["summary"] == "1 test of type integration failed in shop"
    name, _, text = unit["annotations"]["failed_test_1"].partition(": ")
    assert name == "test_shop.py::test_unit[1] and 3 more"  # of one cause
    assert "assert" in text
    assert "failed_test_2" not in unit["annotations"]
    assert not any("cause" in name for alert in message["alerts"] for name in alert["labels"])
    [run] = json.loads(get(f"{scene.running.url}/api/runs"))["runs"]
    assert unit["generatorURL"] == f"{EXTERNAL}/runs/{run['id']}"


def test_dead_component_is_a_message_with_the_reason_and_a_link_to_it(scene: Scene) -> None:
    def told() -> list[dict[str, Any]]:
        bodies = [json.loads(request.body) for request in scene.webhook.received]
        return [alert for body in bodies for alert in body["alerts"] if alert["labels"].get("check") == "database"]

    until(told, "the dead component is told", scene.running.log, deadline_s=PATIENT_S)
    assert "refused" in told()[0]["annotations"]["reason"].lower()
    assert told()[0]["generatorURL"] == f"{EXTERNAL}/components#database"


TYPES = ("compatibility", "integration", "regression", "security", "unit")


def test_every_selector_of_a_ready_made_rule_finds_a_series(scene: Scene) -> None:
    unmatched: dict[str, list[str]] = {}

    def all_match() -> bool:
        nonlocal unmatched
        unmatched = scene.unmatched()
        return not unmatched

    with suppress(AssertionError):  # below it is said which selectors find nothing
        until(all_match, "every selector finds a series")
    assert unmatched == {}


def test_every_label_that_a_ready_made_rule_names_is_there(scene: Scene) -> None:
    page = get(f"{scene.running.url}/metrics")
    present = {**seen(parse(page.encode()), TARGET), **UP}

    for rule in (rule for group in read_rules(ready_made(READY_MADE)) for rule in group.alerts):
        found = {name for labels in selected(rule, present) for name, _ in labels}
        named = {name for _, template in (*rule.labels, *rule.annotations) for name in _LABEL.findall(template.source)}
        assert named <= found, rule.place


def selected(rule: Rule, present: Mapping[str, list[tuple[Labels, float]]]) -> list[Labels]:
    """Return the labels of all series that the selectors of a rule find."""
    return [
        labels
        for selector in rule.expression.selectors
        for name, series in present.items()
        for labels, _ in series
        if all(
            matcher.predicate()({NAME: name, **dict(labels)}.get(matcher.label, "")) for matcher in selector.matchers
        )
    ]
