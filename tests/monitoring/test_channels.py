"""The specification's channels send what the configuration's do; the servers are real."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_sergas import EmailNotificationChannel, SlackNotificationChannel, WebhookNotificationChannel
from tests.channels.conftest import PATIENT_S, notification
from tests.servers.gateways import Answer, answering
from tests.servers.mail import PASSWORD, USERNAME, mail

pytestmark = pytest.mark.integration


async def test_email_is_sent() -> None:
    async with mail() as server:
        options: dict[str, Any] = {"port": server.port, "tls": "none", "from": "alerts@shop.example"}
        channel = EmailNotificationChannel("127.0.0.1", to=["a@shop.example", "b@shop.example"], **options)
        await channel.send(notification(), timeout_s=PATIENT_S)

    assert [one.rcpt_tos for one in server.received] == [["a@shop.example", "b@shop.example"]]
    assert "SmokeTestsFailed" in server.messages[0]["subject"]


async def test_email_goes_to_whoever_logs_in_where_nobody_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with mail(tls=context) as server:
        channel = EmailNotificationChannel(
            "127.0.0.1", port=server.port, username=USERNAME, password=PASSWORD, ca_file=str(ca_file)
        )
        await channel.send(notification(), timeout_s=PATIENT_S)

    assert [one.rcpt_tos for one in server.received] == [[USERNAME]]
    assert server.secured == [True]


async def test_slack_is_told() -> None:
    with answering(lambda _: Answer(body="ok")) as server:
        await SlackNotificationChannel(f"{server.url}/services/x").send(notification(), timeout_s=PATIENT_S)

    [request] = server.received
    assert request.path == "/services/x"
    assert "SmokeTestsFailed" in request.body.decode()


async def test_webhook_is_told_in_the_payload_of_alertmanager() -> None:
    with answering() as server:
        await WebhookNotificationChannel(f"{server.url}/alerts").send(notification(), timeout_s=PATIENT_S)

    [request] = server.received
    message = json.loads(request.body)
    assert (request.path, message["version"], message["receiver"]) == ("/alerts", "4", "team")
    assert [alert["labels"]["alertname"] for alert in message["alerts"]] == ["SmokeTestsFailed"]
