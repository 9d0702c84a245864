"""Everything at a glance: whether the tests are fine, how the components are, what was pushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytest_sergas.core.alerts import Alert, State
from pytest_sergas.core.health import HealthStatus
from pytest_sergas.core.plots import sparkline
from pytest_sergas.core.summary import TYPE_ORDER
from pytest_sergas.engine import clock, past
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.engine.checking import Checking
from pytest_sergas.engine.groups import Groups
from pytest_sergas.engine.past import PastRun, TypeFigures
from pytest_sergas.engine.standings import Standings
from pytest_sergas.engine.store import Store
from pytest_sergas.engine.trends import Trends
from pytest_sergas.sidecar.pages import alerts, health, trends
from pytest_sergas.sidecar.pages.answer import page, show

RECENT_RUNS = 60
SQUARES = 12
_GROUPS = 6
_ALERTS = 6
_COMPONENTS = 20


class Parts(Protocol):
    """What the overview asks: the engine, once it has started."""

    @property
    def store(self) -> Store: ...

    @property
    def checking(self) -> Checking: ...

    @property
    def alerting(self) -> Alerting: ...

    @property
    def groups(self) -> Groups: ...

    @property
    def standings(self) -> Standings: ...

    @property
    def trends(self) -> Trends: ...


@dataclass(frozen=True, slots=True)
class TypeCard:
    """A test type over its newest runs, the oldest first; there is at least one."""

    type: str
    runs: tuple[tuple[PastRun, TypeFigures], ...]

    @property
    def latest(self) -> TypeFigures:
        return self.runs[-1][1]

    @property
    def latest_run(self) -> PastRun:
        return self.runs[-1][0]

    @property
    def trend(self) -> str:
        seconds = [figures.seconds for _, figures in self.runs]
        title = f"seconds of all {self.type} tests, from {seconds[0]:.2f} to {seconds[-1]:.2f} in {len(seconds)} runs"
        return sparkline(title, seconds)


def routes(engine: Parts) -> list[Route]:
    """Return the route of the overview."""

    async def overview(request: Request) -> Response:
        now = clock.read()
        cards = type_cards(await past.runs(engine.store, RECENT_RUNS))
        found = engine.alerting.alerts()
        components = health.components(engine.checking, now.wall_s)
        groups = engine.groups.all(now)
        values: dict[str, Any] = {
            "title": "Overview",
            "cards": cards,
            "components": components[:_COMPONENTS],
            "component_count": len(components),
            "alerts": alerts.views(engine.alerting, found[:_ALERTS], now),
            "alert_count": len(found),
            "standings": engine.standings.summary(),
            "machine": await trends.machine(engine.trends, now),
            "response_times": await trends.response_times(engine.trends, now, trends.CHECKS),
            "groups": nlargest(_GROUPS, groups, key=lambda group: max(group.pushed_s, group.failed_s)),
            "group_count": len(groups),
            "problems": problems(cards, components, found),
            "url": str(request.base_url).rstrip("/"),
        }
        return show(request, "overview.html", values)

    return [page("/", overview)]


def type_cards(newest_first: Sequence[PastRun]) -> list[TypeCard]:
    """Return a card for each type that has tests in these runs, in the order of the types; strangers last."""
    found: dict[str, list[tuple[PastRun, TypeFigures]]] = {}
    for run in newest_first:
        for name, figures in run.types.items():
            found.setdefault(name, []).append((run, figures))
    order = {name: place for place, name in enumerate(TYPE_ORDER)}
    names = sorted(found, key=lambda name: (order.get(name, len(order)), name))
    return [TypeCard(name, tuple(reversed(found[name][:SQUARES]))) for name in names]


def problems(
    cards: Sequence[TypeCard], components: Sequence[health.ComponentView], found: Sequence[Alert]
) -> list[tuple[str, str, str]]:
    """Return what somebody should look at: a word, what it is about, and the path of a page that says more."""
    failing = [
        ("failed", card.type, f"/runs/{card.latest_run.run_id}") for card in cards if card.latest.state == "failed"
    ]
    flaky = [("flaky", card.type, f"/runs/{card.latest_run.run_id}") for card in cards if card.latest.state == "flaky"]
    ill = [
        (str(component.result.status), component.name, "/components")
        for component in components
        if component.result.status in {HealthStatus.UNHEALTHY, HealthStatus.DEGRADED}
    ]
    firing = [(alert.level.value, alert.name, "/alerts") for alert in found if alert.state is State.FIRING]
    return [*firing, *failing, *ill, *flaky]
