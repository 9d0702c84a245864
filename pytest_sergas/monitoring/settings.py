"""The configuration of a `ComprehensiveMonitoringSystem`: a dictionary with the specification's keys, and with ours.

    the specification's      max_test_workers, test_timeout, test_retry_count, monitoring_interval, metrics_retention,
                             alert_cooldown, max_alerts_per_minute, health_check_timeout, health_check_interval,
                             slack_webhook_url, alert_webhook_url, smtp
    of a program             store (a file; default: in memory), sidecar_url, root
    everything else          as in ``sergas.toml``: checks, channels, routes, collect, ...

A key that is None is not set. For channels that are not set the environment is asked: ``SLACK_WEBHOOK_URL``,
``ALERT_WEBHOOK_URL``, and ``SMTP_HOST``, ``SMTP_PORT``, ``SMTP_USERNAME``, ``SMTP_PASSWORD``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_sergas.config import find, load_sections
from pytest_sergas.config.file import ConfigFile
from pytest_sergas.config.runs import Settings
from pytest_sergas.config.serve import MEMORY
from pytest_sergas.core import address, kinds
from pytest_sergas.engine.engine import EngineSettings
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.monitoring.channels import (
    EmailNotificationChannel,
    NotificationChannel,
    SlackNotificationChannel,
    WebhookNotificationChannel,
)

_NAME = "config"
_PARTS = ("groups", "collect", "checks", "channels", "routes")
_OWN = ("slack_webhook_url", "alert_webhook_url", "smtp", "store", "sidecar_url", "root")
_SMTP = ("host", "port", "username", "password", "to", "from", "tls", "ca_file", "password_file")


@dataclass(frozen=True, slots=True)
class SystemSettings:
    """A configuration that was read.

    Attributes:
        runs: what tests are run with.
        sidecar_url: where everything is forwarded to; "" for an engine that speaks for itself.
        channels: of the specification's keys.
    """

    engine: EngineSettings
    runs: Settings
    sidecar_url: str = field(repr=False)
    channels: Sequence[NotificationChannel] = ()


def read(config: Mapping[str, Any], environ: Mapping[str, str]) -> SystemSettings:
    """Read a configuration.

    Raises:
        ConfigurationError: with every fault, and without a secret in any.
    """
    given = {key: value for key, value in config.items() if value is not None}
    faults: list[str] = []
    root = Path(given.get("root", Path.cwd()))
    table = {key: value for key, value in given.items() if key not in _OWN}
    sidecar_url = _checked(given, "sidecar_url", address.text, faults)
    store = _checked(given, "store", kinds.text, faults) or MEMORY
    channels = _channels(given, environ, faults)
    engine, runs = EngineSettings(root), Settings()
    faults += _unknown(table)
    try:
        readings = load_sections(ConfigFile(root, _NAME, (), table), ("", *_PARTS), environ={})
    except ConfigurationError as error:
        faults += error.faults
    else:
        engine = EngineSettings(root, **{name: readings[name].settings for name in _PARTS})
        runs = readings[""].settings
    if faults:
        raise ConfigurationError(tuple(faults))
    return SystemSettings(replace(engine, serve=replace(engine.serve, store=store)), runs, sidecar_url, channels)


def _unknown(table: dict[str, Any]) -> list[str]:
    """Take out of ``table`` what nobody knows, and return a line for each."""
    known = [*_OWN]
    for name in ("", *_PARTS):
        section = find(name)
        known += [*section.names, *(section.keys if section.at_top or not name else (name,))]
    faults = []
    for key in [key for key in table if key not in known]:
        del table[key]
        near = kinds.nearest(key, known)
        hint = f"did you mean {near!r}?" if near else "the keys are those of sergas.toml and of the specification"
        faults.append(f"{_NAME}: {key}: unknown key; {hint}")
    return faults


def _checked(given: Mapping[str, Any], key: str, kind: kinds.Kind, faults: list[str]) -> str:
    if key not in given:
        return ""
    try:
        return str(kind(str(given[key]) if isinstance(given[key], Path) else given[key]))
    except kinds.NotAllowed as wrong:
        faults.append(f"{_NAME}: {key}: {wrong}")
        return ""


def _channels(
    given: Mapping[str, Any], environ: Mapping[str, str], faults: list[str]
) -> tuple[NotificationChannel, ...]:
    made: list[NotificationChannel] = []

    def make(key: str, kind: Any, *arguments: Any, **options: Any) -> None:
        try:
            made.append(kind(*arguments, **options))
        except ConfigurationError as error:
            faults.extend(f"{_NAME}: {key}: {fault}" for fault in error.faults)

    if slack := given.get("slack_webhook_url", environ.get("SLACK_WEBHOOK_URL")):
        make("slack_webhook_url", SlackNotificationChannel, slack)
    if webhook := given.get("alert_webhook_url", environ.get("ALERT_WEBHOOK_URL")):
        make("alert_webhook_url", WebhookNotificationChannel, webhook)
    smtp = given.get("smtp", _smtp(environ))
    if not isinstance(smtp, Mapping):
        faults.append(f"{_NAME}: smtp: allowed: a dictionary with host, port, username and password")
    elif smtp.get("host"):
        options = {key: value for key, value in smtp.items() if key != "host" and value is not None}
        if unknown := [key for key in options if key not in _SMTP]:
            faults.extend(f"{_NAME}: smtp.{key}: unknown key; allowed: {', '.join(_SMTP)}" for key in unknown)
        else:
            make("smtp", EmailNotificationChannel, smtp["host"], **options)
    return tuple(made)


def _smtp(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        key: environ.get(f"SMTP_{key.upper()}") or None for key in ("host", "port", "username", "password")
    }
    if (port := found["port"]) is not None and port.isdecimal():
        found["port"] = int(port)
    return found
