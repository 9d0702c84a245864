"""States, dependencies, the whole, and the history: decided from results alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.health import (
    WINDOWS_S,
    CheckResult,
    Component,
    HealthStatus,
    Span,
    Thresholds,
    changes,
    cut,
    dependency_faults,
    overall,
    record,
    report,
    uptime,
    worst_by_part,
)

pytestmark = pytest.mark.unit

HEALTHY, DEGRADED, UNKNOWN, UNHEALTHY = HealthStatus
STATUSES = st.sampled_from(list(HealthStatus))
THRESHOLDS = st.builds(Thresholds, st.integers(1, 5), st.integers(1, 5))
DAY_S = 86_400.0


def found(name: str, status: HealthStatus, message: str = "as found", duration_s: float = 0.5) -> CheckResult:
    return CheckResult(name, status, message, duration_s=duration_s)


def seen(
    name: str, *statuses: HealthStatus, depends_on: Sequence[str] = (), limits: Thresholds | None = None
) -> Component:
    """Return a component after results with these statuses."""
    component = Component(name, tuple(depends_on), limits or Thresholds())
    for status in statuses:
        component = component.observe(found(name, status))
    return component


# States


@pytest.mark.parametrize(
    ("limits", "statuses", "expected"),
    [
        pytest.param(Thresholds(3, 2), [], UNKNOWN, id="nothing yet"),
        pytest.param(Thresholds(3, 2), [UNHEALTHY], UNHEALTHY, id="the first result counts at once"),
        pytest.param(Thresholds(3, 2), [HEALTHY, UNHEALTHY, UNHEALTHY], HEALTHY, id="too few failures"),
        pytest.param(Thresholds(3, 2), [HEALTHY, UNHEALTHY, UNHEALTHY, UNHEALTHY], UNHEALTHY, id="enough failures"),
        pytest.param(
            Thresholds(2, 1), [HEALTHY, UNHEALTHY, HEALTHY, UNHEALTHY], HEALTHY, id="failures that are not in a row"
        ),
        pytest.param(Thresholds(2, 1), [HEALTHY, UNHEALTHY, DEGRADED], DEGRADED, id="the mildest of the failures"),
        pytest.param(Thresholds(1, 2), [UNHEALTHY, HEALTHY], UNHEALTHY, id="too few successes"),
        pytest.param(Thresholds(1, 2), [UNHEALTHY, HEALTHY, HEALTHY], HEALTHY, id="enough successes"),
        pytest.param(Thresholds(1, 2), [UNHEALTHY, DEGRADED, HEALTHY], DEGRADED, id="the worst of the successes"),
        pytest.param(Thresholds(2, 1), [DEGRADED, UNHEALTHY, UNHEALTHY], UNHEALTHY, id="from degraded to unhealthy"),
        pytest.param(Thresholds(1, 1), [HEALTHY, UNKNOWN], UNKNOWN, id="a check that cannot tell"),
    ],
)
def test_state_follows_from_the_thresholds(
    limits: Thresholds, statuses: list[HealthStatus], expected: HealthStatus
) -> None:
    assert seen("db", *statuses, limits=limits).status is expected


@given(st.lists(STATUSES, min_size=1))
def test_without_thresholds_the_state_is_the_latest_result(statuses: list[HealthStatus]) -> None:
    assert seen("db", *statuses).status is statuses[-1]


@given(THRESHOLDS, st.lists(STATUSES), STATUSES)
def test_the_same_result_often_enough_becomes_the_state(
    limits: Thresholds, before: list[HealthStatus], status: HealthStatus
) -> None:
    enough = max(limits.failures, limits.successes)

    assert seen("db", *before, *[status] * enough, limits=limits).status is status


@given(THRESHOLDS, st.lists(STATUSES, min_size=1), STATUSES)
def test_a_state_moves_only_towards_the_result_and_never_beyond_it(
    limits: Thresholds, before: list[HealthStatus], status: HealthStatus
) -> None:
    old = seen("db", *before, limits=limits)
    new = old.observe(found("db", status))

    low, high = sorted((old.status.rank, status.rank))
    assert low <= new.status.rank <= high


@given(st.lists(STATUSES, min_size=30, max_size=60))
def test_a_component_remembers_no_more_results_than_its_thresholds_ask_for(statuses: list[HealthStatus]) -> None:
    assert len(seen("db", *statuses, limits=Thresholds(4, 2)).recent) == 4


# What is reported


def test_component_without_a_result_is_unknown() -> None:
    assert report([Component("db")]) == {"db": CheckResult("db", UNKNOWN, "not checked yet")}


def test_result_that_is_the_state_is_reported_as_it_is() -> None:
    assert report([seen("db", HEALTHY)]) == {"db": found("db", HEALTHY)}


def test_failure_that_does_not_count_yet_is_told_with_how_many_there_are() -> None:
    component = seen("db", HEALTHY, UNHEALTHY, UNHEALTHY, limits=Thresholds(3, 1))

    assert report([component])["db"] == found("db", HEALTHY, "still healthy: as found (2 of 3 in a row)")


def test_success_that_does_not_count_yet_is_told_with_how_many_there_are() -> None:
    component = seen("db", UNHEALTHY, HEALTHY, limits=Thresholds(3, 2))

    assert report([component])["db"] == found("db", UNHEALTHY, "still unhealthy: as found (1 of 2 in a row)")


@pytest.mark.parametrize("own", list(HealthStatus))
def test_what_depends_on_a_dead_component_is_unknown(own: HealthStatus) -> None:
    reported = report([seen("shop", own, depends_on=["db"]), seen("db", UNHEALTHY)])

    assert reported["shop"] == CheckResult(
        "shop", UNKNOWN, "depends on db, which is unhealthy", duration_s=0.5, due_to="db"
    )
    assert reported["db"].status is UNHEALTHY


def test_whole_chain_below_a_dead_component_names_the_dead_one() -> None:
    reported = report(
        [
            seen("page", UNHEALTHY, depends_on=["shop"]),
            seen("shop", UNHEALTHY, depends_on=["cache", "db"]),
            seen("cache", HEALTHY),
            seen("db", UNHEALTHY),
        ]
    )

    assert {name: result.status for name, result in reported.items()} == {
        "page": UNKNOWN,
        "shop": UNKNOWN,
        "cache": HEALTHY,
        "db": UNHEALTHY,
    }
    assert reported["page"].message == "depends on db, which is unhealthy"


def test_what_fails_while_its_dependency_begins_to_fail_is_no_alarm_of_its_own() -> None:
    database = seen("db", HEALTHY, UNHEALTHY, limits=Thresholds(3, 1))
    reported = report([seen("shop", UNHEALTHY, depends_on=["db"]), database])

    assert reported["shop"].status is UNKNOWN
    assert reported["shop"].message == "depends on db, whose latest check failed"
    assert reported["db"].status is HEALTHY


def test_whole_chain_is_put_down_to_the_one_that_begins_to_fail() -> None:
    database = seen("db", HEALTHY, UNHEALTHY, limits=Thresholds(3, 1))
    shop = seen("shop", UNHEALTHY, depends_on=["db"])
    reported = report(
        [seen("page", UNHEALTHY, depends_on=["shop"]), seen("mail", HEALTHY, depends_on=["shop"]), shop, database]
    )

    assert reported["page"].message == "depends on db, whose latest check failed"
    assert reported["mail"].status is HEALTHY


def test_what_works_while_its_dependency_begins_to_fail_stays_healthy() -> None:
    database = seen("db", HEALTHY, UNHEALTHY, limits=Thresholds(3, 1))

    assert report([seen("shop", HEALTHY, depends_on=["db"]), database])["shop"].status is HEALTHY


def test_degraded_dependency_takes_nothing_down() -> None:
    reported = report([seen("shop", UNHEALTHY, depends_on=["db"]), seen("db", DEGRADED)])

    assert reported["shop"].status is UNHEALTHY


# The whole


def test_overall_has_the_documented_shape() -> None:
    durations_s = (0.1, 0.2, 0.15, 0.1, 0.2)
    results = [found(str(number), HEALTHY, duration_s=duration) for number, duration in enumerate(durations_s)]

    assert overall(results).to_dict() == {
        "status": "healthy",
        "component": "overall_system",
        "message": "Overall system health: healthy (5/5 components healthy)",
        "details": {
            "total_checks": 5,
            "healthy_checks": 5,
            "degraded_checks": 0,
            "unhealthy_checks": 0,
            "average_response_time": 0.15,
        },
    }


def test_overall_of_nothing_is_healthy() -> None:
    assert overall([]).to_dict() == {
        "status": "healthy",
        "component": "overall_system",
        "message": "Overall system health: healthy (0/0 components healthy)",
        "details": {
            "total_checks": 0,
            "healthy_checks": 0,
            "degraded_checks": 0,
            "unhealthy_checks": 0,
            "average_response_time": 0.0,
        },
    }


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        pytest.param([HEALTHY, DEGRADED], DEGRADED, id="one is degraded"),
        pytest.param([HEALTHY, UNKNOWN], DEGRADED, id="one is unknown"),
        pytest.param([DEGRADED, UNKNOWN, UNHEALTHY], UNHEALTHY, id="one is unhealthy"),
    ],
)
def test_overall_is_as_bad_as_its_worst(statuses: list[HealthStatus], expected: HealthStatus) -> None:
    assert overall(found("db", status) for status in statuses).status is expected


@given(st.lists(STATUSES))
def test_numbers_of_the_overall_health_add_up(statuses: list[HealthStatus]) -> None:
    details = overall(found("db", status) for status in statuses).details

    counted = details["healthy_checks"] + details["degraded_checks"] + details["unhealthy_checks"]
    assert counted == details["total_checks"] == len(statuses)


def test_what_has_not_been_checked_does_not_make_the_response_time_better() -> None:
    results = [found("db", HEALTHY, duration_s=0.4), CheckResult("shop", UNKNOWN, "not checked yet")]

    assert overall(results).details["average_response_time"] == 0.4


# Dependencies


def test_dependencies_that_exist_have_no_fault() -> None:
    assert dependency_faults({"shop": ["db", "cache"], "db": [], "cache": ["db"]}) == ()


@pytest.mark.parametrize(
    ("depends_on", "fault"),
    [
        pytest.param(
            {"shop": ["databse"], "database": []},
            "checks.shop: depends_on = 'databse': there is no check of that name; did you mean 'database'?",
            id="misspelt",
        ),
        pytest.param(
            {"shop": ["xyz"], "db": []},
            "checks.shop: depends_on = 'xyz': there is no check of that name; allowed: 'shop', 'db'",
            id="unlike any",
        ),
        pytest.param(
            {"a": ["b"], "b": ["a"]},
            "checks: depends_on goes in a circle: a → b → a; remove one of these",
            id="circle",
        ),
        pytest.param(
            {"a": ["a"]}, "checks: depends_on goes in a circle: a → a; remove one of these", id="depends on itself"
        ),
    ],
)
def test_dependencies_that_cannot_be_are_faults(depends_on: dict[str, list[str]], fault: str) -> None:
    assert dependency_faults(depends_on) == (fault,)


# History


def history(*observed: tuple[float, HealthStatus], max_gap_s: float = 60.0) -> list[Span]:
    """Return the spans after a status was seen at each of these seconds."""
    spans: list[Span] = []
    for at_s, status in observed:
        last = spans.pop() if spans else None
        spans += record(last, CheckResult("db", status, ""), at_s, max_gap_s)
    return spans


def test_same_status_prolongs_a_span() -> None:
    assert history((0, HEALTHY), (30, HEALTHY), (60, HEALTHY)) == [Span(HEALTHY, 0, 60)]


def test_status_holds_until_the_next_one_is_seen() -> None:
    assert history((0, HEALTHY), (30, UNHEALTHY)) == [Span(HEALTHY, 0, 30), Span(UNHEALTHY, 30, 30)]


def test_after_a_long_silence_a_new_span_begins() -> None:
    assert history((0, HEALTHY), (30, HEALTHY), (91, HEALTHY)) == [Span(HEALTHY, 0, 30), Span(HEALTHY, 91, 91)]


def test_change_has_the_cause_that_was_reported_when_it_began() -> None:
    refused = CheckResult("shop", UNHEALTHY, "refused\nby \x1b[31mthe host")
    other = CheckResult("shop", UNHEALTHY, "no answer")
    blamed = CheckResult("shop", UNKNOWN, "depends on db, which is unhealthy", due_to="db")
    back = CheckResult("shop", UNKNOWN, "x" * 1_000)
    spans: list[Span] = []
    for at_s, reported in ((0, refused), (30, other), (60, blamed), (1_000, back)):
        spans += record(spans.pop() if spans else None, reported, at_s, 60)

    began = [(one.span.from_s, one.before, one.unobserved_s, one.span.due_to) for one in changes(spans)]
    assert began == [(0, None, 0, ""), (60, UNHEALTHY, 0, "db"), (1_000, None, 940, "")]
    assert [span.cause for span in spans[:2]] == ["refused by the host", "depends on db, which is unhealthy"]
    assert len(spans[2].cause) == 300


def test_clock_that_was_set_back_cuts_off_what_has_not_been_lived_through() -> None:
    spans = [Span(HEALTHY, 0, 100), Span(UNHEALTHY, 100, 200), Span(HEALTHY, 200, 300)]

    assert cut(spans, 150) == [Span(HEALTHY, 0, 100), Span(UNHEALTHY, 100, 150)]


OBSERVED = st.lists(st.tuples(st.floats(0, 100, allow_nan=False), STATUSES), min_size=1, max_size=50)


def of_steps(steps: Sequence[tuple[float, HealthStatus]]) -> list[Span]:
    """Return a history from (seconds since the one before, status)."""
    at_s, observed = 0.0, []
    for step_s, status in steps:
        at_s += step_s
        observed.append((at_s, status))
    return history(*observed)


@given(OBSERVED)
def test_spans_never_overlap(steps: list[tuple[float, HealthStatus]]) -> None:
    spans = of_steps(steps)

    moments = [moment for span in spans for moment in (span.from_s, span.until_s)]
    assert moments == sorted(moments)


@given(OBSERVED, st.floats(0.001, 10_000), st.floats(0, 10_000))
def test_uptime_is_a_share_or_nothing(steps: list[tuple[float, HealthStatus]], window_s: float, now_s: float) -> None:
    share = uptime(of_steps(steps), now_s, window_s)

    assert share is None or 0 <= share <= 1


@pytest.mark.parametrize(
    ("observed", "window_s", "expected"),
    [
        pytest.param([], 3600, None, id="nothing was seen"),
        pytest.param([(100, HEALTHY)], 3600, None, id="a moment is no time"),
        pytest.param([(0, HEALTHY), (60, HEALTHY)], 3600, 1.0, id="always up"),
        pytest.param([(0, DEGRADED), (60, DEGRADED)], 3600, 1.0, id="degraded is up"),
        pytest.param([(0, UNHEALTHY), (60, UNHEALTHY)], 3600, 0.0, id="always down"),
        pytest.param([(0, HEALTHY), (45, UNHEALTHY), (60, UNHEALTHY)], 3600, 0.75, id="three quarters"),
        pytest.param([(0, UNKNOWN), (50, HEALTHY), (60, HEALTHY)], 3600, 1.0, id="unknown counts as nothing"),
        pytest.param([(0, UNHEALTHY), (50, HEALTHY), (60, HEALTHY)], 10, 1.0, id="only what is in the window"),
        pytest.param(
            [(0, UNHEALTHY), (55, HEALTHY), (60, HEALTHY)], 20, 0.25, id="a span that begins before the window"
        ),
    ],
)
def test_uptime_is_the_share_of_the_observed_time(
    observed: list[tuple[float, HealthStatus]], window_s: float, expected: float | None
) -> None:
    assert uptime(history(*observed), 60, window_s) == expected


def test_windows_are_an_hour_a_day_a_week_and_thirty_days() -> None:
    assert dict(WINDOWS_S) == {"1h": 3600, "24h": DAY_S, "7d": 7 * DAY_S, "30d": 30 * DAY_S}


def test_part_of_time_has_its_worst_status() -> None:
    spans = [
        Span(HealthStatus.HEALTHY, 100.0, 125.0),
        Span(HealthStatus.UNHEALTHY, 125.0, 128.0),
        Span(HealthStatus.DEGRADED, 128.0, 139.0),
    ]

    found = worst_by_part(spans, 150.0, 50.0, 5)

    assert found == [
        HealthStatus.HEALTHY,
        HealthStatus.HEALTHY,
        HealthStatus.UNHEALTHY,
        HealthStatus.DEGRADED,
        None,
    ]


def test_time_before_the_window_is_not_shown() -> None:
    spans = [Span(HealthStatus.UNHEALTHY, 0.0, 90.0), Span(HealthStatus.HEALTHY, 95.0, 150.0)]

    assert worst_by_part(spans, 150.0, 50.0, 2) == [HealthStatus.HEALTHY] * 2
