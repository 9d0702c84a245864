"""What the settings make of a system."""

from __future__ import annotations

from pathlib import Path

import pytest

import shop_settings

VARIABLES = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/x",
    "ALERT_WEBHOOK_URL": "https://shop.example/alerts",
    "SMTP_HOST": "smtp.shop.example",
    "SMTP_PORT": "587",
    "SMTP_USERNAME": "alerts@shop.example",
    "SMTP_PASSWORD": "password",
}


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.unit
def test_variables_make_the_channels(tmp_path: Path) -> None:
    assert set(shop_settings.system(tmp_path, VARIABLES).channels) == {"slack", "webhook", "email"}
    assert shop_settings.system(tmp_path, {}).channels == ()


@pytest.mark.integration
async def test_what_is_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        async with shop_settings.system(tmp_path, {}).lifespan():
            assert (tmp_path / "shop.db").is_file()
