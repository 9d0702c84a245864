"""The system over time, on the overview."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.process import until
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages.html import read

pytestmark = pytest.mark.integration


def test_sidecar_without_rules_plots_the_system_by_itself(tmp_path: Path) -> None:
    config = "[collect]\ninterval = 1\n\n[rules]\nready_made = []\nevaluation_interval = 1\n"
    with sidecar(tmp_path, config=config) as running:
        until(lambda: "CPU over the last" in ask(running.url, "/").text, "the CPU is plotted", deadline_s=60)
        titles = [title.text for title in read(ask(running.url, "/").text).section("System").all("title")]

    assert [title.partition(" over ")[0] for title in titles][:3] == ["CPU", "Memory", "Load"]
    assert all(title.startswith("Disk /") for title in titles[3:])
