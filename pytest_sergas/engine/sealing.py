"""A checksum at the end of what a row says: a byte that the disk has changed is found, whatever it has become."""

from __future__ import annotations

import zlib

_DIGITS = 8
# How JSON ends; what an earlier version wrote has no checksum.
_UNSEALED = ("}", "]")


class DamagedError(ValueError):
    """A row is not what was written; the text says what is wrong with it."""


def seal(text: str, *about: object) -> str:
    """Return the JSON ``text`` with a checksum of it and of the other columns of its row."""
    return f"{text} {_checksum(text, about):0{_DIGITS}x}"


def unseal(sealed: str, *about: object) -> str:
    """Return the text that was sealed.

    Raises:
        DamagedError: the text or another column is not what was written.
    """
    if sealed.endswith(_UNSEALED):
        return sealed
    text = sealed[: -_DIGITS - 1]
    if sealed != seal(text, *about):
        raise DamagedError("its checksum is not that of what it says")
    return text


def text_of(sealed: str) -> str:
    """Return the text that was sealed; it has been looked at before."""
    return sealed[: -_DIGITS - 1] if is_sealed(sealed) else sealed


def is_sealed(text: str) -> bool:
    return not text.endswith(_UNSEALED)


def _checksum(text: str, about: tuple[object, ...]) -> int:
    return zlib.crc32(f"{text}\n{about!r}".encode("utf-8", "surrogateescape"))
