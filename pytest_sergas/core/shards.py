"""A suite in parts, one for each machine: units go to shards, the longest first to whoever has least to do.

A split depends on nothing but the units (Graham's longest-processing-time rule, 1969: at most 4/3 of the best
split possible), so that machines which do not talk to each other agree on it. Whether they did is seen
afterwards by the split's `fingerprint`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapreplace

from pytest_sergas.core.kinds import NotAllowed
from pytest_sergas.core.plan import Unit

MOST = 10_000
_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_NUMBER = re.compile(r"([^0-9]*)([0-9]*)")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts; ``number`` counts from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse(text: str) -> Shard:
    """Read ``2/5``.

    Raises:
        NotAllowed: it is none.
    """
    match = _SHARD.fullmatch(text.strip())
    if match is None:
        raise NotAllowed("allowed: NUMBER/OF, such as 2/5 for the second of five shards")
    shard = Shard(int(match[1]), int(match[2]))
    if not 1 <= shard.of <= MOST:
        raise NotAllowed(f"allowed: from 1 to {MOST} shards, such as 2/5")
    if not 1 <= shard.number <= shard.of:
        raise NotAllowed(f"allowed: a number from 1 to {shard.of}, such as 1/{shard.of}")
    return shard


class SourceOrder:
    """The order of collection, as far as it is the same on every machine.

    Functions stand as they were collected. The parameters of one may come from a set, and are sorted: numbers in them
    by value, so that most stand as they were collected, too.

    Args:
        node_ids: of the whole suite, as pytest has collected it, before other plugins have put it in another order.
    """

    def __init__(self, node_ids: Iterable[str]) -> None:
        self._functions: dict[str, int] = {}
        for node_id in node_ids:
            self._functions.setdefault(_function(node_id), len(self._functions))

    def key(self, node_id: str) -> tuple[int, Sequence[tuple[str, int, str]], str]:
        """Return what to sort by; what was not there when the others were collected stands behind them."""
        place = self._functions.get(_function(node_id), len(self._functions))
        pieces = _NUMBER.findall(node_id)
        return place, [(text, len(digits.lstrip("0")), digits.lstrip("0")) for text, digits in pieces], node_id


def _function(node_id: str) -> str:
    return node_id.partition("[")[0]


def split(units: Iterable[Unit], shards: int) -> list[list[Unit]]:
    """Return the units of each shard; every unit is in exactly one.

    Args:
        shards: how many, at least 1.
    """
    parts: list[list[Unit]] = [[] for _ in range(shards)]
    loads = [(0.0, 0, number) for number in range(shards)]
    for unit in sorted(units, key=lambda unit: (-unit.seconds, unit.tests)):
        # As many tests as the others where no time tells them apart.
        seconds, tests, number = loads[0]
        parts[number].append(unit)
        heapreplace(loads, (seconds + unit.seconds, tests + len(unit.tests), number))
    return parts


def fingerprint(node_ids: Sequence[str], parts: Sequence[Sequence[Unit]]) -> str:
    """Return what is the same on two machines only if they split the same tests in the same way.

    Args:
        node_ids: of the whole suite, in the order that the units' places refer to.
    """
    digest = hashlib.sha256()
    for number, units in enumerate(parts):
        for place in sorted(place for unit in units for place in unit.tests):
            digest.update(f"{number} {node_ids[place]}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]
