"""The text of an expression → its tree, and a refusal of everything that Prometheus 2.42 would not take.

promql-parser takes more than Prometheus does, and says of nothing where it stood. What its tree shows is refused
by whoever compiles it; what it shows no more is looked for in the text: durations without a unit, quoted names of
metrics and labels, numbers that are too large. Durations are looked at before: one that is infinite ends the parser
with a panic, which is no exception that a program should catch.
"""

from __future__ import annotations

import re
from typing import Any

_LONGEST_S = 2**63 / 1e9  # Go counts nanoseconds in 64 bits: 292 years

_UNITS_S = {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+)(ms|[ywdhms])")
# The units in this order, each once.
_DURATION = re.compile(r"(?=\d)(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:\d+ms)?", re.ASCII)

_TEXT_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`[^`]*`|#[^\n]*')
_TEXT = "\0"
_MATCHERS = re.compile(r"\{[^}]*\}")
_RANGE = re.compile(r"\[([^\]]*)\]")
_OFFSET = re.compile(r"\boffset\s*-?\s*([^\s,)}\]+*/%^<>=!-]+)", re.IGNORECASE)
# After a word or a bracket it is an offset; elsewhere something is added to a metric of that name.
_OFFSET_PLUS = re.compile(r"(?:(?!(?:and|or|unless|bool)\b)\b\w+|[)\]])\s*\boffset\s*(\+\s*[\w.]+)", re.IGNORECASE)
_DURATION_AS_NUMBER = re.compile(r"(?<![\w:.])\d+(?:ms|[ywdhms])(?=\d|\b)")
_OFFSET_OF_NOTHING = re.compile(r"(?:^|[(,+*/%^<>=!-]|\b(?:and|or|unless|bool))\s*offset\s*-?\s*\d", re.IGNORECASE)
_BEFORE_TEXT = re.compile(rf"([=~]?)\s*{_TEXT}")
_INFINITE = re.compile(r"(?<![\w:])inf(?![\w:])", re.IGNORECASE)
_UNDERSCORED = re.compile(r"(?<![\w:.])\d\w*_")
_OPERATOR = re.compile(r"[(+*/%^<>-]|==|!=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_OPERATORS_LIMIT = 200  # the parser recurses, and where that ends the process dies
_LENGTH_LIMIT = 10_000


class PromqlError(ValueError):
    """An expression is not taken; the text says why."""


def parse_tree(source: str) -> Any:
    """Return the tree of ``source``, of promql-parser's classes.

    Raises:
        PromqlError: it is no PromQL.
    """
    import promql_parser  # part of the extra "sidecar"

    if len(source) > _LENGTH_LIMIT:
        raise PromqlError(f"has {len(source)} characters; at most {_LENGTH_LIMIT} are read")
    plain = _plain(source)
    operators = len(_OPERATOR.findall(_MATCHERS.sub(" ", plain)))
    if operators > _OPERATORS_LIMIT:
        raise PromqlError(f"has {operators} operators and parentheses; at most {_OPERATORS_LIMIT} are read")
    _check_durations(plain)
    try:
        return promql_parser.parse(source)
    except ValueError as error:
        raise PromqlError(f"is not PromQL: {error}") from error


def check_text(source: str, *, infinities: int, texts: int) -> None:
    """Refuse what the tree of ``source`` does not show.

    Args:
        infinities: how many numbers of the tree are infinite.
        texts: how many quoted texts are operands in the tree.

    Raises:
        PromqlError: Prometheus would not take it.
    """
    plain = _plain(source)
    bare = _bare(plain)
    if _OFFSET_OF_NOTHING.search(bare):
        raise PromqlError("an offset has to follow a selector")
    if found := _DURATION_AS_NUMBER.search(_OFFSET.sub(" ", _RANGE.sub(" ", bare))):
        raise PromqlError(f"{found[0]!r} stands where a number has to; write it in seconds, without a unit")
    if sum(not before for before in _BEFORE_TEXT.findall(plain)) > texts:
        raise PromqlError("a quoted text stands where none can be; the name of a metric or label is not quoted")
    if _UNDERSCORED.search(plain):
        raise PromqlError("a number must not have underscores")
    if infinities > len(_INFINITE.findall(plain)):
        raise PromqlError("a number is too large")


def read_duration(text: str) -> float:
    """Return the seconds of a duration such as ``1h30m``; ``0`` needs no unit.

    Raises:
        PromqlError: it is none; the text says what is allowed.
    """
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise PromqlError(f"{text!r} is not a duration; allowed: such as 90s, 5m or 1h30m, units y w d h m s ms")
    seconds = sum(int(count) * _UNITS_S[unit] for count, unit in _PART.findall(text))
    if seconds >= _LONGEST_S:
        raise PromqlError(f"{text!r} is too long a duration; allowed: at most 292 years")
    return round(seconds, 3)


def _check_durations(plain: str) -> None:
    ranges = (part for written in _RANGE.findall(plain) for part in written.split(":"))  # of a subquery there are two
    bare = _bare(plain)
    for written in (*ranges, *_OFFSET.findall(bare), *_OFFSET_PLUS.findall(bare)):
        duration = written.strip()
        if not duration:
            continue  # whatever that is, the parser says so
        if not _DURATION.fullmatch(duration):
            raise PromqlError(f"{duration!r} is not a duration; write it with a unit, such as 5m")
        read_duration(duration)


def _bare(plain: str) -> str:
    """Return the text without matchers; an x stands for the selector, which may have no name."""
    return _MATCHERS.sub(" x ", plain).strip()


def _plain(source: str) -> str:
    """Return the text without comments, and with ``_TEXT`` for each quoted one."""
    return _TEXT_OR_COMMENT.sub(lambda found: " " if found[0].startswith("#") else _TEXT, source)
