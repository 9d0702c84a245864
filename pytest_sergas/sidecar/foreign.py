"""The one use of what another package keeps to itself: uvicorn's connection, which ours derives from.

It is looked at before anything listens. Where it is not as expected, the sidecar says so in one line and serves with
uvicorn's own connections: without deadlines for slow clients, and without limits on connections and heads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        HttpToolsProtocol = asyncio.Protocol

__all__ = ["HttpToolsProtocol", "connection_fault"]

# What it calls, and what ours adds to.
_METHODS = (
    *("connection_made", "connection_lost", "data_received", "pause_writing", "resume_writing"),
    *("on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
    "on_response_complete",
)
_ATTRIBUTES = {
    "HttpToolsProtocol": ("loop", "transport", "cycle"),
    "RequestResponseCycle": ("disconnected", "message_event", "response_complete", "response_started"),
}


def connection_fault() -> str:
    """Return why uvicorn's connection cannot be derived from, or ""."""
    try:
        from uvicorn.protocols.http import httptools_impl
    except ImportError as error:
        return str(error)
    for name, attributes in _ATTRIBUTES.items():
        owner = getattr(httptools_impl, name, None)
        if not isinstance(owner, type):
            return f"{name} is missing"
        code = getattr(vars(owner).get("__init__"), "__code__", None)
        missing = [one for one in attributes if code is None or one not in code.co_names]
        if missing:
            return f"{name}.{missing[0]} is missing"
    missing = [one for one in _METHODS if not callable(getattr(httptools_impl.HttpToolsProtocol, one, None))]
    return f"HttpToolsProtocol.{missing[0]} is missing" if missing else ""
