"""What values a key may take, the same for a marker's keyword and for a key in a configuration file.

A kind turns a raw value into the one that is used, or raises `NotAllowed` with what would be allowed.
A number is never a boolean, although Python says so, and never NaN or infinite.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Kind = Callable[[object], Any]

YEAR_S = 366 * 24 * 3600.0
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class NotAllowed(ValueError):
    """A value is not of its kind; the text says what is allowed."""


def number(minimum: float, maximum: float, what: str, *, open_below: bool = False) -> Kind:
    """A finite number between ``minimum`` and ``maximum``; ``open_below`` leaves the minimum itself out."""
    above = "more than" if open_below else "at least"
    allowed = f"allowed: {what}, {above} {minimum:g} and at most {maximum:g}"

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise NotAllowed(allowed)
        if value > maximum or value < minimum or (open_below and value == minimum):
            raise NotAllowed(allowed)
        return float(value)

    return read


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
    """Text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise NotAllowed("allowed: text that is not empty")
    return value


def pattern(regex: str, allowed: str) -> Kind:
    """Text of which the whole matches ``regex``."""
    compiled = re.compile(regex)

    def read(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise NotAllowed(f"allowed: {allowed}")
        return value

    return read


def one_of(*choices: str) -> Kind:
    """One of a few words."""

    def read(value: object) -> str:
        if value not in choices:
            raise NotAllowed(f"allowed: {', '.join(map(repr, choices))}")
        return str(value)

    return read


def texts(value: object) -> tuple[str, ...]:
    """A list of texts; a single text is a list of one."""
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) and item for item in items):
        raise NotAllowed("allowed: a list of texts that are not empty")
    return tuple(items)


def exceptions(value: object) -> tuple[str, ...]:
    """Names of exceptions; the classes themselves where Python is at hand (in a marker)."""
    items = value if isinstance(value, list | tuple) else (value,)
    names = tuple(item.__name__ if _is_exception(item) else item for item in items)
    if not names or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise NotAllowed('allowed: exceptions, such as "ConnectionError", in a list')
    return names


def share(value: object) -> float:
    """A part of something: ``"20%"``, or 0.2; more than 0 and at most 10 times."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    part = float(match[1]) / 100 if match else value
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 < part <= 10:
        raise NotAllowed('allowed: a share such as "20%" or 0.2, more than 0% and at most 1000%')
    return float(part)


def table_of_texts(names: Kind, values: Kind = text) -> Kind:
    """A table of texts whose keys are of the kind ``names``."""

    def read(value: object) -> Mapping[str, str]:
        if not isinstance(value, dict):
            raise NotAllowed('allowed: a table, such as {branch = "main"}')
        return {names(name): values(entry) for name, entry in value.items()}

    return read


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the closest of the ``known`` words, or "" when none is close."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def _is_exception(item: object) -> bool:
    return isinstance(item, type) and issubclass(item, BaseException)
