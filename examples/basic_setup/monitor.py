"""The monitoring system as a program: it measures, checks, runs the tests, and says how everything is.

python monitor.py
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pytest_sergas import ComprehensiveMonitoringSystem, TestSuite, TestType

HERE = Path(__file__).parent
CONFIG = {
    "root": HERE,
    "max_test_workers": 1,
    "test_timeout": 300.0,
    "monitoring_interval": 60.0,
    "slack_webhook_url": os.getenv("SLACK_WEBHOOK_URL"),
    "smtp": {
        "host": os.getenv("SMTP_HOST"),
        "port": int(os.getenv("SMTP_PORT", "587")),
        "username": os.getenv("SMTP_USERNAME"),
        "password": os.getenv("SMTP_PASSWORD"),
    },
}


async def look() -> str:
    """Return what there is to say."""
    system = ComprehensiveMonitoringSystem(CONFIG)
    system.test_runner.register_suite(TestSuite("Smoke Tests", TestType.SMOKE, paths=["checks"]))
    await system.start_monitoring()
    try:
        tests = (await system.run_comprehensive_tests())["summary"]
        status = await system.get_system_status()
    finally:
        await system.stop_monitoring()
    return (
        f"{tests['total']} tests, {tests['success_rate']:.1f}% success rate; {status['tests']['total']} in the status"
    )


if __name__ == "__main__":
    os.write(1, f"{asyncio.run(look())}\n".encode())
