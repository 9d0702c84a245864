"""What reading and writing share: names and numbers, what a type brings with it, errors."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from pytest_sergas.core.metrics import FamilyType

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_END = b"# EOF\n"

Labels = tuple[tuple[str, str], ...]

SUFFIXES: dict[FamilyType, tuple[str, ...]] = {
    "summary": ("_sum", "_count"),
    "histogram": ("_bucket", "_sum", "_count"),
}
# The label that a sample of such a family has of its own.
BOUND_LABEL: dict[FamilyType, str] = {"summary": "quantile", "histogram": "le"}

# No two repetitions below can match the same characters: a long text that does not match is found out at once.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
NUMBER = (
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN]"
)
INSIDE = r'[^"\\]*(?:\\["\\n][^"\\]*)*'
QUOTED = f'"{INSIDE}"'


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that is read of a text; counted while it is read, so that they bound the memory, too.

    Attributes:
        series: samples, of which a histogram has one for each bucket; also names of families.
        labels: of all samples together; those that are the same for several samples count once.
        line: characters of one line, and so of a label.
    """

    series: int
    labels: int
    line: int


UNBOUNDED = Bounds(sys.maxsize, sys.maxsize, sys.maxsize)


class TooMuchError(ValueError):
    """There is more in the text than the bounds allow.

    Attributes:
        what: of what: the name of an attribute of `Bounds`.
        most: how much is allowed.
    """

    def __init__(self, what: str, most: int) -> None:
        self.what = what
        self.most = most
        super().__init__(f"{what}: more than {most}")


class ExpositionError(ValueError):
    """The text is not in the format.

    Attributes:
        line, column: where, both from 1.
        text: what is wrong there.
    """

    def __init__(self, line: int, column: int, text: str) -> None:
        self.line = line
        self.column = column
        self.text = text
        super().__init__(f"line {line}, column {column}: {text}")


class InconsistentError(ValueError):
    """Metrics do not go together, with each other or with those that are there."""


def number(value: float) -> str:
    """Return how ``value`` is written; read again it is the same."""
    value = float(value)  # a whole number is a float to the type checker alone
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
