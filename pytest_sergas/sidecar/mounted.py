"""Where the sidecar is in an application that serves other things too.

By ASGI, both paths of a scope begin with its ``root_path``, which is where the application is mounted, or "". Starlette
routes by what comes after it; whoever reads a path without Starlette asks here.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.types import Scope

IS_STRANGER = "sergas.is_stranger"  # key of a scope: who asks has shown no credentials where they are needed


def base(scope: Scope) -> str:
    """Return where the sidecar is mounted, as the links of its pages begin; "" when it is nowhere."""
    return quote(scope.get("root_path", ""))


def own_path(scope: Scope) -> str:
    """Return the path below that, decoded."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def own_raw_path(scope: Scope) -> str:
    """Return the path below that as it was sent."""
    raw: bytes | None = scope.get("raw_path")  # not every server says it
    path = quote(scope["path"]) if raw is None else raw.decode("latin-1")
    if not (root := scope.get("root_path", "")):
        return path
    # By its slashes: the same place can be encoded in several ways.
    return "/" + path.split("/", root.count("/") + 1)[-1]
