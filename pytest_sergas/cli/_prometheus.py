"""Our configuration as a ``prometheus.yml``: what is scraped, rule files, and where alerts go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pytest_sergas.config.collect import CollectSettings, Target
from pytest_sergas.config.rules import RulesSettings
from pytest_sergas.config.serve import ServeSettings
from pytest_sergas.config.tokens import token_path
from pytest_sergas.core.text import is_secret
from pytest_sergas.engine.rule_files import find
from pytest_sergas.errors import SergasError
from pytest_sergas.sidecar.web_config import read_web_config

OWN = "sergas"  # the job of the sidecar, or of what is in its place


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


@dataclass(slots=True)
class Exported:
    """The document, and a line for each thing that it cannot say.

    Attributes:
        has_secrets: what stands in the document gives access to something.
    """

    document: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    has_secrets: bool = False


def duration(seconds: float) -> str:
    """Return ``seconds`` as Prometheus and Alertmanager write a duration: whole, in milliseconds where it has to be."""
    return f"{round(seconds)}s" if float(seconds).is_integer() else f"{max(1, round(seconds * 1000))}ms"


def export(
    serve: ServeSettings, collect: CollectSettings, rules: RulesSettings, root: Path, elsewhere: Elsewhere
) -> Exported:
    """Return what is written into the file.

    Pushed groups are scraped from the sidecar with ``honor_labels``, as from a Pushgateway, and rules see what they saw
    in it.

    Args:
        root: the directory that our paths are relative to; theirs are absolute.

    Raises:
        ConfigurationError: the web configuration file cannot be used, or a rule file is not there.
        SergasError: two rule files would have one name in ``elsewhere.rules``.
    """
    exported = Exported()
    if not serve.web_config and (token := token_path(serve, root)):
        serve = replace(serve, token_file=str(token))
    interval = duration(rules.evaluation_interval)
    own = {"job_name": OWN, "honor_labels": True, **_access(serve, root, elsewhere.target, exported.notes)}
    taken = {OWN}
    jobs = [_job(target, collect, root, taken) for target in collect.targets]
    exported.document = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": _rule_files(rules, root, elsewhere.rules),
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [elsewhere.alertmanager]}]}]},
        "scrape_configs": [own, *jobs],
    }
    exported.has_secrets = any(is_secret(name) for job in jobs for name in job.get("params", ()))
    return exported


def _access(serve: ServeSettings, root: Path, instead: str | None, notes: list[str]) -> dict[str, Any]:
    """Return how the sidecar is asked, or what is scraped ``instead``; what only people know goes to ``notes``."""
    access: dict[str, Any] = {"static_configs": [{"targets": [instead or serve.listen]}]}
    if instead:
        if serve.token_file or serve.web_config:
            notes.append(f"job {OWN!r}: token_file and web_config are the sidecar's; add what {instead} wants")
        return access
    if (count := _count_tokens(root / serve.token_file) if serve.token_file else 0) > 1:
        notes.append(
            f"job {OWN!r}: token_file holds {count} tokens, and Prometheus would send them all as one; put one into a "
            "file of its own, and add authorization with its credentials_file"
        )
    elif serve.token_file:
        access |= _token(serve.token_file, root)
    if not serve.web_config:
        return access
    web = read_web_config(root / serve.web_config)
    if web.tls:
        access["scheme"] = "https"
        notes.append(f"job {OWN!r}: web_config has TLS: add tls_config with the ca_file of who signed its certificate")
        if web.tls.client_auth_type == "RequireAndVerifyClientCert":
            notes.append(f"job {OWN!r}: web_config wants a certificate: add cert_file and key_file to tls_config")
    if web.users and not serve.token_file:
        notes.append(f"job {OWN!r}: web_config has users, of whose passwords it knows hashes alone: add basic_auth")
    return access


def _count_tokens(file: Path) -> int:
    """Return how many tokens are in ``file``; it may be one that is there only where Prometheus runs."""
    return len(file.read_bytes().split()) if file.is_file() else 1


def _rule_files(rules: RulesSettings, root: Path, elsewhere: str | None) -> list[str]:
    here = Path(__file__).parents[1] / "rules"
    ready_made = [here / f"{name}.yml" for name in rules.ready_made]
    if elsewhere is None:
        return [str(file) for file in (*ready_made, *(root / pattern for pattern in rules.files))]
    named: dict[str, Path] = {}
    for file in (*ready_made, *find(rules.files, root)):
        if (other := named.setdefault(file.name, file)) is not file:
            raise SergasError(
                f"sergas: {other} and {file} cannot both be {file.name!r} in {elsewhere}; give one another name"
            )
    return [str(Path(elsewhere, name)) for name in named]


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
