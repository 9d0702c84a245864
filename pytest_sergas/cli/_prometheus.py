"""Our configuration as a ``prometheus.yml``: what is scraped, rule files, and where alerts go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pytest_sergas.config.collect import CollectSettings, Target
from pytest_sergas.config.rules import RulesSettings
from pytest_sergas.config.serve import ServeSettings


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What is in other places for Prometheus than for us.

    Attributes:
        alertmanager: HOST:PORT.
        target: HOST:PORT of what it scrapes in the sidecar's place; None for the sidecar.
        rules: the directory in which it finds the rule files; None for where they are here.
    """

    alertmanager: str
    target: str | None = None
    rules: str | None = None


def duration(seconds: float) -> str:
    """Return ``seconds`` as Prometheus and Alertmanager write a duration: whole, in milliseconds where it has to be."""
    return f"{round(seconds)}s" if float(seconds).is_integer() else f"{max(1, round(seconds * 1000))}ms"


def document(
    serve: ServeSettings, collect: CollectSettings, rules: RulesSettings, root: Path, elsewhere: Elsewhere
) -> dict[str, Any]:
    """Return what is written into the file.

    Pushed groups are scraped from the sidecar with ``honor_labels``, as from a Pushgateway, and rules see what they saw
    in it.

    Args:
        root: the directory that our paths are relative to; theirs are absolute.
    """
    interval = duration(rules.evaluation_interval)
    own = {
        "job_name": "sergas",
        "honor_labels": True,
        "static_configs": [{"targets": [elsewhere.target or serve.listen]}],
    }
    taken = {"sergas"}
    jobs = [_job(target, collect, root, taken) for target in collect.targets]
    ready_made = Path(__file__).parents[1] / "rules"
    files = [*(ready_made / f"{name}.yml" for name in rules.ready_made), *(root / file for file in rules.files)]
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [str(Path(elsewhere.rules, file.name) if elsewhere.rules else file) for file in files],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [elsewhere.alertmanager]}]}]},
        "scrape_configs": [{**own, **_token(serve.token_file, root)}, *jobs],
    }


def _token(file: str, root: Path) -> dict[str, Any]:
    return {"authorization": {"type": "Bearer", "credentials_file": str(root / file)}} if file else {}


def _job(target: Target, collect: CollectSettings, root: Path, taken: set[str]) -> dict[str, Any]:
    """Return one scrape job; each needs a name of its own, the label ``job`` is the target's all the same."""
    name, number = target.job, 1
    while name in taken:
        number += 1
        name = f"{target.job}-{number}"
    taken.add(name)
    parts = urlsplit(target.url)
    timeout_s = target.timeout or collect.timeout
    interval_s = target.interval or collect.interval
    optional: Mapping[str, Any] = {
        "params": parse_qs(parts.query),
        "basic_auth": {"username": target.username, "password_file": str(root / target.password_file)}
        if target.username
        else {},
        "tls_config": {"ca_file": str(root / target.ca_file)} if target.ca_file else {},
        **_token(target.token_file, root),
    }
    labels = {**target.labels, "job": target.job, "instance": target.instance}
    return {
        "job_name": name,
        "honor_labels": True,
        "honor_timestamps": False,
        "scheme": parts.scheme,
        "metrics_path": parts.path,
        "scrape_interval": duration(interval_s),
        "scrape_timeout": duration(min(timeout_s, interval_s)),  # Prometheus takes no longer one
        "body_size_limit": f"{round(target.max_mb * 1000)}KB",
        **{key: value for key, value in optional.items() if value},
        "static_configs": [{"targets": [parts.netloc], "labels": labels}],
    }
