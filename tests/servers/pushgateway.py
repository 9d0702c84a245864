"""Debian's Pushgateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.process import get, server
from tests.servers.tools import find

USERNAME = "ci"
PASSWORD = "correct horse"  # noqa: S105  the servers that tests start know it, and no other
_BCRYPT = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"  # of PASSWORD, at the lowest cost
_WEB_CONFIG = f"basic_auth_users:\n  {USERNAME}: {_BCRYPT}\n"


@dataclass(frozen=True, slots=True)
class Pushgateway:
    """A running Pushgateway that is empty at first."""

    url: str

    @property
    def metrics(self) -> str:
        """What it exposes, its own metrics included."""
        return get(f"{self.url}/metrics")

    @property
    def samples(self) -> dict[str, float]:
        """Series as exposed → value, for the metrics that a run pushes."""
        lines = (line.rpartition(" ") for line in self.metrics.splitlines() if line.startswith("sergas_"))
        return {series: float(value) for series, _, value in lines}

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The groups, as ``/api/v1/metrics`` has them, in the order of their labels."""
        answer = json.loads(get(f"{self.url}/api/v1/metrics"))
        assert answer["status"] == "success"
        return sorted(answer["data"], key=lambda group: sorted(group["labels"].items()))


@contextmanager
def pushgateway(directory: Path, *, authenticated: bool = False) -> Iterator[Pushgateway]:
    """Run a Pushgateway that keeps nothing on disk.

    Args:
        directory: for its log and its configuration.
        authenticated: whether it wants `USERNAME` and `PASSWORD`.
    """
    program = find("prometheus-pushgateway", "apt-get install prometheus-pushgateway, or make test")
    command: list[str | Path] = [program, "--web.listen-address=127.0.0.1:0", "--persistence.file="]
    if authenticated:
        config = directory / "web.yml"
        config.write_text(_WEB_CONFIG, encoding="utf-8")
        command.append(f"--web.config.file={config}")
    with server(command, directory / "pushgateway.log") as url:
        yield Pushgateway(url)
