"""Single damaged bytes: whichever it is, the store is opened, nothing wrong is served, and what is gone is named."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_sergas.config.checks import ChecksSettings
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.config.serve import ServeSettings
from pytest_sergas.core.exposition import parse
from pytest_sergas.core.report import read_report
from pytest_sergas.core.routes import read_matcher
from pytest_sergas.core.silences import Silence
from pytest_sergas.engine import clock, past
from pytest_sergas.engine.alert_history import Asked
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.engine.groups import Push
from pytest_sergas.engine.sealing import DamagedError, seal, unseal

pytestmark = pytest.mark.integration

SEED = 20_251
FLIPS = 40
GROUPS = 40
RUNS = 6
SILENCES = 10


def document(number: int) -> bytes:
    tests = [{"name": f"test_{n}", "status": "passed", "duration": 10 + n} for n in range(20)]
    summary = {"tests": 20, "passed": 20, "failed": 0, "skipped": 0, "pending": 0, "other": 0, "start": 1, "stop": 2}
    results = {"tool": {"name": "pytest"}, "summary": summary, "tests": tests}
    return json.dumps({"reportFormat": "CTRF", "reportId": f"run-{number}", "results": results}).encode()


def settings(directory: Path) -> EngineSettings:
    serve = ServeSettings(store="sergas.db")
    return EngineSettings(
        directory, serve, collect=CollectSettings(disabled=("system", "process")), checks=ChecksSettings()
    )


@dataclass(frozen=True)
class Served:
    """What a store serves: name → what is said under it."""

    groups: dict[str, bytes]
    runs: dict[str, bytes | None]
    silences: dict[str, str]

    @property
    def names(self) -> set[str]:
        return {*self.groups, *self.runs, *self.silences}


async def served(engine: Engine) -> Served:
    """Ask everything that reads the store."""
    groups = {
        group.path: b"".join(piece.text for piece in group.pieces.values()) for group in engine.groups.all(clock.read())
    }
    kept = await engine.runs.newest(100)
    runs = {run.run_id: await engine.runs.document(run.run_id) for run in kept}
    await engine.runs.tests(100)
    await past.runs(engine.store, 100)
    await engine.alerting.history.newest(Asked(100))
    return Served(groups, runs, {one.id: one.comment for one in engine.alerting.silences()})


def with_engine(directory: Path, use: Callable[[Engine], object]) -> Served:
    async def main() -> Served:
        engine = Engine(settings(directory))
        await engine.open()
        try:
            result = use(engine)
            if asyncio.iscoroutine(result):
                await result
            return await served(engine)
        finally:
            await engine.alerting.stop()
            await engine.store.close()

    return asyncio.run(main())


async def fill(engine: Engine) -> None:
    now = clock.read()
    for number in range(GROUPS):
        families = parse(f'# TYPE orders gauge\norders{{n="{number}"}} {number * 1.5}\nother {number}\n'.encode())
        await engine.groups.push(Push.of({"job": f"shop-{number}"}, tuple(families), replace=True, ttl_s=None, now=now))
    for number in range(RUNS):
        content = document(number)
        await engine.runs.add(read_report(json.loads(content)), content, now)
    for number in range(SILENCES):
        matcher = (read_matcher(f"job=shop-{number}"),)
        await engine.alerting.silence(
            Silence(f"s{number}", matcher, now.wall_s, time.time() + 9e6, "me", f"why {number}")
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Served]:
    """A store's file, and what it serves."""
    directory = tmp_path_factory.mktemp("whole")
    found = with_engine(directory, fill)
    assert len(found.names) == GROUPS + RUNS + SILENCES
    return (directory / "sergas.db").read_bytes(), found


def test_single_damaged_bytes_spoil_their_row_and_no_more(
    whole: tuple[bytes, Served], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, before = whole
    chance = random.Random(SEED)  # noqa: S311  a seed that is the same in every run
    # Half of them anywhere, half of them where something is written; the number of the version is the store's own word.
    written = [place for place, byte in enumerate(content) if byte and place >= 100]
    places = [chance.randrange(100, len(content)) for _ in range(FLIPS // 2)]
    places += [chance.choice(written) for _ in range(FLIPS // 2)]
    outcomes: dict[str, int] = {}
    for number, place in enumerate(places):
        directory = tmp_path / str(number)
        directory.mkdir()
        damaged = bytearray(content)
        damaged[place] ^= 1 << chance.randrange(8)
        (directory / "sergas.db").write_bytes(damaged)
        caplog.clear()

        after = with_engine(directory, lambda _: None)

        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        lost = before.names - after.names
        where = f"byte {place}: {said}"
        assert after.names <= before.names, where
        for mine, theirs in (
            (before.groups, after.groups),
            (before.runs, after.runs),
            (before.silences, after.silences),
        ):
            assert {name: text for name, text in theirs.items() if mine[name] != text} == {}, where
        whole_file = any("was moved to" in line and "rows could be read" in line for line in said)
        # A damaged page may be the one that leads to several others of its table.
        assert len(lost) <= (GROUPS if whole_file else 1), where
        assert said or not lost, where
        kind = "file" if whole_file else "row" if lost else "nothing lost"
        outcomes[kind] = outcomes.get(kind, 0) + 1

    assert outcomes.get("row", 0) > 0, outcomes


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        pytest.param(b"/metrics/job/shop-7", b"/metrics/job/sh\xffp-7", "path is not UTF-8 text", id="a group's key"),
        pytest.param(b"why 3", b"w\xffy 3", "body is not UTF-8 text", id="text of a silence"),
        pytest.param(b'"comment": "why 3', b'#comment": "why 3', "its checksum is not that of what it says", id="JSON"),
        pytest.param(b'n=\\"9\\"} 13.5', b'n=\\"9\\"} 73.5', "its checksum is not that", id="a value"),
    ],
)
def test_damaged_row_is_moved_aside_and_named(
    mine: bytes, theirs: bytes, said: str, whole: tuple[bytes, Served], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, before = whole
    assert mine in content
    place = content.rindex(mine)
    (tmp_path / "sergas.db").write_bytes(content[:place] + theirs + content[place + len(mine) :])

    after = with_engine(tmp_path, lambda _: None)
    again = with_engine(tmp_path, lambda _: None)

    (lost,) = before.names - after.names
    lines = [record.getMessage() for record in caplog.records if "a row of" in record.getMessage()]
    (line,) = lines
    aside = tmp_path / "sergas.db.damaged-rows"
    assert f"is damaged ({said}" in line
    assert f"was moved to {aside}: " in line
    (row,) = [json.loads(text) for text in aside.read_text("utf-8").splitlines()]
    assert row["table"] in {"pushed_groups", "silences"}
    assert aside.stat().st_mode & 0o777 == 0o600
    assert again == after
    assert lost in line or "\\xff" in line or "sh" in line


def test_checksum_is_of_everything_that_a_row_says() -> None:
    sealed = seal('{"a": 1}', "key", 1.0)

    assert unseal(sealed, "key", 1.0) == '{"a": 1}'
    assert unseal('{"a": 1}', "key", 2.0) == '{"a": 1}'  # of an earlier version
    for wrong, about in ((sealed, ("kez", 1.0)), (sealed, ("key", 2.0)), (sealed.replace("1}", "2}"), ("key", 1.0))):
        with pytest.raises(DamagedError, match="its checksum is not that of what it says"):
            unseal(wrong, *about)
