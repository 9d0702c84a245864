"""Values as TOML: what `sergas config` shows and `sergas init` writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(value: object) -> str:
    """Return ``value`` as TOML on one line.

    Raises:
        TypeError: TOML has no such value (None, for one).
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
        case list() | tuple():
            return f"[{', '.join(map(to_toml, value))}]"
        case Mapping():
            entries = (f"{_key(str(name))} = {to_toml(entry)}" for name, entry in value.items())
            return f"{{{', '.join(entries)}}}"
    raise TypeError(f"TOML has no value for {type(value).__name__}")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    # JSON's text is TOML's, but for DEL, and but for half a surrogate pair, which TOML cannot hold.
    safe = value.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(safe, ensure_ascii=False).replace("\x7f", "\\u007f")
