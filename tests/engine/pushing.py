"""Pushes as they come, without HTTP."""

from __future__ import annotations

from pytest_sergas.core.clock import Now
from pytest_sergas.core.exposition import parse
from pytest_sergas.core.grouping import from_path
from pytest_sergas.engine.groups import Groups, Push


def at(elapsed_s: float) -> Now:
    """Return the moment ``elapsed_s`` seconds after the start of the tests."""
    return Now(100.0 + elapsed_s, 1_000_000.0 + elapsed_s)


START = at(0)


def made(path: str, body: str, *, replace: bool = True, ttl_s: float | None = None, now: Now = START) -> Push:
    return Push.of(from_path(f"/metrics/job/{path}"), parse(body.encode()), replace=replace, ttl_s=ttl_s, now=now)


async def push(
    groups: Groups, path: str, body: str, *, replace: bool = True, ttl_s: float | None = None, now: Now = START
) -> None:
    """Push ``body`` to the group at ``/metrics/job/PATH``."""
    await groups.push(made(path, body, replace=replace, ttl_s=ttl_s, now=now))


def shown(groups: Groups, name: str) -> str:
    """Return the lines that a page has of one family."""
    return b"".join(piece.text for piece in groups.page.get(name, {}).values()).decode()
