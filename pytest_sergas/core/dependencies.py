"""What tests need beside themselves: checks of the configuration, by name, and whether what they check was there.

A check that passed once is believed until a test that needs it fails; then it is looked at again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_sergas.core import kinds
from pytest_sergas.core.policy import Policy


class Availability(StrEnum):
    """How a dependency was; from best to worst."""

    AVAILABLE = "available"
    LOST = "lost"
    UNAVAILABLE = "unavailable"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Need:
    """A check that tests of the run need.

    Attributes:
        name: the check's.
        wait_s: the longest that one of the types is ready to wait for it.
        types: whose tests need it.
    """

    name: str
    wait_s: float = 0.0
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dependency:
    """What became of a need.

    Attributes:
        availability: ``lost`` is one that was there at the start, and not any more when a test failed; ``missing`` is
            one that no check has for a name.
        message: the check's own; of a missing one, what to do about it, on several lines.
        waited_s: seconds until it was there, or until nobody waited any longer.
    """

    name: str
    availability: Availability
    message: str = ""
    types: tuple[str, ...] = ()
    waited_s: float = 0.0

    @property
    def is_there(self) -> bool:
        return self.availability is Availability.AVAILABLE

    @property
    def text(self) -> str:
        """What is said about it, on one line."""
        waited = f" after {self.waited_s:.1f} s" if self.waited_s >= 0.1 else ""
        match self.availability:
            case Availability.AVAILABLE:
                return f"{self.name} is available{waited}"
            case Availability.UNAVAILABLE:
                return f"{self.name} is unavailable{waited}: {self.message}"
            case Availability.MISSING:
                return self.message.partition("\n")[0]
            case _:
                return f"{self.name} became unavailable during the run: {self.message}"


def needs(policies: Iterable[Policy]) -> tuple[Need, ...]:
    """Return what tests with these ``policies`` need, each check once."""
    waits_s: dict[str, float] = {}
    types: dict[str, dict[str, None]] = {}
    for policy in policies:
        for name in policy.dependencies:
            waits_s[name] = max(waits_s.get(name, 0.0), policy.wait_s)
            types.setdefault(name, {})[policy.type] = None
    return tuple(Need(name, wait_s, tuple(types[name])) for name, wait_s in waits_s.items())


def unknown(name: str, checks: Sequence[str]) -> str:
    """Return what to say about a dependency that no check has for a name.

    Args:
        checks: the names that there are.
    """
    if near := kinds.nearest(name, checks):
        hint = f"did you mean {near!r}?"
    elif checks:
        hint = f"there are: {', '.join(map(repr, checks))}"
    else:
        hint = "there are no [[checks]] in the configuration"
    return f"dependencies = {name!r}: there is no check of that name; {hint}"


# What a dependency is called → the kind of check that it probably is, and the option without which that does nothing.
_LIKELY = (
    (("sqlite",), "sqlite", 'path = "shop.db"'),
    (("redis", "cache"), "redis", 'url = "redis://127.0.0.1:6379/0"'),
    (("database", "db", "postgres", "pg", "sql"), "postgresql", 'url = "postgresql://shop@127.0.0.1:5432/shop"'),
)
_OTHERWISE = ("http", 'url = "http://127.0.0.1:8080/health"')


def lines_to_add(name: str, file: str) -> str:
    """Return the lines that give a dependency its check.

    Args:
        file: the configuration file; "" where there is none.
    """
    likely = ((kind, option) for words, kind, option in _LIKELY if any(word in name.lower() for word in words))
    kind, option = next(likely, _OTHERWISE)
    table = "[[tool.sergas.checks]]" if file == "pyproject.toml" else "[[checks]]"
    lines = (table, f'type = "{kind}"', f"name = {json.dumps(name)}", option)
    place = file if file == "pyproject.toml" else "sergas.toml"
    return "\n".join((f"Add a check to {place}, such as:", "", *(f"    {line}" for line in lines)))


def reason(names: Sequence[str], known: Mapping[str, Dependency]) -> str:
    """Return why a test that needs ``names`` cannot run, or "" when it can."""
    return "; ".join(known[name].text for name in names if name in known and not known[name].is_there)


def joined(dependencies: Iterable[Dependency]) -> tuple[Dependency, ...]:
    """Return those of several runs together: of two of one name the worse, with the types of both."""
    found: dict[str, Dependency] = {}
    order = list(Availability)
    for one in dependencies:
        other = found.get(one.name, one)
        worse = max(other, one, key=lambda each: order.index(each.availability))
        types = tuple(dict.fromkeys((*other.types, *one.types)))
        waited_s = max(other.waited_s, one.waited_s)
        found[one.name] = Dependency(one.name, worse.availability, worse.message, types, waited_s)
    return tuple(found.values())
