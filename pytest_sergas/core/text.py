"""Text that came from outside, made safe to store and to show: bounded, printable, without secrets."""

from __future__ import annotations

import re
import unicodedata

# Patterns are texts here: `re` compiles and keeps each when it is first needed, which in most runs is never.
_SCHEME = r"\s*[a-zA-Z][a-zA-Z0-9+.-]*://"
_USERINFO = r"^(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)?[^/?#]*@"
_BUILD = r"(?:^|&)buildId=[0-9]{1,20}(?=&|$)"
_QUERY = r"(?s)(://[^\s?#]*)[?#].*"
_HIDDEN_KEY = r"(?i)passw|passphrase|token|secret|credential|api[_-]?key|private[_-]?key|webhook|authorization|cookie"
# Among the words of a connection string.
_HIDDEN_WORD = r"(?i)(\b[\w.-]{0,40}(?:passw|token|secret|credential|api_?key)[\w.-]{0,40}\s?=\s?)\S+"
_ANSI = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])"
# Control characters, and those that turn the direction of writing: they would show a line that is not there.
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"


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
    flat = " ".join(re.sub(_CONTROL, " ", re.sub(_ANSI, "", clean(text, limit * 4))).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def printable(text: str) -> str:
    """Return ``text``, of any number of lines, without colours and other control sequences."""
    return re.sub(_CONTROL, "", re.sub(_ANSI, "", text.replace("\r\n", "\n").replace("\r", "\n")))


def columns(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes: two for the wide characters of East Asia and emoji."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def keep_start(text: str, width: int) -> str:
    """Return ``text`` on one line of at most ``width`` columns; what does not fit is cut off at the end."""
    flat = one_line(text, 4 * width)
    if columns(flat) <= width:
        return flat
    while flat and columns(flat) > width - 3:
        flat = flat[: len(flat) - max(1, (columns(flat) - width + 3) // 2)]
    return f"{flat}..."[:width]


def keep_end(text: str, width: int) -> str:
    """Return ``text`` on one line of at most ``width`` columns; its end is kept, where a node id names the test."""
    # A character takes at most two columns and a control character none, so that this much is enough of it.
    flat = one_line(text[-4 * width :], 4 * width)
    if len(text) <= 4 * width and columns(flat) <= width:
        return flat
    while flat and columns(flat) > width - 3:
        flat = flat[max(1, (columns(flat) - width + 3) // 2) :]
    return f"...{flat}"[:width]


def redact_url(url: str) -> str:
    """Return ``url`` without user name, password and query, also when it lacks a scheme or is malformed.

    Everything before the last ``@`` goes, because a password may hold any character; an ``@`` in the path
    therefore hides the host, which is the lesser evil. Of ``password=...`` the value goes.
    """
    url = re.sub(_HIDDEN_WORD, r"\1***", url)
    before, at, rest = url.rpartition("@")
    scheme = re.match(_SCHEME, before)
    shown = f"{scheme[0] if scheme else ''}***@{rest}" if at else url
    return re.sub(_QUERY, r"\1?***", shown)


def public_url(url: str) -> str:
    """Return an address that a record may keep and that people follow: without user name, password, query and fragment.

    Of the query the number of a build stays, without which an address of Azure Pipelines leads nowhere.
    """
    plain = re.sub(_USERINFO, lambda match: match["scheme"] or "", url, count=1)
    place, _, query = plain.partition("#")[0].partition("?")
    number = re.search(_BUILD, query)
    return f"{place}?{number[0].strip('&')}" if number else place


def is_secret(key: str) -> bool:
    """Whether the value of ``key`` may be a secret, going by its name; the name of the file of one is none."""
    return re.search(_HIDDEN_KEY, key) is not None and not key.endswith("_file")


def show_value(key: str, value: object) -> str:
    """Return how an error shows the ``value`` of ``key``: bounded, and hidden where it may be a secret."""
    if is_secret(key):
        return "'***'"
    try:
        shown = repr(_redact(value))
    except Exception:  # noqa: BLE001  the edge of a stranger's __repr__; Python's own fails for enormous numbers
        shown = f"<{type(value).__name__}>"
    return one_line(shown, 80)


def _redact(value: object) -> object:
    if isinstance(value, str):
        return redact_url(value)
    if isinstance(value, list):
        return [_redact(entry) for entry in value]
    if isinstance(value, tuple):
        return tuple(_redact(entry) for entry in value)
    if isinstance(value, dict):
        return {name: "***" if re.search(_HIDDEN_KEY, str(name)) else _redact(entry) for name, entry in value.items()}
    return value
