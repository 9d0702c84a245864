"""Whether a Redis answers, and its figures; with redis-py, from the extra ``redis``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pytest_sergas.checks import Context
from pytest_sergas.checks.deadline import ended_within, reason
from pytest_sergas.checks.options import Options
from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.monitoring import MonitorType
from pytest_sergas.core.text import redact_url

KEYS = CHECK_OPTIONS["redis"]

FIGURES: tuple[tuple[str, FamilyType, str, str], ...] = (
    # the metric, its type, what it is, and its name in INFO
    ("database_redis_connected_clients", "gauge", "Connected clients.", "connected_clients"),
    ("database_redis_blocked_clients", "gauge", "Clients that wait in a blocking call.", "blocked_clients"),
    ("database_redis_memory_used_bytes", "gauge", "Memory in use.", "used_memory"),
    ("database_redis_memory_max_bytes", "gauge", "Memory that may be used; 0 for no limit.", "maxmemory"),
    ("database_redis_commands_total", "counter", "Commands that were processed.", "total_commands_processed"),
    ("database_redis_evicted_keys_total", "counter", "Keys that were removed to make room.", "evicted_keys"),
    ("database_redis_rejected_connections_total", "counter", "Connections beyond the limit.", "rejected_connections"),
)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back: whether PING was permitted, and what INFO says; None where that was not."""

    pinged: bool
    info: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class RedisCheck:
    """Sends PING and INFO; a replica without its primary, and a failing save to disk, are degraded.

    A user who may not send INFO gets no figures, and one who may not send PING either knows only that the server took
    the login.
    """

    about: ClassVar[MonitorType] = MonitorType.DATABASE
    name: str
    url: str = field(repr=False)
    password: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        written = urlsplit(self.url).password or ""
        return tuple({secret for secret in (self.password, written, unquote(written), quote(self.password)) if secret})

    def run(self, timeout_s: float) -> CheckResult:
        import redis

        place = redact_url(self.url)
        try:
            answer = ended_within(timeout_s, self._ask)
        except (TimeoutError, redis.exceptions.TimeoutError):
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: no answer within {timeout_s:g} s")
        except (redis.exceptions.RedisError, OSError) as error:
            cause = error.__cause__ or error.__context__
            text = reason(cause) if isinstance(cause, OSError) else str(error)
            return CheckResult(self.name, HealthStatus.UNHEALTHY, f"{place}: {text}")
        if answer.info is not None:
            return self._judge(place, answer.info)
        text = "answered PING; its figures need INFO, which this user may not send"
        if not answer.pinged:
            text = "took the login; this user may send neither PING nor INFO"
        details = {"pinged": answer.pinged, "info": "not permitted"}
        return CheckResult(self.name, HealthStatus.HEALTHY, f"{place}: {text}", details)

    async def _ask(self) -> _Answer:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import NoPermissionError

        options: dict[str, Any] = {"password": self.password} if self.password else {}
        client = Redis.from_url(
            self.url,
            socket_timeout=None,  # the deadline holds for everything together
            socket_connect_timeout=None,
            protocol=2,  # with 3, what a server says about a missing password is a riddle
            retry=Retry(NoBackoff(), 0),  # its own default repeats three times, with pauses
            **options,
        )
        pinged, info = True, None
        try:
            try:
                await client.ping()
            except NoPermissionError:
                pinged = False
            with suppress(NoPermissionError):
                info = await client.info()
        finally:
            await client.aclose()
        return _Answer(pinged, info)

    def _judge(self, place: str, info: Mapping[str, Any]) -> CheckResult:
        figures = tuple(
            Family(name, kind, text, (Sample((), float(info[theirs])),))
            for name, kind, text, theirs in FIGURES
            if theirs in info
        )
        details = {"version": info.get("redis_version", ""), "role": info.get("role", "")}
        status, text = HealthStatus.HEALTHY, f"Redis {details['version']}, {info.get('connected_clients', 0)} clients"
        if info.get("master_link_status", "up") != "up":
            status, text = HealthStatus.DEGRADED, "a replica whose link to its primary is down"
        elif info.get("rdb_last_bgsave_status", "ok") != "ok":
            status, text = HealthStatus.DEGRADED, "the last save to disk failed"
        elif info.get("aof_last_write_status", "ok") != "ok":
            status, text = HealthStatus.DEGRADED, "the last write to the append-only file failed"
        return CheckResult(self.name, status, f"{place}: {text}", details, figures)


def create(context: Context) -> RedisCheck:
    options = Options(context, KEYS, required=("url",))
    if find_spec("redis") is None:
        options.missing_extra("redis", "redis")
    url, password = options.get("url", ""), options.secret("password_file")
    if "password" in parse_qs(urlsplit(url).query):
        options.fault("url", "the password stands in the query; write it into a file and name it in password_file")
    if url and password and urlsplit(url).password:
        options.fault("password_file", "the url has a password as well; remove one of the two")
    options.done()
    return RedisCheck(context.settings.name, url, password)
