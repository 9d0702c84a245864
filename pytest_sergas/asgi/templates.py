"""Which route served a request: its whole template, with the prefixes of mounts and of included routers.

The framework leaves in the scope which function it called (``endpoint``), but not under which prefix. So the routes of
the outermost router are listed once, each with the mounts above it, and asked by the framework's own ``matches``. The
paths of requests, which grow without bound, are never taken apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_sergas.asgi.protocol import Scope

UNMATCHED = "unmatched"
_NONE, _FULL = 0, 2  # values of Starlette's `Match`; between them: the path matches, the method does not
_WRAPPERS_LIMIT = 100  # middlewares round an application


@dataclass(frozen=True, slots=True)
class Place:
    """A route, or a mount whose application has no route for a path.

    Attributes:
        steps: the mounts from the outermost router down, then the route.
        endpoint: what the framework names in the scope.
    """

    template: str
    steps: tuple[Any, ...]
    endpoint: object

    def match(self, scope: dict[str, Any]) -> int:
        """Return how a request matches: the value of Starlette's `Match`."""
        scope, value = dict(scope), _NONE
        for step in self.steps:
            match, child = step.matches(scope)
            value = match.value
            if value == _NONE:
                return _NONE
            scope.update(child)
        return value


class Templates:
    """The templates of an application's routes; listed again when one is met that was added later.

    Args:
        app: the application, round which there may be middlewares that keep it in ``app``, as Starlette's do.
    """

    def __init__(self, app: object) -> None:
        self._app = app
        self._router: object = None
        self._places: list[Place] = []
        self._by_endpoint: dict[int, list[Place]] = {}
        self._foreign: dict[int, object] = {}  # endpoints that were looked for among all routes, in vain

    def template(self, before: Scope, after: Scope) -> str:
        """Return the template, `UNMATCHED`, or the path in an application without a router.

        Args:
            before: the scope as the request came.
            after: the scope as the application has left it.
        """
        router = after.get("router") or _inside(self._app)
        endpoint = after.get("endpoint")
        if endpoint is None and "router" in after:  # it was routed, and to no route
            return _frontend(after) or UNMATCHED
        if getattr(router, "routes", None) is None:
            return str(before["path"]) if endpoint is None else _name(endpoint)
        if router is not self._router:
            self._list(router)
        asked = _as_it_came(before, after)
        if endpoint is None:  # a middleware answered, or one of them has given a copy of the scope to the router
            return _best(self._places, asked) or UNMATCHED
        found = _best(self._by_endpoint.get(id(endpoint), ()), asked)
        if found is None and id(endpoint) not in self._foreign:
            self._list(router)
            found = _best(self._by_endpoint.get(id(endpoint), ()), asked)
        if found is None:
            self._foreign[id(endpoint)] = endpoint
            found = _best([place for place in self._places if place.template.endswith("/*")], asked)
        return found or _name(endpoint)

    def _list(self, router: object) -> None:
        self._router = router
        self._places = list(_places(router))
        self._by_endpoint = {}
        for place in self._places:
            self._by_endpoint.setdefault(id(place.endpoint), []).append(place)


def _as_it_came(before: Scope, after: Scope) -> list[dict[str, Any]]:
    """Return the scopes that the outermost router may have been given, the likeliest first.

    A middleware between us and the router may have changed the path, and FastAPI sets its ``root_path`` itself.
    """
    old = {key: value for key, value in after.items() if key not in {"app_root_path", "fastapi", "route", "endpoint"}}
    came = (before["path"], before.get("root_path", ""))
    routed = (after["path"], after.get("app_root_path", after.get("root_path", "")))
    return [
        {**old, "path": path, "root_path": root_path, "path_params": {}}
        for path, root_path in dict.fromkeys((came, routed))
    ]


def _best(places: Sequence[Place], asked: list[dict[str, Any]]) -> str | None:
    """Return the template of the first place that matches, of those where the method matches too, if there are any."""
    partial = None
    for scope in asked:
        for place in places:
            match = place.match(scope)
            if match == _FULL:
                return place.template
            if match != _NONE and partial is None:
                partial = place.template
    return partial


def _places(router: object, prefix: str = "", above: tuple[Any, ...] = ()) -> Iterator[Place]:
    for route in _expanded(getattr(router, "routes", ())):
        steps = (*above, route)
        path = getattr(route, "path", None)
        if path is None and (host := getattr(route, "host", None)) is not None:
            path = host  # a host of its own has routes of its own
        if path is None or not hasattr(route, "matches"):
            continue
        if hasattr(route, "routes"):
            inside = _inside(route.app)
            if inside is not None and inside not in [_inside(step.app) for step in above]:
                yield from _places(inside, f"{prefix}{path}", steps)
            yield Place(f"{prefix}{path}/*", steps, route.app)
        else:
            yield Place(f"{prefix}{path}", steps, getattr(route, "endpoint", None))


def _expanded(routes: Sequence[Any]) -> Iterator[Any]:
    """Return the routes, those of included routers with their prefixes.

    FastAPI used to copy them into the router that includes them. Versions that keep the included router instead list
    them with their prefix as ``effective_route_contexts``.
    """
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            yield from (getattr(context, "starlette_route", None) or context for context in contexts())


def _inside(app: object) -> object | None:
    """Return the router or the application with routes within the middlewares round it; None: there is none."""
    for _ in range(_WRAPPERS_LIMIT):
        if app is None or isinstance(getattr(app, "routes", None), list):
            return app
        app = getattr(app, "app", None)
    return None


def _frontend(scope: Scope) -> str | None:
    """Return the template of files that FastAPI serves where no route matches (``app.frontend``)."""
    within = scope.get("fastapi")
    file = within.get("frontend_path") if isinstance(within, dict) else None
    if not isinstance(file, str):
        return None
    return f"{str(scope['path']).removesuffix(file).rstrip('/')}/*"


def _name(endpoint: object) -> str:
    """Return what to call the endpoint of a framework whose routes are not known."""
    return str(getattr(endpoint, "__qualname__", type(endpoint).__name__))
