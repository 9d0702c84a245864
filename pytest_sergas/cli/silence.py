"""``sergas silence``: keep a running sidecar quiet about alerts for a time."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pytest_sergas.cli._sidecar import WHERE, find
from pytest_sergas.core import kinds
from pytest_sergas.core.routes import read_matcher
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import SergasError

HELP = "keep quiet about alerts for a time; list silences, end one"
EXAMPLES = f"""\
Matchers are those of Alertmanager: label=value, label!=value, label=~regex,
label!~regex; an alert is silenced when all of them match. The end of an alert
that was told before is told all the same.

{WHERE}
examples:
  sergas silence add alertname=DiskFull --for 2h --comment "being cleaned"
  sergas silence list
  sergas silence end 4f2a9c017b33
"""

_DURATION = kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="where the sidecar is")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="set a silence", allow_abbrev=False)
    add.add_argument("matchers", nargs="+", metavar="MATCHER", help="such as alertname=DiskFull")
    add.add_argument("--for", dest="duration", metavar="TIME", required=True, help="90, 30m or 1h30m")
    add.add_argument("--comment", metavar="TEXT", default="", help="why")
    actions.add_parser("list", help="list the silences", allow_abbrev=False)
    end = actions.add_parser("end", help="end a silence", allow_abbrev=False)
    end.add_argument("id", metavar="ID", help="as `list` shows it")


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "add":
        silence = {
            "matchers": _checked(arguments.matchers),
            "duration_seconds": seconds(arguments.duration),
            "created_by": getpass.getuser(),
            "comment": arguments.comment,
        }
        keys = frozenset({"id", "ends"})
        made = find(arguments.url).ask("/api/silences", "a silence", keys, method="POST", document=silence)
        print(f"{made['id']} until {made['ends']}")
    elif arguments.action == "end":
        path = f"/api/silences/{quote(arguments.id, safe='')}"
        find(arguments.url).ask(path, "the end of a silence", frozenset({"ended"}), method="DELETE")
        print(f"{arguments.id} has ended")
    else:
        found = find(arguments.url).ask("/api/silences", "the list of silences", frozenset({"silences"}))
        print("\n".join(to_lines(found["silences"])))
    return 0


def seconds(text: str) -> float:
    """Return the seconds of a length of time such as ``2h``.

    Raises:
        SergasError: it is none.
    """
    try:
        return float(_DURATION(text))
    except kinds.NotAllowed as wrong:
        raise SergasError(f"sergas: --for {text!r}: {wrong}") from None


def to_lines(silences: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines for a terminal: one for each silence."""
    if not silences:
        yield "no silences"
    for silence in silences:
        state = "until" if silence["is_active"] else "ended"
        about = f": {silence['comment']}" if silence["comment"] else ""
        by = f" by {silence['created_by']}" if silence["created_by"] else ""
        yield one_line(f"{silence['id']} {state} {silence['ends']}{by} {' '.join(silence['matchers'])}{about}", 1_000)


def _checked(matchers: Sequence[str]) -> list[str]:
    for text in matchers:
        try:
            read_matcher(text)
        except ValueError as error:
            raise SergasError(f"sergas: matcher {text!r}: {error}") from None
    return list(matchers)
