"""Metrics of programs: what they may be, the name under which they are exposed, and what would spoil the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.metrics import Family, FamilyType, Sample
from pytest_sergas.core.monitoring import MonitoringMetric, MonitorType, check, families_of
from pytest_sergas.errors import MetricError

pytestmark = pytest.mark.unit

NUMBERS = "allowed: an int or a float, no larger than a float can be"


def metric(name: str, kind: MonitorType = MonitorType.CUSTOM, value: float = 1.0, **labels: str) -> MonitoringMetric:
    return MonitoringMetric(name, value, None, kind, labels)


@pytest.mark.parametrize(
    ("kind", "name", "exported"),
    [
        pytest.param(MonitorType.SYSTEM, "cpu_usage_percent", "system_cpu_usage_percent", id="type and name"),
        pytest.param(MonitorType.SYSTEM, "system_cpu_usage_percent", "system_cpu_usage_percent", id="prefix once"),
        pytest.param(MonitorType.CPU, "cpu_usage_percent", "cpu_usage_percent", id="prefix of its own name"),
        pytest.param(MonitorType.CPU, "cpu", "cpu", id="name of the type"),
        pytest.param(MonitorType.CPU, "cpus", "cpu_cpus", id="only begins like the type"),
        pytest.param(MonitorType.APPLICATION, "http_requests_total", "http_requests_total", id="requests"),
        pytest.param(
            MonitorType.APPLICATION, "http_request_duration_seconds", "http_request_duration_seconds", id="durations"
        ),
        pytest.param(MonitorType.BUSINESS, "conversion_rate", "business_conversion_rate", id="business"),
        pytest.param(MonitorType.CUSTOM, "active_users", "custom_active_users", id="custom"),
    ],
)
def test_exported_name_is_type_and_name_and_the_type_never_twice(kind: MonitorType, name: str, exported: str) -> None:
    assert metric(name, kind).exported_name == exported


@given(st.sampled_from(MonitorType), st.from_regex(r"[a-z_:][a-z0-9_:]*", fullmatch=True))
def test_exported_name_does_not_change_when_it_is_exported_again(kind: MonitorType, name: str) -> None:
    exported = metric(name, kind).exported_name

    assert metric(exported, kind).exported_name == exported


def test_types_are_those_of_the_specification_and_business() -> None:
    assert [kind.value for kind in MonitorType] == [
        "system",
        "application",
        "database",
        "network",
        "memory",
        "cpu",
        "custom",
        "business",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(
            {"name": "conversion rate"},
            "name 'conversion rate': allowed: letters, digits, _ and :, not starting with a digit; "
            "write 'conversion_rate'",
            id="near",
        ),
        pytest.param(
            {"name": "9"},
            "name '9': allowed: letters, digits, _ and :, not starting with a digit",
            id="nothing near",
        ),
        pytest.param(
            {"name": 9}, "name 9: allowed: letters, digits, _ and :, not starting with a digit", id="not a text"
        ),
        pytest.param({"value": "1"}, f"users: value '1': {NUMBERS}", id="text as value"),
        pytest.param({"value": True}, f"users: value True: {NUMBERS}", id="bool as value"),
        pytest.param({"value": 2**1024}, f"users: value {str(2**1024)[:77]}...: {NUMBERS}", id="giant as value"),
        pytest.param(
            {"labels": {"a-b": "x"}},
            "users: label 'a-b': allowed: letters, digits and _, not starting with a digit or __",
            id="label name",
        ),
        pytest.param(
            {"labels": {"__x": "x"}},
            "users: label '__x': allowed: letters, digits and _, not starting with a digit or __",
            id="reserved label name",
        ),
        pytest.param({"labels": {"a": 1}}, "users: label a=1: allowed: text", id="number as label"),
        pytest.param({"labels": {"token": 1}}, "users: label token='***': allowed: text", id="secret as label"),
    ],
)
def test_metric_that_cannot_be_exposed_says_what_is_allowed(arguments: dict[str, Any], text: str) -> None:
    given_arguments = {"name": "users", "value": 1.0, "timestamp": None, "metric_type": MonitorType.CUSTOM, **arguments}

    with pytest.raises(MetricError) as raised:
        MonitoringMetric(**given_arguments)

    assert str(raised.value) == text


def test_timestamp_may_be_a_datetime() -> None:
    moment = datetime(2025, 10, 20, 10, 30, tzinfo=UTC)

    assert MonitoringMetric("users", 1, moment, MonitorType.CUSTOM).timestamp == moment


def test_metrics_of_one_name_are_one_family_in_the_order_of_their_first_appearance() -> None:
    families = families_of([metric("b", x="1"), metric("a"), metric("b", value=2, x="2")])

    assert [(family.name, len(family.samples)) for family in families] == [("custom_b", 2), ("custom_a", 1)]
    assert families[0].samples == (Sample((("x", "1"),), 1.0), Sample((("x", "2"),), 2.0))


def test_later_metric_of_the_same_series_counts() -> None:
    [family] = families_of([metric("a", value=1, x="1", y="2"), metric("a", value=2, y="2", x="1")])

    assert family.samples == (Sample((("x", "1"), ("y", "2")), 2.0),)


@pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param("orders_total", "counter", id="total"), pytest.param("orders", "gauge", id="any other")],
)
def test_name_that_ends_in_total_is_a_counter(name: str, kind: FamilyType) -> None:
    assert [family.type for family in families_of([metric(name)])] == [kind]


@pytest.mark.parametrize(
    ("unit", "description", "text"),
    [
        pytest.param("percent", "User conversion rate", "User conversion rate", id="description"),
        pytest.param("percent", "two\nlines", "two lines", id="on one line"),
        pytest.param("percent", "", "Conversion rate in percent", id="name and unit"),
        pytest.param("", "", "Conversion rate", id="name"),
    ],
)
def test_help_is_the_description_or_what_the_name_says(unit: str, description: str, text: str) -> None:
    measured = MonitoringMetric("conversion_rate", 1, None, MonitorType.BUSINESS, {}, unit, description)

    assert [family.help for family in families_of([measured])] == [text]


def test_families_pass_unchanged() -> None:
    family = Family("jobs", "gauge", "Jobs.", (Sample((), 1.0),))

    assert families_of([metric("a"), family])[1] is family


def test_metrics_and_a_family_of_one_name_are_refused() -> None:
    family = Family("custom_a", "gauge", "", ())

    pairs: list[list[MonitoringMetric | Family]] = [[metric("a"), family], [family, metric("a")], [family, family]]
    for measured in pairs:
        with pytest.raises(MetricError, match=r"^custom_a: there are two families of this name$"):
            families_of(measured)


def family(*samples: Sample, name: str = "jobs", kind: FamilyType = "gauge") -> Family:
    return Family(name, kind, "", samples)


@pytest.mark.parametrize(
    ("families", "text"),
    [
        pytest.param(
            [family(name="a b")],
            "family 'a b': allowed: letters, digits, _ and :, not starting with a digit; write 'a_b'",
            id="name",
        ),
        pytest.param([family(), family()], "jobs: there are two families of this name", id="name twice"),
        pytest.param(
            [family(Sample((("a b", ""),), 1))],
            "jobs: label 'a b': allowed: letters, digits and _, not starting with a digit or __",
            id="label",
        ),
        pytest.param(
            [family(Sample((("a", "1"), ("a", "2")), 1))],
            "jobs: a label is there twice: {'a': '2'}",
            id="label twice",
        ),
        pytest.param(
            [family(Sample((("a", "1"), ("b", "2")), 1), Sample((("b", "2"), ("a", "1")), 1))],
            "jobs: the series {'b': '2', 'a': '1'} is there twice",
            id="series twice",
        ),
        pytest.param(
            [family(Sample((("a", ""),), 1), Sample((), 1))], "jobs: the series {} is there twice", id="empty label"
        ),
        pytest.param(
            [family(Sample((), 1, "_bucket"))], "jobs: a gauge has no sample jobs_bucket", id="suffix of another type"
        ),
        pytest.param(
            [family(Sample((), cast("float", None)))], f"jobs: value None: {NUMBERS}", id="value that is none"
        ),
        pytest.param(
            [family(Sample((), 1), kind="histogram")], "jobs: a histogram has no sample jobs", id="missing suffix"
        ),
    ],
)
def test_families_that_would_spoil_the_page_are_refused(families: list[Family], text: str) -> None:
    with pytest.raises(MetricError) as raised:
        check(families)

    assert str(raised.value) == text


def test_families_that_spoil_nothing_pass() -> None:
    buckets = [Sample((("le", bound),), 1, "_bucket") for bound in ("1.0", "+Inf")]

    check([family(*buckets, Sample((), 1, "_sum"), Sample((), 1, "_count"), kind="histogram"), family(name="other")])
