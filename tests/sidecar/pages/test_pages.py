"""What each page says, and that it says it to a browser without a script."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import count, takewhile
from pathlib import Path
from threading import Event

import pytest

from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages import made
from tests.sidecar.pages.html import quoted, read, visit

pytestmark = pytest.mark.integration

AGE = "(now|[0-9]+ (s|min) ago)"

PAGES = (
    "/",
    "/runs",
    "/runs/shop-6",
    "/tests",
    f"/tests/one?id={quoted(made.TOTAL)}",
    "/components",
    "/alerts",
    "/alerts/silence?matchers=" + quoted('a="b"'),
    "/pushes",
    f"/pushes/group?path={quoted('/metrics/job/etl')}",
    f"/pushes/delete?path={quoted('/metrics/job/etl')}",
)


# All pages


@pytest.mark.parametrize("path", PAGES)
def test_page_loads_only_our_own_files_under_a_strict_policy(path: str, shop: Sidecar) -> None:
    reply = ask(shop.url, path)
    page = read(reply.text)

    loaded = [
        element.attributes.get("src") or element.attributes["href"]
        for tag in ("script", "link")
        for element in page.all(tag)
    ]
    assert [address.partition("?")[0] for address in loaded] == [
        "/static/sergas.js",
        "/static/sergas.css",
        "/static/icon.svg",
    ]
    assert not page.all("style")
    assert " style=" not in reply.text
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/static/sergas.js", "/static/sergas.css", "/static/icon.svg"])
def test_files_are_kept_by_browsers_for_ever_because_their_address_tells_their_version(
    path: str, shop: Sidecar
) -> None:
    reply = ask(shop.url, path)

    assert (reply.status, reply.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")


@pytest.mark.parametrize("path", ["/static/nothing.js", "/static/..%2Fanswer.py"])
def test_no_other_file_is_given_out(path: str, shop: Sidecar) -> None:
    assert ask(shop.url, path).status == 404


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        pytest.param("/runs/nobody", 404, "there is no such run; it may be too old by now", id="run"),
        pytest.param("/tests/one?id=x", 404, "no test of this name ran in the newest 100 runs", id="test"),
        pytest.param(
            "/pushes/group?path=x",
            404,
            "there is no such group; it was deleted, or its time to live is over",
            id="group",
        ),
        pytest.param("/runs?limit=0", 400, "limit: allowed: one whole number from 1 to 1000", id="number"),
        pytest.param("/tests?class=x", 400, "class: allowed: broken, flaky, slower, new, stable", id="class"),
    ],
)
def test_what_cannot_be_shown_says_why(path: str, status: int, text: str, shop: Sidecar) -> None:
    page = visit(shop, path, status)

    assert page.all("h1")[0].text == "Not possible"
    assert page.all("p")[1].text == text


# Overview


def test_overview_says_what_needs_a_look(shop: Sidecar) -> None:
    page = visit(shop, "/")

    assert page.all("h1")[0].text == "3 things need a look"
    listed = [item.text for item in page.all("ul")[0].all("li")]
    assert listed == ["failed unit", "unhealthy database", "flaky integration"]
    assert page.all("ul")[0].links()["unit"] == "/runs/shop-6"


def test_overview_has_a_card_for_each_type_with_its_newest_runs(shop: Sidecar) -> None:
    cards = visit(shop, "/").section("Tests").all("section")

    assert [card.attributes["aria-label"] for card in cards] == ["unit", "integration", "performance"]
    assert cards[0].text.startswith("unit failed 0% of 1 1 failed")
    assert [link.attributes["class"] for link in cards[1].all("ol")[0].all("a")] == [
        "flaky", "passed", "passed", "flaky", "passed", "passed", "flaky",
    ]  # fmt: skip
    assert cards[2].all("svg")[0].text == "seconds of all performance tests, from 0.42 to 0.48 in 7 runs"


def test_overview_names_the_tests_to_look_at(shop: Sidecar) -> None:
    until(lambda: "Tests to look at" in ask(shop.url, "/").text, "the runs have been looked at")

    section = visit(shop, "/").section("Tests to look at")

    assert section.all("p")[0].text == "1 broken, 1 flaky of 3"
    assert [item.text for item in section.all("li")] == [
        f"{made.TOTAL} it failed in the newest run of 7 broken",
        f"{made.UNSURE} it failed or was flaky in 3 of 7 runs, and passed in others flaky",
    ]
    assert section.links()["1 flaky"] == "/tests?class=flaky"


def test_overview_shows_components_and_groups(shop: Sidecar) -> None:
    page = visit(shop, "/")

    health = [item.text for item in page.section("Health").all("li")]
    assert health[0].startswith("database unhealthy 127.0.0.1:1: Connection refused · up 0% in 24 hours ")
    assert health[1].startswith("disk healthy half full · up 100% in 24 hours ")
    pushes = [item.text for item in page.section("Pushed groups").all("li")]
    assert re.fullmatch(f"job etl failed {AGE}", pushes[0])
    assert re.fullmatch(f"job backup host db-1 {AGE}", pushes[1])


def test_overview_has_the_last_day_of_each_component_as_bars(shop: Sidecar) -> None:
    database, disk = visit(shop, "/").section("Health").all("svg")

    assert re.fullmatch("database over 24h: [0-9]% unhealthy", database.all("title")[0].text)
    assert [path.attributes["class"] for path in database.all("path")] == ["nothing", "unhealthy"]
    assert re.fullmatch("disk over 24h: [0-9]% healthy", disk.all("title")[0].text)
    assert [path.attributes["class"] for path in disk.all("path")] == ["nothing", "healthy"]


def test_empty_sidecar_says_how_to_begin(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        page = visit(running, "/")
        assert visit(running, "/runs").all("main")[0].text.endswith("No run is kept.")

    assert page.all("h1")[0].text == "Everything is fine"
    assert page.all("p")[1].text == "1 component is as it should be."
    assert page.all("pre")[0].text == f"pytest --sergas-sidecar {running.url}"


def test_overview_without_trouble_says_that_everything_is_fine(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        made.send(running, made.shop_run(1))
        page = visit(running, "/")

    assert page.all("h1")[0].text == "Everything is fine"
    assert page.all("p")[1].text == "The newest runs of all 3 types passed, and 1 component is as it should be."


# Tests


def test_tests_are_listed_with_their_class_those_to_look_at_first(shop: Sidecar) -> None:
    page = visit(shop, "/tests")

    assert [(row[0].split(" ")[0], row[1], row[4]) for row in page.rows()] == [
        (made.TOTAL, "broken", "1 of 7"),
        (made.UNSURE, "flaky", "3 of 7"),
        (made.SLOW, "stable", "0 of 7"),
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("?q=STOCK", [made.UNSURE], id="part of the name"),
        pytest.param("?q=tests+search", [made.SLOW], id="words"),
        pytest.param("?q=nothing", [], id="nothing"),
        pytest.param("?class=broken", [made.TOTAL], id="class"),
        pytest.param("?branch=other", [], id="branch"),
    ],
)
def test_tests_are_searched_by_name_class_and_branch(query: str, found: list[str], shop: Sidecar) -> None:
    assert [row[0].split(" ")[0] for row in visit(shop, f"/tests{query}").rows()] == found


def test_test_has_its_outcomes_and_its_flakiness_with_the_interval(shop: Sidecar) -> None:
    page = visit(shop, f"/tests/one?id={quoted(made.UNSURE)}")

    assert page.all("h1")[0].text == made.UNSURE
    facts = {name.text: value.text for name, value in zip(page.all("dt"), page.all("dd"), strict=True)}
    assert facts["Failed or flaky"] == "3 of 7 runs"
    assert facts["Flakiness, 95% sure"] == "15.8% to 75%"
    assert [link.attributes["class"] for link in page.section("Outcomes").all("a")].count("flaky") == 3
    assert page.section("How it failed last").text.startswith(
        "failed in this run on gw1 ConnectionError: it is starting"
    )
    assert len(page.section("Runs").rows()) == 7


def test_test_has_a_plot_of_its_duration_with_the_line_of_its_budget(shop: Sidecar) -> None:
    page = visit(shop, f"/tests/one?id={quoted(made.SLOW)}")

    duration, _ = page.section("Over its runs").all("svg")
    assert duration.all("title")[0].text == (
        "Duration: 7 values, from 420 ms to 480 ms, the last one 480 ms; the budget is 500 ms"
    )
    assert [path for path in duration.all("path") if path.attributes["class"] == "budget"]
    assert [text.text for text in duration.all("text") if text.attributes["class"] == "y"][-1] == "600 ms"


def test_test_has_a_plot_of_its_memory_with_the_line_of_its_budget(shop: Sidecar) -> None:
    _, memory = visit(shop, f"/tests/one?id={quoted(made.SLOW)}").section("Over its runs").all("svg")

    assert memory.all("title")[0].text == (
        "Peak memory: 7 values, from 1.91 MiB to 1.91 MiB, the last one 1.91 MiB; the budget is 8 MiB"
    )
    assert [path for path in memory.all("path") if path.attributes["class"] == "budget"]
    assert [text.text for text in memory.all("text") if text.attributes["class"] == "y"][-1] == "8 MiB"


# Health


def test_components_are_shown_with_uptime_and_history(shop: Sidecar) -> None:
    page = visit(shop, "/components")

    assert page.all("p")[1].text == "Overall system health: unhealthy (1/2 components healthy)"
    assert [heading.text for heading in page.all("h2")] == ["database unhealthy", "disk healthy"]
    database = page.section("database unhealthy")
    facts = {name.text: value.text for name, value in zip(database.all("dt"), database.all("dd"), strict=True)}
    assert facts["Up, 24h"] == "0%"
    assert [svg.attributes["class"] for svg in database.all("svg")] == ["bars", "bars", "bars", "plot"]


def test_component_has_a_history_of_its_changes(tmp_path: Path) -> None:
    code = "from pathlib import Path\n\n\ndef is_open():\n    return Path('key').exists()\n"
    (tmp_path / "shop.py").write_text(code, "utf-8")
    check = '[[checks]]\ntype = "python"\nname = "shop"\ncall = "shop:is_open"\ninterval = 0.1\nsuccesses = 1\n'
    with sidecar(tmp_path, config=check) as running:
        until(lambda: "shop unhealthy" in visit(running, "/components").text, "the shop is closed", running.log)
        (tmp_path / "key").touch()
        until(lambda: "shop healthy" in visit(running, "/components").text, "the shop is open", running.log)
        section = visit(running, "/components").section("shop healthy")

    now, before = section.rows()
    assert (now[0], before[0]) == ("healthy", "unhealthy")
    assert all(re.fullmatch("[0-9-]{10} [0-9:]{5} UTC", moment) for moment in (*now[1:3], *before[1:3]))
    assert all(re.fullmatch("(<1|[0-9.]+) (ms|s)", took) for took in (now[3], before[3]))
    began, _, first, ended = [time.attributes["datetime"] for time in section.all("table")[0].all("time")]
    assert first <= ended == began


def test_sidecar_that_checks_nothing_says_where_checks_come_from(tmp_path: Path) -> None:
    (tmp_path / "sergas.toml").write_text("checks = []\n", encoding="utf-8")
    with sidecar(tmp_path) as running:
        page = visit(running, "/components")

    assert page.all("main")[0].text.endswith(
        "Nothing is checked. The table [[checks]] of the configuration says what is."
    )


# Pushes


def test_groups_are_listed_and_searched_by_their_labels(shop: Sidecar) -> None:
    assert len(visit(shop, "/pushes").all("ul")[0].all("li")) == 2
    [found] = visit(shop, "/pushes?q=host=DB").all("ul")[0].all("li")
    assert found.text.startswith("job backup host db-1 ")


def test_group_shows_its_metrics_and_that_the_last_push_was_refused(shop: Sidecar) -> None:
    page = visit(shop, f"/pushes/group?path={quoted('/metrics/job/etl')}")

    assert page.all("p")[1].text.startswith("The push of ")
    assert [summary.text.split(" ")[0] for summary in page.all("summary")] == [
        "push_failure_time_seconds", "push_time_seconds", "rows",
    ]  # fmt: skip
    assert page.all("pre")[2].text == 'rows{instance="",job="etl"} 3'


def test_deleting_a_group_asks_first(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        ask(running.url, "/metrics/job/etl", "POST", body=b"rows 3\n")
        page = visit(running, f"/pushes/delete?path={quoted('/metrics/job/etl')}")
        groups = json.loads(ask(running.url, "/api/v1/metrics").text)["data"]

    assert page.all("h1")[0].text == "Delete this group?"
    assert len(groups) == 1


def test_confirmed_deletion_removes_the_group(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        ask(running.url, "/metrics/job/etl", "POST", body=b"rows 3\n")
        reply = ask(running.url, "/pushes/delete", "POST", body=f"path={quoted('/metrics/job/etl')}".encode())
        groups = json.loads(ask(running.url, "/api/v1/metrics").text)["data"]

    assert (reply.status, reply.headers["location"]) == (303, "/pushes")
    assert groups == []


def test_page_of_another_site_cannot_delete_a_group(shop: Sidecar) -> None:
    body = f"path={quoted('/metrics/job/etl')}".encode()
    reply = ask(shop.url, "/pushes/delete", "POST", headers={"Origin": "https://evil.example"}, body=body)

    assert reply.status == 403
    assert len(json.loads(ask(shop.url, "/api/v1/metrics").text)["data"]) == 2


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b"path=nothing", "path 'nothing' does not start with /metrics/job/", id="no path"),
        pytest.param(b"\xff", "what was sent is no form", id="no form"),
        pytest.param(b"path=" + b"x" * 70_000, "the form is too large", id="too large"),
    ],
)
def test_form_that_cannot_be_used_says_why(body: bytes, text: str, shop: Sidecar) -> None:
    reply = ask(shop.url, "/pushes/delete", "POST", body=body)

    assert reply.status == 400
    assert read(reply.text).all("p")[1].text == text


# While it is busy


def test_pages_are_there_while_runs_come_in(tmp_path: Path) -> None:
    seen: list[int] = []
    enough = Event()

    def send_on() -> None:
        for number in takewhile(lambda _: not enough.is_set(), count(1)):
            made.send(running, made.shop_run(number))

    def look() -> bool:
        assert visit(running, "/").section("Tests").all("section")
        seen.append(len(visit(running, "/runs?limit=1000").rows()))
        return len(set(seen)) >= 5

    with sidecar(tmp_path) as running, ThreadPoolExecutor() as pool:
        made.send(running, made.shop_run(0))
        sending = pool.submit(send_on)
        try:
            until(look, "runs have come in between five looks", running.log)
        finally:
            enough.set()
        sending.result()

    assert seen == sorted(seen)
