"""``[[checks]]``: what is checked, how often, and when its state changes.

    health_check_timeout = 10
    health_check_interval = 30

    [[checks]]
    type = "postgresql"
    name = "database"
    url = "postgresql://shop@127.0.0.1/shop"

What every check has is read here; the other options belong to its kind, which judges them (checks/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pytest_sergas.config.check_options import CHECK_OPTIONS
from pytest_sergas.config.entries import NAME, Entries
from pytest_sergas.config.section import Key, Section
from pytest_sergas.core import kinds

_SECONDS = kinds.duration(0, 86_400, "seconds", open_below=True)

COMMON: Mapping[str, Key] = MappingProxyType(
    {
        "type": Key(NAME, "the kind of check", '"http"'),
        "name": Key(NAME, "the component's name; default: the type", '"shop"'),
        "timeout": Key(_SECONDS, "seconds that the check may take; default: health_check_timeout", "5"),
        "interval": Key(_SECONDS, "seconds from one check to the next; default: health_check_interval", "15"),
        "failures": Key(kinds.whole(1, 100, "results"), "bad results in a row that make the state worse", "2"),
        "successes": Key(kinds.whole(1, 100, "results"), "good results in a row that make the state better", "1"),
        "depends_on": Key(kinds.texts, "checks without which this one cannot pass; none by default", '["database"]'),
    }
)


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """One entry of ``[[checks]]``; timeout and interval in seconds.

    Attributes:
        options: what belongs to the kind of check, as it is written.
    """

    type: str
    name: str
    timeout: float = 10.0
    interval: float = 30.0
    failures: int = 2
    successes: int = 1
    depends_on: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict, repr=False)

    def public(self) -> dict[str, object]:
        """Return everything as it would be written; whoever shows it hides the secrets."""
        own = {key: getattr(self, key) for key in COMMON}
        return {**own, **self.options}


@dataclass(frozen=True, slots=True)
class ChecksSettings:
    """The checks in force, and the seconds of those that say nothing themselves.

    Attributes:
        machine: whether this machine is checked, because the configuration says nothing about checks.
    """

    health_check_timeout: float = 10.0
    health_check_interval: float = 30.0
    checks: tuple[CheckSettings, ...] = ()
    machine: bool = False


def _settings(**values: Any) -> ChecksSettings:
    machine = "checks" not in values
    entries: Iterable[Mapping[str, Any]] = values.pop("checks", ())
    general = ChecksSettings(**values)
    defaults = {"timeout": general.health_check_timeout, "interval": general.health_check_interval}
    checks = tuple(CheckSettings(**{**defaults, **entry}) for entry in entries)
    return ChecksSettings(general.health_check_timeout, general.health_check_interval, checks, machine)


def _written(key: str, value: Any) -> object:
    return [entry.public() for entry in value] if key == "checks" else value


_checks = Entries(
    "check", COMMON, 'has no type; say what is checked, such as type = "http"', CHECK_OPTIONS, "pytest_sergas.checks"
)

CHECKS: Section[ChecksSettings] = Section(
    name="checks",
    keys=MappingProxyType(
        {
            "health_check_timeout": Key(_SECONDS, "seconds that a check may take that says nothing itself", "10"),
            "health_check_interval": Key(_SECONDS, "seconds from one run of such a check to the next", "30"),
            "checks": Key(
                _checks, "what is checked: a table [[checks]] for each; default: this machine", '[{type = "system"}]'
            ),
        }
    ),
    settings=_settings,
    written=_written,
    at_top=True,
)
