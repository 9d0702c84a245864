"""Pushed groups: what is there, what is in each, and their deletion, which asks first."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.grouping import GroupingKeyError, from_path
from pytest_sergas.engine import clock
from pytest_sergas.engine.groups import Group, Groups
from pytest_sergas.sidecar.answers import QueryError
from pytest_sergas.sidecar.pages.answer import NotThereError, form, go_to, page, show

_SHOWN = 500
_PIECE_LINES = 200


class Parts(Protocol):
    """What the pages ask: the engine, once it has started."""

    @property
    def groups(self) -> Groups: ...


def routes(engine: Parts) -> list[Route]:
    """Return the routes of the pages of pushed groups."""

    async def listed(request: Request) -> Response:
        asked = request.query_params.get("q", "")[:200]
        everything = engine.groups.all(clock.read())
        groups = [group for group in everything if not asked or asked.lower() in words(group).lower()]
        groups.sort(key=lambda group: max(group.pushed_s, group.failed_s), reverse=True)
        values = {"title": "Pushes", "groups": groups[:_SHOWN], "count": len(groups), "asked": asked}
        return show(request, "pushes.html", values)

    async def one(request: Request) -> Response:
        group = _find(engine, request.query_params.get("path", ""))
        pieces = [
            (piece, text[:_PIECE_LINES], len(text))
            for piece in sorted(group.pieces.values(), key=lambda piece: piece.name)
            if (text := piece.text.decode().splitlines()) is not None
        ]
        return show(request, "group.html", {"title": "Pushed group", "group": group, "pieces": pieces})

    async def delete(request: Request) -> Response:
        if request.method == "POST":
            path = (await form(request)).get("path", "")
            try:
                labels = from_path(path)
            except GroupingKeyError as error:
                raise QueryError(str(error)) from error
            await engine.groups.delete(labels)
            return go_to(request, "/pushes")
        group = _find(engine, request.query_params.get("path", ""))
        return show(request, "delete_group.html", {"title": "Delete a group?", "group": group})

    return [
        page("/pushes", listed),
        page("/pushes/group", one),
        page("/pushes/delete", delete, methods=("GET", "POST")),
    ]


def words(group: Group) -> str:
    """Return the labels of a group as people write them."""
    return ", ".join(f"{name}={value}" for name, value in group.labels.items())


def _find(engine: Parts, path: str) -> Group:
    for group in engine.groups.all(clock.read()):
        if group.path == path:
            return group
    raise NotThereError("there is no such group; it was deleted, or its time to live is over")
