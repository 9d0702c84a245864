"""The section ``[rules]``: which rule files are in force, and how often they are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pytest_sergas.config.section import Key, Section
from pytest_sergas.core import kinds

# Names of the rule files that come with the package (pytest_sergas/rules).
READY_MADE = ("tests", "system", "health", "sidecar")


@dataclass(frozen=True, slots=True)
class RulesSettings:
    """``[rules]`` in force."""

    files: tuple[str, ...] = ()
    ready_made: tuple[str, ...] = READY_MADE
    evaluation_interval: float = 15.0


def _ready_made(value: object) -> tuple[str, ...]:
    names = kinds.texts(value)
    for name in names:
        if name not in READY_MADE:
            near = kinds.nearest(name, READY_MADE)
            hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(map(repr, READY_MADE))}"
            raise kinds.NotAllowed(f"{name!r}: there is no such ready-made file; {hint}")
    return names


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "files": Key(kinds.texts, "rule files of Prometheus; * and ? stand for parts of a name", '["rules/*.yml"]'),
        "ready_made": Key(
            _ready_made,
            "which of the rule files that come with it are in force",
            '["tests", "system", "health", "sidecar"]',
        ),
        "evaluation_interval": Key(
            kinds.duration(0, 3_600, "seconds", open_below=True),
            "seconds from one evaluation to the next, for groups that say nothing themselves",
            "15",
        ),
    }
)

RULES: Section[RulesSettings] = Section(name="rules", keys=KEYS, settings=RulesSettings)
