"""``GET /api/series``, and what the pages draw of it: in this process, with a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pytest_sergas.config.checks import CheckSettings, ChecksSettings
from pytest_sergas.config.serve import ServeSettings
from pytest_sergas.core.clock import Now
from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.records import Outcome, TestType
from pytest_sergas.core.series import Labels
from pytest_sergas.core.trends import BUCKET_S, bucket
from pytest_sergas.engine import clock, trend_rows
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.engine.trend_rows import Known
from pytest_sergas.engine.trends import DURATION_METRIC, SERIES_LIMIT
from pytest_sergas.sidecar.app import create_app
from tests.sidecar.pages.html import read
from tests.sidecar.pages.made import attempt, case, shop_run

pytestmark = pytest.mark.integration

GIB = 2.0**30
README = Path(__file__).parents[2] / "README.md"


@dataclass(frozen=True, slots=True)
class Page:
    """A sidecar whose collectors and checks do not run."""

    client: httpx2.AsyncClient
    engine: Engine
    now_s: float

    async def text(self, path: str, status: int = 200) -> str:
        found = await self.client.get(path)
        assert found.status_code == status, found.text
        return found.text

    async def series(self, **query: Any) -> list[dict[str, Any]]:
        found = await self.client.get("/api/series", params=query)
        assert found.status_code == 200, found.text
        entries: list[dict[str, Any]] = found.json()["series"]
        return entries

    def measured(self, name: str, value: float, **labels: str) -> None:
        self.engine.collection.on_measured([Family(name, "gauge", "", (Sample(tuple(labels.items()), value),))])


@asynccontextmanager
async def sidecar(root: Path, store: str = "sergas.db", checks: tuple[CheckSettings, ...] = ()) -> AsyncIterator[Page]:
    settings = EngineSettings(root, ServeSettings(store=store), checks=ChecksSettings(checks=checks, machine=False))
    engine = Engine(settings)
    await engine.open()
    transport = httpx2.ASGITransport(create_app(engine))
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Page(client, engine, clock.read().wall_s)
    finally:
        await engine.stop()


async def stored(root: Path, past: dict[tuple[str, Labels], list[float]], now_s: float) -> None:
    """Leave a store in which these series have these values, one each five minutes, the last one now."""
    async with sidecar(root) as page:
        for number, ((name, labels), values) in enumerate(past.items()):
            known = Known(number, name, labels, now_s)
            entries = [
                (known, bucket(now_s - BUCKET_S * back, value)) for back, value in enumerate(reversed(values), 1)
            ]
            await page.engine.store.write(lambda connection, entries=entries: trend_rows.save(connection, entries))  # type: ignore[misc]


def disk(mountpoint: str, *, free: list[float]) -> dict[tuple[str, Labels], list[float]]:
    labels = (("mountpoint", mountpoint),)
    used = [100 - 100 * value / (100 * GIB) for value in free]
    return {("system_disk_usage_percent", labels): used, ("system_disk_free_bytes", labels): free}


async def test_series_are_listed_and_those_of_a_name_have_their_values(tmp_path: Path) -> None:
    now_s = clock.read().wall_s
    await stored(tmp_path, disk("/", free=[float(4_000 - n) for n in range(2_000)]) | {("load", ()): [1.0]}, now_s)
    async with sidecar(tmp_path) as page:
        page.measured("system_disk_free_bytes", 7, mountpoint="/data")
        page.measured("system_disk_free_bytes", float("nan"), mountpoint="/data")
        heads = await page.series()
        day = await page.series(name="system_disk_free_bytes", match='mountpoint="/"')
        week = await page.series(name="system_disk_free_bytes", match='mountpoint="/"', hours=168)
        others = await page.series(name="system_disk_free_bytes", match='mountpoint!="/"')
        raw = await page.series(name="system_disk_free_bytes", match='mountpoint=~"/d.*"', resolution="raw")
        nothing = await page.series(name="other")

    assert [(one["name"], one["labels"]) for one in heads] == [
        ("load", {}),
        ("system_disk_free_bytes", {"mountpoint": "/"}),
        ("system_disk_free_bytes", {"mountpoint": "/data"}),
        ("system_disk_usage_percent", {"mountpoint": "/"}),
    ]
    assert len(day[0]["values"]) in {287, 288}
    assert len(week[0]["values"]) == 2_000
    assert [(one["min"], one["mean"], one["max"], one["count"], one["seconds"]) for one in week[0]["values"][-1:]] == [
        (2_001, 2_001, 2_001, 1, 300)
    ]
    assert [(one["min"], one["count"]) for one in others[0]["values"]] == [(7, 1)]
    assert [(one["labels"], [each["value"] for each in one["values"]]) for one in raw] == [
        ({"mountpoint": "/data"}, [7, None])
    ]
    assert nothing == []


async def test_without_a_store_there_are_the_values_as_they_came(tmp_path: Path) -> None:
    async with sidecar(tmp_path, ":memory:") as page:
        page.measured("load", 3)
        families = page.engine.trends.families(clock.read())

        assert [(one.name, one.type, one.samples[0].value) for one in families] == [
            ("sergas_trend_series", "gauge", 1),
            ("sergas_trend_refused_total", "counter", 0),
        ]
        assert all(f"| `{one.name}` | {one.type} |" in README.read_text("utf-8") for one in families)
        assert [len(one["values"]) for one in await page.series(name="load")] == [0]
        assert [len(one["values"]) for one in await page.series(name="load", resolution="raw")] == [1]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("hours=0", "hours: allowed: one whole number from 1 to 168"),
        ("resolution=1h", "resolution: allowed: 5m, raw"),
        ("match=x", 'match: allowed: a label, one of = != =~ !~, and a value, such as severity="critical"'),
        ("&".join(["match=x"] * 11), "match: allowed: at most 10 of at most 200 characters"),
        (
            "name=load&hours=168",
            "these are 20001 values of 11 series; an answer has at most 20000: ask for fewer hours",
        ),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_reason(query: str, error: str, tmp_path: Path) -> None:
    async with sidecar(tmp_path) as page:
        if error.startswith("these"):
            await stored_in(page)
        found = await page.client.get(f"/api/series?{query}")

    assert (found.status_code, found.json()["error"][: len(error)]) == (400, error)


async def stored_in(page: Page) -> None:
    """Store 20,001 values of eleven series."""
    for number, count in enumerate([2_000] * 10 + [1]):
        page.measured("load", 1, number=f"{number:02}")
        (known,) = [one for one in page.engine.trends.series() if dict(one.labels)["number"] == f"{number:02}"]
        entries = [(known, bucket(page.now_s - BUCKET_S * back, 1.0)) for back in range(1, count)]
        await page.engine.store.write(lambda connection, entries=entries: trend_rows.save(connection, entries))  # type: ignore[misc]


# Pages


async def test_while_there_is_little_values_are_drawn_as_they_came(tmp_path: Path) -> None:
    async with sidecar(tmp_path, ":memory:") as page:
        trends, now = page.engine.trends, clock.read()
        for minutes_ago, value in ((120, 20.0), (60, 90.0), (0, 40.0)):
            moment = Now(now.monotonic_s - 60 * minutes_ago, now.wall_s - 60 * minutes_ago)
            trends._take("system_cpu_usage_percent", (), value, moment)  # noqa: SLF001  in the past
        page.measured("system_memory_usage_percent", 1)  # one value is no line
        system = read(await page.text("/")).section("System")

    assert [card.attributes["aria-label"] for card in system.all("section")] == ["CPU"]
    assert system.all("title")[0].text == "CPU over the last 2 h: 3 values, from 20% to 90%, the last one 40%"
    assert [text.text for text in system.all("text") if text.attributes["class"].startswith("x")] == ["2 h ago", "now"]


async def test_pages_draw_machine_disks_and_response_times_and_stay_small(tmp_path: Path) -> None:
    """With as many series as there may be, a day of them, and values that no line is short for."""
    now_s = clock.read().wall_s
    rough = [float(number * 7_919 % 1_000) / 10 for number in range(288)]
    past: dict[tuple[str, Labels], list[float]] = {
        ("system_cpu_usage_percent", ()): rough,
        ("system_memory_usage_percent", ()): rough,
        ("system_load1", ()): rough,
    }
    falling = [30 * GIB - number * GIB / 12 for number in range(288)]
    past |= disk("/filling", free=falling)
    past |= disk("/new", free=falling[:3])
    past |= disk("/steady", free=[20 * GIB] * 288)
    past |= disk("/busy", free=[(10 + number * 7 % 20) * GIB for number in range(288)])
    for number in range(SERIES_LIMIT - len(past)):
        past[DURATION_METRIC, (("check", f"check-{number:03}"),)] = rough if number < 30 else [0.01]
    await stored(tmp_path, past, now_s)
    checks = tuple(
        CheckSettings("tcp", f"check-{number:03}", options={"host": "127.0.0.1", "port": 1}) for number in range(30)
    )
    async with sidecar(tmp_path, checks=checks[:12]) as page:
        few = await page.text("/components")
    async with sidecar(tmp_path, checks=checks) as page:
        for number in range(12):
            of_all_types = (
                case(f"{kind}.py::test_it", attempt(Outcome.PASSED, 100.0 + number), type=kind) for kind in TestType
            )
            document = to_json(shop_run(number, *of_all_types))
            await page.client.post("/api/runs", content=document, headers={"Content-Type": "application/json"})
        for (name, labels), values in past.items():
            page.measured(name, values[-1], **dict(labels))
        overview, health = await page.text("/"), await page.text("/components")

    shown = {one.attributes["aria-label"]: one for one in read(overview).all("section")}
    assert set(shown) >= {"CPU", "Memory", "Load", "Disk /filling", "Disk /steady", "Disk /busy", "Disk /new"}
    notes = {name: card.all("p")[0].text for name, card in shown.items() if name.startswith("Disk")}
    assert notes == {
        "Disk /filling": "Full in 6 h, at the pace of the last 23 h.",
        "Disk /steady": "It has not filled up over the last 23 h.",
        "Disk /busy": "When it will be full is unknown: it filled and emptied over the last 23 h.",
        "Disk /new": "When it will be full is unknown: that takes an hour of measurements.",
    }
    assert shown["CPU"].all("title")[0].text.startswith("CPU over the last ")
    # The extremes of the values, not those of the means that the line goes through.
    assert f"from {min(rough[1:])}% to {max(rough[1:])}%" in shown["CPU"].all("title")[0].text
    assert sum(name.startswith("Response time of") for name in shown) == 4
    assert health.count("Response time</p>") == 12
    assert "All 30 components" in overview
    assert overview.count('class="squares"') >= 10
    assert len(overview.encode()) < 60_000
    assert len(few.encode()) < 60_000
    assert 'style="' not in overview
