r"""Which alerts go to whom: routes, and the matchers with which routes and silences select alerts.

    matcher = label ("=" | "!=" | "=~" | "!~") value          the value may stand in double quotes, as in Alertmanager

Routes are tried in order. The first that matches decides, and the next ones are tried only after one that says
``continue``. Without any route there is one that takes everything to every channel.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pytest_sergas.core.series import Labels, Matcher

DEFAULT = "default"

_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!=|!~|=)\s*("(?:[^"\\]|\\.)*"|[^"]*?)\s*')
_ALLOWED = 'allowed: a label, one of = != =~ !~, and a value, such as severity="critical" or type=~"smoke|e2e"'

Matches = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who is told as well when an alert still fires ``after_s`` seconds after it began to."""

    after_s: float
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Where the alerts go that it matches, and how; times in seconds.

    Attributes:
        name: its own among all routes, for people; nothing is kept under it.
        matchers: all of them have to match; none match everything.
        channels: names of channels; empty for alerts that nobody is to be told about.
        group_by: labels; alerts that agree in them are one group, and one message.
        group_wait_s: how long the first alert of a group waits for others.
        group_interval_s: the least time from one message about a group to the next.
        repeat_interval_s: how often it is told again what still fires.
        cooldown_s: the least time between two times that one alert begins to be told, unless it has become worse.
        goes_on: whether later routes are tried as well.
    """

    name: str = DEFAULT
    matchers: tuple[Matcher, ...] = ()
    channels: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ("job",)
    group_wait_s: float = 2.0
    group_interval_s: float = 30.0
    repeat_interval_s: float = 4 * 3600.0
    cooldown_s: float = 300.0
    escalations: tuple[Escalation, ...] = ()
    goes_on: bool = False

    def group_labels(self, labels: Labels) -> Labels:
        """Return what an alert with ``labels`` has in common with its group."""
        return tuple(pair for pair in labels if pair[0] in self.group_by)

    def group_key(self, group_labels: Labels) -> str:
        """Return what receivers know a group by: as in Alertmanager, the matchers and what the alerts share.

        It is the same wherever the route stands, whatever it is called, and whoever it notifies.
        """
        matchers = ",".join(sorted(write_matcher(matcher) for matcher in self.matchers))
        shared = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in group_labels)
        return f"{{{matchers}}}:{{{shared}}}"

    @property
    def content(self) -> str:
        """A digest of everything but the name and the place: a route that says the same is the same route."""
        said = (
            sorted(map(write_matcher, self.matchers)),
            sorted(set(self.channels)),
            sorted(set(self.group_by)),
            [self.group_wait_s, self.group_interval_s, self.repeat_interval_s, self.cooldown_s],
            sorted([step.after_s, sorted(set(step.channels))] for step in self.escalations),
        )
        return hashlib.sha256(json.dumps(said).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def reached(self) -> tuple[str, ...]:
        """The channels that the route notifies, those of its escalations included, each once."""
        return tuple(dict.fromkeys((*self.channels, *(name for step in self.escalations for name in step.channels))))


def never_reached(routes: Sequence[Route]) -> list[tuple[Route, Route]]:
    """Return the routes that are never tried, each with the earlier one that takes whatever it would match.

    That one has no matchers, or only such as the later one has too, and does not say ``continue``. Whether one regular
    expression takes what another one matches is not looked into, but for ``.*``.
    """
    found = []
    for number, route in enumerate(routes):
        for earlier in routes[:number]:
            if not earlier.goes_on and _choosing(earlier) <= set(route.matchers):
                found.append((route, earlier))
                break
    return found


def _choosing(route: Route) -> set[Matcher]:
    """Return the matchers that not everything matches."""
    return {matcher for matcher in route.matchers if (matcher.op, matcher.value) != ("=~", ".*")}


class Router:
    """Routes, ready to be asked.

    Raises:
        ValueError: a regular expression is none.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._compiled = [(route, all_of(route.matchers)) for route in routes]

    def find(self, labels: Labels) -> tuple[Route, ...]:
        """Return the routes that take an alert with ``labels``, in their order; none when nobody is to be told."""
        given = dict(labels)
        found: list[Route] = []
        for route, matches in self._compiled:
            if matches(given):
                found.append(route)
                if not route.goes_on:
                    break
        return tuple(found)


def read_matcher(text: str) -> Matcher:
    """Return the matcher that ``text`` is; of an expression it is made sure that it is one.

    Raises:
        ValueError: it is none; the text says what is allowed.
    """
    matcher = parse_matcher(text)
    matcher.predicate()
    return matcher


def parse_matcher(text: str) -> Matcher:
    """Return the matcher that ``text`` is, whose expression may not be one; otherwise like `read_matcher`."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(_ALLOWED)
    label, op, value = found.groups()
    if value.startswith('"'):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError(_ALLOWED) from None
    return Matcher(label, cast("Literal['=', '!=', '=~', '!~']", op), value)


def write_matcher(matcher: Matcher) -> str:
    """Return ``matcher`` as `read_matcher` reads it."""
    return f"{matcher.label}{matcher.op}{json.dumps(matcher.value, ensure_ascii=False)}"


def all_of(matchers: Iterable[Matcher]) -> Matches:
    """Return what says whether labels fulfil all ``matchers``; a label that is not there is empty."""
    compiled = [(matcher.label, matcher.predicate()) for matcher in matchers]
    return lambda labels: all(holds(labels.get(label, "")) for label, holds in compiled)
