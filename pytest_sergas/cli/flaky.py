"""``sergas flaky``: the flakiest tests of the latest runs, and how sure that is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_sergas.cli._options import add_json, as_json
from pytest_sergas.core.results import KEPT, OUTCOMES
from pytest_sergas.core.standing import Assessment, Seen, Standing, assess
from pytest_sergas.core.text import keep_end
from pytest_sergas.errors import SergasError

HELP = "list the flakiest tests of the latest runs, with their rate and how sure it is"
EXAMPLES = f"""\
pytest's cache knows the latest {KEPT} runs of each test in this directory.
A test is flaky that passed after a failure within a run, or failed between runs
in which it passed. The interval holds the true rate with 95 % certainty; the
list begins with the test whose rate is high for sure.

examples:
  sergas flaky
  sergas flaky --most 5 --json
"""

_WIDTH = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", metavar="FILE", help="the file; default: that in pytest's cache")
    parser.add_argument("--most", type=_number, default=20, metavar="N", help="tests that are listed; 20 unless given")
    add_json(parser)


@dataclass(frozen=True, slots=True)
class _Flaky:
    node_id: str
    found: Assessment

    @property
    def rate(self) -> float:
        return self.found.troubled / self.found.judged


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.plugin.results import read

    path = Path(arguments.results) if arguments.results else _cached()
    known, note = read(path)
    if note:
        raise SergasError(f"sergas: {note}")
    flaky = _worst(known)
    shown = flaky[: arguments.most]
    if as_json(arguments):
        print(json.dumps([_entry(one) for one in shown], indent=2))
    else:
        print("\n".join(_lines(shown, len(flaky), len(known), path)))
    return 0


def _cached() -> Path:
    from pytest_sergas.cli._pytest import configured
    from pytest_sergas.plugin.baselines import place
    from pytest_sergas.plugin.results import NAME

    history = place(configured(), "")
    if history is None:
        raise SergasError("sergas: pytest's cache is switched off here; name the file with --results")
    return history.with_name(NAME)


def _worst(known: Mapping[str, str]) -> list[_Flaky]:
    found = (_Flaky(node_id, assess([Seen(OUTCOMES[run], 0.0) for run in runs])) for node_id, runs in known.items())
    flaky = (one for one in found if one.found.standing is Standing.FLAKY)
    return sorted(flaky, key=lambda one: (-one.found.share.low, -one.rate, one.node_id))


def _lines(shown: Iterable[_Flaky], flaky: int, known: int, path: Path) -> Iterator[str]:
    if not known:
        yield f"{path}: nothing yet; runs that have types or a configuration fill it, in pytest's cache"
        return
    yield f"{flaky} of {known} tests are flaky"
    listed = list(shown)
    if listed:
        yield f"{'rate':>6} {'95 % interval':>15} {'runs':>6}  test"
    for one in listed:
        interval = f"{one.found.share.low:.1%} - {one.found.share.high:.1%}"
        counts = f"{one.found.troubled}/{one.found.judged}"
        yield f"{one.rate:>6.1%} {interval:>15} {counts:>6}  {keep_end(one.node_id, _WIDTH - 31)}"
    if flaky > len(listed):
        yield f"and {flaky - len(listed)} more"


def _entry(one: _Flaky) -> dict[str, object]:
    found = one.found
    return {
        "test": one.node_id,
        "rate": round(one.rate, 4),
        "low": round(found.share.low, 4),
        "high": round(found.share.high, 4),
        "troubled": found.troubled,
        "runs": found.judged,
    }


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used; allowed: a whole number from 1 to 100000")
    return int(text)
