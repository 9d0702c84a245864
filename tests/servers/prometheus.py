"""Debian's Prometheus, and its promtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from tests.servers.process import get, server, until
from tests.servers.tools import find

_HINT = "apt-get install prometheus, or make test"
# As everybody is told to scrape a Pushgateway: the labels that were pushed stay.
_CONFIG = """\
global:
  scrape_interval: 100ms
scrape_configs:
  - job_name: JOB
    honor_labels: true
    static_configs:
      - targets: [ADDRESS]
"""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus that scrapes one address."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the vector that ``expression`` has now; wait until it has any."""
        return until(lambda: self._query(expression), f"Prometheus has {expression}")

    def everything(self) -> dict[str, str]:
        """Return what the last scrape brought and ``up``: series as people write them → value."""
        found = self._query('{__name__=~".+",__name__!~"scrape_.+"}')
        return {
            " ".join(f"{name}={value}" for name, value in sorted(series["metric"].items())): series["value"][1]
            for series in found
        }

    def at(self, expression: str, time_s: float) -> list[tuple[dict[str, str], float]] | str:
        """Return the labels and values that ``expression`` has at ``time_s``, or why it has none."""
        query = urlencode({"query": expression, "time": f"{time_s:.3f}"})
        try:
            answer = json.loads(get(f"{self.url}/api/v1/query?{query}"))
        except HTTPError as error:
            with error:
                return str(json.loads(error.read())["error"])
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def _query(self, expression: str) -> list[dict[str, Any]]:
        answer = json.loads(get(f"{self.url}/api/v1/query?{urlencode({'query': expression})}"))
        assert answer["status"] == "success"
        return list(answer["data"]["result"])


@contextmanager
def prometheus(directory: Path, scraped_url: str, *, job: str = "gateway") -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes ``scraped_url`` as ``job``; its data is kept in ``directory``."""
    text = _CONFIG.replace("ADDRESS", urlsplit(scraped_url).netloc).replace("JOB", job)
    with prometheus_of(directory, text) as running:
        yield running


@contextmanager
def prometheus_of(directory: Path, text: str) -> Iterator[Prometheus]:
    """Run a Prometheus with the configuration ``text``; its data is kept in ``directory``."""
    config = directory / "prometheus.yml"
    config.write_text(text, encoding="utf-8")
    command: list[str | Path] = [
        find("prometheus", _HINT),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with server(command, directory / "prometheus.log") as url:
        yield Prometheus(url)


@contextmanager
def prometheus_scraping(directory: Path, url: str, paths: Sequence[str]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes each of ``paths`` of ``url`` as a job of that name, with the label ``path``."""
    scraped = [
        {
            "job_name": path,
            "metrics_path": path,
            "honor_labels": True,
            "static_configs": [{"targets": [urlsplit(url).netloc], "labels": {"path": path}}],
        }
        for path in paths
    ]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": scraped}
    (directory / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    command: list[str | Path] = [
        find("prometheus", _HINT),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with server(command, directory / "prometheus.log") as address:
        yield Prometheus(address)


@contextmanager
def prometheus_with(directory: Path, samples: str) -> Iterator[Prometheus]:
    """Run a Prometheus that has ``samples``, a page of OpenMetrics with timestamps, and scrapes nobody."""
    (directory / "samples.txt").write_text(samples, encoding="utf-8")
    command: list[str | Path] = [find("promtool", _HINT), "tsdb", "create-blocks-from", "openmetrics"]
    done = subprocess.run(
        [*command, "samples.txt", "tsdb"], cwd=directory, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    (directory / "prometheus.yml").write_text("", encoding="utf-8")
    command = [
        find("prometheus", _HINT),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with server(command, directory / "prometheus.log") as url:
        yield Prometheus(url)


def lint(metrics: str) -> str:
    """Return what ``promtool check metrics`` has to say against ``metrics``; nothing is ""."""
    command: list[str | Path] = [find("promtool", _HINT), "check", "metrics"]
    done = subprocess.run(command, input=metrics.encode(), capture_output=True, check=False, timeout=60)
    complaints = (done.stdout + done.stderr).decode()
    assert complaints or done.returncode == 0, f"promtool ended with {done.returncode} and said nothing"
    return complaints
