"""The life of an alert: a table of states, and the step that one evaluation of a rule makes in it.

    inactive → pending (for) → firing → (keep_firing_for) → resolved

An alert is its rule and its labels; value and time are never labels. It is followed while it is pending or firing:
``inactive`` and ``resolved`` are where it comes from and goes to. What the table cannot hold: whether a condition has
held for long enough, which `_after` works out from the monotonic clock, so that no clock that is set fires anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from pytest_sergas.core.clock import Now
from pytest_sergas.core.messages import ALERTNAME, SEVERITY, Notified, fingerprint
from pytest_sergas.core.series import Labels


class AlertLevel(StrEnum):
    """How bad it is; the label ``severity``."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return tuple(AlertLevel).index(self)


class State(StrEnum):
    """Where an alert stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Seen(StrEnum):
    """What an evaluation says about one alert."""

    HOLDS = "holds"
    LONG_ENOUGH = "holds for long enough"
    KEPT = "no longer holds, and is kept"
    OVER = "no longer holds"


class Reason(StrEnum):
    """Why an alert changed."""

    CONDITION_TRUE = "condition_true"
    CONDITION_FALSE = "condition_false"
    SERIES_GONE = "series_gone"
    RULE_GONE = "rule_gone"


TABLE: Mapping[tuple[State, Seen], State] = MappingProxyType(
    {
        (State.INACTIVE, Seen.HOLDS): State.PENDING,
        (State.INACTIVE, Seen.LONG_ENOUGH): State.FIRING,
        (State.INACTIVE, Seen.KEPT): State.INACTIVE,
        (State.INACTIVE, Seen.OVER): State.INACTIVE,
        (State.PENDING, Seen.HOLDS): State.PENDING,
        (State.PENDING, Seen.LONG_ENOUGH): State.FIRING,
        (State.PENDING, Seen.KEPT): State.INACTIVE,
        (State.PENDING, Seen.OVER): State.INACTIVE,
        (State.FIRING, Seen.HOLDS): State.FIRING,  # for_s has grown since
        (State.FIRING, Seen.LONG_ENOUGH): State.FIRING,
        (State.FIRING, Seen.KEPT): State.FIRING,
        (State.FIRING, Seen.OVER): State.RESOLVED,
    }
)


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
        covered: False while the rule looks back further than samples reach; the states of alerts stay then.
        firing_lasts: whether what is in ``active`` would be there with older samples, too: then it counts in any case.
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
    firing_lasts: bool = False
    error: str = ""
    gone: frozenset[Labels] = frozenset()


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it stands.

    Attributes:
        rule, source, cooldown_s: as in `Evaluation`.
        value: when its condition was last seen to hold.
        active: since when its condition holds.
        fired: since when it fires, or None.
        ended: since when its condition does not hold, although it still fires, or None.
        resolved: when it ended, or None.
        reason: of its latest change.
    """

    rule: str
    labels: Labels
    value: float
    annotations: Labels
    state: State
    active: Now
    reason: Reason = Reason.CONDITION_TRUE
    source: str = ""
    cooldown_s: float | None = None
    fired: Now | None = None
    ended: Now | None = None
    resolved: Now | None = None

    @property
    def name(self) -> str:
        return dict(self.labels).get(ALERTNAME, "")

    @property
    def level(self) -> AlertLevel:
        return level_of(self.labels)

    @property
    def message(self) -> str:
        """The annotation that says it in one sentence, else the name."""
        annotations = dict(self.annotations)
        return annotations.get("summary") or annotations.get("description") or self.name

    def notified(self) -> Notified:
        """Return it as channels are told; only what fires or fired can be told.

        Raises:
            ValueError: it has never fired.
        """
        if self.fired is None:
            raise ValueError(f"{self.name} is {self.state} and has not fired; nobody is told about it")
        over = self.resolved is not None
        return Notified(
            labels=self.labels,
            annotations=self.annotations,
            status="resolved" if over else "firing",
            starts_at_s=self.fired.wall_s,
            ends_at_s=max(self.resolved.wall_s, self.fired.wall_s) if self.resolved else None,
            reason=self.reason.value if over else "",
            value=self.value,
            fingerprint=fingerprint(self.labels),
            level=self.level.value,
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """One alert's change of state; ``alert`` is as it is after it."""

    before: State
    alert: Alert


@dataclass(frozen=True, slots=True)
class Step:
    """What an evaluation makes of a rule's alerts.

    Attributes:
        alerts: those that are pending or firing now.
        transitions: the changes of state, in the order of the evaluation, then of those that were there before.
    """

    alerts: Mapping[Labels, Alert]
    transitions: tuple[Transition, ...] = field(default=())


def level_of(labels: Labels) -> AlertLevel:
    """Return the level that ``severity`` names; ``warning`` for another one, or none."""
    try:
        return AlertLevel(dict(labels).get(SEVERITY, ""))
    except ValueError:
        return AlertLevel.WARNING


def step(before: Mapping[Labels, Alert], evaluation: Evaluation) -> Step:
    """Return what ``evaluation`` makes of the alerts of its rule.

    Args:
        before: those of the rule that are pending or firing, by their labels.
    """
    if evaluation.error or not (evaluation.covered or evaluation.firing_lasts):
        return Step(before)
    alerts: dict[Labels, Alert] = {}
    transitions: list[Transition] = []
    held = {active.labels: active for active in evaluation.active}
    others = [labels for labels in before if labels not in held]
    if not evaluation.covered:
        alerts.update((labels, before[labels]) for labels in others)
        others = []
    for labels in (*held, *others):
        earlier = before.get(labels)
        after = _after(earlier, held.get(labels), evaluation, labels)
        state = earlier.state if earlier else State.INACTIVE
        if after.state in {State.PENDING, State.FIRING}:
            alerts[labels] = after
        if after.state is not state:
            transitions.append(Transition(state, after))
    return Step(alerts, tuple(transitions))


def removed(before: Mapping[Labels, Alert], now: Now) -> Step:
    """Return what becomes of the alerts of a rule that is not there any more."""
    ends = {State.PENDING: State.INACTIVE, State.FIRING: State.RESOLVED}
    changed = (
        Transition(alert.state, replace(alert, state=ends[alert.state], resolved=now, reason=Reason.RULE_GONE))
        for alert in before.values()
    )
    return Step({}, tuple(changed))


def _after(earlier: Alert | None, active: Active | None, evaluation: Evaluation, labels: Labels) -> Alert:
    now = evaluation.now
    if active is None:
        assert earlier is not None  # noqa: S101  the labels are from one of the two
        ended = earlier.ended or now
        kept = now.monotonic_s - ended.monotonic_s < evaluation.keep_firing_for_s
        state = TABLE[earlier.state, Seen.KEPT if kept else Seen.OVER]
        if state is State.FIRING:
            return replace(earlier, ended=ended)
        gone = Reason.SERIES_GONE if labels in evaluation.gone else Reason.CONDITION_FALSE
        return replace(earlier, state=state, ended=ended, resolved=now, reason=gone)
    since = earlier.active if earlier else now
    long_enough = now.monotonic_s - since.monotonic_s >= evaluation.for_s
    before = earlier.state if earlier else State.INACTIVE
    state = TABLE[before, Seen.LONG_ENOUGH if long_enough else Seen.HOLDS]
    fired = earlier.fired if earlier and earlier.fired else now if state is State.FIRING else None
    return Alert(
        rule=evaluation.rule,
        labels=labels,
        value=active.value,
        annotations=active.annotations,
        state=state,
        active=since,
        source=evaluation.source,
        cooldown_s=evaluation.cooldown_s,
        fired=fired,
    )
