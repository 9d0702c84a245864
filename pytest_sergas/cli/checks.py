"""``sergas checks``: the health checks of the configuration, once."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping

from pytest_sergas.cli._options import add_config, add_json, as_json, config_file
from pytest_sergas.config import load_sections
from pytest_sergas.config.checks import CheckSettings, ChecksSettings
from pytest_sergas.core import kinds
from pytest_sergas.core.health import CheckResult, HealthStatus, overall
from pytest_sergas.core.text import keep_end, keep_start
from pytest_sergas.errors import SergasError

HELP = "run the health checks of the configuration once"
EXAMPLES = """\
The checks run at the same time, each with its own timeout. Thresholds have no
meaning here: a single result decides.

exit status: 0 everything is healthy or degraded, 1 something is unhealthy or
unknown, 2 the configuration cannot be used, or has no checks

examples:
  sergas checks                  all of them
  sergas checks database         this one, and what it depends on
  sergas checks --json | jq .overall.status
"""

NONE = "no checks; [[checks]] in the configuration says what to check, in this directory or above"

_WIDTH = 80
_NAME, _STATUS, _TIME = 18, 9, 8  # columns
_BAD = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="the checks to run; default: all")
    add_config(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.checks.once import run_once, with_dependencies

    file = config_file(arguments)
    settings: ChecksSettings = load_sections(file, ("checks",), environ=os.environ)["checks"].settings
    entries = settings.checks
    if not entries:
        raise SergasError(f"sergas: {NONE}")
    if arguments.names:
        _refuse_unknown(arguments.names, entries)
        entries = with_dependencies(entries, arguments.names)
    results = run_once(entries, file.root)
    whole = overall(results.values())
    if as_json(arguments):
        print(json.dumps(to_document(results, whole), indent=2))
    else:
        print("\n".join(to_lines(results, whole)))
    bad = {HealthStatus.UNHEALTHY, HealthStatus.UNKNOWN}
    return _BAD if any(result.status in bad for result in results.values()) else 0


def to_document(results: Mapping[str, CheckResult], whole: CheckResult) -> dict[str, object]:
    """Return the results for `json.dumps`; times in seconds."""
    checks = {name: {**result.to_dict(), "response_time": result.duration_s} for name, result in results.items()}
    return {"overall": whole.to_dict(), "checks": checks}


def to_lines(results: Mapping[str, CheckResult], whole: CheckResult) -> Iterator[str]:
    """Return the lines for a terminal: the results as a table of 80 columns, then the whole."""
    yield f"{'check':<{_NAME}} {'status':<{_STATUS}} {'time':>{_TIME}}  message"
    for name, result in results.items():
        head = f"{keep_end(name, _NAME):<{_NAME}} {result.status.value:<{_STATUS}} {_time(result.duration_s):>{_TIME}}"
        yield f"{head}  {keep_start(result.message, _WIDTH - len(head) - 2)}"
        if len(result.message) > _WIDTH - len(head) - 2 and result.status is not HealthStatus.HEALTHY:
            yield f"  {result.message}"  # why something is not well is never cut off
    yield whole.message


def _time(duration_s: float) -> str:
    return f"{duration_s:.1f} s" if duration_s >= 1 else f"{duration_s * 1000:.0f} ms"


def _refuse_unknown(names: list[str], entries: tuple[CheckSettings, ...]) -> None:
    known = [entry.name for entry in entries]
    for name in names:
        if name not in known:
            near = kinds.nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(map(repr, known)) or 'none'}"
            raise SergasError(f"sergas: there is no check {name!r}; {hint}")
