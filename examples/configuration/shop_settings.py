"""The configuration as a dictionary; what is secret, or another one on each machine, comes from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_sergas import ComprehensiveMonitoringSystem


def settings(root: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings; None leaves a key to its default, and an ``smtp`` without a host is none."""
    return {
        "root": root,
        "store": "shop.db",
        "max_test_workers": 8,
        "test_timeout": 300.0,
        "test_retry_count": 2,
        "monitoring_interval": 60.0,
        "metrics_retention": 10_000,
        "alert_cooldown": 300.0,
        "max_alerts_per_minute": 10,
        "health_check_timeout": 10.0,
        "health_check_interval": 30.0,
        "slack_webhook_url": environ.get("SLACK_WEBHOOK_URL"),
        "alert_webhook_url": environ.get("ALERT_WEBHOOK_URL"),
        "smtp": {
            "host": environ.get("SMTP_HOST"),
            "port": int(environ.get("SMTP_PORT", "587")),
            "username": environ.get("SMTP_USERNAME"),
            "password": environ.get("SMTP_PASSWORD"),
        },
    }


def system(root: Path, environ: Mapping[str, str]) -> ComprehensiveMonitoringSystem:
    return ComprehensiveMonitoringSystem(settings(root, environ))
