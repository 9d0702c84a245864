"""The payload of webhooks: Alertmanager's own, which a real one is asked for in test_alertmanager.py."""

from __future__ import annotations

import pytest

from pytest_sergas.channels import payload
from tests.channels.conftest import alert, notification

pytestmark = pytest.mark.unit


def test_payload_is_the_documented_one() -> None:
    told = notification(
        alert(type="smoke"),
        alert(type="smoke", status="resolved", level="error", reason="series_gone"),
        external_url="https://ci.example/sergas",
        truncated=3,
    )

    assert payload.webhook(told) == {
        "version": "4",
        "groupKey": '{}:{type="smoke"}',
        "truncatedAlerts": 3,
        "status": "firing",
        "receiver": "team",
        "groupLabels": {"type": "smoke"},
        "commonLabels": {"alertname": "SmokeTestsFailed", "type": "smoke"},
        "commonAnnotations": {"summary": "2 smoke tests failed"},
        "externalURL": "https://ci.example/sergas",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "SmokeTestsFailed", "severity": "critical", "type": "smoke"},
                "annotations": {"summary": "2 smoke tests failed"},
                "startsAt": "2026-05-28T20:26:40.000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://ci.example/sergas",
                "fingerprint": told.alerts[0].fingerprint,
            },
            {
                "status": "resolved",
                "labels": {"alertname": "SmokeTestsFailed", "severity": "error", "type": "smoke"},
                "annotations": {"summary": "2 smoke tests failed"},
                "startsAt": "2026-05-28T20:26:40.000Z",
                "endsAt": "2026-05-28T20:28:20.000Z",
                "generatorURL": "https://ci.example/sergas",
                "fingerprint": told.alerts[1].fingerprint,
                "reason": "series_gone",
            },
        ],
    }


def test_what_alertmanager_has_no_place_for_follows_in_keys_of_our_own() -> None:
    document = payload.webhook(notification(note="Still firing after 15 min.", held_back=4))

    assert (document["note"], document["heldBack"]) == ("Still firing after 15 min.", 4)
