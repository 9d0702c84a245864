"""``sergas backup``: a copy at one moment, also while pushes come; and what it says when there can be none."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from pytest_sergas import cli
from tests.servers.sidecar import sidecar
from tests.sidecar.http import get, push

pytestmark = pytest.mark.integration


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_copy_of_a_running_sidecar_can_be_served(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sidecar(here) as server:
        assert push(server.url, "/metrics/job/before", b"m 1\n").status == 200

        assert cli.main(["backup", "copy.db"]) == 0

        assert push(server.url, "/metrics/job/after", b"m 2\n").status == 200
    copy = here / "copy.db"
    assert capsys.readouterr().out == f"copied {here}/sergas.db to copy.db ({copy.stat().st_size} bytes)\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sidecar(here, "--store", "copy.db", name="restored") as server:
        page = get(server.url, "/metrics").text
    assert 'job="before"' in page
    assert 'job="after"' not in page


def another_programs_file(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["x.db"], "there is no store {here}/sergas.db; give its file with --store", id="no store"),
        pytest.param(
            ["--store", "theirs.db", "there.db"], "there.db exists; give a file that does not exist yet", id="exists"
        ),
        pytest.param(
            ["--store", "theirs.db", "x.db"],
            "theirs.db is another program's SQLite file; give the store's file with --store",
            id="another program's",
        ),
        pytest.param(
            ["--store", "there.db", "x.db"],
            "the store there.db cannot be copied to x.db: file is not a database",
            id="damaged",
        ),
        pytest.param(
            ["--store", "theirs.db", "missing/x.db"],
            "the store theirs.db cannot be copied to missing/x.db: No such file or directory",
            id="no directory",
        ),
    ],
)
def test_without_a_store_or_a_place_there_is_no_copy(
    arguments: list[str], text: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "there.db").write_bytes(b"no database" * 1000)
    another_programs_file(here / "theirs.db")

    assert cli.main(["backup", *arguments]) == 2

    assert capsys.readouterr().err == f"sergas: {text.format(here=here)}\n"
    assert not (here / "x.db").exists()
    assert list(here.glob("*.part")) == []


def test_store_in_memory_cannot_be_copied(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sergas.toml").write_text('[serve]\nstore = ":memory:"\n', encoding="utf-8")

    assert cli.main(["backup", "x.db"]) == 2

    assert capsys.readouterr().err == (
        "sergas: the configuration keeps the store in memory, and there is nothing to copy\n"
    )
