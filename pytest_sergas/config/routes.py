"""``[[routes]]`` and ``[[maintenance]]``: which alerts go to whom, how often, and when not at all.

[[routes]]
match = ['severity="critical"', 'type=~"smoke|e2e"']
channels = ["on-call"]
repeat_interval = 3600
escalate = [{after = 1800, channels = ["lead"]}]

[[maintenance]]
match = ['job="shop"']
days = ["sat"]
from = "22:00"
to = "02:00"
timezone = "Europe/Berlin"
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from types import MappingProxyType
from typing import Any

from pytest_sergas.config.section import Key, Section
from pytest_sergas.core import kinds
from pytest_sergas.core.routes import (
    DEFAULT,
    Escalation,
    Route,
    never_reached,
    parse_matcher,
    read_matcher,
    write_matcher,
)
from pytest_sergas.core.series import Matcher
from pytest_sergas.core.silences import DAYS, Window
from pytest_sergas.errors import ConfigurationError

_NAME = kinds.pattern(r"[A-Za-z0-9_.:/-]{1,100}", "a name of letters, digits and _.:/-, at most 100 characters")
_SECONDS = kinds.duration(0, kinds.YEAR_S, "seconds")
_POSITIVE_S = kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True)
_LABEL = kinds.pattern(r"[a-zA-Z_][a-zA-Z0-9_]*", "names of labels")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


@dataclass(frozen=True, slots=True)
class RoutesSettings:
    """The routes and maintenance windows as they are written.

    Attributes:
        alert_cooldown: seconds; for routes that say nothing themselves.
    """

    alert_cooldown: float = 300.0
    routes: tuple[Route, ...] = ()
    maintenance: tuple[Window, ...] = ()


def routing(settings: RoutesSettings, configured: tuple[str, ...], added: tuple[str, ...] = ()) -> tuple[Route, ...]:
    """Return the routes in force: those of the configuration, or one that takes everything to all channels.

    An added channel that no route names is notified by the default route: the last one without matchers that is
    reached, or one behind all others.

    Args:
        configured: the names of the channels of the configuration.
        added: the names of those that a program has added.

    Raises:
        ConfigurationError: a route names a channel that is not there; with every fault.
    """
    channels = (*configured, *added)
    if not settings.routes:
        return (Route(channels=channels, cooldown_s=settings.alert_cooldown),)
    faults = [
        f"routes.{route.name}: channels = {name!r}: there is no channel of that name; {_there_are(name, channels)}"
        for route in settings.routes
        for name in _channels_of(route)
        if name not in channels
    ]
    if faults:
        raise ConfigurationError(tuple(faults))
    named = {name for route in settings.routes for name in _channels_of(route)}
    unnamed = tuple(name for name in added if name not in named)
    return _with_default(settings, unnamed) if unnamed else settings.routes


def route_warnings(routes: Sequence[Route]) -> list[str]:
    """Return a line for each route that is never tried, because an earlier one takes what it would match."""
    return [
        f"routes.{route.name}: is never reached: routes.{earlier.name} before it takes "
        f"{'all that it matches' if earlier.matchers else 'everything'}; move it before that one, "
        "or set continue = true there"
        for route, earlier in never_reached(routes)
    ]


def _channels_of(route: Route) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*route.channels, *(name for step in route.escalations for name in step.channels))))


def _with_default(settings: RoutesSettings, unnamed: tuple[str, ...]) -> tuple[Route, ...]:
    """Return the routes with the channels that none of them names in the default one."""
    routes = list(settings.routes)
    hidden = {route.name for route, _ in never_reached(routes)}
    general = [number for number, route in enumerate(routes) if not route.matchers and route.name not in hidden]
    if not general:
        taken = {route.name for route in routes}
        names = chain((DEFAULT,), (f"{DEFAULT}-{number}" for number in count(2)))
        name = next(name for name in names if name not in taken)
        return (*routes, Route(name, channels=unnamed, cooldown_s=settings.alert_cooldown))
    default = routes[general[-1]]
    routes[general[-1]] = replace(default, channels=(*default.channels, *unnamed))
    return tuple(routes)


def _there_are(name: str, channels: tuple[str, ...]) -> str:
    if near := kinds.nearest(name, channels):
        return f"did you mean {near!r}?"
    return f"there are: {', '.join(map(repr, channels))}" if channels else "[[channels]] makes one"


def _matchers(value: object) -> tuple[Matcher, ...]:
    texts = kinds.texts(value)
    try:
        return tuple(read_matcher(text) for text in texts)
    except kinds.NotAllowed:
        raise
    except ValueError as error:
        raise kinds.NotAllowed(str(error)) from None
    except ModuleNotFoundError:
        # Where tests run, what reads expressions is not installed; the sidecar, which uses them, has it.
        return tuple(parse_matcher(text) for text in texts)


def _labels(value: object) -> tuple[str, ...]:
    return tuple(_LABEL(text) for text in kinds.texts(value))


def _escalations(value: object) -> tuple[Escalation, ...]:
    allowed = 'allowed: a list of tables such as [{after = 1800, channels = ["lead"]}]'
    if not isinstance(value, list):
        raise kinds.NotAllowed(allowed)
    steps = []
    for entry in value:
        if not isinstance(entry, dict) or entry.keys() != {"after", "channels"}:
            raise kinds.NotAllowed(allowed)
        steps.append(Escalation(_POSITIVE_S(entry["after"]), kinds.texts(entry["channels"])))
    return tuple(steps)


def _days(value: object) -> tuple[str, ...]:
    one = kinds.one_of(*DAYS)
    return tuple(one(day) for day in kinds.texts(value))


def _time_of_day(value: object) -> float:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise kinds.NotAllowed('allowed: a time of the day such as "22:00", from "00:00" to "24:00"')
    hours, _, minutes = value.partition(":")
    return int(hours) * 3600.0 + int(minutes) * 60.0


def _timezone(value: object) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    name = kinds.text(value)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise kinds.NotAllowed('allowed: a time zone such as "Europe/Berlin", or "UTC"') from None
    return name


ROUTE_KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "name": Key(_NAME, "the route's name; default: its number", '"smoke"'),
        "match": Key(_matchers, "matchers that all have to match; default: everything", "['severity=\"critical\"']"),
        "channels": Key(kinds.texts, "channels that are told; [] for alerts that nobody is told about", '["on-call"]'),
        "group_by": Key(_labels, "labels; alerts that agree in them are told together", '["job"]'),
        "group_wait": Key(_SECONDS, "seconds that the first alert of a group waits for others", "2"),
        "group_interval": Key(_SECONDS, "seconds from one message about a group to the next, at least", "30"),
        "repeat_interval": Key(_POSITIVE_S, "seconds after which what still fires is told again", "14400"),
        "cooldown": Key(
            _SECONDS, "seconds from one beginning of an alert that is told to the next; default: alert_cooldown", "300"
        ),
        "escalate": Key(
            _escalations,
            "channels that are told as well when it still fires later",
            '[{after = 1800, channels = ["l"]}]',
        ),
        "continue": Key(kinds.boolean, "try the later routes as well", "false"),
    }
)
WINDOW_KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "name": Key(_NAME, "the window's name; default: its number", '"backup"'),
        "match": Key(_matchers, "matchers that all have to match; default: everything", "['job=\"shop\"']"),
        "days": Key(_days, "days on which it begins; default: every day", '["sat", "sun"]'),
        "from": Key(_time_of_day, "when it begins", '"22:00"'),
        "to": Key(_time_of_day, "when it ends, on the next day when that is no later", '"02:00"'),
        "timezone": Key(_timezone, "whose time that is; default: UTC", '"Europe/Berlin"'),
    }
)
_ROUTE_FIELDS = {
    "name": "name",
    "match": "matchers",
    "channels": "channels",
    "group_by": "group_by",
    "group_wait": "group_wait_s",
    "group_interval": "group_interval_s",
    "repeat_interval": "repeat_interval_s",
    "cooldown": "cooldown_s",
    "escalate": "escalations",
    "continue": "goes_on",
}


@dataclass(frozen=True, slots=True)
class _Tables:
    """The kind of a list of tables with known keys."""

    noun: str
    keys: Mapping[str, Key]
    required: tuple[str, ...]

    def __call__(self, raw: object) -> tuple[Mapping[str, Any], ...]:
        if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
            raise kinds.NotAllowed(f"allowed: a list of tables, each of which begins with [[{self.noun}]]")
        wrong: list[kinds.Wrong] = []
        taken: set[str] = set()
        usable = []
        for number, table in enumerate(raw, start=1):
            entry = self._entry(str(number), table, wrong)
            if (name := entry["name"]) in taken:
                wrong.append(kinds.Wrong((name, "name"), name, "is the name of another one already; give each its own"))
            taken.add(name)
            usable.append(entry)
        if wrong:
            raise kinds.WrongInside(tuple(wrong), ())
        return tuple(usable)

    def _entry(self, number: str, table: Mapping[str, object], wrong: list[kinds.Wrong]) -> dict[str, Any]:
        named = table.get("name")
        place = named if isinstance(named, str) else number
        values: dict[str, Any] = {"name": place}
        for key, raw in table.items():
            if key not in self.keys:
                near = kinds.nearest(key, self.keys)
                hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(self.keys)}"
                wrong.append(kinds.Wrong((place, key), raw, f"unknown key; {hint}"))
                continue
            try:
                values[key] = self.keys[key].kind(raw)
            except kinds.NotAllowed as reason:
                wrong.append(kinds.Wrong((place, key), raw, str(reason)))
        for key in self.required:
            if key not in table:
                text = f"has no {key}; such as {key} = {self.keys[key].example}"
                wrong.append(kinds.Wrong((place,), dict(table), text))
        return values


def _settings(**values: Any) -> RoutesSettings:
    cooldown_s = values.get("alert_cooldown", RoutesSettings().alert_cooldown)
    routes = tuple(
        Route(**{"cooldown_s": cooldown_s, **{_ROUTE_FIELDS[key]: value for key, value in entry.items()}})
        for entry in values.get("routes", ())
    )
    windows = tuple(
        Window(
            entry["name"],
            entry.get("match", ()),
            entry.get("days", DAYS),
            entry["from"],
            entry["to"],
            entry.get("timezone", "UTC"),
        )
        for entry in values.get("maintenance", ())
    )
    return RoutesSettings(cooldown_s, routes, windows)


def _written(key: str, value: Any) -> object:
    if key == "routes":
        return [_written_route(route) for route in value]
    if key == "maintenance":
        return [_written_window(window) for window in value]
    return value


def _written_route(route: Route) -> dict[str, object]:
    found: dict[str, object] = {key: getattr(route, name) for key, name in _ROUTE_FIELDS.items()}
    escalations = [{"after": step.after_s, "channels": step.channels} for step in route.escalations]
    return {**found, "match": [write_matcher(matcher) for matcher in route.matchers], "escalate": escalations}


def _written_window(window: Window) -> dict[str, object]:
    matchers = [write_matcher(matcher) for matcher in window.matchers]
    begins, ends = (f"{int(at_s // 3600):02}:{int(at_s % 3600 // 60):02}" for at_s in (window.from_s, window.to_s))
    about = {"name": window.name, "match": matchers, "days": window.days}
    return {**about, "from": begins, "to": ends, "timezone": window.timezone}


ROUTES: Section[RoutesSettings] = Section(
    name="routes",
    keys=MappingProxyType(
        {
            "alert_cooldown": Key(_SECONDS, "seconds of cooldown for routes that say nothing themselves", "300"),
            "routes": Key(
                _Tables("routes", ROUTE_KEYS, ("channels",)),
                "which alerts go to whom: a table [[routes]] for each; default: all to every channel",
                '[{channels = ["log"]}]',
            ),
            "maintenance": Key(
                _Tables("maintenance", WINDOW_KEYS, ("from", "to")),
                "when alerts are not told: a table [[maintenance]] for each",
                '[{from = "22:00", to = "02:00"}]',
            ),
        }
    ),
    settings=_settings,
    written=_written,
    at_top=True,
)
