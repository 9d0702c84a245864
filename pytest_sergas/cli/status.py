"""``sergas status``: what a running sidecar says of itself, for people at a terminal."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_sergas.cli._options import add_json, add_sidecar, as_json
from pytest_sergas.cli._sidecar import WHERE, Sidecar, find
from pytest_sergas.core.text import keep_start

HELP = "show what a running sidecar says: health, alerts, the last test run"
EXAMPLES = f"""\
{WHERE}
examples:
  sergas status
  sergas status --url http://ci.example.org:8000
  sergas status --json | jq .tests.success_rate
"""

PATH = "/api/monitoring/status"

_WIDTH = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sidecar(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    url, status = _fetch(find(arguments))
    if as_json(arguments):
        print(json.dumps(status, indent=2))
    else:
        print("\n".join(to_lines(url, status)))
    return 0


def _fetch(sidecar: Sidecar) -> tuple[str, dict[str, Any]]:
    """Return the address that was asked, and the status.

    Raises:
        SergasError: it cannot be asked, or answers something else.
    """
    keys = frozenset({"health", "alerts", "metrics", "tests"})
    status: dict[str, Any] = sidecar.ask(PATH, "the status", keys)
    return sidecar.url, status


def to_lines(url: str, status: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines for a terminal of 80 columns."""
    health, alerts, tests = status["health"], status["alerts"], status["tests"]
    yield _line("sidecar", f"{url} at {status.get('timestamp')}")
    yield _line("health", f"{health['overall']['status']}: {health['overall']['message']}")
    for name, component in sorted(health["individual"].items()):
        yield _line("", f"{name}: {component['status']}, {component['message']}")
    yield _line("alerts", f"{alerts['total_active']} active{_counted(alerts['by_level'])}")
    yield _line("tests", _tests(tests))
    yield _line("metrics", f"{len(status['metrics']['latest'])} values of its own")


def _line(head: str, text: str) -> str:
    return f"{head:<9}{keep_start(text, _WIDTH - 9)}"


def _tests(tests: Mapping[str, Any]) -> str:
    if not tests["total"]:
        return "no run yet; pytest --sergas-sidecar URL sends one"
    rate = tests["success_rate"]
    succeeded = "none judged" if rate is None else f"{rate:.1f}% passed"
    return f"{tests['total']} in the last run, {succeeded}{_counted(tests['by_status'])}"


def _counted(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{count} {name}' for name, count in counts.items())})" if counts else ""
