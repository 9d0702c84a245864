"""Components: how each is, how it was, and when it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.health import WINDOWS_S, CheckResult, HealthStatus, Span, worst_by_part
from pytest_sergas.core.plots import stretches
from pytest_sergas.engine import clock
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.trends import Trends
from pytest_sergas.sidecar.pages import trends
from pytest_sergas.sidecar.pages.answer import page, show

_PARTS = 60
_CHANGES = 30
# The worse, the lower: whoever does not see the colours sees that.
_HEIGHTS = {"healthy": 1.0, "degraded": 0.7, "unknown": 0.25, "unhealthy": 0.45}


class Parts(Protocol):
    """What the page asks: the engine, once it has started."""

    @property
    def checking(self) -> Checking: ...

    @property
    def trends(self) -> Trends: ...


@dataclass(frozen=True, slots=True)
class ComponentView:
    """What is shown of a component.

    Attributes:
        spans: its stretches of one status, the newest first.
        bars: window → a plot of it.
        uptime: window → share of the observed time, 0 to 1.
        since_s: since when it has this status, as far as is known; seconds since the epoch.
    """

    name: str
    result: CheckResult
    spans: Sequence[Span]
    bars: Mapping[str, str]
    uptime: Mapping[str, float]
    since_s: float | None


def routes(engine: Parts) -> list[Route]:
    """Return the route of the page of health."""

    async def shown(request: Request) -> Response:
        now = clock.read()
        values = {
            "title": "Health",
            "components": components(engine.checking, now.wall_s, ("1h", "24h", "7d")),
            "response_times": await trends.response_times(engine.trends, now, trends.CHECKS_IN_ALL, has_extents=False),
            "overall": engine.checking.overall(),
            "windows": WINDOWS_S,
        }
        return show(request, "health.html", values)

    return [page("/components", shown)]


def components(checking: Checking, now_s: float, windows: Sequence[str] = ("24h",)) -> list[ComponentView]:
    """Return what is shown of each component, those that need somebody first."""
    history, uptime = checking.history(), checking.uptime()
    views = [
        ComponentView(
            name,
            result,
            history[name][::-1][:_CHANGES],
            {window: _bars(name, history[name], now_s, window) for window in windows},
            uptime[name],
            _since_s(history[name], result.status),
        )
        for name, result in checking.results().items()
    ]
    return sorted(views, key=lambda view: (-view.result.status.rank, view.name))


def _bars(name: str, spans: Sequence[Span], now_s: float, window: str) -> str:
    worst = worst_by_part(spans, now_s, WINDOWS_S[window], _PARTS)
    said = ", ".join(f"{share:.0%} {status}" for status in HealthStatus if (share := worst.count(status) / _PARTS) > 0)
    return stretches(f"{name} over {window}: {said or 'nothing known'}", [status or "" for status in worst], _HEIGHTS)


def _since_s(spans: Sequence[Span], status: HealthStatus) -> float | None:
    since_s = None
    for span in reversed(spans):
        if span.status is not status:
            break
        since_s = span.from_s
    return since_s
