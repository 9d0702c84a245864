"""``sergas alerts``: what fires in a running sidecar, and what became of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from pytest_sergas.cli._options import add_json, add_sidecar, as_json
from pytest_sergas.cli._sidecar import WHERE, find
from pytest_sergas.core.text import keep_start, one_line

HELP = "list the alerts of a running sidecar, or what happened to them"
EXAMPLES = f"""\
{WHERE}
examples:
  sergas alerts                              what is pending or fires
  sergas alerts --history                    who was told what, and why not
  sergas alerts --history --name DiskFull    of one alert
  sergas alerts --json | jq '.alerts[].name'
"""

_WIDTH = 80
_LABELS_LIMIT = 1_000
_SHOWN_ELSEWHERE = frozenset({"alertname", "severity"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sidecar(parser)
    parser.add_argument("--history", action="store_true", help="what happened, the latest first")
    parser.add_argument("--name", metavar="ALERT", default="", help="with --history: of this alert only")
    parser.add_argument("--limit", metavar="N", type=int, default=20, help="with --history: so many; default: 20")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    sidecar = find(arguments)
    if arguments.history:
        asked = {"limit": arguments.limit, **({"name": arguments.name} if arguments.name else {})}
        found = sidecar.ask(f"/api/alerts/history?{urlencode(asked)}", "the history", frozenset({"events"}))
        lines = to_history(found["events"])
    else:
        found = sidecar.ask("/api/alerts", "the list of alerts", frozenset({"alerts"}))
        lines = to_lines(found["alerts"])
    print(json.dumps(found, indent=2) if as_json(arguments) else "\n".join(lines))
    return 0


def to_lines(alerts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines for a terminal: each alert with its labels, and what it says."""
    if not alerts:
        yield "no alerts"
    for alert in alerts:
        since = alert["firing_since"] or alert["active_since"]
        muted = f", muted by {alert['muted_by']}" if alert["muted_by"] else ""
        routes = ", ".join(alert["routes"]) or "no route"
        head = f"{alert['level']:<8} {alert['state']:<7} "
        yield head + keep_start(f"{alert['name']}: {alert['message']}", _WIDTH - len(head))
        yield f"         since {since}, to {one_line(routes, 200)}{one_line(muted, 200)}"
        if labels := _labels(alert["labels"]):
            yield f"         {labels}"


def to_history(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines for a terminal: one for each event."""
    if not events:
        yield "nothing happened yet"
    for event in events:
        yield one_line(f"{event['at']} {event['level']} {event['name']} {_story(event)}", 1_000)


def _story(event: Mapping[str, Any]) -> str:
    why = event["why"].replace("_", " ")
    detail = f" ({event['detail']})" if event["detail"] else ""
    if event["event"] == "not_told":
        to = f" to {event['channel']}" if event["channel"] else ""
        return f"not told{to}: {why}{detail}"
    if event["event"] != "told":
        return f"{event['event']}: {why}"
    delivery = event["delivery"]
    noun = "attempt" if delivery and delivery["attempts"] == 1 else "attempts"
    result = "" if delivery is None else f", {delivery['state']} after {delivery['attempts']} {noun}"
    said = f": {delivery['result']}" if delivery and delivery["result"] else ""
    return f"told to {event['channel']}: {why}{result}{said}"


def _labels(labels: Mapping[str, str]) -> str:
    shown = (f"{name}={value}" for name, value in labels.items() if name not in _SHOWN_ELSEWHERE)
    return one_line(", ".join(shown), _LABELS_LIMIT)
