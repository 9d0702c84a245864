"""What the sidecar logs, on standard error: one line for each record, plain or JSON, and no secret in any.

    plain   2026-01-31T12:00:00.000Z WARNING pytest_sergas.sidecar.serve: the text
    json    {"time": "2026-01-31T12:00:00.000Z", "level": "WARNING", "logger": "...", "message": "the text"}

Names of metrics, tests and labels come from outside: an end of line in them must not begin a line of its own, nor a
terminal sequence reach a terminal.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time

NAME = "pytest_sergas"

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\\]")
_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}
_CREDENTIALS = re.compile(r"://[^/\s\"'<>]*@")
_AUTHORIZATION = re.compile(r"\b(bearer|basic)[ :=]+[^\s\"',;]+", re.IGNORECASE)


def redact(text: str) -> str:
    """Return ``text`` without credentials in URLs and in Authorization headers."""
    return _AUTHORIZATION.sub(r"\1 ***", _CREDENTIALS.sub("://***@", text))


class _Lines(logging.Formatter):
    """What both forms have in common."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def text(self, record: logging.LogRecord) -> str:
        """Return the message, and the traceback where there is one."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text.rstrip()}\n{self.formatException(record.exc_info)}"
        return redact(text)


class Plain(_Lines):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        text = _UNPRINTABLE.sub(lambda found: _escaped(found[0]), self.text(record))
        return f"{self.formatTime(record)} {record.levelname} {record.name}: {text}"


class Json(_Lines):
    """For programs."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": self.formatTime(record),
                "level": record.levelname,
                "logger": record.name,
                "message": self.text(record),
            }
        )


def configure(level: str, layout: str) -> None:
    """Log from ``level`` on in the ``layout`` plain or json; may be called again."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if layout == "json" else Plain())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(NAME).setLevel(level.upper())
    # The server's own talk is of interest to nobody but who looks for a fault in it.
    logging.getLogger("uvicorn").setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _escaped(char: str) -> str:
    return _ESCAPES.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")
