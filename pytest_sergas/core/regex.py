"""Regular expressions as Prometheus has them: RE2, which is linear in the text, and Go's templates for replacements."""

from __future__ import annotations

import re
from typing import Any

# $name takes as many characters as a name may have: $1x is the group "1x".
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def compile_pattern(written: str) -> Any:
    """Return a compiled regular expression of RE2.

    Raises:
        ValueError: it is not one; the text says why.
    """
    import re2  # part of the extra "sidecar"

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(written, options=options)
    except re2.error as error:
        [reason] = error.args
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"not a regular expression of RE2: {written!r}: {text}") from error


def expanded(template: str, found: Any) -> str:
    """Return ``template`` with the groups of a match in the places of ``$1``, ``${1}`` or ``$name``."""
    groups = {str(number): text for number, text in enumerate((found[0], *found.groups()))} | found.groupdict()

    def referred(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        return "$" if name is None else groups.get(name) or ""

    return _REFERENCE.sub(referred, template)
