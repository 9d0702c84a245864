"""The pages of runs: the list, one run, and the shards of one joined."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.core.measurement import Measurement, Use
from pytest_sergas.core.records import Outcome
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.pages import made
from tests.sidecar.pages.html import quoted, visit

pytestmark = pytest.mark.integration


def test_runs_are_listed_with_branch_commit_and_build(shop: Sidecar) -> None:
    page = visit(shop, "/runs")

    rows = page.rows()
    assert len(rows) == 7
    assert rows[0][1:8] == ["failed", "main", "0000000000", "3", "1", "1", "3.0 s"]
    table = page.all("tbody")[0]
    assert table.all("a")[1].attributes["href"] == "https://ci.example.org/6"
    assert table.all("a")[0].attributes["href"] == "/runs/shop-6"


def test_runs_of_one_branch_are_listed(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        made.send(running, made.shop_run(1))
        made.send_document(running, made.foreign_document("other"))

        assert [row[2] for row in visit(running, "/runs").rows()] == ["-", "main"]
        assert [row[2] for row in visit(running, "/runs?branch=main").rows()] == ["main"]
        assert visit(running, "/runs?branch=x").all("main")[0].text.endswith("No run of this branch is kept.")


def test_run_shows_its_failures_with_their_text(shop: Sidecar) -> None:
    page = visit(shop, "/runs/shop-6")

    failures = page.section("Failures")
    assert failures.all("summary")[0].text == f"failed {made.TOTAL} AssertionError: assert 12 == 13"
    assert failures.all("pre")[0].text.startswith("> assert order.total == 13 E")
    assert failures.links()["its history"] == f"/tests/one?id={quoted(made.TOTAL)}"


def test_run_shows_who_ran_what_when(shop: Sidecar) -> None:
    timeline = visit(shop, "/runs/shop-6").section("Who ran what when")

    assert [worker.text for worker in timeline.all("ol")[0].all("li")] == ["gw0", "gw1"]
    assert timeline.all("svg")[0].all("title")
    kinds = [path.attributes["class"] for path in timeline.all("path")]
    assert {"lane", "alone", "passed", "failed", "flaky"} <= set(kinds)
    assert "exclusive tests, nothing beside them, 480 ms" in timeline.text


def test_run_shows_flaky_and_slowest_tests_and_figures_by_type(shop: Sidecar) -> None:
    page = visit(shop, "/runs/shop-6")

    assert page.section("Flaky").text.startswith(
        f"{made.UNSURE} passed at attempt 2 attempt 1: ConnectionError: it is starting"
    )
    assert page.section("The slowest").rows()[0] == [made.SLOW, "performance", "480 ms"]
    assert page.section("By type").rows()[0] == ["unit", "1", "0", "1", "0", "0", "0%", "220 ms"]


def test_run_is_compared_with_the_one_before(shop: Sidecar) -> None:
    found = visit(shop, "/runs/shop-6").section("Since the run before")

    assert "/runs/shop-5" in found.links().values()
    assert found.all("details")[0].text == f"Broke: 1 {made.TOTAL}"


def test_first_run_is_compared_with_nothing(shop: Sidecar) -> None:
    headings = [heading.text for heading in visit(shop, "/runs/shop-0").all("h2")]

    assert headings == ["By type", "Who ran what when", "Flaky", "The slowest"]


def test_run_shows_what_was_over_budget(tmp_path: Path) -> None:
    cost = Measurement("wall", 0.9, 0.8, 0.8, uses=(Use("max_duration", 0.8, 0.5),))
    slow = made.case("a.py::slow", made.attempt(Outcome.OVER_BUDGET, 100.0, measured=cost), type="performance")
    with sidecar(tmp_path) as running:
        made.send(running, made.shop_run(1, slow))

        rows = visit(running, "/runs/shop-1").section("Over budget").rows()

    assert rows == [["a.py::slow", "max_duration", "0.8", "0.5"]]


def test_shards_are_one_run_in_the_list_and_on_its_page(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        made.send(running, *made.shards())

        [row] = visit(running, "/runs").rows()
        page = visit(running, "/runs/part-1")

    assert (row[0].endswith("2 of 3 shards"), row[4]) == (True, "2")
    assert "2 of 3 shards" in page.all("p")[1].text
    assert [worker.text for worker in page.all("ol")[0].all("li")] == ["1/3 gw0", "2/3 gw0"]
    assert [note.text for note in page.all("p") if note.attributes.get("class") == "notice"] == [
        "joined without shard 3/3"
    ]


def test_shards_that_do_not_fit_are_shown_alone_with_the_reason(tmp_path: Path) -> None:
    shards = [made.shop_run(1, run_id=f"part-{number}", shard=f"{number}/2", split="s") for number in (1, 2)]
    with sidecar(tmp_path) as running:
        made.send(running, *shards)

        page = visit(running, "/runs/part-2")

    [note] = [note.text for note in page.all("p") if note.attributes.get("class") == "notice"]
    assert note.startswith("shard 1/2 alone is shown: ")
    assert f"{made.TOTAL} is in 1/2 and in 2/2" in note


def test_run_of_another_tool_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        made.send_document(running, made.foreign_document("other"))
        page = visit(running, "/runs/other")

    text = page.all("main")[0].text
    assert text == (
        "Run passed 1 tests, 0 failed, 0 flaky. Its document says too little to show more: "
        "it results.summary is missing. The document"
    )
    assert page.links()["The document"] == "/api/runs/other"
