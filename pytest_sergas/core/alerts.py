"""Alerts: what an evaluation of a rule found."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sergas.core.clock import Now
from pytest_sergas.core.series import Labels


@dataclass(frozen=True, slots=True)
class Active:
    """An alert whose condition holds.

    Attributes:
        labels: canonical and final, ``alertname`` and the rule's own included; templates are filled in.
        value: of the expression.
        annotations: sorted by name, templates filled in.
    """

    labels: Labels
    value: float
    annotations: Labels = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation of one rule found.

    Attributes:
        rule: the rule's identity, the same from one reading of the files to the next.
        active: every alert whose condition holds, each label set once.
        for_s: how long a condition has to hold until its alert fires.
        keep_firing_for_s: how long an alert goes on firing after its condition has ended.
        cooldown_s: for this rule, the interval of repeating while it fires and the least time between two times that
            it begins to be told; None for what the route says.
        source: where the rule comes from: the name of its group.
        covered: False while the rule looks back further than the samples reach after a restart; states stay.
        error: why the evaluation failed, or ""; states stay.
        gone: labels of alerts, as in ``active``, whose series are not there any more. What is neither here nor in
            ``active`` has a condition that is false.
    """

    rule: str
    now: Now
    active: tuple[Active, ...]
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    cooldown_s: float | None = None
    source: str = ""
    covered: bool = True
    error: str = ""
    gone: frozenset[Labels] = frozenset()
