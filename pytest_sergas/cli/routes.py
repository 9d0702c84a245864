"""``sergas routes``: where an alert with these labels would go, by the configuration."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_sergas.config import load_sections
from pytest_sergas.config.channels import ChannelsSettings
from pytest_sergas.config.file import read_file, read_named
from pytest_sergas.config.routes import RoutesSettings, routing
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
    _add_config(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    test = actions.add_parser("test", help="show what would happen", allow_abbrev=False)
    _add_config(test)
    test.add_argument("labels", nargs="*", metavar="LABEL=VALUE", help="labels of the alert")


def run(arguments: argparse.Namespace) -> int:
    named = getattr(arguments, "config", None)
    file = read_named(Path(named)) if named else read_file(Path.cwd())
    readings = load_sections(file, ("channels", "routes"), environ=os.environ)
    channels: ChannelsSettings = readings["channels"].settings
    settings: RoutesSettings = readings["routes"].settings
    routes = routing(settings, tuple(entry.name for entry in channels.channels))
    if arguments.action != "test":
        print("\n".join(line for route in routes for line in _about(route)))
        return 0
    labels = _read(arguments.labels)
    found = Router(routes).find(labels)
    print("\n".join(to_lines(labels, found)))
    muted = Muting((), settings.maintenance, clock.offset_s).at(time.time())(labels)
    if muted is not None:
        print(f"now not told: {muted.by}")
    return 0 if any(route.channels for route in found) else _NOBODY


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


def _add_config(parser: argparse.ArgumentParser) -> None:
    # Before the action and behind it; without a default, because that of the second would hide the first.
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the configuration; default: pyproject.toml or sergas.toml here",
    )
