"""The life of an alert: the table, and what one evaluation makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.alerts import (
    TABLE,
    Active,
    Alert,
    AlertLevel,
    Evaluation,
    Reason,
    Seen,
    State,
    Step,
    level_of,
    removed,
    step,
)
from pytest_sergas.core.clock import Now, restored
from pytest_sergas.core.messages import fingerprint
from pytest_sergas.core.series import Labels

pytestmark = pytest.mark.unit

WALL_S = 1_700_000_000.0
FULL: Labels = (("alertname", "DiskFull"), ("severity", "critical"))
OTHER: Labels = (("alertname", "DiskFull"), ("disk", "b"))


def at(second: float) -> Now:
    return Now(second, WALL_S + second)


def evaluation(
    second: float,
    *labels: Labels,
    for_s: float = 0.0,
    keep_s: float = 0.0,
    gone: Sequence[Labels] = (),
    covered: bool = True,
    error: str = "",
) -> Evaluation:
    return Evaluation(
        "disk",
        at(second),
        tuple(Active(pairs, 99.0, (("summary", "the disk is full"),)) for pairs in labels),
        for_s=for_s,
        keep_firing_for_s=keep_s,
        gone=frozenset(gone),
        covered=covered,
        error=error,
    )


def play(*evaluations: Evaluation, before: Mapping[Labels, Alert] | None = None) -> list[Step]:
    steps: list[Step] = []
    alerts = before or {}
    for one in evaluations:
        steps.append(step(alerts, one))
        alerts = steps[-1].alerts
    return steps


def changes(steps: Sequence[Step]) -> list[list[str]]:
    return [[f"{change.before} → {change.alert.state}" for change in one.transitions] for one in steps]


def test_table_is_total_over_the_states_that_are_followed() -> None:
    followed = set(State) - {State.RESOLVED}

    assert set(TABLE) == set(product(followed, Seen))


def test_alert_without_for_fires_at_once() -> None:
    [only] = play(evaluation(0, FULL))

    assert changes([only]) == [["inactive → firing"]]
    alert = only.alerts[FULL]
    assert (alert.fired, alert.active, alert.value, alert.reason) == (at(0), at(0), 99.0, Reason.CONDITION_TRUE)


def test_condition_has_to_hold_for_the_time_that_the_rule_says() -> None:
    steps = play(*(evaluation(second, FULL, for_s=60) for second in (0, 30, 59.9, 60, 90)))

    assert changes(steps) == [["inactive → pending"], [], [], ["pending → firing"], []]
    assert steps[-1].alerts[FULL].fired == at(60)


def test_pending_alert_ends_without_anybody_being_told() -> None:
    steps = play(evaluation(0, FULL, for_s=60), evaluation(30, for_s=60), evaluation(60, FULL, for_s=60))

    assert changes(steps) == [["inactive → pending"], ["pending → inactive"], ["inactive → pending"]]


def test_alert_ends_when_its_condition_is_false() -> None:
    steps = play(evaluation(0, FULL), evaluation(60))

    assert changes(steps) == [["inactive → firing"], ["firing → resolved"]]
    [change] = steps[-1].transitions
    assert (change.alert.reason, change.alert.resolved) == (Reason.CONDITION_FALSE, at(60))
    assert steps[-1].alerts == {}


def test_series_that_vanished_is_told_apart_from_a_false_condition() -> None:
    [_, ended] = play(evaluation(0, FULL, OTHER), evaluation(60, gone=[OTHER]))

    assert {change.alert.labels: change.alert.reason for change in ended.transitions} == {
        FULL: Reason.CONDITION_FALSE,
        OTHER: Reason.SERIES_GONE,
    }


def test_alert_is_kept_firing_for_the_time_that_the_rule_says() -> None:
    steps = play(
        evaluation(0, FULL, keep_s=60),
        evaluation(30, keep_s=60),
        evaluation(89.9, keep_s=60),
        evaluation(90, keep_s=60),
    )

    assert changes(steps) == [["inactive → firing"], [], [], ["firing → resolved"]]
    assert steps[1].alerts[FULL].ended == at(30)


def test_condition_that_holds_again_starts_the_keeping_anew() -> None:
    steps = play(*(evaluation(second, *labels, keep_s=60) for second, labels in ((0, [FULL]), (30, []), (60, [FULL]))))
    [last] = play(evaluation(119, keep_s=60), before=steps[-1].alerts)

    assert steps[-1].alerts[FULL].ended is None
    assert last.alerts[FULL].state is State.FIRING
    assert last.alerts[FULL].fired == at(0)


def test_firing_alert_shows_the_value_and_annotations_of_now() -> None:
    before = step({}, evaluation(0, FULL)).alerts
    now = Evaluation("disk", at(60), (Active(FULL, 100.0, (("summary", "fuller"),)),))

    alert = step(before, now).alerts[FULL]
    assert (alert.value, alert.message, alert.fired) == (100.0, "fuller", at(0))


@pytest.mark.parametrize(
    "unsure",
    [
        pytest.param(evaluation(60, covered=False), id="the window is not covered after a restart"),
        pytest.param(evaluation(60, error="division by zero"), id="the evaluation failed"),
    ],
)
def test_states_stay_when_nothing_is_known(unsure: Evaluation) -> None:
    before = step({}, evaluation(0, FULL)).alerts

    assert step(before, unsure) == Step(before)


def test_firing_alert_stays_so_when_for_grows() -> None:
    steps = play(evaluation(0, FULL), evaluation(1, FULL, for_s=600))

    assert steps[-1].transitions == ()
    assert steps[-1].alerts[FULL].state is State.FIRING


@pytest.mark.parametrize("set_by_s", [-86_400.0, 86_400.0], ids=["back", "forward"])
def test_wall_clock_that_is_set_fires_nothing_and_delays_nothing(set_by_s: float) -> None:
    before = step({}, evaluation(0, FULL, for_s=60)).alerts

    def jumped(second: float) -> Evaluation:
        return Evaluation("disk", Now(second, WALL_S + second + set_by_s), (Active(FULL, 99.0),), for_s=60)

    assert [len(one.transitions) for one in play(jumped(59), jumped(60), before=before)] == [0, 1]


def test_alert_never_ends_before_it_began_although_the_clock_was_set_back() -> None:
    before = step({}, evaluation(0, FULL)).alerts
    [change] = step(before, Evaluation("disk", Now(60.0, WALL_S - 86_400), ())).transitions

    told = change.alert.notified()
    assert (told.starts_at_s, told.ends_at_s) == (WALL_S, WALL_S)


@pytest.mark.parametrize(
    ("stored_s", "elapsed_s"),
    [
        pytest.param(WALL_S - 30, 30.0, id="before"),
        pytest.param(WALL_S + 30, 0.0, id="in the future, after the clock was set back"),
    ],
)
def test_restored_moment_is_as_far_away_as_the_wall_clock_says(stored_s: float, elapsed_s: float) -> None:
    moment = restored(stored_s, Now(5.0, WALL_S))

    assert (5.0 - moment.monotonic_s, moment.wall_s) == (elapsed_s, stored_s)


def test_alerts_of_a_rule_that_is_gone_end_with_it() -> None:
    before = step({}, evaluation(0, FULL)).alerts
    pending = step({}, evaluation(0, OTHER, for_s=60)).alerts

    step_ = removed({**before, **pending}, at(10))
    assert [(change.alert.state, change.alert.reason) for change in step_.transitions] == [
        (State.RESOLVED, Reason.RULE_GONE),
        (State.INACTIVE, Reason.RULE_GONE),
    ]
    assert step_.alerts == {}


def test_alert_is_told_with_its_times_its_end_and_its_reason() -> None:
    firing = step({}, evaluation(0, FULL))
    resolved = step(firing.alerts, evaluation(60, gone=[FULL]))

    first, last = (one.transitions[0].alert.notified() for one in (firing, resolved))
    assert (first.status, first.starts_at_s, first.ends_at_s, first.reason) == ("firing", WALL_S, None, "")
    assert (last.status, last.starts_at_s, last.ends_at_s) == ("resolved", WALL_S, WALL_S + 60)
    assert last.reason == "series_gone"
    assert (first.fingerprint, first.level) == (fingerprint(FULL), "critical")
    assert first.fingerprint == last.fingerprint


def test_pending_alert_cannot_be_told() -> None:
    pending = step({}, evaluation(0, FULL, for_s=60)).alerts[FULL]

    with pytest.raises(ValueError, match=r"^DiskFull is pending and has not fired; nobody is told about it$"):
        pending.notified()


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        *((level.value, level) for level in AlertLevel),
        pytest.param("page", AlertLevel.WARNING, id="another word"),
        pytest.param("", AlertLevel.WARNING, id="none"),
    ],
)
def test_severity_gives_the_level(severity: str, level: AlertLevel) -> None:
    assert level_of((("severity", severity),)) is level


def test_levels_are_in_order() -> None:
    assert sorted(AlertLevel, key=lambda level: level.rank) == ["info", "warning", "error", "critical"]


OBSERVATIONS = st.lists(
    st.tuples(st.floats(0, 100), st.sampled_from([frozenset(), frozenset([FULL]), frozenset([FULL, OTHER])])),
    max_size=30,
)


@given(OBSERVATIONS, st.floats(0, 200), st.floats(0, 200))
def test_firing_and_its_end_alternate_whatever_is_observed(
    observed: list[tuple[float, frozenset[Labels]]], for_s: float, keep_s: float
) -> None:
    second, evaluations = 0.0, []
    for gap_s, holding in observed:
        second += gap_s
        evaluations.append(evaluation(second, *sorted(holding), for_s=for_s, keep_s=keep_s))

    for labels in (FULL, OTHER):
        told = [
            change.alert.state
            for one in play(*evaluations)
            for change in one.transitions
            if change.alert.labels == labels and change.alert.state in {State.FIRING, State.RESOLVED}
        ]
        assert told == [State.FIRING, State.RESOLVED] * (len(told) // 2) + [State.FIRING] * (len(told) % 2)


@given(OBSERVATIONS, st.floats(0, 200))
def test_alert_fires_only_after_its_condition_held_all_the_time(
    observed: list[tuple[float, frozenset[Labels]]], for_s: float
) -> None:
    second, since = 0.0, None
    alerts: Mapping[Labels, Alert] = {}
    for gap_s, holding in observed:
        second += gap_s
        since = None if FULL not in holding else second if since is None else since
        alerts = step(alerts, evaluation(second, *sorted(holding), for_s=for_s)).alerts
        fires = FULL in alerts and alerts[FULL].state is State.FIRING
        assert fires is (since is not None and second - since >= for_s)
