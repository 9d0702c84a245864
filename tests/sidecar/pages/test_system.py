"""The system over time, on the overview."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sergas.core.series import canonical
from pytest_sergas.engine import clock
from tests.servers.process import until
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages.html import read
from tests.sidecar.pages.served import served

pytestmark = pytest.mark.integration


def test_system_is_plotted_over_time(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        history, now = running.engine.history, clock.read()
        own = canonical((("job", "sergas"), ("instance", "here")))

        async def record() -> None:
            for minutes_ago, value in ((120, 20.0), (60, 90.0), (0, 40.0)):
                moment = replace(now, monotonic_s=now.monotonic_s - 60 * minutes_ago)
                history.record("test", moment, {"system_cpu_usage_percent": [(own, value)]}, partial=True)

        running.run(record())
        page = read(ask(running.url, "/").text)

    system = page.section("System")
    assert [card.attributes["aria-label"] for card in system.all("section")] == ["CPU"]
    assert system.all("title")[0].text.startswith("CPU over the last 2 h: 3 values, from 20% to 90%, the last one 40%")
    assert [text.text for text in system.all("text") if text.attributes["class"].startswith("x")] == ["2 h ago", "now"]


def test_sidecar_without_rules_plots_the_system_by_itself(tmp_path: Path) -> None:
    config = "[collect]\ninterval = 1\n\n[rules]\nready_made = []\nevaluation_interval = 1\n"
    with sidecar(tmp_path, config=config) as running:
        until(lambda: "CPU over the last" in ask(running.url, "/").text, "the CPU is plotted", deadline_s=60)
        titles = [title.text for title in read(ask(running.url, "/").text).section("System").all("title")]

    assert [title.partition(" over ")[0] for title in titles] == ["CPU", "Memory", "Load"]
