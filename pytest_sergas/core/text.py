"""Text that came from outside, made safe to store and to show: bounded, printable, without secrets."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)?[^/?#\s'\"]*@")
_SECRET_KEY = re.compile(r"passw|token|secret|credential|api_?key|webhook", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str, limit: int) -> str:
    r"""Return ``text`` as valid UTF-8 of at most ``limit`` characters.

    Lone surrogates, which is how Python carries bytes that are not UTF-8, become ``\udc..`` in words:
    written as they are, strict readers refuse the whole file. What is cut out is said, and the tail is
    kept, because a traceback's last lines name the error.
    """
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= limit:
        return text
    note = f"[... {len(text) - limit} characters cut ...]"
    room = max(limit - len(note), 0)
    head = room // 3
    return (text[:head] + note + text[len(text) - (room - head) :])[:limit]


def one_line(text: str, limit: int) -> str:
    """Return ``text`` on one line, without control characters, of at most ``limit`` characters."""
    flat = " ".join(_CONTROL.sub(" ", clean(text, limit * 4)).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def redact_url(url: str) -> str:
    """Return ``url`` without user name and password, also when it lacks a scheme or is malformed."""
    return _USERINFO.sub(lambda match: f"{match['scheme'] or ''}***@", url, count=1)


def show_value(key: str, value: object) -> str:
    """Return how an error shows the ``value`` of ``key``: bounded, and hidden where it may be a secret."""
    if _SECRET_KEY.search(key) and not key.endswith("_file"):
        return "'***'"
    shown = redact_url(repr(value)) if "@" in repr(value) else repr(value)
    return one_line(shown, 80)
