"""The functions that a template may call, and values as Go writes them.

Those of Prometheus (template/template.go) and of Go's text/template that need nothing but their operands.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pytest_sergas.core.printf import Value, not_finite, shown, shown_float, sprintf
from pytest_sergas.core.regex import compile_pattern, expanded

Call = Callable[[Sequence[Value]], Value]

_MANY = 20  # operands
_FLOAT = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.IGNORECASE | re.ASCII)
_DAY_S = 86_400


class ExpansionError(ValueError):
    """A template cannot be expanded with these values; the text says why."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function, and how many operands it takes: from ``least`` to ``most``."""

    least: int
    most: int
    call: Call

    @property
    def arity(self) -> str:
        if self.most == _MANY:
            return f"at least {self.least} operands"
        return "1 operand" if self.most == 1 else f"{self.most} operands"


def is_true(value: Value) -> bool:
    """Whether ``if`` takes a value for true: it is neither false, nor 0, nor empty."""
    return bool(value)


def _number(value: Value) -> float:
    match value:
        case bool() | dict():
            raise ExpansionError(f"{shown(value)} is not a number")
        case str() if _FLOAT.fullmatch(value):
            return float(value)
        case str():
            raise ExpansionError(f"{value!r} is not a number")
        case _:
            return float(value)


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise ExpansionError(f"{shown(value)} is not a text; printf makes one of it")
    return value


def _four_digits(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else not_finite(value)


def _scaled(value: float, step: float, prefixes: Sequence[str]) -> str:
    prefix = ""
    for larger in prefixes:
        if abs(value) < step:
            break
        prefix, value = larger, value / step
    return f"{_four_digits(value)}{prefix}"


def _small(value: float) -> str:
    prefix = ""
    for smaller in ("m", "u", "n", "p", "f", "a", "z", "y"):
        if abs(value) >= 1:
            break
        prefix, value = smaller, value * 1000
    return f"{_four_digits(value)}{prefix}"


def humanize(value: float) -> str:
    """Return a number with a metric prefix: 1234567 is ``1.235M``."""
    if value == 0 or not math.isfinite(value):
        return _four_digits(value)
    return _scaled(value, 1000.0, ("k", "M", "G", "T", "P", "E", "Z", "Y")) if abs(value) >= 1 else _small(value)


def humanize1024(value: float) -> str:
    """Return a number with a prefix of powers of 1024: 1234567 is ``1.177Mi``."""
    if abs(value) <= 1 or not math.isfinite(value):
        return _four_digits(value)
    return _scaled(value, 1024.0, ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"))


def humanize_duration(value: float) -> str:
    """Return seconds as people say them: 3661 is ``1h 1m 1s``."""
    if not math.isfinite(value):
        return _four_digits(value)
    if value == 0 or abs(value) >= 2**63:
        return f"{_four_digits(value)}s"
    if abs(value) < 1:
        return f"{_small(value)}s"
    sign, whole = ("-" if value < 0 else ""), int(abs(value))
    days, hours, minutes, seconds = whole // _DAY_S, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{_four_digits(abs(value))}s"


def humanize_percentage(value: float) -> str:
    """Return a share in percent: 0.25 is ``25%``."""
    return f"{_four_digits(value * 100)}%"


def humanize_timestamp(value: float) -> str:
    """Return seconds since the Unix epoch as a time of day in UTC, to the millisecond."""
    if not math.isfinite(value):
        return _four_digits(value)
    if abs(value * 1e9) >= 2**63:
        raise ExpansionError(f"{shown_float(value)} cannot be represented as a nanoseconds timestamp")
    milliseconds = int(value * 1e9) // 1_000_000
    whole, rest = divmod(milliseconds, 1000)
    days, second = divmod(whole, _DAY_S)
    year, month, day = _civil(days)
    fraction = f".{rest:03d}".rstrip("0").rstrip(".")
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d} {clock}{fraction} +0000 UTC"


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the ``days``-th day after 1970-01-01.

    Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, so that the leap day is last.
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def _printf(operands: Sequence[Value]) -> str:
    return sprintf(_text(operands[0]), operands[1:])


def _pattern(written: Value) -> Any:
    try:
        return compile_pattern(_text(written))
    except ValueError as error:
        raise ExpansionError(str(error)) from error


def _replace_all(operands: Sequence[Value]) -> str:
    template = _text(operands[1])
    return str(_pattern(operands[0]).sub(lambda found: expanded(template, found), _text(operands[2])))


def _title(value: str) -> str:
    return re.sub(r"(?<!\w)\w", lambda found: found[0].upper(), value)


def _kind(value: Value) -> str:
    match value:
        case bool():
            return "a truth value"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "a text"
        case _:
            return "labels"


def _comparing(compare: Callable[[Any, Any], bool]) -> Call:
    def call(operands: Sequence[Value]) -> bool:
        first, *others = operands
        for other in others:
            if _kind(first) != _kind(other) or isinstance(first, dict):
                hint = "; write 10.0 for 10" if {_kind(first), _kind(other)} == {"a number", "a whole number"} else ""
                raise ExpansionError(f"{_kind(first)} and {_kind(other)} cannot be compared{hint}")
        return any(compare(first, other) for other in others)

    return call


def _index(operands: Sequence[Value]) -> Value:
    table, key = operands
    if not isinstance(table, dict):
        raise ExpansionError(f"index: {shown(table)} has no keys")
    return table.get(_text(key), "")


def _len(operands: Sequence[Value]) -> int:
    value = operands[0]
    if not isinstance(value, str | dict):
        raise ExpansionError(f"len: {shown(value)} has no length")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _of_number(function: Callable[[float], str]) -> Function:
    return Function(1, 1, lambda operands: function(_number(operands[0])))


def _of_text(function: Callable[[str], str]) -> Function:
    return Function(1, 1, lambda operands: function(_text(operands[0])))


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "humanize": _of_number(humanize),
        "humanize1024": _of_number(humanize1024),
        "humanizeDuration": _of_number(humanize_duration),
        "humanizePercentage": _of_number(humanize_percentage),
        "humanizeTimestamp": _of_number(humanize_timestamp),
        "toUpper": _of_text(str.upper),
        "toLower": _of_text(str.lower),
        "title": _of_text(_title),
        "match": Function(2, 2, lambda operands: _pattern(operands[0]).search(_text(operands[1])) is not None),
        "reReplaceAll": Function(3, 3, _replace_all),
        "printf": Function(1, _MANY, _printf),
        "index": Function(2, 2, _index),
        "len": Function(1, 1, _len),
        "eq": Function(2, _MANY, _comparing(operator.eq)),
        "ne": Function(2, 2, _comparing(operator.ne)),
        "lt": Function(2, 2, _comparing(operator.lt)),
        "le": Function(2, 2, _comparing(operator.le)),
        # As in Go, where what is no number is greater than everything.
        "gt": Function(2, 2, _comparing(lambda one, other: not one <= other)),
        "ge": Function(2, 2, _comparing(lambda one, other: not one < other)),
        "and": Function(1, _MANY, lambda operands: next((one for one in operands if not one), operands[-1])),
        "or": Function(1, _MANY, lambda operands: next((one for one in operands if one), operands[-1])),
        "not": Function(1, 1, lambda operands: not operands[0]),
    }
)
