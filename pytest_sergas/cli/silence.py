"""``sergas silence``: keep a running sidecar quiet about alerts for a time."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pytest_sergas.cli._options import add_action, add_json, add_sidecar, as_json
from pytest_sergas.cli._sidecar import WHERE, Sidecar, find
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
  sergas silence end 4f2a
"""

_DURATION = kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = add_action(actions, "add", "set a silence")
    add.add_argument("matchers", nargs="+", metavar="MATCHER", help="such as alertname=DiskFull")
    add.add_argument("--for", dest="duration", metavar="TIME", required=True, help="90, 30m or 1h30m")
    add.add_argument("--comment", metavar="TEXT", default="", help="why")
    listing = add_action(actions, "list", "list the silences")
    end = add_action(actions, "end", "end a silence")
    end.add_argument("id", metavar="ID", help="as `list` shows it, or how it begins")
    for action in (add, listing, end):
        _add_common(action)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_sidecar(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "add":
        silence = {
            "matchers": _checked(arguments.matchers),
            "duration_seconds": seconds(arguments.duration),
            "created_by": getpass.getuser(),
            "comment": arguments.comment,
        }
        keys = frozenset({"id", "ends"})
        answer = find(arguments).ask("/api/silences", "a silence", keys, method="POST", document=silence)
        lines = [f"{answer['id']} until {answer['ends']}{_where(answer)}"]
    elif arguments.action == "end":
        sidecar = find(arguments)
        chosen = _chosen(arguments.id, _silences(sidecar)["silences"])
        path = f"/api/silences/{quote(chosen, safe='')}"
        answer = sidecar.ask(path, "the end of a silence", frozenset({"ended"}), method="DELETE")
        stored = answer.get("stored", True)
        lines = [f"{chosen} has ended{'' if stored else '; only in memory: after a restart it is in force again'}"]
    else:
        answer = _silences(find(arguments))
        lines = list(to_lines(answer["silences"]))
    print(json.dumps(answer, indent=2) if as_json(arguments) else "\n".join(lines))
    return 0


def _silences(sidecar: Sidecar) -> Any:
    return sidecar.ask("/api/silences", "the list of silences", frozenset({"silences"}))


def _chosen(typed: str, silences: Sequence[Mapping[str, Any]]) -> str:
    """Return the id of the one silence in force whose id begins as it was ``typed``.

    Raises:
        SergasError: there is none, or several are meant.
    """
    ids = [str(silence["id"]) for silence in silences if silence["is_active"]]
    found = [known for known in ids if typed and known.startswith(typed)]
    if typed in found or len(found) == 1:
        return typed if typed in found else found[0]
    if found:
        raise SergasError(f"sergas: {typed!r} is how several silences begin: {', '.join(found)}; type more of it")
    raise SergasError(f"sergas: there is no silence {typed!r} in force; there are: {', '.join(ids) or 'none'}")


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
        yield one_line(
            f"{silence['id']} {state} {silence['ends']}{by} {' '.join(silence['matchers'])}{about}{_where(silence)}",
            1_000,
        )


def _where(silence: Mapping[str, Any]) -> str:
    """Return what is said of a silence that the store does not have."""
    return "" if silence.get("stored", True) else "; only in memory: a restart forgets it"


def _checked(matchers: Sequence[str]) -> list[str]:
    for text in matchers:
        try:
            read_matcher(text)
        except ValueError as error:
            raise SergasError(f"sergas: matcher {text!r}: {error}") from None
    return list(matchers)
