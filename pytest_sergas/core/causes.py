"""Why tests failed: failures with one cause have one fingerprint, which outlives a run, a machine and a moved line.

A fingerprint is made of

    the phase            setup, call, teardown, collect, or crash
    the exception's type with its module, as Python prints it
    the message          its first line (three where no ``assert`` explains itself), in which quoted parts, paths,
                         addresses, ids and numbers are masked
    the frame            the innermost one of the project: file, function and the text of its line; where no frame
                         is the project's, the fixture or the test that failed

Other types and other frames never share a cause. What the recipe makes of a failure is fixed for a `VERSION`: a
fingerprint begins with it, so that one of another version is never taken for the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_sergas.core.records import TestRecord

VERSION = 1

_LINES = 3
_LINE_LIMIT = 200

# As `traceback.format_exception_only` begins; behind a parenthesis is the only exception of a group.
_TYPE = r"([^\W\d][\w.]*(?:\.<locals>\.[\w.]+)*)(?=: |:?$|\()"
# Each begins with what `re` can search for at once: nearly all of a message is none of it.
_QUOTED = r"""['"`](?:(?<!\w.)|(?<=\b[bruBRU].))(?:(?<=')[^'\n]*'|(?<=")[^"\n]*"|(?<=`)[^`\n]*`)(?!\w)"""
_PATH = r"(?:\w+://|[A-Za-z]:\\)?[\w.@~+%$-]*[/\\][^:;,()\[\]{}<>|]*(?::\d+)*"
_ID = r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?:(?<!\w)-)?\w*\d\w*"
_MASK = "#"
_REPEATED = r"#(?:[-+.,: ]+#)+"
_LIBRARY = r"(?:^|/)(?:site-packages|dist-packages|lib/python3\.\d+\w?)/|^<"


class Frame(NamedTuple):
    """Where a failure arose.

    Attributes:
        file: relative to the root directory, with forward slashes, where it is below it.
        line: counted from 1; None where it is not known.
        function: "" where it is not known, and at the top of a module.
        source: the text of the line; "" where it is not known.
    """

    file: str
    line: int | None = None
    function: str = ""
    source: str = ""


class Cause(NamedTuple):
    """The cause of a failure, as far as it can be told from others.

    Attributes:
        fingerprint: `VERSION`, a colon and 16 hexadecimal digits; equal for failures of one cause.
        phase: ``setup``, ``call``, ``teardown``, ``collect`` or ``crash``.
        exception: its type with its module, as Python prints it; "" where none was reported.
        file, line, function: the frame that it is found by, as in `Frame`.
    """

    fingerprint: str
    phase: str
    exception: str = ""
    file: str = ""
    line: int | None = None
    function: str = ""

    @property
    def place(self) -> str:
        """File, line and function as one text, as far as they are known."""
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        return f"{place} in {self.function}" if self.function else place


class Group(NamedTuple):
    """Failed tests of one cause, in the order in which they ran; there is at least one.

    Attributes:
        cause: that of the first test; None where its record does not have it, and it is a group of its own.
    """

    cause: Cause | None
    tests: tuple[TestRecord, ...]


def cause_of(phase: str, message: str, frame: Frame) -> Cause:
    """Return the cause of a failure.

    Args:
        message: as pytest reports it: the type and the text of the exception, or the explanation of an ``assert``.
        frame: the innermost one of the project, or what stands for it.
    """
    exception, lines = _read(message)
    # An edit above a line moves it; its text changes only with the code.
    place = frame.source or ("" if frame.function or frame.line is None else str(frame.line))
    parts = (phase, exception, frame.file, frame.function, place, mask("\n".join(lines)))
    digest = sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
    return Cause(f"{VERSION}:{digest[:16]}", phase, exception, frame.file, frame.line, frame.function)


def mask(text: str) -> str:
    """Return ``text`` with a mark for each quoted part, path, address, id and number; several in a row are one."""
    words = re.sub(_QUOTED, _MASK, text).split()
    masked = [word if word.isalpha() else _mask_word(word) for word in words]
    return re.sub(_REPEATED, _MASK, " ".join(masked))


# The failures of a run say the same words over and over.
@lru_cache(maxsize=1024)
def _mask_word(word: str) -> str:
    if "/" in word or "\\" in word:
        word = re.sub(_PATH, _MASK, word)
    return re.sub(_ID, _MASK, word)


def is_library(file: str) -> bool:
    """Whether a file, with forward slashes, is installed or Python's own, wherever the environment is."""
    return re.search(_LIBRARY, file) is not None


def grouped(tests: Iterable[TestRecord]) -> tuple[Group, ...]:
    """Return failed ``tests`` by cause, in the order in which the causes were first met."""
    groups: dict[str, tuple[Cause | None, list[TestRecord]]] = {}
    for number, test in enumerate(tests):
        cause = test.last.cause
        key = cause.fingerprint if cause is not None else str(number)
        groups.setdefault(key, (cause, []))[1].append(test)
    return tuple(Group(cause, tuple(found)) for cause, found in groups.values())


def _read(message: str) -> tuple[str, list[str]]:
    """Return the type of the exception, and the lines that tell its causes apart."""
    head = message[: _LINES * _LINE_LIMIT]
    if head[:2] == "  ":  # a SyntaxError shows the place first
        head = message[-_LINE_LIMIT:].rstrip().rpartition("\n")[2]
    lines = [line[:_LINE_LIMIT] for line in head.split("\n", _LINES)[:_LINES]]
    if lines[0].startswith("assert "):
        return "AssertionError", lines[:1]
    found = re.match(_TYPE, lines[0])
    exception = found[1] if found is not None else ""
    return exception, lines[:1] if exception == "AssertionError" else lines
