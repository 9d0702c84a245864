"""The section of the pushed groups, ``[tool.sergas.groups]``: how long they live, and their bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pytest_sergas.config.section import Key, Section
from pytest_sergas.core import kinds
from pytest_sergas.core.exposition import Bounds

MIB = 1024 * 1024
LABELS_OF_A_SERIES = 10  # on average, over all series of a push
LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class TtlRule:
    """The time to live of the groups whose grouping key has all labels of ``match``."""

    match: Mapping[str, str]
    ttl_s: float


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """``[tool.sergas.groups]`` in force."""

    ttl: float = 0.0
    ttl_rules: tuple[TtlRule, ...] = ()
    max_groups: int = 100_000
    max_series: int = 1_000_000
    max_push_mib: int = 16
    max_push_series: int = 100_000
    max_store_mib: int = 1_024

    @property
    def max_push_bytes(self) -> int:
        return self.max_push_mib * MIB

    @property
    def push_bounds(self) -> Bounds:
        """What one push may have at most."""
        return Bounds(self.max_push_series, self.max_push_series * LABELS_OF_A_SERIES, LONGEST_LINE)

    @property
    def max_store_bytes(self) -> int:
        return self.max_store_mib * MIB

    def ttl_s(self, labels: Mapping[str, str]) -> float | None:
        """Return how many seconds a group with these labels lives after a push; None for ever.

        The first rule that matches decides.
        """
        for rule in self.ttl_rules:
            if all(labels.get(name) == value for name, value in rule.match.items()):
                return rule.ttl_s or None
        return self.ttl or None


_RULE = '{match = {job = "nightly"}, ttl = 86400}'
_SECONDS = kinds.duration(0, kinds.YEAR_S, "seconds (0 for ever)")


def _ttl_rules(raw: object) -> tuple[TtlRule, ...]:
    if not isinstance(raw, list):
        raise kinds.NotAllowed(f"allowed: a list of tables such as {_RULE}")
    usable, wrong = [], []
    for index, entry in enumerate(raw):
        try:
            usable.append(_ttl_rule(entry))
        except kinds.NotAllowed as reason:
            wrong.append(kinds.Wrong((str(index + 1),), entry, str(reason)))
    if wrong:
        raise kinds.WrongInside(tuple(wrong), tuple(usable))
    return tuple(usable)


def _ttl_rule(raw: object) -> TtlRule:
    if not isinstance(raw, dict) or set(raw) != {"match", "ttl"}:
        raise kinds.NotAllowed(f"allowed: a table with match and ttl, such as {_RULE}")
    match = raw["match"]
    if not isinstance(match, dict) or not match or not all(isinstance(value, str) for value in match.values()):
        raise kinds.NotAllowed('match: allowed: a table of labels, such as {job = "nightly"}')
    try:
        ttl_s = _SECONDS(raw["ttl"])
    except kinds.NotAllowed as reason:
        raise kinds.NotAllowed(f"ttl: {reason}") from None
    return TtlRule(MappingProxyType(dict(match)), ttl_s)


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "ttl": Key(_SECONDS, "seconds that a pushed group lives after its last push; 0 for ever", "0"),
        "ttl_rules": Key(_ttl_rules, "the same for groups by their labels; the first that matches decides", "[]"),
        "max_groups": Key(kinds.whole(1, 10_000_000, "groups"), "the most groups; beyond, new ones get 503", "100000"),
        "max_series": Key(
            kinds.whole(1, 100_000_000, "series"), "the most series of all groups; beyond, pushes get 503", "1000000"
        ),
        "max_push_mib": Key(kinds.whole(1, 1_024, "MiB"), "the largest push, uncompressed; beyond, it gets 413", "16"),
        "max_push_series": Key(
            kinds.whole(1, 100_000_000, "series"),
            "the most series of one push, each bucket of a histogram being one; beyond, it gets 413",
            "100000",
        ),
        "max_store_mib": Key(
            kinds.whole(1, 1_048_576, "MiB"), "the largest store; beyond, what would be stored gets 503", "1024"
        ),
    }
)


def _written(key: str, value: Any) -> object:
    return [{"match": rule.match, "ttl": rule.ttl_s} for rule in value] if key == "ttl_rules" else value


GROUPS: Section[GroupSettings] = Section(name="groups", keys=KEYS, settings=GroupSettings, written=_written)
