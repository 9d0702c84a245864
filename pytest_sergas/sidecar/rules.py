"""``GET /api/rules``: the rules in force, and how each of them is."""

from __future__ import annotations

from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.rules import Rule
from pytest_sergas.engine.rules import Rules, Running
from pytest_sergas.sidecar.answers import answer, moment


class Parts(Protocol):
    """What the route asks: the engine, once it has started."""

    @property
    def rules(self) -> Rules: ...


def routes(engine: Parts) -> list[Route]:
    """Return the route of rules."""

    async def in_force(request: Request) -> Response:
        del request
        refused = [
            {"file": file.file, "faults": list(file.faults), "kept": file.kept} for file in engine.rules.planned.refused
        ]
        return answer({"rules": [_shown(running) for running in engine.rules.running], "refused": refused})

    return [Route("/api/rules", in_force)]


def _shown(running: Running) -> dict[str, Any]:
    rule = running.rule
    return {
        "id": rule.identity,
        "file": rule.file,
        "group": rule.group,
        "alert": rule.name if isinstance(rule, Rule) else "",
        "record": "" if isinstance(rule, Rule) else rule.name,
        "expr": rule.expression.source,
        "for_s": rule.for_s if isinstance(rule, Rule) else 0.0,
        "interval_s": running.interval_s,
        "evaluated": None if running.evaluated is None else moment(running.evaluated.wall_s),
        "duration_s": running.duration_s,
        "active": running.active,
        "error": running.error,
        "unmatched": list(running.unmatched),
        "warming_up_s": running.warming_up_s,
    }
