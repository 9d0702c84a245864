"""What values a key may take, the same for a marker's keyword and for a key in a configuration file.

A kind turns a raw value into the one that is used, or raises `NotAllowed` with what would be allowed.
A number is never a boolean, although Python says so, and never NaN or infinite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pytest_sergas.core.frozen import dataclass

Kind = Callable[[object], Any]

YEAR_S = 366 * 24 * 3600.0
TEXT_LIMIT = 4_096
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"
_PERCENT = r"(\d+(?:\.\d+)?)\s*%"
# The units of Prometheus, the longest first, each at most once.
_UNITS_S = {"y": 365 * 86_400.0, "w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_AMOUNT = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)"
_SPAN = "".join(rf"(?:{_AMOUNT}\s*{unit})?\s*" for unit in _UNITS_S)


class NotAllowed(ValueError):
    """A value is not of its kind; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """An entry inside a table that cannot be used.

    Attributes:
        path: the keys that lead to it, the last one its own.
        text: what is wrong with it, what is allowed, or what to do.
    """

    path: tuple[str, ...]
    value: object
    text: str


class WrongInside(NotAllowed):
    """Entries of a table are wrong; ``usable`` is what the others amount to."""

    def __init__(self, wrong: tuple[Wrong, ...], usable: object) -> None:
        self.wrong = wrong
        self.usable = usable
        super().__init__("; ".join(f"{'.'.join(entry.path)}: {entry.text}" for entry in wrong))


def number(minimum: float, maximum: float, what: str, *, open_below: bool = False) -> Kind:
    """A finite number between ``minimum`` and ``maximum``; ``open_below`` leaves the minimum itself out."""
    above = "more than" if open_below else "at least"
    allowed = f"allowed: {what}, {above} {minimum:.12g} and at most {maximum:.12g}"

    def read(value: object) -> float:
        # Compared before it is converted: a whole number of 400 digits has no float, and NaN is in no range.
        if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
            raise NotAllowed(allowed)
        if open_below and value == minimum:
            raise NotAllowed(allowed)
        return float(value)

    return read


def duration(minimum: float, maximum: float, what: str, *, open_below: bool = False, unit_s: float = 1.0) -> Kind:
    """A length of time in units of ``unit_s`` seconds: a number of them, or a text such as ``"5ms"`` or ``"1h30m"``.

    A text that is a number counts units too: it is how the environment and a command line say one.
    """
    plain = number(minimum, maximum, what, open_below=open_below)

    def read(value: object) -> float:
        try:
            return float(plain(_units(value, unit_s) if isinstance(value, str) else value))
        except NotAllowed as wrong:
            raise NotAllowed(f"{wrong}, such as 90 or '1h30m'") from None

    return read


def _units(text: str, unit_s: float) -> object:
    """Return how many units ``text`` says, or the text itself when it says none."""
    stripped = text.strip()
    if re.fullmatch(_AMOUNT, stripped):
        return float(stripped)
    found = re.fullmatch(_SPAN, stripped)
    if found is None or not any(found.groups()):
        return text
    amounts = zip(found.groups(), _UNITS_S.values(), strict=True)
    return sum(float(amount) * length_s for amount, length_s in amounts if amount) / unit_s


def whole(minimum: int, maximum: int, what: str) -> Kind:
    """A whole number between ``minimum`` and ``maximum``, both included."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise NotAllowed(f"allowed: {what}, a whole number from {minimum} to {maximum}")
        return value

    return read


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise NotAllowed("allowed: true or false")
    return value


def text(value: object) -> str:
    """Text on one line that is not empty, of at most `TEXT_LIMIT` characters."""
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_LIMIT or _has_control(value):
        raise NotAllowed(f"allowed: text on one line, not empty, of at most {TEXT_LIMIT} characters")
    return value


def _has_control(value: str) -> bool:
    # What is printable has none: the pattern need not be compiled in most runs.
    return not value.isprintable() and re.search(_CONTROL, value) is not None


def pattern(regex: str, allowed: str) -> Kind:
    """Text of which the whole matches ``regex``."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(regex, value):
            raise NotAllowed(f"allowed: {allowed}")
        return value

    return read


def one_of(*choices: str) -> Kind:
    """One of a few words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise NotAllowed(f"allowed: {', '.join(map(repr, choices))}")
        return value

    return read


def texts(value: object) -> tuple[str, ...]:
    """A list of texts; a single text is a list of one."""
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise NotAllowed("allowed: a list of texts")
    try:
        return tuple(text(item) for item in items)
    except NotAllowed as wrong:
        raise NotAllowed(f"in the list {wrong}") from None


def exceptions(value: object) -> tuple[str, ...]:
    """Names of exceptions, none for any; the classes themselves where Python is at hand (in a marker)."""
    items = value if isinstance(value, list | tuple) else (value,)
    names = tuple(item.__name__ if _is_exception(item) else item for item in items)
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise NotAllowed('allowed: a list of exceptions without their modules, such as ["ConnectionError"]')
    return names


def share(value: object) -> float:
    """A part of something: ``"20%"``, or 0.2; more than 0 and at most 10 times."""
    match = re.fullmatch(_PERCENT, value) if isinstance(value, str) else None
    part = float(match[1]) / 100 if match else value
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 < part <= 10:
        raise NotAllowed('allowed: a share such as "20%" or 0.2, more than 0% and at most 1000%')
    return float(part)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the closest of the ``known`` words, whatever their case, or "" when none is close.

    Args:
        cutoff: from 0 to 1: how much of a word has to be the same.
    """
    import difflib  # only where something is wrong already: it is a third of what the configuration costs to import

    plain = {_plain(name): name for name in sorted(known)}
    found = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=cutoff)
    return plain[found[0]] if found else ""


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_")


def _is_exception(item: object) -> bool:
    return isinstance(item, type) and issubclass(item, BaseException)
