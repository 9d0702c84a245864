"""What the JSON interfaces have in common: how answers, refusals and moments look, and how parameters are read."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pytest_sergas.engine import clock

moment = clock.moment  # how every answer writes a time

_WHOLE = re.compile(r"[0-9]{1,9}")


class QueryError(Exception):
    """A parameter of a query cannot be used."""


def answer(document: object, status: int = 200) -> Response:
    """Return ``document`` as JSON that is never kept by a proxy: it would show a state that has passed."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status, {"Cache-Control": "no-store"}, "application/json")


def refuse(status: int, text: str, **more: Any) -> Response:
    """Return why a request is not done."""
    return answer({"error": text, **more}, status)


def whole(request: Request, name: str, default: int, most: int) -> int:
    """Return the parameter ``name``, a whole number from 1 to ``most``.

    Raises:
        QueryError: it is something else, or there twice.
    """
    values = request.query_params.getlist(name)
    if not values:
        return default
    if len(values) > 1 or not _WHOLE.fullmatch(values[0]) or not 1 <= int(values[0]) <= most:
        raise QueryError(f"{name}: allowed: one whole number from 1 to {most}")
    return int(values[0])


def text(request: Request, name: str) -> str:
    """Return the parameter ``name``, or "" when it is not there.

    Raises:
        QueryError: it is there twice, or longer than anything that it could name.
    """
    values = request.query_params.getlist(name)
    if len(values) > 1 or any(len(value) > 200 for value in values):
        raise QueryError(f"{name}: allowed: one text of at most 200 characters")
    return values[0] if values else ""
