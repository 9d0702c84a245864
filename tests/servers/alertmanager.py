"""Debian's Alertmanager, and its amtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.controlled import Controlled, reserved_port
from tests.servers.process import answers
from tests.servers.tools import find

_HINT = "apt-get install prometheus-alertmanager, or make test"
_CONFIG = """\
route:
  receiver: own
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: own
    webhook_configs: [{url: WEBHOOK, send_resolved: true}]
"""


class Alertmanager(Controlled):
    """An Alertmanager that a test stops and starts again; it keeps its data in between.

    Attributes:
        url: the same all the time.
    """

    def __init__(self, directory: Path, port: int, webhook_url: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        config = directory / "alertmanager.yml"
        config.write_text(_CONFIG.replace("WEBHOOK", webhook_url), encoding="utf-8")
        command: list[str | Path] = [
            find("prometheus-alertmanager", _HINT),
            f"--config.file={config}",
            f"--storage.path={directory / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        super().__init__(command, directory / "alertmanager.log", lambda: answers(f"{self.url}/-/ready"))

    def alerts(self) -> list[dict[str, Any]]:
        """Return what ``amtool alert`` shows: the alerts that fire."""
        command: list[str | Path] = [
            find("amtool", _HINT),
            f"--alertmanager.url={self.url}",
            "--output=json",
            "alert",
            "query",
        ]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        return list(json.loads(done.stdout))


@contextmanager
def alertmanager(directory: Path, webhook_url: str) -> Iterator[Alertmanager]:
    """Yield an Alertmanager that runs, and that tells ``webhook_url`` at once."""
    with reserved_port() as port:
        server = Alertmanager(directory, port, webhook_url)
        server.start()
        try:
            yield server
        finally:
            server.kill()
