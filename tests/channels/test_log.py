"""The log: one record for each alert, at its level."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.channels.log import NAME
from tests.channels.conftest import alert, make, notification, send

pytestmark = pytest.mark.unit


async def test_alert_is_logged_at_its_level(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, NAME)
    alerts: list[Any] = [alert(level=level, type="smoke") for level in ("info", "warning", "error", "critical")]
    await send(
        make("log", tmp_path), notification(*alerts, alert(status="resolved", reason="series_gone"), note="A trial.")
    )

    text = "SmokeTestsFailed, firing since 2026-05-28 20:26:40 UTC: type=smoke: 2 smoke tests failed"
    assert caplog.record_tuples == [
        (NAME, logging.INFO, "[FIRING:4, RESOLVED:1] SmokeTestsFailed: type=smoke: A trial."),
        (NAME, logging.INFO, f"info: {text}"),
        (NAME, logging.WARNING, f"warning: {text}"),
        (NAME, logging.ERROR, f"error: {text}"),
        (NAME, logging.CRITICAL, f"critical: {text}"),
        (
            NAME,
            logging.INFO,
            (
                "critical: SmokeTestsFailed, resolved at 2026-05-28 20:28:20 UTC after 1 min 40 s: its series is gone: "
                "2 smoke tests failed"
            ),
        ),
    ]


async def test_level_that_nobody_knows_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, NAME)
    await send(make("log", tmp_path), notification(alert(level="urgent")))

    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_percent_signs_and_newlines_stay_on_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, NAME)
    await send(make("log", tmp_path), notification(alert("%s 100%", team="a\nb")))

    assert caplog.messages[0].startswith("critical: %s 100%, firing")
    assert "team=a b" in caplog.messages[0]
