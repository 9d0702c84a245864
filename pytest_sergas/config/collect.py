"""The section ``[collect]``: what the sidecar measures and how often, whose pages it scrapes, what it remembers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pytest_sergas.config.entries import unknown_kind
from pytest_sergas.config.section import Key, Section, unknown
from pytest_sergas.core import address, kinds

_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_REFERENCE = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*"
# The entry points that come with us.
BUILT_IN = ("system", "container", "process", "http_requests", "scrape", "custom")
_SECONDS = kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True)


@dataclass(frozen=True, slots=True)
class Target:
    """One entry of ``[[collect.targets]]``; None and "" stand for "not set".

    Attributes:
        url: of the page itself, without credentials.
        instance: HOST:PORT of the URL unless given.
        interval, timeout: seconds; those of the section unless given.
    """

    url: str
    job: str
    instance: str
    labels: Mapping[str, str]
    interval: float | None = None
    timeout: float | None = None
    max_mb: float = 10.0
    username: str = ""
    password_file: str = ""
    token_file: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """``[collect]`` in force."""

    interval: float = 60.0
    timeout: float = 10.0
    retention: int = 10_000
    max_age: float = 86_400.0
    max_endpoints: int = 100
    duration_sampling: int = 1
    gateway: str = ""
    disabled: tuple[str, ...] = ()
    custom: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()


def _url(value: object) -> str:
    text = kinds.text(value)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable and "@" in parts.netloc:
        raise kinds.NotAllowed("credentials do not belong into the URL; use username and password_file, or token_file")
    if not usable or "#" in text or " " in text:
        raise kinds.NotAllowed("allowed: the URL of a page of metrics, such as http://127.0.0.1:9100/metrics")
    return text if parts.path else f"{text}/metrics"


def _label_table(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(_LABEL.fullmatch(str(name)) for name in value):
        raise kinds.NotAllowed('allowed: a table of labels and their values, such as {team = "shop"}')
    if taken := {"job", "instance"} & value.keys():
        raise kinds.NotAllowed(f"{min(taken)} has a key of its own; write it there")
    return MappingProxyType({name: kinds.text(text) for name, text in value.items()})


def _references(value: object) -> tuple[str, ...]:
    read = kinds.pattern(_REFERENCE, "a function or a class as MODULE:NAME, such as shop.metrics:collect")
    return tuple(read(text) for text in kinds.texts(value))


def _collectors(value: object) -> tuple[str, ...]:
    names = kinds.texts(value)
    for name in names:
        if fault := unknown_kind(name, BUILT_IN, "pytest_sergas.collectors", "collector"):
            raise kinds.NotAllowed(f"{name!r}: {fault}")
    return names


TARGET_KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "url": Key(_url, "the page", '"http://127.0.0.1:9100/metrics"'),
        "job": Key(kinds.text, "label job of series that have none; default: scrape", '"node"'),
        "instance": Key(kinds.text, "label instance of series that have none; default: HOST:PORT of the URL", '"db1"'),
        "labels": Key(_label_table, "further labels of series that have none of that name", '{team = "shop"}'),
        "interval": Key(_SECONDS, "seconds from one scrape to the next; default: the section's", "60"),
        "timeout": Key(_SECONDS, "seconds that a scrape may take; default: the section's", "10"),
        "max_mb": Key(kinds.number(0, 1_000, "MB", open_below=True), "largest page, unpacked", "10"),
        "username": Key(kinds.text, "user name for basic authentication", '"prometheus"'),
        "password_file": Key(kinds.text, "file that holds the password", '"/run/secrets/scrape-password"'),
        "token_file": Key(kinds.text, "file that holds a bearer token", '"/run/secrets/scrape-token"'),
        "ca_file": Key(kinds.text, "file with the certificate authorities to trust", '"ca.pem"'),
    }
)


def _targets(value: object) -> tuple[Target, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(entry, dict) for entry in value):
        raise kinds.NotAllowed("allowed: a table for each page, [[collect.targets]]")
    wrong: list[kinds.Wrong] = []
    targets = [_target(str(number), entry, wrong) for number, entry in enumerate(value, 1)]
    usable = tuple(target for target in targets if target is not None)
    if wrong:
        raise kinds.WrongInside(tuple(wrong), usable)
    return usable


def _target(number: str, table: Mapping[str, object], wrong: list[kinds.Wrong]) -> Target | None:
    """Read one entry; what is wrong with it is added to ``wrong``, and then there is no target."""
    values: dict[str, Any] = {}
    before = len(wrong)
    for name, raw in table.items():
        if name not in TARGET_KEYS:
            wrong.append(kinds.Wrong((number, name), raw, unknown((name,), COLLECT, TARGET_KEYS)))
            continue
        try:
            values[name] = TARGET_KEYS[name].kind(raw)
        except kinds.NotAllowed as error:
            wrong.append(kinds.Wrong((number, name), raw, str(error)))
    if "url" not in table:
        wrong.append(kinds.Wrong((number, "url"), "", "a target needs the URL of its page"))
    if ("username" in table) != ("password_file" in table):
        there, missing = ("username", "password_file") if "username" in table else ("password_file", "username")
        wrong.append(kinds.Wrong((number, there), table[there], f"of no use without {missing}"))
    if "username" in table and "token_file" in table:
        wrong.append(kinds.Wrong((number, "token_file"), table["token_file"], "there is a username as well; keep one"))
    if len(wrong) > before:
        return None
    defaults = {"job": "scrape", "instance": _instance(values["url"]), "labels": MappingProxyType({})}
    return Target(**{**defaults, **values})


def _instance(url: str) -> str:
    """Return HOST:PORT, as Prometheus has it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _check(values: Mapping[str, Any]) -> Iterable[kinds.Wrong]:
    section = CollectSettings(**values)
    seen: set[tuple[str, str, tuple[tuple[str, str], ...]]] = set()
    for number, target in enumerate(section.targets, 1):
        labels = (target.job, target.instance, tuple(sorted(target.labels.items())))
        if labels in seen:
            yield kinds.Wrong(
                ("targets", str(number), "url"),
                target.url,
                "job, instance and labels are those of another target; change one of them",
            )
        seen.add(labels)


def _belongs(path: tuple[str, ...]) -> str:
    return f"it belongs to a target, [[collect.targets]] {path[-1]}" if path[-1] in TARGET_KEYS else ""


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "interval": Key(_SECONDS, "seconds from one measurement to the next", "60"),
        "timeout": Key(_SECONDS, "seconds that a collector may take", "10"),
        "retention": Key(
            kinds.whole(2, 10_000_000, "samples"), "how many samples of a series are kept at most", "10000"
        ),
        "max_age": Key(
            kinds.duration(300, kinds.YEAR_S, "seconds"),
            "seconds that rules and pages may look back; only series that they select are kept",
            "86400",
        ),
        "max_endpoints": Key(
            kinds.whole(1, 100_000, "endpoints"), "endpoints of recorded HTTP requests; beyond them: other", "100"
        ),
        "duration_sampling": Key(
            kinds.whole(1, 1_000_000, "requests"), "of so many recorded HTTP requests one is timed", "1"
        ),
        "gateway": Key(
            address.text,
            "push own and collected metrics to this Pushgateway at each interval; none by default",
            '"http://127.0.0.1:9091"',
        ),
        "disabled": Key(_collectors, "collectors that do not run; none by default", '["container"]'),
        "custom": Key(_references, "functions and classes of yours as MODULE:NAME", '["shop.metrics:collect"]'),
        "targets": Key(
            _targets,
            "pages of metrics to scrape for rules and for the page; also as tables, [[collect.targets]]",
            '[{url = "http://127.0.0.1:9100/metrics", job = "node"}]',
        ),
    }
)


def _written(key: str, value: Any) -> object:
    if key != "targets":
        return value
    tables = ({name: getattr(target, name) for name in TARGET_KEYS} for target in value)
    return [{name: entry for name, entry in table.items() if entry not in (None, "", {})} for table in tables]


COLLECT: Section[CollectSettings] = Section(
    name="collect",
    keys=KEYS,
    settings=CollectSettings,
    environment={"PROMETHEUS_GATEWAY": "gateway"},
    names={"monitoring_interval": "interval", "metrics_retention": "retention"},
    check=_check,
    belongs=_belongs,
    written=_written,
)
