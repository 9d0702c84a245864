"""Routes and matchers: what is selected, in which order, and how matchers are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.routes import Route, Router, all_of, never_reached, read_matcher, write_matcher
from pytest_sergas.core.series import Matcher

pytestmark = pytest.mark.unit

ALLOWED = 'allowed: a label, one of = != =~ !~, and a value, such as severity="critical" or type=~"smoke|e2e"'


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        pytest.param('severity="critical"', Matcher("severity", "=", "critical"), id="quoted"),
        pytest.param("severity=critical", Matcher("severity", "=", "critical"), id="bare"),
        pytest.param(' type =~ "smoke|e2e" ', Matcher("type", "=~", "smoke|e2e"), id="blanks"),
        pytest.param('a!=""', Matcher("a", "!=", ""), id="empty"),
        pytest.param("a=", Matcher("a", "=", ""), id="bare and empty"),
        pytest.param(r'a!~"\"x\""', Matcher("a", "!~", '"x"'), id="escaped"),
        pytest.param("a==b", Matcher("a", "=", "=b"), id="value that begins with an operator"),
    ],
)
def test_matcher_is_read_as_alertmanager_reads_it(text: str, matcher: Matcher) -> None:
    assert read_matcher(text) == matcher


@pytest.mark.parametrize("text", ["", "severity", "1a=b", 'a="b', 'a="b"c', r'a="\x"'])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is compared
        read_matcher(text)

    assert str(caught.value) == ALLOWED


def test_matcher_with_a_bad_expression_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^not a regular expression of RE2: '\(': missing \): \($"):
        read_matcher("a=~(")


@given(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]*", fullmatch=True),
    st.sampled_from(["=", "!="]),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_matcher_survives_being_written(label: str, op: str, value: str) -> None:
    matcher = Matcher(label, "=" if op == "=" else "!=", value)

    assert read_matcher(write_matcher(matcher)) == matcher


def test_matchers_have_all_to_match() -> None:
    matches = all_of([read_matcher("severity=critical"), read_matcher("type=~smoke|e2e")])

    assert matches({"severity": "critical", "type": "e2e"})
    assert not matches({"severity": "critical", "type": "unit"})
    assert not matches({"type": "smoke"})


def test_expression_has_to_match_the_whole_value() -> None:
    assert not all_of([read_matcher("type=~smoke")])({"type": "smoke-2"})


def test_label_that_is_not_there_is_empty() -> None:
    assert all_of([read_matcher('team=""')])({})


def test_no_matchers_match_everything() -> None:
    assert all_of([])({})


CRITICAL = Route("critical", (Matcher("severity", "=", "critical"),), ("phone",))
SMOKE = Route("smoke", (Matcher("type", "=", "smoke"),), ("chat",), goes_on=True)
REST = Route("rest", channels=("mail",))


def names(router: Router, **labels: str) -> list[str]:
    return [route.name for route in router.find(tuple(sorted(labels.items())))]


def test_first_route_that_matches_decides() -> None:
    router = Router([CRITICAL, REST])

    assert names(router, severity="critical") == ["critical"]
    assert names(router, severity="info") == ["rest"]


def test_route_that_continues_lets_later_ones_match() -> None:
    router = Router([SMOKE, CRITICAL, REST])

    assert names(router, type="smoke", severity="critical") == ["smoke", "critical"]
    assert names(router, type="smoke") == ["smoke", "rest"]


def test_alert_that_no_route_matches_goes_nowhere() -> None:
    assert names(Router([CRITICAL]), severity="info") == []


def test_group_labels_are_those_that_the_route_groups_by() -> None:
    labels = (("alertname", "A"), ("job", "shop"), ("type", "unit"))

    assert Route(group_by=("job", "team")).group_labels(labels) == (("job", "shop"),)


def test_route_behind_one_that_takes_all_it_would_match_is_never_reached() -> None:
    def route(name: str, *matchers: str, goes_on: bool = False) -> Route:
        return Route(name, tuple(map(read_matcher, matchers)), ("log",), goes_on=goes_on)

    def hidden(*routes: Route) -> list[tuple[str, str]]:
        return [(one.name, by.name) for one, by in never_reached(routes)]

    everything, critical = route("everything"), route("critical", "severity=critical")
    assert hidden(critical, everything) == []
    assert hidden(everything, critical, route("b")) == [("critical", "everything"), ("b", "everything")]
    assert hidden(route("first", goes_on=True), critical, everything) == []
    assert hidden(route("any", "job=~.*"), critical) == [("critical", "any")]
    assert hidden(route("some", "job=~.+"), critical) == []
    closer = route("closer", "job=shop", "severity=critical")
    assert hidden(critical, closer) == [("closer", "critical")]
    assert hidden(closer, critical) == []
