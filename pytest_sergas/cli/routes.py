"""``sergas routes``: where an alert with these labels would go, by the configuration."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_sergas.cli._options import add_action, add_config, add_json, add_list, as_json, config_file
from pytest_sergas.config import load_sections
from pytest_sergas.config.channels import ChannelsSettings
from pytest_sergas.config.routes import ROUTES, RoutesSettings, route_warnings, routing
from pytest_sergas.core.alerts import level_of
from pytest_sergas.core.routes import Route, Router, write_matcher
from pytest_sergas.core.series import Labels, canonical
from pytest_sergas.core.silences import Muting
from pytest_sergas.engine import clock
from pytest_sergas.errors import SergasError

HELP = "show where an alert with given labels would go, by the configuration"
EXAMPLES = """\
Silences are not looked at: they are in a running sidecar (sergas silence list).

exit status: 0 somebody would be told, 1 nobody would, 2 the configuration
cannot be used

examples:
  sergas routes test severity=critical type=smoke
  sergas routes                                     list the routes
"""

_NOBODY = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    add_list(actions, "list the routes")
    test = add_action(actions, "test", "show what would happen")
    add_config(test)
    add_json(test)
    test.add_argument("labels", nargs="*", metavar="LABEL=VALUE", help="labels of the alert")


def run(arguments: argparse.Namespace) -> int:
    file = config_file(arguments)
    readings = load_sections(file, ("channels", "routes"), environ=os.environ)
    channels: ChannelsSettings = readings["channels"].settings
    settings: RoutesSettings = readings["routes"].settings
    routes = routing(settings, tuple(entry.name for entry in channels.channels))
    if not channels.channels and not settings.routes:
        raise SergasError("sergas: no channels and no routes; [[channels]] and [[routes]] make some")
    for warning in route_warnings(routes):
        print(f"sergas: {warning}", file=sys.stderr)
    if arguments.action != "test":
        lines = (line for route in routes for line in _about(route))
        print(json.dumps({"routes": written(routes)}, indent=2) if as_json(arguments) else "\n".join(lines))
        return 0
    labels = _read(arguments.labels)
    found = Router(routes).find(labels)
    muted = Muting((), settings.maintenance, clock.offset_s).at(time.time())(labels)
    by = None if muted is None else muted.by
    if as_json(arguments):
        print(json.dumps({"level": level_of(labels), "routes": written(found), "muted_by": by}, indent=2))
    else:
        print("\n".join((*to_lines(labels, found), *([f"now not told: {by}"] if by else []))))
    return 0 if any(route.channels for route in found) else _NOBODY


def written(routes: Sequence[Route]) -> Any:
    """Return routes for `json.dumps`, with the keys of the configuration."""
    return ROUTES.written("routes", routes)


def to_lines(labels: Labels, routes: Sequence[Route]) -> Iterator[str]:
    """Return the lines for a terminal: what would happen to an alert with ``labels``."""
    yield f"an alert of the level {level_of(labels)}"
    if not routes:
        yield "no route matches: nobody would be told"
    for route in routes:
        yield from _about(route, labels)


def _about(route: Route, labels: Labels | None = None) -> Iterator[str]:
    matchers = ", ".join(write_matcher(matcher) for matcher in route.matchers) or "everything"
    yield f"route {route.name}: {matchers}"
    yield f"  told            {', '.join(route.channels) or 'nobody'}"
    if not route.channels:
        return
    together = ", ".join(route.group_by) or "everything"
    if labels is not None:
        pairs = ", ".join(f"{name}={value!r}" for name, value in route.group_labels(labels))
        together = f"{together}: {pairs}" if pairs else f"{together}: the alert has none of them"
    yield f"  together by     {together}"
    yield f"  waits           {route.group_wait_s:g} s for others, {route.group_interval_s:g} s after a message"
    yield f"  repeated        every {route.repeat_interval_s:g} s while it fires"
    yield f"  cooldown        {route.cooldown_s:g} s until it can begin again, unless it is more severe"
    for step in route.escalations:
        yield f"  escalated       to {', '.join(step.channels)} after {step.after_s:g} s"
    if route.goes_on:
        yield "  goes on         later routes are tried as well"


def _read(pairs: Sequence[str]) -> Labels:
    for pair in pairs:
        name, equals, _ = pair.partition("=")
        if not equals or not name.isidentifier() or not name.isascii():
            raise SergasError(f"sergas: label {pair!r}: allowed: LABEL=VALUE, such as severity=critical")
    return canonical((name, value) for name, _, value in (pair.partition("=") for pair in pairs))
