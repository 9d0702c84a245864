"""The files for the real Prometheus and Alertmanager, judged by promtool and amtool, and by what a receiver gets."""

from __future__ import annotations

import json
import stat
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_sergas.cli import main
from pytest_sergas.cli._prometheus import duration
from tests.servers.controlled import Controlled, reserved_port
from tests.servers.gateways import Answering, answering
from tests.servers.process import answers, server, until
from tests.servers.pushgateway import pushgateway
from tests.servers.sidecar import sidecar
from tests.servers.tools import find

pytestmark = pytest.mark.integration

CONFIG = """
[serve]
token_file = "tokens"

[collect]
[[collect.targets]]
url = "https://db1.example:9100/metrics?collect=cpu"
job = "node"
labels = {team = "shop"}
username = "prometheus"
password_file = "scrape-password"

[[collect.targets]]
url = "http://db2.example:9100/metrics"
job = "node"
interval = 1.5
timeout = 10

[rules]
files = ["own.yml"]

[[channels]]
type = "slack"
webhook_url = "https://hooks.slack.com/services/x"

[[channels]]
type = "email"
host = "mail.example"
username = "alerts@shop.example"
password_file = "mail-password"
to = ["a@shop.example", "b@shop.example"]

[[channels]]
type = "webhook"
url = "https://shop.example/alerts"
token_file = "tokens"
send_resolved = false

[[channels]]
type = "log"

[[routes]]
match = ['severity="critical"', 'job!~"a\\"b"']
channels = ["slack", "webhook"]
escalate = [{after = 60, channels = ["email"]}]
continue = true

[[routes]]
channels = ["email", "log"]
group_interval = 0
cooldown = 0

[[maintenance]]
from = "22:00"
to = "02:00"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sergas.toml").write_text(CONFIG, encoding="utf-8")
    for name in ("tokens", "scrape-password", "mail-password", "webhook-url"):
        (tmp_path / name).write_text("http://secret.example", encoding="utf-8")
    (tmp_path / "own.yml").write_text(RULES, encoding="utf-8")
    return tmp_path


def exported(system: str, *arguments: str) -> Any:
    assert main(["export", system, "-o", f"{system}.yml", *arguments]) == 0
    return yaml.safe_load(Path(f"{system}.yml").read_text("utf-8"))


def test_prometheus_file_is_taken_by_promtool_and_has_every_target(project: Path) -> None:
    document = exported("prometheus", "--alertmanager", "127.0.0.1:19093")

    own, first, second = document["scrape_configs"]
    assert (own["job_name"], own["honor_labels"], own["static_configs"]) == (
        "sergas",
        True,
        [{"targets": ["127.0.0.1:8000"]}],
    )
    assert own["authorization"]["credentials_file"] == str(project / "tokens")
    assert (first["job_name"], second["job_name"]) == ("node", "node-2")
    assert second["static_configs"][0]["labels"] == {"job": "node", "instance": "db2.example:9100"}
    assert first["static_configs"][0]["labels"]["team"] == "shop"
    assert first["params"] == {"collect": ["cpu"]}
    assert (second["scrape_interval"], second["scrape_timeout"]) == ("1500ms", "1500ms")
    assert document["rule_files"][-1] == str(project / "own.yml")
    done = subprocess.run(
        [find("promtool", "apt-get install prometheus, or make test"), "check", "config", "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f"Checking {project / 'own.yml'}\n  SUCCESS: 1 rules found") == 1


def test_places_may_be_others_for_prometheus_than_for_us(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del project
    document = exported("prometheus", "--target", "pushgateway:9091", "--rules", "/etc/prometheus/rules")

    assert document["scrape_configs"][0] == {
        "job_name": "sergas",
        "honor_labels": True,
        "static_configs": [{"targets": ["pushgateway:9091"]}],
    }
    assert capsys.readouterr().err == (
        "sergas: job 'sergas': token_file and web_config are the sidecar's; add what pushgateway:9091 wants\n"
    )
    assert document["rule_files"][0] == "/etc/prometheus/rules/tests.yml"
    assert document["rule_files"][-1] == "/etc/prometheus/rules/own.yml"


def test_file_of_several_tokens_is_not_sent_as_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tokens").write_text("one\ntwo\n", encoding="utf-8")

    document = exported("prometheus")

    assert "authorization" not in document["scrape_configs"][0]
    assert capsys.readouterr().err == (
        "sergas: job 'sergas': token_file holds 2 tokens, and Prometheus would send them all as one; put one into a "
        "file of its own, and add authorization with its credentials_file\n"
    )


TLS = """tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
"""
MUTUAL = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
USERS = f"basic_auth_users:\n  prometheus: $2b$04${'a' * 53}\n"
OWN_CA = "sergas: job 'sergas': web_config has TLS: add tls_config with the ca_file of who signed its certificate"


@pytest.mark.parametrize(
    ("web_config", "scheme", "notes"),
    [
        pytest.param(TLS, "https", [OWN_CA], id="TLS"),
        pytest.param(
            TLS + MUTUAL,
            "https",
            [
                OWN_CA,
                "sergas: job 'sergas': web_config wants a certificate: add cert_file and key_file to tls_config",
            ],
            id="certificates of clients",
        ),
        pytest.param(
            USERS,
            None,
            [
                "sergas: job 'sergas': web_config has users, of whose passwords it knows hashes alone: add basic_auth",
            ],
            id="users",
        ),
    ],
)
def test_what_the_web_configuration_wants_is_said(
    web_config: str, scheme: str | None, notes: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "web.yml").write_text(web_config, encoding="utf-8")
    (project / "sergas.toml").write_text('[serve]\nweb_config = "web.yml"\n', encoding="utf-8")

    document = exported("prometheus")

    assert document["scrape_configs"][0].get("scheme") == scheme
    assert capsys.readouterr().err.splitlines() == notes


def test_rule_files_that_would_have_one_name_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "more").mkdir()
    (project / "more" / "own.yml").write_text("groups: []\n", encoding="utf-8")
    (project / "sergas.toml").write_text('[rules]\nfiles = ["*.yml", "more/*.yml"]\n', encoding="utf-8")

    assert main(["export", "prometheus", "--rules", "/etc/rules"]) == 2
    assert capsys.readouterr().err == (
        f"sergas: {project}/own.yml and {project}/more/own.yml cannot both be 'own.yml' in /etc/rules; "
        "give one another name\n"
    )


def test_alertmanager_file_is_taken_by_amtool_and_says_what_it_leaves_out(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = exported("alertmanager")

    assert [(route["receiver"], route["continue"]) for route in document["route"]["routes"]] == [
        ("slack+webhook", True),
        ("email+log", False),
    ]
    assert document["route"]["routes"][0]["matchers"] == ['severity="critical"', 'job!~"a\\"b"']
    assert document["route"]["receiver"] == "nobody"
    receivers = {receiver["name"]: receiver for receiver in document["receivers"]}
    [webhook] = receivers["slack+webhook"]["webhook_configs"]
    assert (webhook["url"], webhook["send_resolved"]) == ("https://shop.example/alerts", False)
    assert webhook["http_config"]["authorization"]["credentials_file"] == str(project / "tokens")
    [email] = receivers["email+log"]["email_configs"]
    assert (email["smarthost"], email["to"], email["from"]) == (
        "mail.example:587",
        "a@shop.example, b@shop.example",
        "alerts@shop.example",
    )
    assert capsys.readouterr().err.splitlines() == [
        (
            "sergas: alertmanager.yml holds secrets, so only its owner may read it (mode 0600): "
            "make that the user whom Alertmanager runs as"
        ),
        "sergas: route '1': escalate: Alertmanager escalates nothing; it is left out",
        "sergas: route '1': cooldown: Alertmanager has none; alerts that come and go are told each time",
        "sergas: maintenance '1': Alertmanager mutes routes, not matchers; set mute_time_intervals",
        "sergas: channel 'log': Alertmanager has no receiver of the kind 'log'; left out",
    ]
    done = subprocess.run(
        [find("amtool", "apt-get install prometheus-alertmanager, or make test"), "check-config", "alertmanager.yml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_address_in_a_file_stays_there_and_wants_a_newer_alertmanager(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = '[[channels]]\ntype = "webhook"\nurl_file = "webhook-url"\n'
    (project / "sergas.toml").write_text(config, encoding="utf-8")

    document = exported("alertmanager")

    assert document["receivers"][1]["webhook_configs"][0]["url_file"] == str(project / "webhook-url")
    assert "sergas: channel 'webhook': url_file: Alertmanager 0.26 or newer takes it\n" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "text"), [(15.0, "15s"), (0.0, "0s"), (1.5, "1500ms"), (0.0001, "1ms")])
def test_durations_are_whole(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_file_that_cannot_be_written_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del project
    assert main(["export", "prometheus", "-o", "tokens/prometheus.yml"]) == 2
    assert "sergas: " in capsys.readouterr().err


RULES = """
groups:
  - name: shop
    interval: 500ms
    rules:
      - alert: FewOrders
        expr: orders < 5
        labels: {severity: error}
        annotations: {summary: 'only {{ $value }} orders in {{ $labels.shop }}'}
"""
MOVING = """
[rules]
files = ["own.yml"]
ready_made = []
evaluation_interval = 0.5

[[channels]]
type = "webhook"
url = "WEBHOOK"

[[routes]]
channels = ["webhook"]
group_wait = 0
group_interval = 1
cooldown = 0
"""
# What is each one's own: moments, addresses, what tells groups and alerts apart; and why one ended, which ours says.
OWN = {"startsAt", "endsAt", "generatorURL", "fingerprint", "externalURL", "groupKey", "reason"}


def push(url: str, **orders: int) -> None:
    for shop, number in orders.items():
        request = urllib.request.Request(
            f"{url}/metrics/job/shop/shop/{shop}", f"orders {number}\n".encode(), method="PUT"
        )
        with urllib.request.urlopen(request, timeout=60):
            pass


def told(receiver: Answering, status: str) -> Any:
    """Return the first message of a status, without what is each one's own."""

    def found() -> list[Any]:
        messages = [json.loads(request.body) for request in receiver.received]
        return [message for message in messages if message["status"] == status]

    until(found, f"the receiver was told: {status}", deadline_s=60)
    message = found()[0]
    alerts = [{key: value for key, value in alert.items() if key not in OWN} for alert in message["alerts"]]
    return {**{key: value for key, value in message.items() if key not in OWN}, "alerts": alerts}


def begins_and_ends(url: str, receiver: Answering) -> list[Any]:
    """Let an alert fire and end, and return what the receiver got."""
    push(url, berlin=3, paris=7)
    firing = told(receiver, "firing")
    push(url, berlin=9)
    return [firing, told(receiver, "resolved")]


def test_receiver_gets_the_same_from_the_real_three_and_from_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yml").write_text(RULES, encoding="utf-8")
    with answering() as ours, answering() as theirs, pushgateway(tmp_path) as gateway, reserved_port() as port:
        config = MOVING.replace("WEBHOOK", f"{ours.url}/alerts")
        with sidecar(tmp_path, "--store", ":memory:", config=config) as running:
            from_ours = begins_and_ends(running.url, ours)

        (tmp_path / "sergas.toml").write_text(MOVING.replace("WEBHOOK", theirs.url), encoding="utf-8")
        target = gateway.url.removeprefix("http://")
        exported("prometheus", "--target", target, "--alertmanager", f"127.0.0.1:{port}")
        exported("alertmanager")
        manager = Controlled(
            [
                find("prometheus-alertmanager", "apt-get install prometheus-alertmanager, or make test"),
                f"--config.file={tmp_path / 'alertmanager.yml'}",
                f"--storage.path={tmp_path / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            tmp_path / "alertmanager.log",
            lambda: answers(f"http://127.0.0.1:{port}/-/ready"),
        )
        manager.start()
        try:
            command: list[str | Path] = [
                find("prometheus", "apt-get install prometheus, or make test"),
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                "--web.listen-address=127.0.0.1:0",
            ]
            with server(command, tmp_path / "prometheus.log"):
                from_theirs = begins_and_ends(gateway.url, theirs)
        finally:
            manager.kill()

    assert from_ours == from_theirs
    labels = {"alertname": "FewOrders", "job": "shop", "severity": "error", "shop": "berlin"}
    annotations = {"summary": "only 3 orders in berlin"}
    assert from_ours == [
        {
            "receiver": "webhook",
            "status": status,
            "alerts": [{"status": status, "labels": labels, "annotations": annotations}],
            "groupLabels": {"job": "shop"},
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "version": "4",
            "truncatedAlerts": 0,
        }
        for status in ("firing", "resolved")
    ]


ADDRESS = "https://a.example/s3cret"
MAIL = """
[smtp]
host = "m.example"
username = "u"
password = "s3cret"
from = "a@b.example"
to = ["t@b.example"]
"""


@pytest.mark.parametrize(
    ("system", "config", "mode"),
    [
        pytest.param("alertmanager", f'slack_webhook_url = "{ADDRESS}"', 0o600, id="slack"),
        pytest.param("alertmanager", f'[[channels]]\ntype = "webhook"\nurl = "{ADDRESS}"', 0o600, id="webhook"),
        pytest.param("alertmanager", MAIL, 0o600, id="mail"),
        pytest.param("alertmanager", '[[channels]]\ntype = "webhook"\nurl_file = "webhook-url"', 0o644, id="in a file"),
        pytest.param("prometheus", f'[[collect.targets]]\nurl = "{ADDRESS}?token=x"', 0o600, id="a target's token"),
        pytest.param(
            "prometheus", '[[collect.targets]]\nurl = "http://a.example/metrics?collect=cpu"', 0o644, id="no secret"
        ),
    ],
)
def test_file_with_secrets_is_its_owners_alone_and_that_is_said(
    system: str, config: str, mode: int, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "sergas.toml").write_text(config, encoding="utf-8")
    file = project / f"{system}.yml"
    file.write_text("what was there before, for everybody", encoding="utf-8")
    file.chmod(0o644)

    exported(system)

    assert stat.S_IMODE(file.stat().st_mode) == mode
    said = f"sergas: {system}.yml holds secrets, so only its owner may read it (mode 0600): make that the user whom "
    assert (said + f"{system.title()} runs as\n" in capsys.readouterr().err) is (mode == 0o600)
    assert ("s3cret" in file.read_text("utf-8")) is (mode == 0o600)
