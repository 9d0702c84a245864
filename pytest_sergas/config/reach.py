"""Where each key and each environment variable has an effect: in pytest, in ``sergas serve``, in a program.

    effect      it does there what it says
    judged      it belongs to another part: its name, type and references are judged, and that is all
    refused     it is an error there, with the reason

The documentation's table is made from this one, and a test holds an observation for each effect in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

PARTS = ("pytest", "serve", "program")


class Effect(StrEnum):
    """What a key does in a part."""

    EFFECT = "effect"
    JUDGED = "judged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """Keys that reach the same parts.

    Attributes:
        where: the table in which they stand; "" for the top level, "environment" for variables.
        keys: their names.
        pytest, serve, program: what they do there.
        note: why, where that is not plain.
    """

    where: str
    keys: tuple[str, ...]
    pytest: Effect
    serve: Effect
    program: Effect
    note: str = ""

    def effect(self, part: str) -> Effect:
        """Return what the keys do in a part of `PARTS`."""
        return Effect(getattr(self, part))


_EFFECT, _JUDGED, _REFUSED = Effect.EFFECT, Effect.JUDGED, Effect.REFUSED
_RUNS = (_EFFECT, _JUDGED, _EFFECT)
_DAEMON = (_JUDGED, _EFFECT, _EFFECT)
_SERVE = (_JUDGED, _EFFECT, _REFUSED)
_BOTH = (_EFFECT, _EFFECT, _EFFECT)
_IN_RUNS = "of a program: in the tests that it runs"

REACH: tuple[Row, ...] = (
    Row(
        "",
        (
            *("project", "timeout", "retries", "retry_delay", "retry_on", "max_retries", "max_workers"),
            *("exclusive_wait", "watchdog", "durations", "history", "strict", "measure", "measure_children"),
            *("ctrf", "markdown", "textfile", "sidecar", "push", "push_labels", "push_username"),
            *("push_password_file", "push_token_file", "publish_deadline", "slowest", "types"),
            *("test_timeout", "test_retry_count", "max_test_workers"),
        ),
        *_RUNS,
        note=f"{_IN_RUNS}; max_workers bounds -n auto, and -n N wins over it",
    ),
    Row(
        "types.NAME",
        (
            *("marker", "timeout", "retries", "retry_delay", "retry_on", "max_duration", "max_memory_mb", "max_cpu"),
            *("max_regression", "budget_attempts", "dependencies", "exclusive", "paths", "gate", "parallel"),
            *("max_workers", "fail_on_flaky", "max_flaky", "min_coverage", "on_unavailable", "wait_s"),
        ),
        *_RUNS,
        note=_IN_RUNS,
    ),
    Row(
        "serve",
        (
            *("listen", "store", "web_config", "token_file", "make_token", "allowed_hosts", "external_url"),
            *("trusted_proxies",),
            *("log_level", "log_format", "max_connections", "header_timeout", "body_timeout", "drain_timeout"),
            *("runs_kept", "runs_age_days", "max_run_mib"),
        ),
        *_SERVE,
        note="a program opens no port; its store and root stand at the top level",
    ),
    Row(
        "groups",
        ("ttl", "ttl_rules", "max_groups", "max_series", "max_push_mib", "max_push_series", "max_store_mib"),
        *_DAEMON,
        note="of a program: where its sidecar is mounted",
    ),
    Row(
        "collect",
        ("interval", "timeout", "retention", "max_age", "gateway", "disabled", "custom", "targets"),
        *_DAEMON,
    ),
    Row(
        "collect",
        ("max_endpoints", "duration_sampling"),
        _JUDGED,
        _JUDGED,
        _EFFECT,
        "requests are recorded by an application",
    ),
    Row("", ("monitoring_interval", "metrics_retention"), *_DAEMON),
    Row(
        "collect.targets",
        (
            *("url", "job", "instance", "labels", "interval", "timeout", "max_mb", "username", "password_file"),
            *("token_file", "ca_file"),
        ),
        *_DAEMON,
    ),
    Row("", ("checks", "health_check_timeout"), *_BOTH, note="of pytest: for the tests that depend on them"),
    Row("", ("health_check_interval",), *_DAEMON, note="a run of tests checks before the tests that need it"),
    Row("checks", ("type", "name", "timeout", "depends_on"), *_BOTH),
    Row("checks", ("interval", "failures", "successes"), *_DAEMON, note="of one result there is none in a row"),
    Row("rules", ("files", "ready_made", "evaluation_interval"), *_DAEMON),
    Row(
        "",
        (
            *("max_alerts_per_minute", "channels", "slack_webhook_url", "alert_webhook_url", "smtp", "smtp_host"),
            *("smtp_port", "smtp_username", "smtp_password", "smtp_from", "smtp_to"),
        ),
        *_DAEMON,
    ),
    Row("channels", ("type", "name", "timeout", "send_resolved", "max_alerts_per_minute"), *_DAEMON),
    Row("", ("alert_cooldown", "routes", "maintenance"), *_DAEMON),
    Row(
        "routes",
        (
            *("name", "match", "channels", "group_by", "group_wait", "group_interval", "repeat_interval"),
            *("cooldown", "escalate", "continue"),
        ),
        *_DAEMON,
    ),
    Row("maintenance", ("name", "match", "days", "from", "to", "timezone"), *_DAEMON),
    Row("environment", ("PROMETHEUS_GATEWAY",), *_BOTH, note="of pytest: push; else gateway of collect"),
    Row(
        "environment",
        (
            *("SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "SMTP_HOST", "SMTP_PORT", "SMTP_USERNAME"),
            *("SMTP_PASSWORD", "SMTP_FROM", "SMTP_TO"),
        ),
        *_DAEMON,
    ),
    Row("environment", ("SERGAS_PUSH_USERNAME", "SERGAS_PUSH_PASSWORD", "SERGAS_PUSH_TOKEN"), *_BOTH),
)


def effects(part: str) -> Iterator[str]:
    """Yield each key that has an effect in ``part``, with its table: ``serve.listen``, ``environment.SMTP_HOST``."""
    for row in REACH:
        if row.effect(part) is Effect.EFFECT:
            for key in row.keys:
                yield f"{row.where}.{key}" if row.where else key


def table() -> Iterator[str]:
    """Yield the lines of the documentation's table."""
    yield "| keys | `pytest` | `sergas serve` | a program |"
    yield "| --- | --- | --- | --- |"
    for row in REACH:
        names = ", ".join(f"`{key}`" for key in row.keys)
        where = _WHERE.get(row.where, f"of `[{row.where}]`: ")
        note = f" ({row.note})" if row.note else ""
        yield f"| {where}{names}{note} | {row.pytest} | {row.serve} | {row.program} |"


_WHERE: Mapping[str, str] = MappingProxyType({"": "", "environment": "variables "})
